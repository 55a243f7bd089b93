//! Bytes both ways: raw TCP, and what follows a granted upgrade.

pub mod carry;
mod meter;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::proxy::connection::Conn;
use crate::proxy::limits::Limits;
use crate::proxy::timer::Deadline;
use crate::proxy::transfer::{Transfer, TransferError};

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelEnd {
    /// Both sides had said all.
    Complete,
    /// One side broke off.
    Broken,
    /// Nothing moved for as long as the limits allow.
    Idle,
    /// It has lasted as long as it may.
    Over,
}

/// How long a tunnel may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Without a byte in either direction; `None`: for ever.
    pub idle: Option<Duration>,
    /// Without a byte, once one side has ended.
    pub half_closed: Duration,
    /// In all.
    pub lifetime: Option<Duration>,
}

impl Bounds {
    /// The proxy's own.
    pub fn of(limits: &Limits) -> Self {
        Self { idle: Some(limits.tunnel_idle), half_closed: limits.half_closed, lifetime: None }
    }

    /// How long nothing may move; `is_half_closed`: whether one side has ended.
    fn silence(&self, is_half_closed: bool) -> Option<Duration> {
        match (is_half_closed, self.idle) {
            (false, idle) => idle,
            (true, None) => Some(self.half_closed),
            (true, Some(idle)) => Some(idle.min(self.half_closed)),
        }
    }
}

/// Copies both ways until both sides have ended, one breaks, or nothing moves. An end in one direction is passed on; the other
/// direction then has [`Limits::half_closed`] for each byte.
///
/// Answers the end, and the bytes that went from `client` to `server` and back.
pub async fn tunnel(client: &mut Conn, server: &mut Conn, limits: &Limits) -> (TunnelEnd, u64, u64) {
    tunnel_within(client, server, Bounds::of(limits), |_, _| {}).await
}

/// How often a tunnel tells how much it has carried (Istio's `tcpReportingDuration`).
const TELL: Duration = Duration::from_secs(5);

/// [`tunnel`] with bounds of its own. `told` gets the bytes that went each way so far, every now and then while some move.
pub async fn tunnel_within(
    client: &mut Conn,
    server: &mut Conn,
    bounds: Bounds,
    mut told: impl FnMut(u64, u64),
) -> (TunnelEnd, u64, u64) {
    client.carries_bytes();
    server.carries_bytes();
    let (mut up, mut down) = (Direction::new(), Direction::new());
    let mut deadline = Deadline::default();
    deadline.set_or_clear(bounds.silence(false));
    let mut over = Deadline::default();
    over.set_or_clear(bounds.lifetime);
    let mut moved = 0;
    let mut untold = false;
    let mut tell = Deadline::default();
    let end = poll_fn(|cx| {
        if up.poll(cx, client, server).is_err() || down.poll(cx, server, client).is_err() {
            return Poll::Ready(TunnelEnd::Broken);
        }
        if up.closed && down.closed {
            return Poll::Ready(TunnelEnd::Complete);
        }
        let so_far = client.moved() + server.moved();
        if so_far != moved {
            moved = so_far;
            deadline.set_or_clear(bounds.silence(up.closed || down.closed));
            if !untold {
                untold = true;
                tell.set(TELL);
            }
        }
        if tell.poll_passed(cx).is_ready() {
            untold = false;
            told(up.transfer.data(), down.transfer.data());
        }
        if over.poll_passed(cx).is_ready() {
            return Poll::Ready(TunnelEnd::Over);
        }
        deadline.poll_passed(cx).map(|()| TunnelEnd::Idle)
    })
    .await;
    (end, up.transfer.data(), down.transfer.data())
}

struct Direction {
    transfer: Transfer,
    closed: bool,
}

impl Direction {
    fn new() -> Self {
        Self { transfer: Transfer::raw(), closed: false }
    }

    fn poll(&mut self, cx: &mut std::task::Context<'_>, from: &mut Conn, to: &mut Conn) -> Result<(), TransferError> {
        if self.closed {
            return Ok(());
        }
        match self.transfer.poll(cx, from, to) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => return Ok(()),
        }
        match to.poll_shutdown(cx) {
            Poll::Ready(Ok(())) => self.closed = true,
            Poll::Ready(Err(error)) => return Err(TransferError::Sink(error)),
            Poll::Pending => {}
        }
        Ok(())
    }
}

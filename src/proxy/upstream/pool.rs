//! Connections that wait for their next request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::time::Instant;

use crate::identity::SpiffeId;
use crate::model::PoolLimits;
use crate::proxy::connection::Conn;
use crate::proxy::limits::Limits;
use crate::proxy::upstream::{Announcement, Originator};

/// What makes two connections interchangeable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// Where it goes.
    pub address: SocketAddr,
    /// Who has proved to be there; `None`: plaintext.
    pub expected: Option<SpiffeId>,
    /// How TLS was made with a server that is no part of the mesh.
    pub origin: Option<Arc<Originator>>,
    /// Whether HTTP/2 was asked for.
    pub http2: bool,
    /// Where it comes from: one to the application behind this proxy is not one to its pod as anybody else calls it.
    pub source: Option<IpAddr>,
    /// The client that it was announced to be for.
    pub announced: Option<Box<Announcement>>,
}

impl PoolKey {
    /// Whether no other client's requests may take the connection.
    pub fn is_of_one_client(&self) -> bool {
        self.announced.as_ref().is_some_and(|announced| announced.ends.is_some())
    }
}

/// The idle connections of one proxy on one worker.
#[derive(Debug, Default)]
pub struct Pool {
    idle: RefCell<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// Each with the moment from which on it is not used any more.
    by_key: HashMap<PoolKey, Vec<(Conn, Instant)>>,
    count: usize,
}

impl Pool {
    /// A connection that can take a request; the one that was used last, because it is the least likely to have been closed.
    pub fn take(&self, key: &PoolKey) -> Option<Conn> {
        let mut idle = self.idle.borrow_mut();
        let idle = &mut *idle;
        let waiting = idle.by_key.get_mut(key)?;
        let now = Instant::now();
        while let Some((mut conn, until)) = waiting.pop() {
            idle.count -= 1;
            if now < until && conn.is_alive() {
                return Some(conn);
            }
        }
        idle.by_key.remove(key);
        None
    }

    /// Keeps a connection for the next request, as long as its cluster's limits say; closes it where enough wait.
    pub fn give(&self, key: PoolKey, conn: Conn, limits: &Limits, of_cluster: Option<&PoolLimits>) {
        let now = Instant::now();
        let mut until = now + of_cluster.and_then(|limits| limits.idle).unwrap_or(limits.idle_upstream);
        let most = if key.is_of_one_client() {
            // It is of use for as long as that client is there, which nobody tells us; others' connections find room beside it.
            until = until.min(now + limits.idle_announced);
            limits.idle_in_all / 2
        } else {
            limits.idle_in_all
        };
        if let Some(limits) = of_cluster {
            until = limits.lifetime.map_or(until, |lifetime| until.min(conn.since() + lifetime));
            if limits.requests_per_connection.is_some_and(|most| conn.carried() >= most) {
                return;
            }
        }
        if until <= now {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let idle = &mut *idle;
        if idle.count >= most {
            return;
        }
        let waiting = idle.by_key.entry(key).or_default();
        if waiting.len() < limits.idle_per_destination {
            waiting.push((conn, until));
            idle.count += 1;
        }
    }

    /// Closes what has waited too long or was closed by its peer.
    pub fn sweep(&self) {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        let mut count = 0;
        idle.by_key.retain(|_, waiting| {
            waiting.retain_mut(|(conn, until)| now < *until && conn.is_alive());
            count += waiting.len();
            !waiting.is_empty()
        });
        idle.count = count;
    }

    /// How many connections wait.
    pub fn len(&self) -> usize {
        self.idle.borrow().count
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

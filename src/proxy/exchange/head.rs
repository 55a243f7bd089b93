//! Waiting for a request.

use std::future::poll_fn;
use std::task::Poll;

use crate::proxy::connection::Conn;
use crate::proxy::http1::{HeadEnd, Refusal, find_head};
use crate::proxy::limits;
use crate::proxy::local::{Local, Seat};
use crate::proxy::timer::Deadline;

/// Reads until a head is complete and answers its length; `None` when the connection has ended, was idle for too long, or is not
/// to take another request.
pub(super) async fn read(
    local: &Local,
    seat: &Seat<'_>,
    conn: &mut Conn,
    deadline: &mut Deadline,
) -> Result<Option<usize>, Refusal> {
    let times = &local.shared.limits;
    let mut scanned = 0;
    let mut skipped = 0;
    // Whether the deadline is that of a head, rather than that of an idle connection.
    let mut begun = false;
    let mut hurried = false;
    deadline.set(times.idle_downstream);
    loop {
        while skipped < limits::MAX_LEADING_LINES && conn.window().starts_with(b"\r\n") {
            conn.hold(2);
            conn.release();
            skipped += 1;
        }
        if !conn.window().is_empty() {
            match find_head(conn.window(), scanned)? {
                HeadEnd::At(length) => return Ok(Some(length)),
                HeadEnd::Beyond(so_far) => scanned = so_far,
            }
            if !begun {
                begun = true;
                deadline.set(times.request_head);
            }
            if !conn.has_room() {
                conn.grow();
            }
        }
        let read = poll_fn(|cx| {
            if let Poll::Ready(read) = conn.poll_fill(cx) {
                return Poll::Ready(read.unwrap_or(0));
            }
            if !begun {
                if !local.seats.draining() {
                    seat.wait(cx.waker());
                } else if !hurried {
                    hurried = true;
                    deadline.bring_forward(times.idle_downstream.saturating_sub(times.idle_draining));
                }
            }
            deadline.poll_passed(cx).map(|()| 0)
        })
        .await;
        if read == 0 {
            return Ok(None);
        }
    }
}

//! Reading a header from a connection that has just been accepted.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::net::TcpStream;

use crate::proxy::detect;
use crate::proxy::http1::Buffer;
use crate::proxy::local::Local;
use crate::proxy::proxy_protocol::{Ends, Malformed, parse};
use crate::proxy::timer::Deadline;

/// What the connection's header says. What was read behind it stays in `buffer`. The outer error is the connection's: it ended or
/// broke before anything was wrong with what came.
pub(in crate::proxy) async fn receive(
    local: &Local,
    tcp: &mut TcpStream,
    buffer: &mut Buffer,
) -> io::Result<Result<Option<Ends>, Malformed>> {
    let mut deadline = Deadline::default();
    deadline.set(local.shared.limits.proxy_header);
    loop {
        if !buffer.is_empty() {
            match parse(buffer.filled()) {
                Ok(None) => {}
                Ok(Some(header)) => {
                    buffer.consume(header.length);
                    local.worker.buffers.take_back(buffer);
                    return Ok(Ok(header.ends));
                }
                Err(malformed) => return Ok(Err(malformed)),
            }
        }
        let read = poll_fn(|cx| match detect::poll_read(tcp, local, buffer, cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => deadline.poll_passed(cx).map(|()| None),
        });
        match read.await {
            Some(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            None => return Ok(Err(Malformed::Late)),
        }
    }
}

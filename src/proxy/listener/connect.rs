//! CONNECT at the port that a workload uses as its HTTP proxy: a tunnel to a host and port, for whatever is no plain HTTP request.
//!
//! It guarantees that only who knows the workload's token gets one, that a head is read within the limits of every other, and that
//! what was read behind it stays for who serves the tunnel. Everything else on the port is left as it came.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use http::uri::Authority;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::proxy::detect;
use crate::proxy::filter::proxy_authorization::permits;
use crate::proxy::http1::{Buffer, Head, HeadEnd, Name, Refusal, find_head, parse_request};
use crate::proxy::local::Local;
use crate::proxy::timer::Deadline;

/// How a request for a tunnel begins.
const METHOD: &[u8] = b"CONNECT ";

/// The header of a refusal that says at which step a connection without a proxy would have failed.
pub const REFUSED_STEP: &str = "x-mesh-forward";

/// What a connection to the port begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A tunnel to a host (lower case, an address without brackets) and port.
    Tunnel(String, u16),
    /// Something else, which is in the buffer still.
    Other,
    /// A request for a tunnel that cannot be served.
    Refused(Refused),
}

/// Why there is no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The request is malformed.
    Malformed(Refusal),
    /// It names no host and port.
    Target,
    /// The token is missing or wrong.
    Token,
    /// The host has no address.
    Unresolved,
    /// The control plane has not said where the host is.
    Unavailable,
    /// The target is one of the proxy's own ports.
    Own,
}

impl Refused {
    /// The response, whole.
    fn response(self) -> String {
        let (status, line, sentence) = match self {
            Self::Malformed(refusal) => ("400 Bad Request", String::new(), refusal.to_string()),
            Self::Target => ("400 Bad Request", String::new(), "CONNECT needs HOST:PORT".to_owned()),
            Self::Token => (
                "407 Proxy Authentication Required",
                "proxy-authenticate: Basic realm=\"mesh\"\r\n".to_owned(),
                "this proxy serves one pod: send that pod's token as Proxy-Authorization (its http_proxy has it)"
                    .to_owned(),
            ),
            Self::Unresolved => {
                ("502 Bad Gateway", format!("{REFUSED_STEP}: resolve\r\n"), "the host has no address".to_owned())
            }
            Self::Unavailable => (
                "503 Service Unavailable",
                String::new(),
                "the control plane has not said where the host is".to_owned(),
            ),
            Self::Own => {
                let line = format!("{REFUSED_STEP}: connect\r\n");
                ("403 Forbidden", line, "that is a port of the proxy itself".to_owned())
            }
        };
        let length = sentence.len() + 1;
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\n{line}content-length: {length}\r\nconnection: close\r\n\r\n{sentence}\n"
        )
    }
}

/// Reads as much as tells what is asked, and the head of a request for a tunnel. An error is the connection's: it ended or broke.
pub async fn receive(local: &Local, tcp: &mut TcpStream, buffer: &mut Buffer, token: &str) -> io::Result<Asked> {
    let mut deadline = Deadline::default();
    deadline.set(local.shared.limits.idle_downstream);
    let (mut scanned, mut begun) = (0, false);
    loop {
        if !buffer.is_empty() {
            if !begun {
                begun = true;
                deadline.set(local.shared.limits.request_head);
            }
            match look(buffer.filled(), &mut scanned, token) {
                Some((Asked::Other, _)) => return Ok(Asked::Other),
                Some((asked, length)) => {
                    buffer.consume(length);
                    local.worker.buffers.take_back(buffer);
                    return Ok(asked);
                }
                None if !buffer.has_room() => buffer.grow(),
                None => {}
            }
        }
        let read = poll_fn(|cx| match detect::poll_read(tcp, local, buffer, cx) {
            Poll::Ready(read) => Poll::Ready(read),
            Poll::Pending => deadline.poll_passed(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        });
        if read.await? == 0 {
            // What came is no request for a tunnel: who serves requests says what is wrong with it.
            return if begun { Ok(Asked::Other) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// What `bytes` ask for, and how many of them do; `None` while that is not known.
fn look(bytes: &[u8], scanned: &mut usize, token: &str) -> Option<(Asked, usize)> {
    if bytes.iter().zip(METHOD).any(|(byte, wanted)| byte != wanted) {
        return Some((Asked::Other, 0));
    }
    let refused = |refused, length| Some((Asked::Refused(refused), length));
    let length = match find_head(bytes, *scanned) {
        Ok(HeadEnd::At(length)) => length,
        Ok(HeadEnd::Beyond(looked_at)) => {
            *scanned = looked_at;
            return None;
        }
        Err(refusal) => return refused(Refused::Malformed(refusal), bytes.len()),
    };
    let head_bytes = bytes.get(..length).unwrap_or_default();
    let mut head = Head::default();
    match parse_request(head_bytes, true, &mut head) {
        Err(Refusal::Connect) => {}
        Err(refusal) => return refused(Refused::Malformed(refusal), length),
        Ok(()) => return Some((Asked::Other, 0)),
    }
    if !permits(head.received(Name::ProxyAuthorization, head_bytes), token) {
        return refused(Refused::Token, length);
    }
    let target: Option<Authority> =
        std::str::from_utf8(head.target.of(head_bytes)).ok().and_then(|text| text.parse().ok());
    match target.as_ref().and_then(|target| Some((target, target.port_u16()?))) {
        Some((target, port)) if port > 0 && !target.as_str().contains('@') && !target.host().is_empty() => {
            let host = target.host().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
            Some((Asked::Tunnel(host, port), length))
        }
        _ => refused(Refused::Target, length),
    }
}

/// Tells the client that its tunnel is there, or why it is not.
pub async fn answer(tcp: &mut TcpStream, refused: Option<Refused>, limit: Duration) -> io::Result<()> {
    let response = refused.map_or_else(|| "HTTP/1.1 200 Connection established\r\n\r\n".to_owned(), Refused::response);
    tokio::time::timeout(limit, tcp.write_all(response.as_bytes())).await?
}

/// Where a tunnel to an address leads.
pub fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    host.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "Proxy-Authorization: Basic cG9kOnMzY3JldA==\r\n";

    fn asked(request: &str) -> Option<Asked> {
        look(request.as_bytes(), &mut 0, "s3cret").map(|(asked, _)| asked)
    }

    #[test]
    fn a_tunnel_is_asked_for_by_host_and_port_with_the_token() {
        let with =
            |target: &str| asked(&format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{CREDENTIALS}\r\nrest"));
        let tunnel = |host: &str, port| Some(Asked::Tunnel(host.to_owned(), port));
        assert_eq!(with("Mongo.db.svc:27017"), tunnel("mongo.db.svc", 27017));
        assert_eq!(with("[::1]:9"), tunnel("::1", 9));
        assert_eq!(with("10.0.0.1:443"), tunnel("10.0.0.1", 443));
        for target in ["mongo", "mongo:0", "u@mongo:1", "/x", ":1", "mongo:99999"] {
            assert!(matches!(with(target), Some(Asked::Refused(_))), "{target}");
        }
        assert_eq!(asked("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), Some(Asked::Refused(Refused::Token)));
    }

    #[test]
    fn everything_else_is_left_and_a_part_of_the_word_is_waited_for() {
        assert_eq!(asked("GET http://a/ HTTP/1.1\r\n\r\n"), Some(Asked::Other));
        assert_eq!(asked("CONNECTED"), Some(Asked::Other));
        for part in ["C", "CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a"] {
            assert_eq!(asked(part), None, "{part}");
        }
        let bare = asked("CONNECT a:1 HTTP/1.1\nHost: a\n\n");
        assert!(matches!(bare, Some(Asked::Refused(Refused::Malformed(_)))), "{bare:?}");
    }
}

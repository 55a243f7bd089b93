//! Connections to the control plane, and how whoever calls on one proves who it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use tonic::{Request, Status};

use crate::identity::SpiffeId;

use super::token::{Caller, TokenReviewer};

/// What a connection says about whoever calls on it.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    /// The connection itself proves the identity: by a certificate, until that expires, or by the word of the process that opened it.
    Proved(SpiffeId, Option<SystemTime>),
    /// Each call has to prove it with a service account's token.
    ByToken(Option<TokenReviewer>),
}

impl Peer {
    /// Who sent a request.
    pub(super) async fn of<T>(request: &Request<T>) -> Result<Caller, Status> {
        let peer = request.extensions().get::<Self>();
        let reviewer = match peer {
            Some(Self::Proved(identity, until)) => {
                if until.is_some_and(|until| SystemTime::now() > until) {
                    let sentence = format!("the certificate with which {identity} connected has expired: connect anew");
                    return Err(Status::unauthenticated(sentence));
                }
                return Ok(Caller { identity: identity.clone(), pod: None, until: *until });
            }
            Some(Self::ByToken(Some(reviewer))) => reviewer.clone(),
            Some(Self::ByToken(None)) | None => {
                return Err(Status::unauthenticated(
                    "the connection proves no identity: present the workload's certificate (tokens are not taken here)",
                ));
            }
        };
        let token = bearer(request)?;
        reviewer.review(&token).await
    }
}

/// The request's token.
fn bearer<T>(request: &Request<T>) -> Result<String, Status> {
    let wanted = "who calls is not known: present the workload's certificate, or its service account token \
                  (`authorization: Bearer …`)";
    let mut values = request.metadata().get_all("authorization").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Status::unauthenticated(wanted)) };
    let token = value.to_str().ok().and_then(|value| value.split_at_checked("bearer ".len()));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") && !token.trim().is_empty() => {
            Ok(token.trim().to_owned())
        }
        _ => Err(Status::unauthenticated(wanted)),
    }
}

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Accepted {
    carrier: Carrier,
    peer: Peer,
    /// Its place among the connections that are open at one time.
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Carrier {
    Memory(DuplexStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Accepted {
    /// A connection inside the process; whoever opened it vouches for the identity at its other end.
    pub(super) fn vouched(stream: DuplexStream, identity: SpiffeId) -> Self {
        Self { carrier: Carrier::Memory(stream), peer: Peer::Proved(identity, None), _place: None }
    }

    /// A connection whose handshake has succeeded.
    pub(super) fn secured(stream: TlsStream<TcpStream>, peer: Peer, place: OwnedSemaphorePermit) -> Self {
        Self { carrier: Carrier::Tls(Box::new(stream)), peer, _place: Some(place) }
    }
}

impl Connected for Accepted {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

/// Hands an I/O call to whatever carries the connection.
macro_rules! carried {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.carrier {
            Carrier::Memory(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Carrier::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        carried!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        carried!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self, stream => stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_connection_proves_nothing_any_more_once_its_certificate_has_expired() {
        let identity: SpiffeId = "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap();
        let now = SystemTime::now();
        let (past, future) = (now - Duration::from_secs(1), now + Duration::from_secs(60));
        for (until, is_good) in [(None, true), (Some(future), true), (Some(past), false)] {
            let mut request = Request::new(());
            request.extensions_mut().insert(Peer::Proved(identity.clone(), until));
            match Peer::of(&request).await {
                Ok(caller) => assert!(is_good && caller.identity == identity && caller.until == until),
                Err(status) => assert!(!is_good && status.code() == tonic::Code::Unauthenticated, "{status}"),
            }
        }
    }
}

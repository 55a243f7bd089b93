//! The HTTP client of the built-in apps.
//!
//! It speaks to the explicit proxy of its pod: absolute-form requests, the proxy's credentials on every one, a few
//! kept-alive connections. Without a proxy it connects to the URL's own host.
//!
//! Guarantees: a call ends within its deadline; a body is at most [`BODY_LIMIT`]; a request is sent a second time only
//! when the pooled connection it went to was already closed, so that no byte of it was answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use http::uri::{Authority, Uri};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Largest response body that is read, in bytes.
pub const BODY_LIMIT: usize = 1 << 20;
/// Connections kept for reuse.
const IDLE_LIMIT: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a call has no response.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not one that can be called.
    #[error("{url}: not a callable URL: expected http://host[:port]/path")]
    Url {
        /// The URL.
        url: String,
    },
    /// The proxy's address cannot be used.
    #[error("{address:?} is not a proxy address: expected http://[user:password@]host:port")]
    Proxy {
        /// The address without its credentials.
        address: String,
    },
    /// No connection.
    #[error("{address}: cannot connect: {source}")]
    Connect {
        /// Who was dialled.
        address: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The exchange broke.
    #[error("{url}: {source}")]
    Http {
        /// What was asked for.
        url: String,
        /// What the connection says.
        source: hyper::Error,
    },
    /// The response body is too large or broke off.
    #[error("{url}: cannot read the response body: {reason}")]
    Body {
        /// What was asked for.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The deadline passed.
    #[error("{url}: no response within {limit:?}")]
    Deadline {
        /// What was asked for.
        url: String,
        /// The deadline.
        limit: Duration,
    },
}

/// An explicit HTTP proxy: where it is, and what it wants to be shown.
#[derive(Clone)]
pub struct ProxyAddress {
    authority: String,
    authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProxyAddress({})", self.authority)
    }
}

impl ProxyAddress {
    /// Parses `http://[user:password@]host:port[/]`. The credentials become `Proxy-Authorization: Basic …`.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let rest = rest.trim_end_matches('/');
        let (userinfo, host) = match rest.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, rest),
        };
        let refuse = || ClientError::Proxy { address: host.to_owned() };
        let authority: Authority = host.parse().map_err(|_| refuse())?;
        authority.port_u16().ok_or_else(refuse)?;
        let authorization = match userinfo {
            Some(userinfo) => {
                let mut value =
                    HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(userinfo.as_bytes())))
                        .map_err(|_| refuse())?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self { authority: authority.as_str().to_owned(), authorization })
    }
}

/// A request to be sent, once or many times.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// An absolute `http` URL.
    pub url: String,
    /// The method.
    pub method: Method,
    /// Fields beside those that the client adds itself (`host`, the proxy's credentials).
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A response whose body has been read.
#[derive(Debug)]
pub struct Fetched {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

struct Idle {
    address: String,
    sender: SendRequest<Full<Bytes>>,
}

/// A small pooled client for one thread.
pub struct Client {
    proxy: Option<ProxyAddress>,
    idle: Mutex<Vec<Idle>>,
    connects: AtomicU64,
}

impl Client {
    /// A client that calls through `proxy`, or directly.
    pub fn new(proxy: Option<ProxyAddress>) -> Self {
        Self { proxy, idle: Mutex::new(Vec::new()), connects: AtomicU64::new(0) }
    }

    /// `GET url` with `headers`, answered in full within `limit`.
    pub async fn get(&self, url: &str, headers: HeaderMap, limit: Duration) -> Result<Fetched, ClientError> {
        let outgoing = Outgoing { url: url.to_owned(), headers, ..Outgoing::default() };
        self.send(&outgoing, limit).await
    }

    /// The answer to `outgoing`, in full, within `limit`.
    pub async fn send(&self, outgoing: &Outgoing, limit: Duration) -> Result<Fetched, ClientError> {
        match timeout(limit, self.exchange(outgoing)).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Deadline { url: outgoing.url.clone(), limit }),
        }
    }

    /// Connections made until now.
    pub fn connects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed)
    }

    async fn exchange(&self, outgoing: &Outgoing) -> Result<Fetched, ClientError> {
        let url = outgoing.url.as_str();
        let bad_url = || ClientError::Url { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| bad_url())?;
        let authority = uri.authority().ok_or_else(bad_url)?;
        let (dial, target) = match &self.proxy {
            Some(proxy) => (proxy.authority.clone(), uri.clone()),
            None => {
                let path = uri.path_and_query().map_or("/", |path| path.as_str());
                let dial = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
                (dial, path.parse().map_err(|_| bad_url())?)
            }
        };
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = target;
        *request.headers_mut() = outgoing.headers.clone();
        if !outgoing.headers.contains_key(HOST) {
            let host = HeaderValue::from_str(authority.as_str()).map_err(|_| bad_url())?;
            request.headers_mut().insert(HOST, host);
        }
        if let Some(authorization) = self.proxy.as_ref().and_then(|proxy| proxy.authorization.clone()) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
        }

        let mut request = Some(request);
        while let Some(mut idle) = self.take_idle(&dial) {
            let Some(attempt) = request.take() else { break };
            match idle.sender.try_send_request(attempt).await {
                Ok(response) => return self.finish(url, dial, idle.sender, response).await,
                Err(mut failure) => match failure.take_message() {
                    Some(unsent) => request = Some(unsent),
                    None => return Err(ClientError::Http { url: url.to_owned(), source: failure.into_error() }),
                },
            }
        }
        let Some(request) = request else { return Err(bad_url()) };
        let mut sender = connect(&dial).await?;
        self.connects.fetch_add(1, Ordering::Relaxed);
        let response =
            sender.send_request(request).await.map_err(|source| ClientError::Http { url: url.to_owned(), source })?;
        self.finish(url, dial, sender, response).await
    }

    async fn finish(
        &self,
        url: &str,
        address: String,
        sender: SendRequest<Full<Bytes>>,
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<Fetched, ClientError> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_LIMIT)
            .collect()
            .await
            .map_err(|error| ClientError::Body { url: url.to_owned(), reason: error.to_string() })?
            .to_bytes();
        let mut idle = self.idle.lock();
        if !sender.is_closed() && idle.len() < IDLE_LIMIT {
            idle.push(Idle { address, sender });
        }
        Ok(Fetched { status: head.status, headers: head.headers, body })
    }

    /// The most recently used open connection to `address`; closed ones are dropped on the way.
    fn take_idle(&self, address: &str) -> Option<Idle> {
        let mut idle = self.idle.lock();
        idle.retain(|entry| !entry.sender.is_closed());
        let found = idle.iter().rposition(|entry| entry.address == address && entry.sender.is_ready())?;
        Some(idle.swap_remove(found))
    }
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>, ClientError> {
    let refuse = |source| ClientError::Connect { address: address.to_owned(), source };
    let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(refuse)?,
        Err(elapsed) => return Err(refuse(elapsed.into())),
    };
    stream.set_nodelay(true).map_err(refuse)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|source| ClientError::Http { url: address.to_owned(), source })?;
    // The connection's owner is its sender: dropping that ends this task.
    tokio::spawn(async move {
        let _closed = connection.await;
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_proxy_url_become_basic_authorization() {
        // RFC 7617 section 2.
        let proxy = ProxyAddress::parse("http://Aladdin:open sesame@127.0.0.1:15001/").unwrap();
        assert_eq!(proxy.authority, "127.0.0.1:15001");
        assert_eq!(proxy.authorization.unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn a_proxy_without_a_port_is_refused_without_showing_its_credentials() {
        let error = ProxyAddress::parse("http://pod:secret@127.0.0.1").unwrap_err().to_string();
        assert!(error.contains("127.0.0.1") && !error.contains("secret"), "{error}");
    }
}

//! How a process of a pod reaches others: through its pod's HTTP proxy, and its own pod at the app's address.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::net;
use crate::runtime::loopback::REFUSAL;

/// Longest head of a proxy's answer to CONNECT.
const HEAD: usize = 16 << 10;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("Could not resolve host: {0}")]
    Resolve(String),
    #[error("Failed to connect to {host} port {port} after {} ms: {why}", after.as_millis())]
    Connect { host: String, port: u16, after: Duration, why: String },
    #[error("Connection timed out after {} milliseconds", after.as_millis())]
    Late { after: Duration },
    #[error("Proxy CONNECT aborted: {0}")]
    Proxy(String),
    #[error("Unsupported proxy {0}")]
    BadProxy(String),
}

/// An HTTP proxy.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    address: String,
    /// The value of `Proxy-Authorization`.
    pub(super) authorization: Option<String>,
}

/// The ways out of a pod.
#[derive(Debug, Clone)]
pub(super) struct Ways {
    proxy: Option<Proxy>,
    /// Where the pod's own app listens: what `localhost` is to it.
    app: Option<IpAddr>,
}

impl Proxy {
    /// Reads `[http://][user:password@]host:port`.
    pub(super) fn parse(text: &str) -> Result<Self, DialError> {
        let bad = || DialError::BadProxy(text.rsplit('@').next().unwrap_or_default().to_owned());
        let rest = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        if rest.contains("://") || rest.is_empty() {
            return Err(bad());
        }
        let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
        let address = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.to_owned()
        } else {
            format!("{host}:1080")
        };
        Ok(Self { address, authorization: user.map(|user| format!("Basic {}", BASE64_STANDARD.encode(user))) })
    }
}

impl Ways {
    /// Those of this process's environment.
    pub(super) fn of_environment() -> Result<Self, DialError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let proxy = variable("http_proxy").or_else(|| variable("HTTP_PROXY"));
        let app = variable("APP_IP").and_then(|ip| ip.parse().ok());
        Ok(Self { proxy: proxy.as_deref().map(Proxy::parse).transpose()?, app })
    }

    /// With another proxy.
    pub(super) fn through(self, proxy: Proxy) -> Self {
        Self { proxy: Some(proxy), ..self }
    }

    /// Without one.
    pub(super) fn direct(self) -> Self {
        Self { proxy: None, ..self }
    }

    /// The proxy for a host; `None` for the pod itself, and where there is none.
    pub(super) fn proxy_for(&self, host: &str) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !is_own(host))
    }

    /// Connects to the proxy.
    pub(super) fn to_proxy(&self, proxy: &Proxy, limit: Duration) -> Result<TcpStream, DialError> {
        let (host, port) = proxy.address.rsplit_once(':').unwrap_or((&proxy.address, "0"));
        connect(host, port.parse().unwrap_or(0), limit)
    }

    /// A byte stream to a host and port: a tunnel where there is a proxy.
    pub(super) fn stream(&self, host: &str, port: u16, limit: Duration) -> Result<TcpStream, DialError> {
        let Some(proxy) = self.proxy_for(host) else {
            let own = self.app.filter(|_| is_own(host));
            return own.map_or_else(|| connect(host, port, limit), |ip| connect(&ip.to_string(), port, limit));
        };
        let began = Instant::now();
        let mut stream = self.to_proxy(proxy, limit)?;
        let target = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        let mut head = format!("CONNECT {target}:{port} HTTP/1.1\r\nHost: {target}:{port}\r\n");
        if let Some(authorization) = &proxy.authorization {
            head.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        head.push_str("\r\n");
        let broke = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => DialError::Late { after: began.elapsed() },
            _ => DialError::Proxy(error.to_string()),
        };
        stream.set_read_timeout(Some(limit)).map_err(broke)?;
        stream.write_all(head.as_bytes()).map_err(broke)?;
        let answer = read_head(&mut stream).map_err(broke)?;
        let (line, rest) = answer.split_once("\r\n").unwrap_or((&answer, ""));
        if line.split(' ').nth(1).is_some_and(|code| code.starts_with('2')) {
            stream.set_read_timeout(None).map_err(broke)?;
            return Ok(stream);
        }
        let step = rest.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(REFUSAL.as_str()).then(|| value.trim())
        });
        Err(match step {
            Some(step) => refused(step, host, port, began.elapsed()),
            None => DialError::Proxy(format!("the pod's proxy answers CONNECT with {line:?}")),
        })
    }
}

/// What a plain forwarder's refusal would have been without it.
pub(super) fn refused(step: &str, host: &str, port: u16, after: Duration) -> DialError {
    match step {
        "resolve" => DialError::Resolve(host.to_owned()),
        _ => DialError::Connect { host: host.to_owned(), port, after, why: "Could not connect to server".to_owned() },
    }
}

fn is_own(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "::1"
        || host == Ipv4Addr::LOCALHOST.to_string()
        || host == "0.0.0.0"
}

fn connect(host: &str, port: u16, limit: Duration) -> Result<TcpStream, DialError> {
    let began = Instant::now();
    let addresses: Vec<SocketAddr> = (host.trim_matches(['[', ']']), port)
        .to_socket_addrs()
        .map_err(|_| DialError::Resolve(host.to_owned()))?
        .collect();
    let mut why = None;
    for address in &addresses {
        match TcpStream::connect_timeout(&net::socket_of(*address), limit) {
            Ok(stream) => {
                // A delay more or less is all that is at stake.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => why = Some(error),
        }
    }
    let after = began.elapsed();
    match why {
        None => Err(DialError::Resolve(host.to_owned())),
        Some(error) if error.kind() == io::ErrorKind::TimedOut => Err(DialError::Late { after }),
        Some(_) => {
            let why = "Could not connect to server".to_owned();
            Err(DialError::Connect { host: host.to_owned(), port, after, why })
        }
    }
}

/// An answer's head, read byte by byte: what follows belongs to somebody else.
fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

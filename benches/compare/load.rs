//! The load: requests of HTTP/1.1, of HTTP/2, and new connections with mutual TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// Requests that one connection of HTTP/2 carries at once.
const STREAMS: usize = 16;

/// What is sent.
#[derive(Clone)]
pub enum Work {
    /// Requests on connections that stay.
    Http1,
    /// The same over HTTP/2, [`STREAMS`] at once on each connection.
    Http2,
    /// A connection with mutual TLS, a request, and the end of both, again and again.
    Handshakes(Arc<rustls::ClientConfig>),
}

/// Where requests go, and what they say there.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub host: String,
    /// Whole header lines that every request carries.
    pub lines: String,
}

impl Target {
    fn request(&self, path: &str, more: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: {}\r\nuser-agent: load\r\n{}{more}\r\n", self.host, self.lines)
    }

    fn request_http2(&self, path: &str) -> Result<Request<()>, String> {
        let mut request = Request::get(format!("http://{}{path}", self.host)).header("user-agent", "load");
        for line in self.lines.lines() {
            let (name, value) = line.split_once(": ").unwrap_or_default();
            request = request.header(name, value);
        }
        request.body(()).map_err(|error| error.to_string())
    }
}

/// So many requests at once, as fast as they go or at a rate of requests per second.
#[derive(Clone)]
pub struct Load {
    pub work: Work,
    pub at_once: usize,
    pub rate: Option<u32>,
    pub time: Duration,
}

/// What came of it.
pub struct Outcome {
    /// Responses.
    pub requests: u64,
    /// How long each took, sorted.
    latencies: Vec<Duration>,
}

impl Outcome {
    /// The latency that so many per cent of requests did not exceed.
    pub fn percentile(&self, percent: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let place = (last as f64 * percent / 100.0).round() as usize;
        self.latencies.get(place).copied().unwrap_or_default()
    }
}

impl Load {
    pub async fn run(&self, target: &Target) -> Result<Outcome, String> {
        let until = Instant::now() + self.time;
        let each = self.rate.map(|rate| Duration::from_secs(1) * self.at_once as u32 / rate);
        let mut tasks = tokio::task::JoinSet::new();
        let mut shared: Option<SendRequest<Bytes>> = None;
        for number in 0..self.at_once {
            // Spread over the interval, so that they do not all send at once.
            let offset = each.map(|each| each * number as u32 / self.at_once as u32).unwrap_or_default();
            let mut client = match &self.work {
                Work::Http1 => Client::Http1(Connection::connect(target.address).await?),
                Work::Http2 => {
                    if number % STREAMS == 0 {
                        shared = Some(http2(target.address).await?);
                    }
                    Client::Http2(shared.clone().ok_or("there is no connection")?)
                }
                Work::Handshakes(config) => Client::Handshakes(config.clone()),
            };
            let target = target.clone();
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                let mut due = Instant::now() + offset;
                while due < until {
                    if each.is_some() {
                        tokio::time::sleep_until(due).await;
                    }
                    client.ask(&target).await?;
                    let now = Instant::now();
                    // From when it was due: a request that waited behind a slow one counts its waiting.
                    latencies.push(now - due);
                    due = each.map_or(now, |each| due + each);
                }
                Ok::<_, String>(latencies)
            });
        }
        let mut latencies = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            latencies.extend(ended.map_err(|error| error.to_string())??);
        }
        latencies.sort_unstable();
        Ok(Outcome { requests: latencies.len() as u64, latencies })
    }
}

const PATH: &str = "/reviews/1";

enum Client {
    Http1(Connection<TcpStream>),
    Http2(SendRequest<Bytes>),
    Handshakes(Arc<rustls::ClientConfig>),
}

impl Client {
    async fn ask(&mut self, target: &Target) -> Result<(), String> {
        let status = match self {
            Self::Http1(connection) => connection.ask(&target.request(PATH, "")).await?.starts_with("http/1.1 200"),
            Self::Http2(send) => ask_http2(send, target.request_http2(PATH)?).await? == 200,
            Self::Handshakes(config) => {
                let mut connection = shake(config.clone(), target.address).await?;
                let head = connection.ask(&target.request(PATH, "connection: close\r\n")).await?;
                head.starts_with("http/1.1 200")
            }
        };
        if status { Ok(()) } else { Err("a request was not answered with 200".to_owned()) }
    }
}

async fn http2(address: SocketAddr) -> Result<SendRequest<Bytes>, String> {
    let stream = connect(address).await?;
    let shaking = h2::client::handshake(stream);
    let (send, connection) = shaking.await.map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        // How it ended is told to its streams.
        let _ = connection.await;
    });
    Ok(send)
}

/// Sends one request on a connection of HTTP/2, reads the response and answers its status.
async fn ask_http2(send: &SendRequest<Bytes>, request: Request<()>) -> Result<u16, String> {
    let said = |error: h2::Error| error.to_string();
    let mut ready = send.clone().ready().await.map_err(said)?;
    let (response, _) = ready.send_request(request, true).map_err(said)?;
    let (parts, mut body) = response.await.map_err(said)?.into_parts();
    while let Some(data) = body.data().await {
        let count = data.map_err(said)?.len();
        body.flow_control().release_capacity(count).map_err(said)?;
    }
    Ok(parts.status.as_u16())
}

/// One request over a connection of HTTP/2 of its own; answers the status.
pub async fn once_http2(target: &Target, path: &str) -> Result<u16, String> {
    ask_http2(&http2(target.address).await?, target.request_http2(path)?).await
}

/// A connection with mutual TLS.
pub async fn shake(
    config: Arc<rustls::ClientConfig>,
    address: SocketAddr,
) -> Result<Connection<tokio_rustls::client::TlsStream<TcpStream>>, String> {
    let tcp = connect(address).await?;
    let name = ServerName::try_from("web").map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(|error| error.to_string())?;
    Ok(Connection::over(stream))
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("cannot connect: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// One connection of HTTP/1.1.
pub struct Connection<S> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl Connection<TcpStream> {
    pub async fn connect(address: SocketAddr) -> Result<Self, String> {
        Ok(Self::over(connect(address).await?))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(4096) }
    }

    /// [`Connection::ask`], written for a target.
    pub async fn get(&mut self, target: &Target, path: &str, more: &str) -> Result<String, String> {
        self.ask(&target.request(path, more)).await
    }

    /// Sends a request and reads its response, whose head it answers.
    pub async fn ask(&mut self, request: &str) -> Result<String, String> {
        self.stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        self.buffer.clear();
        loop {
            let count = self.stream.read_buf(&mut self.buffer).await.map_err(|error| error.to_string())?;
            if count == 0 {
                return Err("the connection ended before the response did".to_owned());
            }
            let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if self.buffer.len() >= end + 4 + length.unwrap_or(0) {
                return Ok(head);
            }
        }
    }
}

//! Servers to send requests to, and the load that does.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Bytes of a response's body.
pub const BODY: usize = 1024;

/// A server that answers everything with its name and a body of [`BODY`] bytes.
pub struct Backend {
    pub address: SocketAddr,
}

impl Backend {
    /// Starts one on a thread of its own, which ends with the process.
    pub async fn start(name: &'static str) -> Result<Self, String> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::bind("127.0.0.1:0").await else { return };
                // Nobody waits any more: the process is ending.
                let _ = sender.send(listener.local_addr());
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(answer(stream, name));
                }
            });
        });
        let address = receiver.await.map_err(|_| "the backend did not start")?;
        Ok(Self { address: address.map_err(|error| error.to_string())? })
    }
}

async fn answer(mut stream: TcpStream, name: &str) {
    let response =
        format!("HTTP/1.1 200 OK\r\nx-backend: {name}\r\ncontent-length: {BODY}\r\n\r\n{}", "x".repeat(BODY));
    let mut buffer = Vec::new();
    let _ = stream.set_nodelay(true);
    while stream.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
        while let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            buffer.drain(..end + 4);
            if stream.write_all(response.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// So many connections, as fast as they go or at a rate of requests per second.
pub struct Load {
    pub connections: usize,
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
    pub async fn run(&self, address: SocketAddr) -> Result<Outcome, String> {
        let until = Instant::now() + self.time;
        let each = self.rate.map(|rate| Duration::from_secs(1) * self.connections as u32 / rate);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..self.connections {
            // Spread over the interval, so that they do not all send at once.
            let offset = each.map(|each| each * number as u32 / self.connections as u32).unwrap_or_default();
            tasks.spawn(client(address, until, each, offset));
        }
        let mut latencies = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            latencies.extend(ended.map_err(|error| error.to_string())??);
        }
        latencies.sort_unstable();
        Ok(Outcome { requests: latencies.len() as u64, latencies })
    }
}

async fn client(
    address: SocketAddr,
    until: Instant,
    each: Option<Duration>,
    offset: Duration,
) -> Result<Vec<Duration>, String> {
    let mut client = Client::connect(address).await?;
    let mut latencies = Vec::new();
    let mut due = Instant::now() + offset;
    while due < until {
        if each.is_some() {
            tokio::time::sleep_until(due).await;
        }
        client.ask("GET /reviews/1 HTTP/1.1\r\nhost: shop.example.com\r\nuser-agent: load\r\n\r\n").await?;
        let now = Instant::now();
        // From when it was due: a request that waited behind a slow one counts its waiting.
        latencies.push(now - due);
        due = each.map_or(now, |each| due + each);
    }
    Ok(latencies)
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("cannot connect: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
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

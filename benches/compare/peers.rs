//! What is compared: one or two processes behind an address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::load::{Connection, Target};
use crate::process::Process;

/// How long a proxy may take to listen, or to write its log.
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Something that requests are sent to.
pub struct Peer {
    pub name: &'static str,
    pub target: Target,
    /// What does the work, first the one that is sent to. None: the application itself.
    pub processes: Vec<Process>,
    /// Of a pair, the called side.
    pub server: Option<Server>,
}

/// The called side of a pair: where it takes mutual TLS, and what to say there.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    pub tls: Arc<rustls::ClientConfig>,
}

impl Peer {
    /// A connection, as soon as there is one.
    pub async fn connect(&self) -> Result<Connection<TcpStream>, String> {
        let mut last = String::new();
        for _ in 0..TRIES {
            match Connection::connect(self.target.address).await {
                Ok(client) => return Ok(client),
                Err(error) => last = error,
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(format!("{last}; it said: {}", self.complaint()))
    }

    /// What its processes said last.
    pub fn complaint(&self) -> String {
        self.processes.iter().map(Process::complaint).collect::<Vec<_>>().join("; ")
    }

    /// Waits until every process has logged so many requests.
    pub async fn has_logged(&self, lines: usize) -> Result<(), String> {
        for _ in 0..TRIES {
            if self.processes.iter().all(|process| process.log_lines() >= lines) {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        let counts: Vec<usize> = self.processes.iter().map(Process::log_lines).collect();
        Err(format!("it does not log every request: {counts:?} lines for {lines} requests"))
    }

    /// CPU time so far, all processes together.
    pub fn cpu(&self) -> Duration {
        self.processes.iter().map(Process::cpu).sum()
    }

    /// Resident memory in bytes, all processes together: all of it, and what no file backs.
    pub fn resident(&self) -> (u64, u64) {
        let each = self.processes.iter().map(Process::resident);
        each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

//! Probes of a container, by Kubernetes' rules: startup first, then readiness and liveness side by side.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::exec::ContainerPlace;
use crate::net;

/// Bytes of a response that are read to find its status line.
const RESPONSE_LIMIT: usize = 8 * 1024;
const RESPONSE_FIELDS: usize = 64;

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProbePlan {
    pub(super) check: Check,
    pub(super) initial_delay: Duration,
    pub(super) period: Duration,
    pub(super) timeout: Duration,
    pub(super) success_threshold: u32,
    pub(super) failure_threshold: u32,
    /// What a container that it fails has to end, where that is not what the pod says.
    pub(super) grace: Option<Duration>,
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    Http { port: u16, path: String, headers: Vec<(String, String)> },
    Tcp { port: u16 },
    Exec { command: Vec<String> },
}

/// Where a container is reached by its probes.
pub(super) struct Probed<'a> {
    pub(super) ip: IpAddr,
    /// How a command is run beside its process.
    pub(super) place: &'a ContainerPlace,
}

impl ProbePlan {
    /// The startup probe of a built-in app whose container has none: its port accepts. It is asked often, because an
    /// app is up within milliseconds.
    pub(super) const fn listening(port: u16) -> Self {
        Self {
            check: Check::Tcp { port },
            initial_delay: Duration::ZERO,
            period: Duration::from_millis(10),
            timeout: Duration::from_secs(1),
            success_threshold: 1,
            failure_threshold: 1_000,
            grace: None,
        }
    }

    /// Probes until the threshold of successes (`Ok`) or failures (`Err` with the last one) in a row is reached.
    async fn settle(&self, at: &Probed<'_>) -> Result<(), String> {
        let (mut successes, mut failures) = (0, 0);
        loop {
            match self.check(at).await {
                Ok(()) => (successes, failures) = (successes + 1, 0),
                Err(reason) => {
                    (successes, failures) = (0, failures + 1);
                    if failures >= self.failure_threshold {
                        return Err(reason);
                    }
                }
            }
            if successes >= self.success_threshold {
                return Ok(());
            }
            sleep(self.period).await;
        }
    }

    async fn check(&self, at: &Probed<'_>) -> Result<(), String> {
        match timeout(self.timeout, self.check.run(at)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }
}

impl Check {
    async fn run(&self, at: &Probed<'_>) -> Result<(), String> {
        let port = match self {
            Self::Http { port, .. } | Self::Tcp { port } => *port,
            Self::Exec { command } => return at.place.succeeds(command).await,
        };
        let address = SocketAddr::new(at.ip, port);
        let mut stream =
            TcpStream::connect(net::socket_of(address)).await.map_err(|error| format!("{address}: {error}"))?;
        let Self::Http { path, headers, .. } = self else { return Ok(()) };
        let broken = |error: std::io::Error| format!("http://{address}{path}: {error}");
        stream.write_all(request(address, path, headers).as_bytes()).await.map_err(broken)?;
        let mut response = Vec::with_capacity(512);
        loop {
            let mut fields = [httparse::EMPTY_HEADER; RESPONSE_FIELDS];
            let mut parsed = httparse::Response::new(&mut fields);
            let outcome = parsed.parse(&response);
            match (parsed.code, outcome) {
                (_, Err(error)) => return Err(format!("http://{address}{path}: not an HTTP response: {error}")),
                (Some(200..=399), Ok(_)) => return Ok(()),
                (Some(code), Ok(_)) => {
                    return Err(format!("http://{address}{path}: HTTP probe failed with status code {code}"));
                }
                (None, Ok(_)) => {}
            }
            if response.len() >= RESPONSE_LIMIT || stream.read_buf(&mut response).await.map_err(broken)? == 0 {
                return Err(format!("http://{address}{path}: the connection ended before its status line"));
            }
        }
    }
}

fn request(address: SocketAddr, path: &str, headers: &[(String, String)]) -> String {
    let mut text = format!("GET {path} HTTP/1.1\r\n");
    let given = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    if !given("host") {
        text.push_str(&format!("Host: {address}\r\n"));
    }
    if !given("user-agent") {
        text.push_str("User-Agent: kube-probe/1.36\r\n");
    }
    // A header with a line break in it would be a second header.
    for (name, value) in headers.iter().filter(|(name, value)| !format!("{name}{value}").contains(['\r', '\n'])) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("Accept: */*\r\nConnection: close\r\n\r\n");
    text
}

/// What the probes of a running container say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) started: bool,
    pub(super) ready: bool,
}

/// The probes of one container.
pub(super) struct Probes<'a> {
    pub(super) startup: Option<&'a ProbePlan>,
    pub(super) readiness: Option<&'a ProbePlan>,
    pub(super) liveness: Option<&'a ProbePlan>,
}

impl Probes<'_> {
    /// Probes a container for as long as it is polled, reporting each change; returns, with the reason and the grace period of
    /// the probe, only when the container has to end.
    pub(super) async fn watch(&self, at: &Probed<'_>, mut report: impl FnMut(Health)) -> (String, Option<Duration>) {
        if let Some(startup) = self.startup {
            sleep(startup.initial_delay).await;
            if let Err(reason) = startup.settle(at).await {
                return (format!("startup probe failed: {reason}"), startup.grace);
            }
        }
        report(Health { started: true, ready: self.readiness.is_none() });
        let readiness = async {
            let Some(probe) = self.readiness else { return std::future::pending().await };
            sleep(probe.initial_delay).await;
            loop {
                let ready = probe.settle(at).await.is_ok();
                report(Health { started: true, ready });
                sleep(probe.period).await;
            }
        };
        let liveness = async {
            let Some(probe) = self.liveness else { return std::future::pending().await };
            sleep(probe.initial_delay).await;
            loop {
                if let Err(reason) = probe.settle(at).await {
                    return (format!("liveness probe failed: {reason}"), probe.grace);
                }
                sleep(probe.period).await;
            }
        };
        tokio::select! {
            never = readiness => never,
            failed = liveness => failed,
        }
    }
}

//! A proxy that a control plane tells what to do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::logging;
use crate::cli::proxy::{DRAIN, ROOT_NAMESPACE, idle};
use crate::cli::ui::Ui;
use crate::identity::{TrustBundle, TrustDomain};
use crate::inject::{APPLICATION_PROBES, LINGER};
use crate::net;
use crate::proxy::admin::Application;
use crate::proxy::xds::{NodeId, ProxyKind, RootsSource, TokenSource, XdsClient, XdsConfig, over_tls};
use crate::proxy::{Bind, Proxy, ProxyConfig, Workers, admin};
use crate::resources::values;
use crate::serve::{self, Limits, Service, handler};
use crate::telemetry::{AccessLog, AccessLogFormat};

/// How long a gateway takes connections after it was told to end: within this, nodes and balancers hear that it does (Istio's
/// `terminationDrainDuration`).
const GATEWAY_LINGER: Duration = Duration::from_secs(5);

/// Largest token and root file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What a proxy of a control plane is told on its command line
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "With a control plane")]
#[group(skip)]
pub struct Args {
    /// The control plane, as HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    xds_address: Option<Server>,
    /// Roots that may vouch for the control plane
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/istio/root-cert.pem")]
    xds_ca: PathBuf,
    /// Service account token that proves the proxy
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/tokens/istio-token")]
    token_file: PathBuf,
    /// Name of the pod
    #[arg(long, env = "POD_NAME")]
    pod: Option<String>,
    /// Address of the pod
    #[arg(long, env = "INSTANCE_IP", value_name = "ADDRESS")]
    pod_ip: Option<IpAddr>,
    /// Be a gateway: listen on the ports that Gateways name
    #[arg(long)]
    router: bool,
    /// Serve connections to this address for the application behind the other, instead of redirected ones
    #[arg(long, value_name = "ADDRESS=APP", conflicts_with = "router")]
    inbound: Vec<Pair>,
    /// Be the application's HTTP proxy on this address, instead of taking redirected connections
    #[arg(long, value_name = "ADDRESS", conflicts_with = "router", requires = "outbound_token_file")]
    outbound: Option<SocketAddr>,
    /// What the application must know to use --outbound
    #[arg(long, value_name = "FILE")]
    outbound_token_file: Option<PathBuf>,
    /// Addresses that answer /healthz/ready and /stats/prometheus
    #[arg(long, value_name = "ADDRESS", default_values_t = STATUS_PORTS.map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))]
    status_address: Vec<SocketAddr>,
    /// What the application can be asked on the same addresses, as injection writes it
    #[arg(long, env = APPLICATION_PROBES, hide = true)]
    application: Option<String>,
    /// Address that answers the same, and /help, which lists what else
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 15000)))]
    admin_address: SocketAddr,
    /// How long to go on after SIGTERM, before connections are refused [default: 5s for a gateway, else 0s]
    #[arg(long, env = LINGER, value_name = "TIME")]
    linger: Option<values::Duration>,
}

/// Ports of readiness, of merged metrics and probes, and of the proxy's own metrics (Istio's).
const STATUS_PORTS: [u16; 3] = [15021, 15020, 15090];

/// Ports that a pod's redirected connections arrive on (Istio's).
const OUTBOUND_PORT: u16 = 15001;
const INBOUND_PORT: u16 = 15006;

/// A server, by name or address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    host: String,
    port: u16,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() || port == 0 { Err(wrong()) } else { Ok(Self { host: host.to_owned(), port }) }
    }
}

/// Where callers connect to, and where the application listens.
#[derive(Debug, Clone, Copy)]
struct Pair {
    bind: SocketAddr,
    app: SocketAddr,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("{text:?} is not IP:PORT=IP:PORT");
        let (bind, app) = text.split_once('=').ok_or_else(|| format!("{text:?} is not IP:PORT=IP:PORT"))?;
        Ok(Self { bind: bind.parse().map_err(wrong)?, app: app.parse().map_err(wrong)? })
    }
}

pub(super) fn run(ui: &Ui, args: super::Args) -> CliResult {
    let level = logging::start();
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().kind(Kind::Io)?;
    executor.block_on(serve(ui, args, level))
}

async fn serve(ui: &Ui, args: super::Args, level: logging::Level) -> CliResult {
    let mut interrupted = signal(SignalKind::interrupt()).kind(Kind::Io)?;
    let mut terminated = signal(SignalKind::terminate()).kind(Kind::Io)?;
    let connected = &args.connected;
    let config = xds_config(&args)?;
    let name = config.node.pod.clone();
    let namespace = config.node.namespace.clone();
    let mut surfaces = vec![(listen(connected.admin_address)?, Surface::Admin)];
    for address in &connected.status_address {
        surfaces.push((listen(*address)?, Surface::Status));
    }
    let application = match &connected.application {
        Some(questions) => Some(Arc::new(Application::new(config.node.ip, questions).kind(Kind::Data)?)),
        None => None,
    };
    let listeners = listeners(connected, args.bind)?;
    let format = if args.json_log { AccessLogFormat::Json } else { AccessLogFormat::Text };
    let log = Arc::new(AccessLog::start(format, std::io::stdout()).kind(Kind::Io)?);
    let workers = Workers::new(args.workers.into()).kind(Kind::Io)?;

    let (token, tasks) = (CancellationToken::new(), TaskTracker::new());
    let directory = XdsClient::start(config, token.clone());
    let proxy_config = ProxyConfig {
        listeners,
        access_log: Some(log),
        http10: args.http10,
        ..ProxyConfig::new(name, namespace, directory.clone())
    };
    let proxy = Proxy::start(&workers, proxy_config).kind(Kind::CannotCreate)?;
    let (quit, mut quitting) = mpsc::channel(1);
    for (listener, surface) in surfaces {
        let service = surface.service(proxy.subject(), level.clone(), application.clone(), quit.clone());
        tasks.spawn(serve::serve(listener, None, Limits::default(), service, token.clone()));
    }
    let mut readiness = directory.ready();
    let linger = match connected.linger {
        Some(said) => said.get(),
        None if connected.router => GATEWAY_LINGER,
        None => Duration::ZERO,
    };
    let mut stopping = std::pin::pin!(async {
        tokio::select! {
            _ = interrupted.recv() => return,
            _ = terminated.recv() => {}
            _ = quitting.recv() => return,
            never = idle::settle_when_idle() => match never {},
        }
        if !linger.is_zero() {
            ui.note(format!("told to end: connections are taken for {} s more", linger.as_secs_f32()));
        }
        // Who is told of the pod's end at this moment as well connects for a while yet. Asked once more, it ends at once.
        tokio::select! {
            () = tokio::time::sleep(linger) => {}
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    });
    // What `wait_for` answers with is a lock on the value, which the client writes: it must not be kept.
    let ready = async { readiness.wait_for(|ready| *ready).await.is_ok() };
    tokio::select! {
        () = &mut stopping => {}
        ready = ready => {
            if ready {
                ui.note("ready");
            }
            stopping.await;
        }
    }
    let drained = proxy.drain(DRAIN).await;
    token.cancel();
    tasks.close();
    tasks.wait().await;
    if !drained {
        ui.warn(format!("some requests did not end within {} s and were cut", DRAIN.as_secs()));
    }
    Ok(())
}

fn xds_config(args: &super::Args) -> CliResult<XdsConfig> {
    let connected = &args.connected;
    let required = |flag: &str, variable: &str| {
        CliError::message(Kind::Usage, format!("{flag} is not given, and {variable} is not in the environment"))
    };
    let server =
        connected.xds_address.clone().ok_or_else(|| CliError::message(Kind::Usage, "--xds-address is not given"))?;
    let node = NodeId {
        kind: if connected.router { ProxyKind::Router } else { ProxyKind::Sidecar },
        ip: connected.pod_ip.ok_or_else(|| required("--pod-ip", "INSTANCE_IP"))?,
        pod: connected.pod.as_deref().ok_or_else(|| required("--pod", "POD_NAME"))?.into(),
        namespace: args.namespace.as_deref().unwrap_or(ROOT_NAMESPACE).into(),
    };
    let token_file = connected.token_file.clone();
    let token: TokenSource = Arc::new(move || read(&token_file).ok());
    let ca = connected.xds_ca.clone();
    let domain = TrustDomain::new("cluster.local").kind(Kind::Failed)?;
    // Every root of the file may vouch for the control plane's name; the trust domain is that of workloads, not of servers.
    let roots: RootsSource = Arc::new(move || {
        let pem = read(&ca)?;
        TrustBundle::from_pem(&domain, &pem).map_err(|error| format!("{}: {error}", ca.display()))
    });
    Ok(XdsConfig { node, connect: over_tls(&server.host, server.port, roots), token })
}

fn read(path: &Path) -> Result<String, String> {
    let named = |reason: &dyn std::fmt::Display| format!("{}: {reason}", path.display());
    let size = std::fs::metadata(path).map_err(|error| named(&error))?.len();
    if size > MAX_FILE {
        return Err(named(&"it is larger than 1 MiB"));
    }
    std::fs::read_to_string(path).map_err(|error| named(&error))
}

fn listeners(connected: &Args, bind: IpAddr) -> CliResult<Vec<Bind>> {
    if connected.router {
        return Ok(vec![Bind::Gateway { addresses: Arc::new(move |port| vec![SocketAddr::new(bind, port)]) }]);
    }
    let mut listeners: Vec<Bind> =
        connected.inbound.iter().map(|pair| Bind::InboundExplicit { bind: pair.bind, app: pair.app }).collect();
    let redirected = |port| net::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).kind(Kind::CannotCreate);
    if listeners.is_empty() {
        let original = net::original_destination;
        listeners.push(Bind::InboundTransparent { listener: redirected(INBOUND_PORT)?, original });
    }
    match (connected.outbound, &connected.outbound_token_file) {
        (Some(bind), Some(file)) => {
            let token = read(file).map_err(|reason| CliError::message(Kind::Data, reason))?;
            listeners.push(Bind::OutboundExplicit { bind, token: token.trim().into() });
        }
        // Whose connections to the application are explicit has nothing redirected.
        _ if connected.inbound.is_empty() => {
            let original = net::original_destination;
            listeners.push(Bind::OutboundTransparent { listener: redirected(OUTBOUND_PORT)?, original });
        }
        _ => {}
    }
    Ok(listeners)
}

fn listen(address: SocketAddr) -> CliResult<TcpListener> {
    let listener = net::bind(address).kind(Kind::CannotCreate)?;
    TcpListener::from_std(listener).kind(Kind::Io)
}

/// How much of the proxy's own surface a port shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surface {
    /// Readiness and metrics: reachable from outside of the pod.
    Status,
    /// All of it.
    Admin,
}

impl Surface {
    fn service(
        self,
        subject: admin::Subject,
        level: logging::Level,
        application: Option<Arc<Application>>,
        quit: mpsc::Sender<()>,
    ) -> impl Service {
        handler(move |request: Request<Incoming>| {
            let path = match (self, request.uri().path()) {
                (Self::Admin, path) | (Self::Status, path @ ("/healthz/ready" | "/stats/prometheus")) => path,
                (Self::Status, _) => "",
            };
            let query = request.uri().query().unwrap_or_default();
            let asked = admin::Request { method: request.method(), path, query };
            let answer = match path {
                "/logging" => logged(request.method(), query, &level),
                _ => admin::handle(asked, &subject),
            };
            if answer.quit {
                // A second word is not needed.
                let _full = quit.try_send(());
            }
            let (asked, application) = (request.uri().path().to_owned(), application.clone());
            async move {
                let answer = match &application {
                    Some(application) => application.ask(&asked).await.unwrap_or(answer),
                    None => answer,
                };
                answer.into_http()
            }
        })
    }
}

/// `GET /logging`, `POST /logging?level=FILTER`, `POST /logging?reset`.
fn logged(method: &http::Method, query: &str, level: &logging::Level) -> admin::Response {
    let answer = match (method, query.split_once('=').unwrap_or((query, ""))) {
        (&http::Method::POST, ("level", filter)) => level.set(filter),
        (&http::Method::POST, ("reset", _)) => level.reset(),
        (&http::Method::GET, _) => Ok(level.get()),
        _ => Err("the level is read by GET, and set by POST with level=FILTER or reset".to_owned()),
    };
    match answer {
        Ok(now) => admin::Response::text(http::StatusCode::OK, now + "\n"),
        Err(why) => admin::Response::text(http::StatusCode::BAD_REQUEST, why + "\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_a_port() {
        let parsed = |text: &str| text.parse::<Server>().map(|server| (server.host, server.port)).ok();
        assert_eq!(parsed("istiod.istio-system.svc:15012"), Some(("istiod.istio-system.svc".to_owned(), 15012)));
        assert_eq!(parsed("[fd00::1]:15012"), Some(("fd00::1".to_owned(), 15012)));
        for wrong in ["", "istiod", ":15012", "istiod:", "istiod:0", "istiod:70000"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}

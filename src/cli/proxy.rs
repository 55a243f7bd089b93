//! `mesh proxy`: a proxy as a process of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::input::{Files, count};
use crate::cli::ui::Ui;
use crate::compile::World;
use crate::identity::TrustDomain;
use crate::model::Labels;
use crate::proxy::{Bind, Proxy, ProxyConfig, Workers, standalone};
use crate::telemetry::{AccessLog, AccessLogFormat};

/// How long requests under way may take to end once the proxy is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// How long listeners may take to open.
const OPEN: Duration = Duration::from_secs(5);

/// Run an HTTP gateway from files, without a control plane
///
/// Reads Gateways, VirtualServices and DestinationRules, and the Services, EndpointSlices and Pods that they lead to. Serves
/// the ports of the Gateways whose selector the labels match; logs requests to standard output, each with the rule that
/// decided.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take the configuration from the files alone
    #[arg(long, required = true)]
    local: bool,
    #[command(flatten)]
    files: Files,
    /// Labels of the gateway
    #[arg(long, value_name = "KEY=VALUE", default_value = "istio=ingressgateway", value_parser = label, value_delimiter = ',')]
    labels: Vec<(Arc<str>, Arc<str>)>,
    /// Namespace of the gateway
    #[arg(short, long, default_value = "istio-system")]
    namespace: String,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Threads that serve requests
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Log requests as JSON
    #[arg(long)]
    json_log: bool,
}

fn label(text: &str) -> Result<(Arc<str>, Arc<str>), String> {
    let (key, value) = text.split_once('=').ok_or("labels are written KEY=VALUE")?;
    Ok((key.into(), value.into()))
}

/// Serves until it is told to stop.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let input = args.files.read()?;
    let (errors, _) = input.check(ui);
    if errors > 0 {
        return Err(CliError::message(Kind::Data, format!("{}: nothing was started", count(errors, "error"))));
    }
    let trust_domain = TrustDomain::new("cluster.local").kind(Kind::Failed)?;
    let world =
        World::from_documents("cluster.local", "istio-system", &trust_domain, &input.documents).kind(Kind::Data)?;
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().kind(Kind::Io)?;
    executor.block_on(serve(ui, args, &world))
}

async fn serve(ui: &Ui, args: Args, world: &World) -> CliResult {
    let mut interrupted = signal(SignalKind::interrupt()).kind(Kind::Io)?;
    let mut terminated = signal(SignalKind::terminate()).kind(Kind::Io)?;
    let labels: Labels = args.labels.into_iter().collect();
    let directory = standalone::gateway(world, &args.namespace, labels);
    let ports = directory.listeners().borrow().len();
    if ports == 0 {
        return Err(CliError::message(Kind::Data, "no HTTP server of a Gateway in these files selects the gateway")
            .hint("--labels names the gateway's labels; a Gateway's selector has to be among them"));
    }
    let format = if args.json_log { AccessLogFormat::Json } else { AccessLogFormat::Text };
    let log = Arc::new(AccessLog::start(format, std::io::stdout()).kind(Kind::Io)?);
    let address = args.bind;
    let workers = Workers::new(args.workers.into()).kind(Kind::Io)?;
    let config = ProxyConfig {
        listeners: vec![Bind::Gateway { addresses: Arc::new(move |port| vec![SocketAddr::new(address, port)]) }],
        access_log: Some(log),
        ..ProxyConfig::new("gateway", args.namespace, directory)
    };
    let proxy = Proxy::start(&workers, config).kind(Kind::CannotCreate)?;
    let mut bound = proxy.bound();
    // What `wait_for` answers with is a lock on the value, which the workers write: it must not be kept.
    let opened =
        tokio::time::timeout(OPEN, bound.wait_for(|open| open.len() >= ports)).await.is_ok_and(|open| open.is_ok());
    if !opened {
        let open = proxy.bound().borrow().len();
        return Err(CliError::message(
            Kind::CannotCreate,
            format!("{open} of {} could be listened on", count(ports, "port")),
        )
        .hint(format!("another program may have a port of the Gateways on {address}")));
    }
    for open in proxy.bound().borrow().iter() {
        ui.note(format!("listening on http://{}", open.address));
    }
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    if !proxy.drain(DRAIN).await {
        ui.warn(format!("some requests did not end within {} s and were cut", DRAIN.as_secs()));
    }
    Ok(())
}

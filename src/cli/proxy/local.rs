//! `mesh proxy --local`: a gateway whose knowledge is made of files.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::input::{Files, count};
use crate::cli::proxy::{Args, DRAIN, ROOT_NAMESPACE, idle};
use crate::cli::ui::Ui;
use crate::compile::World;
use crate::identity::TrustDomain;
use crate::model::Labels;
use crate::proxy::{Bind, Proxy, ProxyConfig, Workers, standalone};
use crate::telemetry::{AccessLog, AccessLogFormat};

/// How long listeners may take to open.
const OPEN: Duration = Duration::from_secs(5);

/// Serves until it is told to stop.
pub(super) fn run(ui: &Ui, files: &Files, args: Args) -> CliResult {
    let input = files.read()?;
    let (errors, _) = input.check(ui);
    if errors > 0 {
        return Err(CliError::message(Kind::Data, format!("{}: nothing was started", count(errors, "error"))));
    }
    let trust_domain = TrustDomain::new("cluster.local").kind(Kind::Failed)?;
    let world =
        World::from_documents("cluster.local", ROOT_NAMESPACE, &trust_domain, &input.documents).kind(Kind::Data)?;
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().kind(Kind::Io)?;
    executor.block_on(serve(ui, args, &world))
}

async fn serve(ui: &Ui, args: Args, world: &World) -> CliResult {
    let mut interrupted = signal(SignalKind::interrupt()).kind(Kind::Io)?;
    let mut terminated = signal(SignalKind::terminate()).kind(Kind::Io)?;
    let labels: Labels = args.labels.into_iter().collect();
    let namespace = args.namespace.unwrap_or_else(|| ROOT_NAMESPACE.to_owned());
    let directory = standalone::gateway(world, &namespace, labels);
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
        ..ProxyConfig::new("gateway", namespace, directory)
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
        never = idle::settle_when_idle() => match never {},
    }
    if !proxy.drain(DRAIN).await {
        ui.warn(format!("some requests did not end within {} s and were cut", DRAIN.as_secs()));
    }
    Ok(())
}

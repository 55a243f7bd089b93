//! `mesh proxy --local`: a gateway whose knowledge is made of files.
//!
//! The files are read again on SIGHUP, and with `--watch` whenever they have changed and were then left alone for a moment, so
//! that nobody is caught in the middle of writing. Files that cannot be used are said and change nothing.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::input::{Files, Stamp, count};
use crate::cli::logging;
use crate::cli::proxy::{Args, DRAIN, ROOT_NAMESPACE, idle};
use crate::cli::ui::Ui;
use crate::compile::World;
use crate::identity::TrustDomain;
use crate::model::{Labels, ListenerProtocol};
use crate::proxy::directory::Directory;
use crate::proxy::standalone::Standalone;
use crate::proxy::{Bind, Bound, Proxy, ProxyConfig, Workers};
use crate::telemetry::{AccessLog, AccessLogFormat};

/// How long listeners may take to open.
const OPEN: Duration = Duration::from_secs(5);

/// How often files are looked at, and for how long they have to stay as they are before they are read.
const LOOK: Duration = Duration::from_millis(500);

/// Serves until it is told to stop.
pub(super) fn run(ui: &Ui, files: &Files, args: Args) -> CliResult {
    if args.watch && !files.can_be_read_again() {
        return Err(CliError::message(Kind::Usage, "--watch needs files: standard input and the web are read once"));
    }
    let seen = files.stamp();
    let world =
        read(ui, files).map_err(|error| CliError::message(error.kind, format!("{error}: nothing was started")))?;
    logging::start();
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().kind(Kind::Io)?;
    executor.block_on(serve(ui, files, seen, args, &world))
}

/// What the files say, if all of it can be used.
fn read(ui: &Ui, files: &Files) -> CliResult<World> {
    let input = files.read()?;
    let (errors, _) = input.check(ui);
    if errors > 0 {
        return Err(CliError::message(Kind::Data, count(errors, "error")));
    }
    let trust_domain = TrustDomain::new("cluster.local").kind(Kind::Failed)?;
    World::from_documents("cluster.local", ROOT_NAMESPACE, &trust_domain, &input.documents).kind(Kind::Data)
}

async fn serve(ui: &Ui, files: &Files, seen: Option<Stamp>, args: Args, world: &World) -> CliResult {
    let mut interrupted = signal(SignalKind::interrupt()).kind(Kind::Io)?;
    let mut terminated = signal(SignalKind::terminate()).kind(Kind::Io)?;
    let mut hung_up = signal(SignalKind::hangup()).kind(Kind::Io)?;
    let labels: Labels = args.labels.into_iter().collect();
    let namespace = args.namespace.unwrap_or_else(|| ROOT_NAMESPACE.to_owned());
    let mut gateway = Standalone::new(world, &namespace, labels);
    if gateway.directory().listeners().borrow().is_empty() {
        return Err(no_server());
    }
    let format = if args.json_log { AccessLogFormat::Json } else { AccessLogFormat::Text };
    let log = Arc::new(AccessLog::start(format, std::io::stdout()).kind(Kind::Io)?);
    let address = args.bind;
    let workers = Workers::new(args.workers.into()).kind(Kind::Io)?;
    let config = ProxyConfig {
        listeners: vec![Bind::Gateway { addresses: Arc::new(move |port| vec![SocketAddr::new(address, port)]) }],
        access_log: Some(log),
        http10: args.http10,
        ..ProxyConfig::new("gateway", namespace, gateway.directory().clone())
    };
    let proxy = Proxy::start(&workers, config).kind(Kind::CannotCreate)?;
    let mut ports = PortsSaid { bound: proxy.bound(), said: Vec::new(), address };
    ports.say(ui, gateway.directory()).await?;
    let mut changes = Changes { files: args.watch.then_some(files), seen, pending: None };
    let mut settling = std::pin::pin!(idle::settle_when_idle());
    loop {
        tokio::select! {
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
            _ = hung_up.recv() => {}
            () = changes.next() => {}
            never = &mut settling => match never {},
        }
        match read_again(ui, files, &mut gateway) {
            Ok(()) => {
                ui.note("the files were read again and are in force");
                if let Err(error) = ports.say(ui, gateway.directory()).await {
                    ui.warn(format!("{error}; it is tried again and again"));
                }
            }
            Err(error) => ui.warn(format!("{error}: what was in force before stays")),
        }
    }
    if !proxy.drain(DRAIN).await {
        ui.warn(format!("some requests did not end within {} s and were cut", DRAIN.as_secs()));
    }
    Ok(())
}

fn no_server() -> CliError {
    CliError::message(Kind::Data, "no server of a Gateway in these files that is in force selects the gateway")
        .hint("--labels names the gateway's labels; a Gateway's selector has to be among them")
}

fn read_again(ui: &Ui, files: &Files, gateway: &mut Standalone) -> CliResult {
    if !files.can_be_read_again() {
        return Err(CliError::message(Kind::Usage, "standard input and the web are not read again"));
    }
    let world = read(ui, files)?;
    if gateway.replace(&world) == 0 { Err(no_server()) } else { Ok(()) }
}

/// The ports that are open, as far as they were said.
struct PortsSaid {
    bound: watch::Receiver<Vec<Bound>>,
    said: Vec<Bound>,
    address: IpAddr,
}

impl PortsSaid {
    /// Waits until exactly the ports that the directory names are open, and says what has changed.
    async fn say(&mut self, ui: &Ui, directory: &Directory) -> CliResult {
        let listeners = directory.listeners().borrow().clone();
        let wanted: BTreeSet<u16> = listeners.iter().map(|listener| listener.port).collect();
        let are_open = |open: &Vec<Bound>| open.iter().map(|bound| bound.port).collect::<BTreeSet<_>>() == wanted;
        // What `wait_for` answers with is a lock on the value, which the workers write: it must not be kept.
        let opened = tokio::time::timeout(OPEN, self.bound.wait_for(are_open)).await.is_ok_and(|open| open.is_ok());
        let open = self.bound.borrow().clone();
        for gone in self.said.iter().filter(|bound| !open.contains(bound)) {
            ui.note(format!("no longer listening on {}", gone.address));
        }
        for new in open.iter().filter(|bound| !self.said.contains(bound)) {
            let listener = listeners.iter().find(|listener| listener.port == new.port);
            let scheme = match listener.map(|listener| listener.protocol) {
                Some(ListenerProtocol::Tls) => "https",
                Some(ListenerProtocol::Tcp) => "tcp",
                Some(ListenerProtocol::Http) | None => "http",
            };
            ui.note(format!("listening on {scheme}://{}", new.address));
        }
        let missing = wanted.len().saturating_sub(open.len());
        self.said = open;
        if opened {
            return Ok(());
        }
        let error = format!("{} of {} could not be listened on", missing, count(wanted.len(), "port"));
        Err(CliError::message(Kind::CannotCreate, error)
            .hint(format!("another program may have a port of the Gateways on {}", self.address)))
    }
}

/// Files that are watched for changes.
struct Changes<'f> {
    /// `None`: nobody watches.
    files: Option<&'f Files>,
    /// As they were read.
    seen: Option<Stamp>,
    /// As they were when last looked at, where that is another state.
    pending: Option<Stamp>,
}

impl Changes<'_> {
    /// Waits until the files are in another state, and have been for a look at least. May be dropped while it waits.
    async fn next(&mut self) {
        let Some(files) = self.files else { return std::future::pending().await };
        loop {
            tokio::time::sleep(LOOK).await;
            let stamp = files.stamp();
            if stamp.is_none() || stamp == self.seen {
                self.pending = None;
            } else if stamp == self.pending {
                self.seen = self.pending.take();
                return;
            } else {
                self.pending = stamp;
            }
        }
    }
}

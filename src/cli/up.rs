//! `mesh up`: the built-in runtime, in the foreground or detached.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::status;
use crate::cli::ui::{Tone, Ui};
use crate::runtime::demo::proof::{self, Finding};
use crate::runtime::demo::{self, Demo, DemoError};
use crate::runtime::loopback::LIMITS;
use crate::runtime::state::{self, StateError};
use crate::runtime::{PortChoice, Runtime, RuntimeError, RuntimeOptions};

/// Port of the API server unless said otherwise.
const API_PORT: u16 = 6443;

/// Port of the ingress gateway unless said otherwise.
const INGRESS_PORT: u16 = 8080;

/// How long the demo may take from start to its first answered request.
const DEMO_READY: Duration = Duration::from_secs(60);

/// How long stopping may take.
const STOP: Duration = Duration::from_secs(30);

/// How long a detached runtime may take until it is ready.
const DETACH: Duration = Duration::from_secs(90);

/// How often the table is shown anew: where it is redrawn in place, and where each is printed below the last.
const REDRAW: Duration = Duration::from_secs(1);
const REPRINT: Duration = Duration::from_secs(10);

/// Start the built-in runtime: API server, control plane, gateway, and proxies beside every pod
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run Bookinfo with a header rule and a 90/10 canary, and send it a little traffic
    #[arg(long)]
    demo: bool,
    /// Prove the demo with 250 requests and end with 0, or with 1 if a claim does not hold
    #[arg(long, requires = "demo", conflicts_with = "detach")]
    exit: bool,
    /// Send no traffic
    #[arg(long, requires = "demo")]
    no_traffic: bool,
    /// Port of the ingress gateway on 127.0.0.1; 0 takes any [default: 8080, or the next free one]
    #[arg(long, value_name = "PORT")]
    ingress_port: Option<u16>,
    /// Port of the API server on 127.0.0.1; 0 takes any [default: 6443, or the next free one]
    #[arg(long, value_name = "PORT")]
    api_port: Option<u16>,
    /// Directory of the runtime's state [default: $XDG_STATE_HOME/mesh]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Return when everything is ready, and leave it running
    #[arg(long)]
    detach: bool,
}

/// Starts the runtime and stays with it until it is told to stop.
pub fn run(ui: &Ui, args: Args) -> CliResult<ExitCode> {
    ui.outlive_reader();
    let root = data_dir(args.data_dir.clone())?;
    if args.detach {
        return detach(ui, &root);
    }
    let started = Instant::now();
    let executor = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("mesh")
        .enable_all()
        .build()
        .kind(Kind::Io)?;
    let outcome = executor.block_on(serve(ui, &args, root, started));
    // Whatever still blocks a thread must not keep the process.
    executor.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// The directory that `--data-dir` names, else the default.
pub fn data_dir(given: Option<PathBuf>) -> CliResult<PathBuf> {
    given.map_or_else(|| state::default_path().map_err(state_error), |given| std::path::absolute(given).kind(Kind::Io))
}

/// The process of the runtime on `root`.
pub fn running(root: &Path) -> CliResult<Option<i32>> {
    state::holder(root).map_err(state_error)
}

fn state_error(error: StateError) -> CliError {
    let kind = match &error {
        StateError::NoHome | StateError::Foreign { .. } => Kind::Usage,
        StateError::InUse { .. } => Kind::CannotCreate,
        StateError::Permission { .. } => Kind::Permission,
        StateError::DiskFull { .. } | StateError::Io { .. } => Kind::Io,
    };
    CliError::new(kind, error)
}

fn runtime_error(ui: &Ui, error: RuntimeError) -> CliError {
    match error {
        RuntimeError::State(error @ StateError::InUse { .. }) => state_error(error)
            .hint(format!("`{} status` shows it, `{} down` stops it", ui.program(), ui.program()))
            .hint("a second one needs a directory of its own: --data-dir DIR"),
        RuntimeError::State(error) => state_error(error),
        error @ RuntimeError::Port { .. } => CliError::new(Kind::CannotCreate, error),
        error => CliError::new(Kind::Io, error),
    }
}

async fn serve(ui: &Ui, args: &Args, root: PathBuf, started: Instant) -> CliResult<ExitCode> {
    let mut interrupted = signal(SignalKind::interrupt()).kind(Kind::Io)?;
    let mut terminated = signal(SignalKind::terminate()).kind(Kind::Io)?;
    let stop = CancellationToken::new();
    let work = stay(ui, args, root, started, stop.clone());
    tokio::pin!(work);
    tokio::select! {
        outcome = &mut work => return outcome,
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    stop.cancel();
    if ui.interactive() {
        ui.note("\nstopping");
    }
    tokio::select! {
        outcome = tokio::time::timeout(STOP, work) => {
            outcome.unwrap_or_else(|_| Err(CliError::message(Kind::Failed, "the runtime did not stop in time")))
        }
        // A second Ctrl-C means now; pods die with the process.
        _ = interrupted.recv() => Ok(ExitCode::from(130)),
    }
}

async fn stay(ui: &Ui, args: &Args, root: PathBuf, started: Instant, stop: CancellationToken) -> CliResult<ExitCode> {
    let progress = ui.progress("starting the runtime");
    let options = RuntimeOptions {
        data_dir: root,
        api_port: PortChoice::new(args.api_port, API_PORT),
        ingress_port: PortChoice::new(args.ingress_port, INGRESS_PORT),
    };
    let runtime = Runtime::start(options).await.map_err(|error| runtime_error(ui, error))?;
    tokio::select! {
        _ = runtime.ready() => {}
        () = stop.cancelled() => {}
    }
    drop(progress);
    announce(ui, &runtime, started);
    let outcome = tokio::select! {
        outcome = with_runtime(ui, args, &runtime, started) => outcome,
        () = stop.cancelled() => Ok(ExitCode::SUCCESS),
    };
    runtime.stop().await;
    outcome
}

async fn with_runtime(ui: &Ui, args: &Args, runtime: &Runtime, started: Instant) -> CliResult<ExitCode> {
    let demo = match args.demo {
        true => Some(start_demo(ui, args, runtime, started).await?),
        false => None,
    };
    runtime.write_record().map_err(|error| runtime_error(ui, error))?;
    let Some(demo) = demo else {
        suggest(ui, runtime, false);
        std::future::pending::<()>().await;
        return Ok(ExitCode::SUCCESS);
    };
    if args.exit {
        return prove(ui, runtime, &demo).await;
    }
    let cancelled = CancellationToken::new();
    let _ends_traffic = cancelled.clone().drop_guard();
    if !args.no_traffic {
        tokio::spawn(demo.visitor().stroll(cancelled));
    }
    suggest(ui, runtime, true);
    show_traffic(ui, runtime).await
}

fn announce(ui: &Ui, runtime: &Runtime, started: Instant) {
    let ready = format!("{:.1} s", started.elapsed().as_secs_f64());
    for (name, url, note) in [
        ("API server", runtime.api_url(), runtime.api_port_note()),
        ("ingress gateway", runtime.ingress_url(), runtime.ingress_port_note()),
    ] {
        ui.line(format!(
            "{} {name:<16} {url}{}",
            ui.paint(Tone::Good, "✓"),
            note.map_or(String::new(), |n| format!("  ({n})"))
        ));
    }
    ui.line(format!("{} {:<16} ready after {ready}", ui.paint(Tone::Good, "✓"), "control plane"));
    ui.line(ui.paint(Tone::Faint, &format!("  pod network: {LIMITS}")));
}

async fn start_demo(ui: &Ui, args: &Args, runtime: &Runtime, started: Instant) -> CliResult<Demo> {
    let progress = ui.progress("starting Bookinfo");
    let waiting_for = RefCell::new(String::new());
    let told = |what: &str| {
        progress.update(what);
        what.clone_into(&mut waiting_for.borrow_mut());
    };
    let ready = async {
        let demo = demo::start(&runtime.connection(), &runtime.ingress_url(), told).await?;
        let pods = tokio::time::timeout(DEMO_READY, demo.ready(told)).await.ok().transpose()?;
        Ok::<_, DemoError>((demo, pods))
    };
    let (demo, pods) = ready.await.kind(Kind::Failed)?;
    drop(progress);
    let Some(pods) = pods else {
        let late = format!(
            "Bookinfo was not ready within {} s; last waited for: {}",
            DEMO_READY.as_secs(),
            waiting_for.borrow()
        );
        if args.exit {
            return Err(CliError::message(Kind::Failed, late));
        }
        // What keeps it from being ready is put right with the runtime's help.
        ui.warn(late);
        ui.note(format!("the runtime stays up: `{0} analyze` and `{0} status` look for the reason", ui.program()));
        return Ok(demo);
    };
    ui.line(format!(
        "{} {:<16} {pods} pods, each behind a proxy; first request routed {:.1} s after start",
        ui.paint(Tone::Good, "✓"),
        "Bookinfo",
        started.elapsed().as_secs_f64()
    ));
    Ok(demo)
}

async fn prove(ui: &Ui, runtime: &Runtime, demo: &Demo) -> CliResult<ExitCode> {
    let progress = ui.progress("sending requests");
    let findings = proof::prove(&demo.visitor(), || runtime.traffic().mtls_share()).await.kind(Kind::Failed)?;
    drop(progress);
    for Finding { claim, holds, seen } in &findings {
        let mark = if *holds { ui.paint(Tone::Good, "✓") } else { ui.paint(Tone::Bad, "×") };
        ui.line(format!("{mark} {claim:<28} {seen}"));
    }
    Ok(if findings.iter().all(|finding| finding.holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn suggest(ui: &Ui, runtime: &Runtime, demo: bool) {
    let program = ui.program();
    ui.line("");
    ui.line(ui.paint(Tone::Strong, "Try next, in another terminal:"));
    let mut lines = Vec::new();
    if demo {
        lines.push(format!(
            "curl -s -H '{}: {}' {}/api/v1/products/0/reviews",
            "end-user",
            "jason",
            runtime.ingress_url()
        ));
        lines.push(format!("{program} apply -f samples/bookinfo/virtual-service-reviews-50-50.yaml"));
    }
    lines.push(format!("{program} status"));
    lines.push(format!("kubectl --kubeconfig {} get pods -A", runtime.kubeconfig().display()));
    for line in lines {
        ui.line(format!("  {line}"));
    }
    ui.line(ui.paint(Tone::Faint, "Ctrl-C ends everything; what is stored is kept."));
    ui.line("");
}

/// Shows the table until the runtime ends: in place on a terminal, one below the other elsewhere.
async fn show_traffic(ui: &Ui, runtime: &Runtime) -> CliResult<ExitCode> {
    let period = if ui.interactive() { REDRAW } else { REPRINT };
    let mut ticks = tokio::time::interval(period);
    let mut before = runtime.traffic();
    let mut drawn = 0;
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let now = runtime.traffic();
        let text = status::traffic_table(&now.since(&before, period));
        before = now;
        if ui.interactive() {
            drawn = ui.redraw(&text, drawn);
        } else {
            ui.line(text.trim_end());
        }
    }
}

/// Starts the same command without `--detach` in a session of its own and waits until it is ready.
fn detach(ui: &Ui, root: &Path) -> CliResult<ExitCode> {
    if let Some(pid) = running(root)? {
        let error = StateError::InUse { path: root.to_owned(), pid: pid.to_string() };
        return Err(runtime_error(ui, RuntimeError::State(error)));
    }
    state::prepare(root).map_err(state_error)?;
    let log_path = root.join("up.log");
    let log = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&log_path);
    let log = log.map_err(|source| state_error(StateError::from_io(&log_path, source)))?;
    let mut command = Command::new(std::env::current_exe().kind(Kind::Io)?);
    command.args(std::env::args_os().skip(1).filter(|argument| argument != "--detach"));
    command.stdin(Stdio::null()).stdout(log.try_clone().kind(Kind::Io)?).stderr(log).process_group(0);
    let mut child = command.spawn().kind(Kind::Io)?;
    let progress = ui.progress("starting the runtime");
    let deadline = Instant::now() + DETACH;
    loop {
        if let Some(status) = child.try_wait().kind(Kind::Io)? {
            drop(progress);
            return failed_to_start(&log_path, status.code());
        }
        if let Some(record) = state::record(root).map_err(state_error)? {
            drop(progress);
            ui.line(format!(
                "{} runtime (pid {}): API server {}, ingress gateway {}",
                ui.paint(Tone::Good, "✓"),
                record.pid,
                record.api,
                record.ingress
            ));
            ui.line(format!("`{} status` shows it, `{} down` stops it.", ui.program(), ui.program()));
            return Ok(ExitCode::SUCCESS);
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            return Err(CliError::message(
                Kind::Failed,
                format!("the runtime was not ready within {} s", DETACH.as_secs()),
            )
            .hint(format!("its output is in {}", log_path.display())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Repeats what the detached process said, with its exit code.
fn failed_to_start(log: &Path, code: Option<i32>) -> CliResult<ExitCode> {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    eprint!("{said}");
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1)))
}

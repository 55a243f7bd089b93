//! `mesh status`: what the built-in runtime is doing.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::ui::{self, Format, Ui};
use crate::runtime::status::{self, RuntimeStatus};
use crate::runtime::traffic::Row;

/// How long the runtime may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Show the built-in runtime: its addresses, pods, proxies and traffic
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the runtime's state [default: $XDG_STATE_HOME/mesh]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Asks the runtime and prints its answer.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let root = super::up::data_dir(args.data_dir)?;
    if super::up::running(&root)?.is_none() {
        return Err(CliError::message(Kind::Unavailable, format!("no runtime is running on {}", root.display()))
            .hint(format!("`{} up` starts one", ui.program())));
    }
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().kind(Kind::Io)?;
    let fetched = executor.block_on(async { tokio::time::timeout(PATIENCE, status::fetch(&root)).await });
    let status = fetched
        .map_err(|_| CliError::message(Kind::Unavailable, "the runtime is running but does not answer"))?
        .kind(Kind::Unavailable)?;
    if args.output != Format::Table {
        return ui.structured(args.output, &status);
    }
    ui.line(text(&status).trim_end());
    Ok(())
}

fn text(status: &RuntimeStatus) -> String {
    let mut text = format!(
        "runtime           mesh {}, pid {}, up {}\nAPI server        {}\ningress gateway   {}\nkubeconfig        {}\npod network       {}\n",
        status.version,
        status.pid,
        duration(status.uptime_seconds),
        status.api,
        status.ingress,
        status.kubeconfig,
        status.network,
    );
    if !status.pods.is_empty() {
        let rows = status.pods.iter().map(|pod| {
            let certificate = pod.certificate.trim_end_matches(" left").to_owned();
            [pod.namespace.clone(), pod.name.clone(), pod.ready.clone(), pod.proxy.clone(), certificate]
        });
        text.push('\n');
        text.push_str(&ui::table(["NAMESPACE", "POD", "READY", "CONFIG", "CERT FOR"], rows));
    }
    if !status.traffic.is_empty() {
        text.push('\n');
        text.push_str(&traffic_table(&status.traffic));
    }
    text
}

/// The table of who got how many requests, and how they went.
pub fn traffic_table(rows: &[Row]) -> String {
    let share = |part: u64, whole: u64| match whole {
        0 => "-".to_owned(),
        _ => format!("{:.1}%", 100.0 * part as f64 / whole as f64),
    };
    let milliseconds = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1} ms"));
    let rows = rows.iter().map(|row| {
        [
            row.service.clone(),
            row.version.clone(),
            format!("{:.1}", row.rate),
            share(row.successes, row.requests),
            milliseconds(row.p50_ms),
            milliseconds(row.p99_ms),
            share(row.mutual_tls, row.requests),
        ]
    });
    ui::table(["SERVICE", "VERSION", "REQ/S", "SUCCESS", "P50", "P99", "MTLS"], rows)
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

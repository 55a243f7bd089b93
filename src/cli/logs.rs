//! `mesh logs`: what a pod, or the pods of a workload, printed.

use futures_util::StreamExt;
use futures_util::stream::SelectAll;

use crate::cli::error::CliResult;
use crate::cli::pods;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::Ui;
use crate::inject::SIDECAR;
use crate::kube::{self, Connection, LogOptions, ObjectRef};

/// Print what pods logged
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh logs deploy/reviews-v2
  mesh logs deploy/reviews-v2 --follow --tail 10
  mesh logs web-1 -n shop --proxy --tail 20")]
pub struct Args {
    /// The name of a pod, or KIND/NAME of a workload
    #[arg(value_name = "POD")]
    pod: String,
    /// The container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// The proxy: its access log
    #[arg(long, conflicts_with = "container")]
    proxy: bool,
    /// How many lines, from the end
    #[arg(long, value_name = "N")]
    tail: Option<u32>,
    /// Go on until interrupted, or until every container has ended
    #[arg(short, long, conflicts_with = "previous")]
    follow: bool,
    /// Of the run before this one
    #[arg(long)]
    previous: bool,
    /// Namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Prints.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    block_on(async {
        let connection = args.target.connect(ui).await?;
        let namespace = args.namespace.clone().unwrap_or_else(|| connection.namespace.clone());
        let pods = pods::named(&connection, &args.pod, &namespace).await?;
        let container = if args.proxy { Some(SIDECAR.to_owned()) } else { args.container.clone() };
        let options = LogOptions { container, tail: args.tail.map(i64::from), previous: args.previous };
        if args.follow {
            return follow(ui, &connection, &pods, &options).await;
        }
        for pod in &pods {
            let text = kube::logs(&connection, pod, &options).await?;
            if pods.len() == 1 {
                ui.text(&text);
                continue;
            }
            // Of several pods, every line says whose it is.
            text.lines().for_each(|line| ui.line(format!("{}  {line}", pod.name)));
        }
        Ok(())
    })
}

/// Prints lines as they come; of several pods, each with whose it is.
async fn follow(ui: &Ui, connection: &Connection, pods: &[ObjectRef], options: &LogOptions) -> CliResult {
    let mut lines = SelectAll::new();
    for pod in pods {
        let prefix = if pods.len() == 1 { String::new() } else { format!("{}  ", pod.name) };
        let printed = kube::follow_logs(connection, pod, options).await?;
        lines.push(Box::pin(printed.map(move |line| line.map(|line| format!("{prefix}{line}")))));
    }
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => ui.line(line),
            Err(error) => ui.note(format!("a log ended early: {error}")),
        }
    }
    Ok(())
}

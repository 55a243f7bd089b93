//! `mesh logs`: what a pod, or the pods of a workload, printed.

use serde_json::Value;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::objects;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::Ui;
use crate::inject::SIDECAR;
use crate::kube::{self, LogOptions, ObjectRef, Selection};

/// Print what pods logged
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh logs deploy/reviews-v2
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
        let pods = pods(&connection, &args.pod, &namespace).await?;
        let container = if args.proxy { Some(SIDECAR.to_owned()) } else { args.container.clone() };
        let options = LogOptions { container, tail: args.tail.map(i64::from), previous: args.previous };
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

async fn pods(connection: &kube::Connection, word: &str, namespace: &str) -> CliResult<Vec<ObjectRef>> {
    let (kind, name) = word.split_once('/').unwrap_or(("pod", word));
    let object = objects::named(objects::kind(kind)?, name, Some(namespace));
    if object.kind == "Pod" {
        return Ok(vec![object]);
    }
    let missing = || CliError::message(Kind::Failed, format!("{object} is not on {}", connection.server));
    let found = kube::get(connection, &object).await?.ok_or_else(missing)?;
    let selector = found.pointer("/spec/selector/matchLabels").or_else(|| found.pointer("/spec/selector"));
    let labels = selector.and_then(Value::as_object).into_iter().flatten();
    let labels: Vec<String> = labels.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    if labels.is_empty() {
        return Err(CliError::message(Kind::Usage, format!("{object} selects no pods")));
    }
    let selection = Selection { namespace: Some(namespace), labels: &labels.join(",") };
    let pods = kube::list(connection, "v1", "Pod", selection).await?;
    let pods = pods.iter().map(ObjectRef::of).collect::<Result<Vec<_>, _>>()?;
    if pods.is_empty() {
        return Err(CliError::message(Kind::Failed, format!("{object} has no pods")));
    }
    Ok(pods)
}

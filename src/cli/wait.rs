//! `mesh wait`: until objects are ready, gone, or in force in every proxy.

use std::time::Duration;

use tokio::time::Instant;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::input;
use crate::cli::install::duration;
use crate::cli::objects;
use crate::cli::planes::{self, Distribution, Progress, Where};
use crate::cli::target::{Target, block_on};
use crate::cli::ui::Ui;
use crate::kube::{self, Connection, ObjectRef};

/// How often proxies are looked at.
const PERIOD: Duration = Duration::from_millis(100);

/// The same while some are not connected: every pod of the cluster is looked at for that.
const ABSENT_PERIOD: Duration = Duration::from_secs(1);

/// Wait until objects are ready, gone, or in force
///
/// What is waited for:
///   ready             Deployments, pods and the like do what they are for
///   delete            they are gone
///   condition=NAME    their condition NAME is True; condition=NAME=VALUE
///   distribution      every proxy has all of the configuration
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  mesh wait deploy/web deploy/reviews
  mesh wait --for delete pod web-1 --timeout 2m
  mesh wait --for distribution"
)]
pub struct Args {
    /// KIND NAME…, or KIND/NAME…
    #[arg(value_name = "OBJECT")]
    words: Vec<String>,
    /// What to wait for
    #[arg(long = "for", value_name = "WHAT", default_value = "ready", value_parser = condition)]
    condition: Condition,
    /// Namespace of the objects
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Ready,
    Deleted,
    Named { name: String, value: String },
    Distribution,
}

fn condition(text: &str) -> Result<Condition, String> {
    match text.to_ascii_lowercase().as_str() {
        "ready" => Ok(Condition::Ready),
        "delete" | "deleted" => Ok(Condition::Deleted),
        "distribution" => Ok(Condition::Distribution),
        _ => match text.strip_prefix("condition=") {
            Some(named) if !named.is_empty() => {
                let (name, value) = named.split_once('=').unwrap_or((named, "True"));
                Ok(Condition::Named { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("is ready, delete, condition=NAME or distribution".to_owned()),
        },
    }
}

/// Waits.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let mut objects = match (&args.condition, args.words.is_empty()) {
        (Condition::Distribution, true) => Vec::new(),
        _ => objects::objects(&args.words, args.namespace.as_deref())?,
    };
    block_on(async {
        let mut connection = args.target.connect(ui).await?;
        if let Some(namespace) = &args.namespace {
            connection = connection.in_namespace(namespace);
        }
        for object in &mut objects {
            *object = objects::located(&connection, object.clone()).await?;
        }
        match &args.condition {
            Condition::Ready => ready(ui, &connection, &objects, args.timeout).await,
            Condition::Distribution => distributed(ui, &connection, &objects, args.timeout, &args.place).await,
            Condition::Deleted => {
                for object in &objects {
                    kube::wait_for(&connection, object, "gone", args.timeout, |found| found.is_none()).await?;
                    ui.line(format!("{object} is gone"));
                }
                Ok(())
            }
            Condition::Named { name, value } => {
                for object in &objects {
                    let holds = |found: Option<&::kube::core::DynamicObject>| {
                        let conditions = found.and_then(|found| found.data.pointer("/status/conditions")?.as_array());
                        conditions.into_iter().flatten().any(|condition| {
                            condition["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(name))
                                && condition["status"].as_str().is_some_and(|said| said.eq_ignore_ascii_case(value))
                        })
                    };
                    kube::wait_for(&connection, object, &format!("{name}={value}"), args.timeout, holds).await?;
                    ui.line(format!("{object} is {name}={value}"));
                }
                Ok(())
            }
        }
    })
}

async fn ready(ui: &Ui, connection: &Connection, objects: &[ObjectRef], bound: Duration) -> CliResult {
    let progress = ui.progress("waiting");
    let left = kube::wait_ready(connection, objects, bound, |waiting| {
        if let Some((object, reason)) = waiting.first() {
            progress.update(format!("{object} {reason}"));
        }
    });
    let left = left.await?;
    drop(progress);
    for object in objects.iter().filter(|object| left.iter().all(|(waiting, _)| waiting != *object)) {
        ui.line(format!("{object} is ready"));
    }
    if left.is_empty() {
        return Ok(());
    }
    let reasons: Vec<String> = left.iter().map(|(object, reason)| format!("{object} {reason}")).collect();
    let error = format!("not ready within {} s: {}", bound.as_secs(), reasons.join("; "));
    Err(CliError::message(Kind::Failed, error))
}

/// Waits until what was just applied has its effect: workloads are ready, and every proxy has the configuration.
///
/// # Errors
/// It is not so within `bound`.
pub async fn until_effective(
    ui: &Ui,
    connection: &Connection,
    applied: &[ObjectRef],
    bound: Duration,
    place: &Where,
) -> CliResult {
    let deadline = Instant::now() + bound;
    let of_the_mesh = |object: &ObjectRef| {
        let group = object.api_version.split_once('/').map_or("", |(group, _)| group);
        group.ends_with("istio.io") || group == "gateway.networking.k8s.io"
    };
    let (configuration, workloads): (Vec<ObjectRef>, Vec<ObjectRef>) = applied.iter().cloned().partition(of_the_mesh);
    ready(ui, connection, &workloads, bound).await?;
    // Workloads change what proxies hold as well, their endpoints; a cluster without a mesh may have workloads.
    if configuration.is_empty() && !kube::server_version(connection).await?.built_in {
        return Ok(());
    }
    distributed(ui, connection, &configuration, deadline - Instant::now(), place).await
}

/// Every proxy has what there is now: what was written before this command began is in force.
async fn distributed(
    ui: &Ui,
    connection: &Connection,
    objects: &[ObjectRef],
    bound: Duration,
    place: &Where,
) -> CliResult {
    let mut wanted = Vec::with_capacity(objects.len());
    for object in objects {
        let found = kube::get(connection, object).await?;
        let missing = || CliError::message(Kind::Failed, format!("{object} is not there"));
        wanted.push(serde_json::to_value(found.ok_or_else(missing)?).kind(Kind::Failed)?);
    }
    let mut distribution = Distribution::of(&wanted);
    let deadline = Instant::now() + bound;
    if wanted.is_empty() {
        // What was accepted just now reaches the control plane within this: it watches.
        tokio::time::sleep(PERIOD).await;
    }
    let progress = ui.progress("waiting");
    loop {
        let answers = planes::ask(connection, place).await?;
        let progressed = distribution.progress(&answers);
        // A proxy that has lost its control plane has what it had.
        let absent = match &progressed {
            Progress::Done(..) => planes::absent(connection, &answers).await?,
            Progress::Waiting(_) => Vec::new(),
        };
        let period = if absent.is_empty() { PERIOD } else { ABSENT_PERIOD };
        let waiting = match progressed {
            Progress::Done(..) if !absent.is_empty() => {
                absent.iter().map(|pod| format!("{pod} is not connected")).collect()
            }
            Progress::Done(proxies, planes) => {
                drop(progress);
                let proxies = input::count(proxies, "proxy");
                let what = match objects {
                    [] => "the configuration is".to_owned(),
                    [object] => format!("{object} is"),
                    objects => format!("{} are", input::count(objects.len(), "object")),
                };
                let replicas = if planes > 1 { format!(" of {planes} control planes") } else { String::new() };
                ui.line(format!("{what} in force in {proxies}{replicas}"));
                return Ok(());
            }
            Progress::Waiting(waiting) => waiting,
        };
        if Instant::now() >= deadline {
            let error = format!("not in force within {} s: {}", bound.as_secs(), waiting.join(", "));
            return Err(CliError::message(Kind::Failed, error).hint("`mesh proxy-status` shows how far each proxy is"));
        }
        progress.update(waiting.join(", "));
        tokio::time::sleep(period).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_read_as_kubectl_and_istioctl_write_it() {
        let named = |name: &str, value: &str| Condition::Named { name: name.into(), value: value.into() };
        assert_eq!(condition("ready"), Ok(Condition::Ready));
        assert_eq!(condition("delete"), Ok(Condition::Deleted));
        assert_eq!(condition("distribution"), Ok(Condition::Distribution));
        assert_eq!(condition("condition=Available"), Ok(named("Available", "True")));
        assert_eq!(condition("condition=Ready=False"), Ok(named("Ready", "False")));
        assert!(condition("condition=").is_err() && condition("soon").is_err());
    }
}

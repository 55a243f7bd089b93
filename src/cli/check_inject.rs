//! `mesh check-inject`: whether a pod gets a sidecar, and what decides.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::objects;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Format, Tone, Ui, table};
use crate::inject::{self, DEFAULT_REVISION, decide_for_pod, pod_of, sidecar_revision};
use crate::install;
use crate::kube::{self, Selection};

/// Tell whether a pod gets a sidecar, and what decides
///
/// Asks for every control plane that there is. Exits with 1 where none would inject.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh check-inject pod/web-1 -n shop
  mesh check-inject deploy/web
  mesh check-inject --labels app=web,sidecar.istio.io/inject=true -n shop")]
pub struct Args {
    /// KIND/NAME, or the name of a pod
    #[arg(value_name = "OBJECT", required_unless_present = "labels", conflicts_with = "labels")]
    object: Option<String>,
    /// Labels of a pod that is not there yet
    #[arg(short = 'l', long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = label)]
    labels: Vec<(String, String)>,
    /// Namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    target: Target,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("labels are written KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[derive(Serialize)]
struct Row {
    revision: String,
    injects: bool,
    reason: String,
}

/// Asks and shows.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let (rows, has) = block_on(async {
        let connection = args.target.connect(ui).await?;
        let namespace = args.namespace.clone().unwrap_or_else(|| connection.namespace.clone());
        let pod = match &args.object {
            Some(word) => {
                let (kind, name) = word.split_once('/').unwrap_or(("pod", word));
                let object = objects::named(objects::kind(kind)?, name, Some(&namespace));
                let found = kube::get(&connection, &object).await?;
                let found = found.ok_or_else(|| {
                    CliError::message(Kind::Failed, format!("{object} is not on {}", connection.server))
                })?;
                let none = || CliError::message(Kind::Usage, format!("{object} starts no pods"));
                pod_of(&found).cloned().ok_or_else(none)?
            }
            None => {
                let labels: BTreeMap<&String, &String> = args.labels.iter().map(|(key, value)| (key, value)).collect();
                json!({"metadata": {"labels": labels}, "spec": {}})
            }
        };
        let object = objects::named(objects::kind("namespace")?, &namespace, None);
        let found = kube::get(&connection, &object).await?.unwrap_or_default();
        let labels = found.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        let labels: BTreeMap<String, String> =
            labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();

        let mut asked: Vec<String> = install::tags(&connection).await?.into_iter().map(|tag| tag.name).collect();
        let istiods = Selection { namespace: None, labels: "app=istiod" };
        for istiod in kube::list(&connection, "apps/v1", "Deployment", istiods).await? {
            asked.push(install::revision_of(&istiod).unwrap_or(DEFAULT_REVISION).to_owned());
        }
        if kube::server_version(&connection).await?.built_in {
            asked.push(DEFAULT_REVISION.to_owned());
        }
        asked.sort();
        asked.dedup();
        let everywhere = install::injects_everywhere(&connection).await?;
        let rows = asked.into_iter().map(|revision| {
            let injector = inject::Injector { asked_as: &revision, everywhere };
            let inject::Decision { inject, reason } = decide_for_pod(injector, &labels, &pod);
            Row { revision, injects: inject, reason: reason.to_string() }
        });
        Ok((rows.collect::<Vec<_>>(), sidecar_revision(&pod)))
    })?;
    if args.output != Format::Table {
        ui.structured(args.output, &rows)?;
    } else if rows.is_empty() {
        ui.note("no control plane is there that could inject");
    } else {
        let shown = rows.iter().map(|row| {
            let mark = if row.injects { ui.paint(Tone::Good, "✓") } else { ui.paint(Tone::Bad, "×") };
            [row.revision.clone(), mark, row.reason.clone()]
        });
        ui.text(&table(["REVISION", "INJECTS", "WHAT DECIDES"], shown));
        if let Some(revision) = has {
            ui.note(format!("the pod as it runs has a sidecar of revision {revision}"));
        }
    }
    match rows.iter().any(|row| row.injects) {
        true => Ok(()),
        false => Err(CliError::message(Kind::Failed, "no control plane would inject")),
    }
}

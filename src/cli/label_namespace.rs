//! `mesh label-namespace`: which namespaces' pods get sidecars, and which of their pods do not run as they would be started now.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::input::count;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Format, Tone, Ui, table};
use crate::inject::{self, DEFAULT_REVISION, Standing};
use crate::install;
use crate::kube::{self, Connection, ObjectRef, Selection};

const INJECTION: &str = "istio-injection";
const REVISION: &str = "istio.io/rev";

/// What stands for a namespace without a label of the mesh.
const NO_LABEL: &str = "-";

/// Namespaces whose pods keep the cluster and the mesh themselves running.
const REFUSED: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "istio-system"];

/// Have the pods of namespaces get sidecars, or none
///
/// Shows what changes, and which pods do not run as they would be started now:
/// a label alone changes no pod that runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh label-namespace default shop
  mesh label-namespace default --revision canary --restart
  mesh label-namespace --selector team=web --dry-run
  mesh label-namespace default --remove")]
pub struct Args {
    /// The namespaces
    #[arg(value_name = "NAMESPACE", required_unless_present = "selector")]
    namespaces: Vec<String>,
    /// Namespaces with these labels
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "namespaces")]
    selector: Option<String>,
    /// Follow this revision or tag, instead of the default
    #[arg(short, long, value_name = "NAME", group = "wish")]
    revision: Option<String>,
    /// Say that pods get no sidecar
    #[arg(long, group = "wish")]
    disable: bool,
    /// Say nothing any more
    #[arg(long, group = "wish")]
    remove: bool,
    /// Replace a label that says something else
    #[arg(long)]
    overwrite: bool,
    /// Start workloads anew whose pods do not run as they would be started now
    #[arg(long)]
    restart: bool,
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    target: Target,
}

/// What the labels are to say.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wish {
    Enable,
    Follow(String),
    Disable,
    Nothing,
}

impl Wish {
    fn of(args: &Args) -> CliResult<Self> {
        match (&args.revision, args.disable, args.remove) {
            (Some(revision), ..) if revision == DEFAULT_REVISION => Ok(Self::Enable),
            (Some(revision), ..) => {
                let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                if revision.is_empty() || revision.len() > 63 || !revision.bytes().all(sound) {
                    return Err(CliError::message(Kind::Usage, format!("{revision:?} is no name of a revision")));
                }
                Ok(Self::Follow(revision.clone()))
            }
            (None, true, _) => Ok(Self::Disable),
            (None, _, true) => Ok(Self::Nothing),
            (None, false, false) => Ok(Self::Enable),
        }
    }

    /// The two labels as they are to be.
    fn labels(&self) -> [(&'static str, Option<&str>); 2] {
        match self {
            Self::Enable => [(INJECTION, Some("enabled")), (REVISION, None)],
            Self::Follow(revision) => [(INJECTION, None), (REVISION, Some(revision))],
            Self::Disable => [(INJECTION, Some("disabled")), (REVISION, None)],
            Self::Nothing => [(INJECTION, None), (REVISION, None)],
        }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    namespace: String,
    before: String,
    after: String,
    result: &'static str,
    #[serde(skip)]
    labels: BTreeMap<String, String>,
    pods: Vec<PodRow>,
}

#[derive(Debug, Serialize)]
struct PodRow {
    pod: String,
    sidecar: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<String>,
    #[serde(skip)]
    restart: Option<ObjectRef>,
}

/// Labels, and shows what that means.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let wish = Wish::of(&args)?;
    if let Some(refused) = args.namespaces.iter().find(|name| REFUSED.contains(&name.as_str())) {
        return Err(CliError::message(
            Kind::Usage,
            format!(
                "{refused} keeps the cluster or the mesh itself running: its pods get no sidecars, and nothing was done"
            ),
        ));
    }
    block_on(async {
        let connection = args.target.connect_to_change(ui).await?;
        let found = namespaces(&connection, &args).await?;
        let (asks, revision) = control_plane(ui, &connection, &wish).await?;
        let mut rows = Vec::new();
        for (name, labels) in &found {
            rows.push(change(name, labels, &wish, args.overwrite)?);
        }
        // Nothing is changed before it is clear that everything can be.
        for row in &mut rows {
            if row.before != row.after {
                let change: Map<String, Value> =
                    wish.labels().iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
                let change = json!({"metadata": {"labels": change}});
                kube::merge(&connection, &namespace(&row.namespace), &change, args.dry_run).await?;
                row.result = match (args.dry_run, row.after == NO_LABEL) {
                    (true, true) => "would be unlabelled",
                    (true, false) => "would be labelled",
                    (false, true) => "unlabelled",
                    (false, false) => "labelled",
                };
            }
            row.pods = pods(&connection, row, &asks, &revision).await?;
        }
        if args.output == Format::Table {
            show(ui, &rows);
        } else {
            ui.structured(args.output, &rows)?;
        }
        restart(ui, &connection, &args, &rows).await
    })
}

fn namespace(name: &str) -> ObjectRef {
    ObjectRef { api_version: "v1".to_owned(), kind: "Namespace".to_owned(), namespace: None, name: name.to_owned() }
}

fn labels_of(object: &Value) -> BTreeMap<String, String> {
    let labels = object.get("metadata").and_then(|metadata| metadata.get("labels")?.as_object());
    let labels = labels.into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

type Labelled = (String, BTreeMap<String, String>);

/// The namespaces that are meant, with their labels. Every one that was named has to be there.
async fn namespaces(connection: &Connection, args: &Args) -> CliResult<Vec<Labelled>> {
    if let Some(selector) = &args.selector {
        let all = kube::list(connection, "v1", "Namespace", Selection { namespace: None, labels: selector }).await?;
        let named = all.iter().filter_map(|found| Some((found.pointer("/metadata/name")?.as_str()?, labels_of(found))));
        let kept: Vec<Labelled> =
            named.filter(|(name, _)| !REFUSED.contains(name)).map(|(name, labels)| (name.to_owned(), labels)).collect();
        if kept.is_empty() {
            return Err(CliError::message(Kind::Failed, format!("no namespace that can be labelled has {selector}")));
        }
        return Ok(kept);
    }
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for name in args.namespaces.iter().collect::<BTreeSet<_>>() {
        match kube::get(connection, &namespace(name)).await? {
            Some(object) => found.push((name.clone(), labels_of(&object))),
            None => missing.push(name.as_str()),
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let error = format!("{} has no namespace {}; nothing was done", connection.server, missing.join(", "));
    Err(CliError::message(Kind::Failed, error))
}

/// The name by which the control plane is asked, and its revision. One that is not there is warned of.
async fn control_plane(ui: &Ui, connection: &Connection, wish: &Wish) -> CliResult<(String, String)> {
    let asks = match wish {
        Wish::Follow(name) => name.clone(),
        Wish::Enable | Wish::Disable | Wish::Nothing => DEFAULT_REVISION.to_owned(),
    };
    if let Some(tag) = install::tags(connection).await?.into_iter().find(|tag| tag.name == asks) {
        return Ok((asks, tag.revision));
    }
    let built_in = kube::server_version(connection).await?.built_in;
    let there = match wish {
        Wish::Disable | Wish::Nothing => true,
        // The runtime's own control plane is the default.
        Wish::Enable if built_in => true,
        Wish::Enable | Wish::Follow(_) => {
            let labels = format!("app=istiod,istio.io/rev={asks}");
            let selection = Selection { namespace: None, labels: &labels };
            !kube::list(connection, "apps/v1", "Deployment", selection).await?.is_empty()
        }
    };
    if !there {
        ui.warn(format!("no control plane of revision {asks} is there: pods that ask for it start without sidecars"));
    }
    Ok((asks.clone(), asks))
}

/// What changes at a namespace, and whether it may.
fn change(name: &str, labels: &BTreeMap<String, String>, wish: &Wish, overwrite: bool) -> CliResult<Row> {
    let said = |labels: &BTreeMap<String, String>| {
        let said: Vec<String> = [INJECTION, REVISION]
            .iter()
            .filter_map(|key| labels.get(*key).map(|value| format!("{key}={value}")))
            .collect();
        if said.is_empty() { NO_LABEL.to_owned() } else { said.join(",") }
    };
    let before = said(labels);
    let mut wanted = labels.clone();
    for (key, value) in wish.labels() {
        match value {
            Some(value) => wanted.insert(key.to_owned(), value.to_owned()),
            None => wanted.remove(key),
        };
    }
    let after = said(&wanted);
    let conflicts = before != after && before != NO_LABEL && *wish != Wish::Nothing;
    if conflicts && !overwrite {
        let error = format!("namespace {name} says {before} already; nothing was done");
        return Err(CliError::message(Kind::Failed, error).hint(format!("--overwrite replaces it by {after}")));
    }
    Ok(Row { namespace: name.to_owned(), before, after, result: "as it was", labels: wanted, pods: Vec::new() })
}

/// The pods of a namespace that do not run as they would be started now.
async fn pods(connection: &Connection, row: &Row, asks: &str, revision: &str) -> CliResult<Vec<PodRow>> {
    let selection = Selection { namespace: Some(&row.namespace), labels: "" };
    let everywhere = install::injects_everywhere(connection).await?;
    let injector = inject::Injector { asked_as: asks, everywhere };
    let mut found = Vec::new();
    for pod in kube::list(connection, "v1", "Pod", selection).await? {
        let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
        let going = pod.pointer("/metadata/deletionTimestamp").is_some();
        if going || matches!(phase, "Succeeded" | "Failed") {
            continue;
        }
        let sidecar = match inject::standing(injector, revision, &row.labels, &pod) {
            Standing::Current => continue,
            Standing::Missing => "none".to_owned(),
            Standing::Outdated { revision } => format!("of revision {revision}"),
            Standing::Superfluous => "no longer wanted".to_owned(),
        };
        let restart = workload(connection, &row.namespace, &pod).await?;
        found.push(PodRow {
            pod: pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            sidecar,
            workload: restart.as_ref().map(|object| format!("{}/{}", object.kind, object.name)),
            restart,
        });
    }
    Ok(found)
}

/// The workload that starts a pod anew; `None` for a pod that nobody would.
async fn workload(connection: &Connection, namespace: &str, pod: &Value) -> CliResult<Option<ObjectRef>> {
    let Some(owner) = controller(namespace, pod) else { return Ok(None) };
    if owner.kind != "ReplicaSet" {
        return Ok(matches!(owner.kind.as_str(), "StatefulSet" | "DaemonSet").then_some(owner));
    }
    let set = kube::get(connection, &owner).await?;
    Ok(set.and_then(|set| controller(namespace, &set)).filter(|owner| owner.kind == "Deployment"))
}

fn controller(namespace: &str, object: &Value) -> Option<ObjectRef> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
    let text = |field: &str| owner.get(field).and_then(Value::as_str).map(str::to_owned);
    Some(ObjectRef {
        api_version: text("apiVersion")?,
        kind: text("kind")?,
        namespace: Some(namespace.to_owned()),
        name: text("name")?,
    })
}

fn show(ui: &Ui, rows: &[Row]) {
    let changes = rows.iter().map(|row| {
        let result = if row.before == row.after { ui.paint(Tone::Faint, row.result) } else { row.result.to_owned() };
        [row.namespace.clone(), row.before.clone(), row.after.clone(), result]
    });
    ui.text(&table(["NAMESPACE", "BEFORE", "AFTER", "RESULT"], changes));
    if rows.iter().all(|row| row.pods.is_empty()) {
        return;
    }
    let pods = rows.iter().flat_map(|row| {
        row.pods.iter().map(|pod| {
            // The pod's name begins with its workload's.
            let kind = pod.workload.as_deref().and_then(|workload| workload.split('/').next()).unwrap_or("-");
            [row.namespace.clone(), pod.pod.clone(), kind.to_owned(), pod.sidecar.clone()]
        })
    });
    ui.line("");
    ui.text(&table(["NAMESPACE", "POD", "STARTED BY", "SIDECAR"], pods));
}

/// Starts anew what does not run as it would be started now, or says how to.
async fn restart(ui: &Ui, connection: &Connection, args: &Args, rows: &[Row]) -> CliResult {
    let pods: Vec<&PodRow> = rows.iter().flat_map(|row| &row.pods).collect();
    if pods.is_empty() {
        return Ok(());
    }
    if !args.restart {
        ui.note(format!("{} as they were started; --restart starts their workloads anew", count(pods.len(), "pod")));
        return Ok(());
    }
    let mut workloads: Vec<&ObjectRef> = pods.iter().filter_map(|pod| pod.restart.as_ref()).collect();
    workloads.sort_by_key(|object| object.to_string());
    workloads.dedup();
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let change =
        json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": now}}}}});
    for workload in workloads {
        kube::merge(connection, workload, &change, args.dry_run).await?;
        let word = if args.dry_run { "would be started anew" } else { "is started anew" };
        ui.note(format!("{workload} {word}"));
    }
    let alone = pods.iter().filter(|pod| pod.restart.is_none()).count();
    if alone > 0 {
        ui.warn(format!("{} that no workload would start anew: delete and create them", count(alone, "pod")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_label_that_says_something_else_is_replaced_only_when_asked() {
        let follow = Wish::Follow("canary".to_owned());
        for (before, wish, overwrite, expected) in [
            (&[][..], &Wish::Enable, false, Ok("istio-injection=enabled")),
            (&[("istio-injection", "enabled")], &Wish::Enable, false, Ok("istio-injection=enabled")),
            (&[("istio-injection", "disabled")], &Wish::Enable, false, Err(())),
            (&[("istio-injection", "disabled")], &Wish::Enable, true, Ok("istio-injection=enabled")),
            (&[("istio-injection", "enabled")], &follow, false, Err(())),
            (&[("istio-injection", "enabled")], &follow, true, Ok("istio.io/rev=canary")),
            (&[("istio.io/rev", "old")], &Wish::Nothing, false, Ok("-")),
            (&[], &Wish::Disable, false, Ok("istio-injection=disabled")),
        ] {
            let row = change("shop", &labels(before), wish, overwrite);
            assert_eq!(row.as_ref().map(|row| row.after.as_str()).map_err(|_| ()), expected, "{before:?} {wish:?}");
        }
        let refused = change("shop", &labels(&[("istio.io/rev", "a")]), &Wish::Enable, false).unwrap_err();
        assert_eq!(refused.to_string(), "namespace shop says istio.io/rev=a already; nothing was done");
        assert_eq!(refused.hints(), ["--overwrite replaces it by istio-injection=enabled"]);
    }
}

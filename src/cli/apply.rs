//! `mesh apply`: checked here, applied there, and looked at once more together with what is there already.

use std::collections::HashSet;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::Value;

use crate::analyze::{ANALYZERS, Level, Object, Options, Snapshot, analyze, codes};
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::input::{Files, count};
use crate::cli::install::duration;
use crate::cli::live;
use crate::cli::planes::Where;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{self, Ui};
use crate::cli::wait;
use crate::install::{compare, normalise};
use crate::kube::{self, ApplyOptions, Connection, ObjectRef, Outcome};
use crate::resources::{self, kinds};
use crate::yaml::Document;

/// Kinds that others need, applied before them wherever they stand.
const FIRST: [&str; 2] = ["Namespace", "CustomResourceDefinition"];
/// How long the look at what was applied may take. It is a service to the user, and nothing that applying depends on.
const LOOK: Duration = Duration::from_secs(5);
/// How many findings are shown; `mesh analyze` shows all.
const FINDINGS: usize = 10;

/// Apply configuration, checked before anything is changed
///
/// Every object is validated with its file, line and column before the first is
/// applied. Objects are applied by server-side apply as field manager `mesh`.
/// What will not work together with what the cluster holds is said as a warning.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh apply -f reviews.yaml
  mesh apply -f reviews.yaml --wait
  mesh apply -R -f config/ --diff")]
pub struct Args {
    #[command(flatten)]
    files: Files,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Change nothing, and have everything checked by the server, or only here
    #[arg(long, value_enum, value_name = "BY", num_args = 0..=1, require_equals = true,
          default_value = "none", default_missing_value = "server")]
    dry_run: DryRun,
    /// Show what would change, and change nothing; exits with 1 where something would
    #[arg(long, conflicts_with_all = ["wait", "dry_run"])]
    diff: bool,
    /// Wait until workloads are ready and every proxy has the configuration
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,
    /// Take over fields that another manager owns, as kubectl's flag does
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    target: Target,
}

/// Who checks without changing anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DryRun {
    /// Nobody: objects are applied
    None,
    /// The server, with its admission
    Server,
    /// This program, without a server
    Client,
}

/// Applies everything; stops at the first object that the server refuses.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let input = args.files.read()?;
    let (errors, _) = input.check(ui);
    if errors > 0 {
        return Err(CliError::message(Kind::Data, format!("{}; nothing was applied", count(errors, "error"))));
    }
    let mut objects: Vec<Value> = input.documents.iter().map(|document| document.value.clone()).collect();
    objects.sort_by_key(|object| {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        FIRST.iter().position(|first| *first == kind).unwrap_or(FIRST.len())
    });
    if args.dry_run == DryRun::Client {
        for object in &objects {
            ui.line(format!("{} is valid (dry run)", ObjectRef::of(object)?));
        }
        return Ok(());
    }
    block_on(async {
        let changes = !args.diff && args.dry_run == DryRun::None;
        let connection = match changes {
            true => args.target.connect_to_change(ui).await?,
            false => args.target.connect(ui).await?,
        };
        let connection = match &args.namespace {
            Some(namespace) => connection.in_namespace(namespace),
            None => connection,
        };
        if args.diff {
            return differ(ui, &connection, &objects).await;
        }
        let options = ApplyOptions { force: args.force_conflicts, dry_run: !changes };
        let total = objects.len();
        let mut applied = Vec::with_capacity(total);
        for object in objects {
            let done = applied.len();
            let reference = one(ui, &connection, &object, options).await.map_err(|error| {
                if done > 0 { error.hint(format!("{done} of {} were applied", count(total, "object"))) } else { error }
            })?;
            applied.push(reference);
        }
        look(ui, &connection, input.documents, &args.place).await;
        if args.wait {
            wait::until_effective(ui, &connection, &applied, args.timeout, &args.place).await
        } else {
            Ok(())
        }
    })
}

async fn one(ui: &Ui, connection: &Connection, object: &Value, options: ApplyOptions) -> CliResult<ObjectRef> {
    let reference = ObjectRef::of(object)?;
    let applied = kube::apply(connection, object, options).await.map_err(|error| {
        let conflict = matches!(error, kube::Error::Conflict { .. });
        let error = CliError::from(error);
        if conflict { error.hint("--force-conflicts takes the fields over") } else { error }
    })?;
    // The server's admission has the same rules; what was said with its place is not said again.
    let said = kinds::of(object).map(|kind| resources::validate(kind, object).warnings).unwrap_or_default();
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    for warning in applied.warnings.iter().filter(|warning| !said.contains(warning)) {
        ui.warn(format!("{reference}: {warning}"));
    }
    let done = match applied.outcome {
        Outcome::Created => "created",
        Outcome::Configured => "configured",
        Outcome::Unchanged => "unchanged",
    };
    let dry = if options.dry_run { " (dry run)" } else { "" };
    ui.line(format!("{reference} {done}{dry}"));
    Ok(reference)
}

/// Warns of what will not work about these documents, laid over what the cluster holds. Breaks of a kind's own rules were said
/// before. Where something can't be read nothing is said, because it would look like something that is missing.
async fn look(ui: &Ui, connection: &Connection, documents: Vec<Document>, place: &Where) {
    let of_the_mesh = |document: &Document| {
        kinds::of(&document.value)
            .is_some_and(|kind| kind.group.ends_with("istio.io") || kind.group == "gateway.networking.k8s.io")
    };
    if !documents.iter().any(of_the_mesh) {
        return;
    }
    let live = match tokio::time::timeout(LOOK, live::read(connection, |_| ())).await {
        Ok(Ok(live)) if live.forbidden.is_empty() => live.objects,
        Ok(Ok(_)) => return,
        Ok(Err(error)) => return tracing::debug!(%error, "what was applied is not analyzed"),
        Err(_) => return ui.note("the cluster could not be read in time; `mesh analyze` tells what does not work"),
    };
    let options = Options {
        default_namespace: connection.namespace.clone(),
        istio_namespace: place.istio_namespace.clone(),
        revision: "default".to_owned(),
        // Those of a workload that was applied just now are still to come.
        workloads_have_pods: true,
    };
    let applied: Vec<Object> = documents
        .into_iter()
        .flat_map(|document| Object::of_document(document, &options.default_namespace, None))
        .collect();
    let named = applied.iter().map(|object| (object.kind.clone(), object.namespace.clone(), object.name.clone()));
    let named: HashSet<_> = named.collect();
    let live = live.into_iter().filter_map(|value| Object::of_cluster(value, None));
    let snapshot = Snapshot::new(options, live.chain(applied));
    let analyzers = ANALYZERS.iter().filter(|analyzer| analyzer.default && !analyzer.name.starts_with("schema."));
    let mut found = analyze(&snapshot, analyzers);
    found.retain(|message| {
        message.level() >= Level::Warning
            && message.code.id != codes::NOT_IN_FORCE.id
            && named.contains(&(message.kind.clone(), message.namespace.clone(), message.name.clone()))
    });
    for message in found.iter().take(FINDINGS) {
        ui.warn(message.sentence());
    }
    if found.len() > FINDINGS {
        ui.note(format!("and {} more: `mesh analyze` shows them", found.len() - FINDINGS));
    }
}

/// Shows what applying would change, as the server itself says.
async fn differ(ui: &Ui, connection: &Connection, objects: &[Value]) -> CliResult {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for object in objects {
        let reference = ObjectRef::of(object)?;
        before.extend(kube::get(connection, &reference).await?.map(normalise));
        let options = ApplyOptions { force: true, dry_run: true };
        match kube::apply(connection, object, options).await {
            Ok(applied) => after.push(normalise(applied.object)),
            // In a namespace, or of a kind, that only the same input creates.
            Err(kube::Error::NotFound { .. } | kube::Error::UnknownKind { .. }) => after.push(object.clone()),
            Err(error) => return Err(error.into()),
        }
    }
    let differences = compare(&before, &after);
    for difference in &differences {
        ui.text(&ui::diff(ui, &difference.object, &difference.before, &difference.after));
    }
    match differences.len() {
        0 => {
            ui.note("nothing would change");
            Ok(())
        }
        number => Err(CliError::message(Kind::Failed, format!("{} would change", count(number, "object")))),
    }
}

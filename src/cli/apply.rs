//! `mesh apply`: checked here, applied there.

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::input::{Files, count};
use crate::cli::target::Target;
use crate::cli::ui::Ui;
use crate::kube::{self, ApplyOptions, ObjectRef, Outcome};
use crate::resources::{self, kinds};

/// Kinds that others need, applied before them wherever they stand.
const FIRST: [&str; 2] = ["Namespace", "CustomResourceDefinition"];

/// Apply configuration, checked before anything is changed
///
/// Every object is validated with its file, line and column before the first is
/// applied. Objects are applied by server-side apply as field manager `mesh`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh apply -f reviews.yaml\n  mesh apply -R -f config/ --dry-run")]
pub struct Args {
    #[command(flatten)]
    files: Files,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Have the server check everything and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take over fields that another manager owns, as kubectl's flag does
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    target: Target,
}

/// Applies everything; stops at the first object that the server refuses.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let input = args.files.read()?;
    let (errors, _) = input.check(ui);
    if errors > 0 {
        return Err(CliError::message(Kind::Data, format!("{}; nothing was applied", count(errors, "error"))));
    }
    let mut objects: Vec<serde_json::Value> = input.documents.into_iter().map(|document| document.value).collect();
    objects.sort_by_key(|object| {
        let kind = object.get("kind").and_then(serde_json::Value::as_str).unwrap_or_default();
        FIRST.iter().position(|first| *first == kind).unwrap_or(FIRST.len())
    });
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().kind(Kind::Io)?;
    executor.block_on(async {
        let connection = args.target.connect_to_change(ui).await?;
        let options = ApplyOptions { force: args.force_conflicts, dry_run: args.dry_run };
        let total = objects.len();
        let connection = match &args.namespace {
            Some(namespace) => connection.in_namespace(namespace),
            None => connection,
        };
        for (done, object) in objects.into_iter().enumerate() {
            let reference = ObjectRef::of(&object)?;
            let applied = kube::apply(&connection, &object, options).await.map_err(|error| {
                let conflict = matches!(error, kube::Error::Conflict { .. });
                let mut error = CliError::from(error);
                if conflict {
                    error = error.hint("--force-conflicts takes the fields over");
                }
                if done > 0 { error.hint(format!("{done} of {} were applied", count(total, "object"))) } else { error }
            })?;
            // The server's admission has the same rules; what was said with its place is not said again.
            let said = kinds::of(&object).map(|kind| resources::validate(kind, &object).warnings).unwrap_or_default();
            let said: Vec<String> = said.iter().map(ToString::to_string).collect();
            for warning in applied.warnings.iter().filter(|warning| !said.contains(warning)) {
                ui.warn(format!("{reference}: {warning}"));
            }
            let done = match applied.outcome {
                Outcome::Created => "created",
                Outcome::Configured => "configured",
                Outcome::Unchanged => "unchanged",
            };
            let dry = if args.dry_run { " (dry run)" } else { "" };
            ui.line(format!("{reference} {done}{dry}"));
        }
        Ok(())
    })
}

//! `mesh uninstall`: a mesh out of a cluster.

use std::time::Duration;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::input::count;
use crate::cli::planes::{self, Where};
use crate::cli::prompt::confirm;
use crate::cli::settings::SettingsArgs;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::Ui;
use crate::install::{self, DEFAULT_REVISION, Extent, Platform, Removal};
use crate::kube::Connection;

/// How long a control plane may take to end, after which what it made is removed all the same.
const CONTROL_PLANE_ENDS: Duration = Duration::from_secs(45);

/// Remove a mesh from a cluster
///
/// Definitions of kinds stay, with everything that users wrote; --purge takes them too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh uninstall
  mesh uninstall --revision canary -y
  mesh uninstall --purge --confirm-context production")]
pub struct Args {
    /// Every revision, with the definitions and so with what users wrote
    #[arg(long, conflicts_with_all = ["revision", "profile", "files", "set"])]
    purge: bool,
    /// Answer to what --purge asks: the context's name
    #[arg(long, value_name = "CONTEXT", requires = "purge")]
    confirm_context: Option<String>,
    /// Do not ask (--purge asks all the same)
    #[arg(short = 'y', long = "skip-confirmation", visible_alias = "yes")]
    yes: bool,
    /// Show what would go
    #[arg(long)]
    dry_run: bool,
    /// The revision is what these settings say, as for `install`
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    target: Target,
}

/// Removes.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let revision = match args.settings.is_empty() {
        true => args.settings.revision().unwrap_or(DEFAULT_REVISION).to_owned(),
        false => args.settings.plan(Platform::Kubernetes)?.revision().to_owned(),
    };
    block_on(async {
        let connection = args.target.connect_to_change(ui).await?;
        let extent = if args.purge { Extent::Everything } else { Extent::Revision(revision.clone()) };
        let Removal { mut objects, kept, places } = install::removable(&connection, &extent).await?;
        for (object, other) in &kept {
            ui.warn(format!(
                "{object} stays: revision {other} has it as well, and gets it back when it is installed again"
            ));
        }
        let mut written = Vec::new();
        if args.purge {
            let purge = install::purge_extent(&connection).await?;
            objects.extend(purge.definitions);
            written = purge.objects;
        }
        if args.dry_run {
            objects.iter().for_each(|object| ui.line(object.to_string()));
            ui.note(format!("would remove {}{}", count(objects.len(), "object"), lost(&written)));
            return Ok(());
        }
        if objects.is_empty() {
            ui.done("nothing of mesh is there");
            return Ok(());
        }
        if args.purge {
            confirm_purge(ui, &args, &connection.context, objects.len(), &lost(&written))?;
        } else {
            let left = proxies_of(&connection, &args.place, &revision).await;
            if !left.is_empty() {
                ui.warn(format!(
                    "{} still connected to revision {revision}, and will be told nothing more: {}",
                    match left.len() {
                        1 => "1 proxy is".to_owned(),
                        number => format!("{number} proxies are"),
                    },
                    left.join(", ")
                ));
            }
            let question = format!("Remove revision {revision} ({}) from there?", count(objects.len(), "object"));
            confirm(ui, args.yes, &question)?;
        }
        let progress = ui.progress("removing");
        let removed =
            install::remove(&connection, &objects, |object| progress.update(format!("removed {object}"))).await;
        let mut removed = removed?;
        if args.purge {
            progress.update("waiting for the control plane to end");
            let left = install::left_behind(&connection, &places, CONTROL_PLANE_ENDS).await?;
            removed +=
                install::remove(&connection, &left, |object| progress.update(format!("removed {object}"))).await?;
        }
        drop(progress);
        ui.done(format!("{} removed", count(removed, "object")));
        if !args.purge {
            ui.note("  definitions and what users wrote are still there; --purge takes them too");
        }
        Ok(())
    })
}

/// The pods whose proxies are connected to a revision's control planes, as far as these say so.
async fn proxies_of(connection: &Connection, place: &Where, revision: &str) -> Vec<String> {
    let Ok(answers) = planes::ask(connection, place).await else { return Vec::new() };
    let planes = answers.planes.iter().filter(|plane| plane.revision == revision);
    let mut pods: Vec<String> = planes
        .flat_map(|plane| &plane.told.proxies)
        .filter_map(|proxy| proxy.node.split('~').nth(2).map(str::to_owned))
        .collect();
    pods.sort();
    pods.dedup();
    pods
}

/// What users would lose, in words.
fn lost(written: &[(&str, usize)]) -> String {
    if written.is_empty() {
        return String::new();
    }
    let kinds: Vec<String> = written.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
    format!(", and with them what users wrote: {}", kinds.join(", "))
}

/// A purge is never answered by `-y`: the context's name is what was typed on purpose.
fn confirm_purge(ui: &Ui, args: &Args, context: &str, objects: usize, lost: &str) -> CliResult {
    let what = format!("This removes {}{lost}.", count(objects, "object"));
    let answer = match &args.confirm_context {
        Some(answer) => answer.clone(),
        None if ui.can_ask() => {
            ui.note(&what);
            ui.ask("Type the context's name to go on: ").trim().to_owned()
        }
        None => {
            return Err(CliError::message(
                Kind::Usage,
                format!("{what} Nobody is there to be asked, so nothing was done"),
            )
            .hint(format!("--confirm-context {context} answers")));
        }
    };
    if answer == context {
        return Ok(());
    }
    Err(CliError::message(Kind::Failed, format!("cancelled: {answer:?} is not the context's name; nothing was done")))
}

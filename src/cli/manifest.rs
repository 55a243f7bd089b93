//! `mesh manifest`: what an installation consists of, as YAML, without a cluster.

use std::path::PathBuf;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::input::documents;
use crate::cli::settings::SettingsArgs;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{self, Ui};
use crate::install::{self, Platform, compare, normalise, render};
use crate::kube::{self, ApplyOptions, ObjectRef};
use crate::yaml;

/// Print what an installation consists of, or compare it
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Generate(Generate),
    Diff(Diff),
}

/// Print the manifests of an installation
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh manifest generate --profile demo > mesh.yaml
  mesh manifest generate --set values.pilot.replicaCount=2 -o mesh.yaml")]
struct Generate {
    /// Write to a file that is not there yet
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Compare manifests: two files, or what would be installed with the cluster
///
/// Exits with 1 where something differs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh manifest diff before.yaml after.yaml
  mesh manifest diff --profile demo")]
struct Diff {
    /// Two files of manifests
    #[arg(value_name = "FILE", num_args = 2, conflicts_with_all = ["profile", "files", "set", "revision"])]
    manifests: Vec<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    target: Target,
}

/// Prints or compares.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    match args.command {
        Command::Generate(args) => generate(ui, args),
        Command::Diff(args) => diff(ui, args),
    }
}

fn generate(ui: &Ui, args: Generate) -> CliResult {
    let plan = args.settings.plan(Platform::Kubernetes)?;
    let mut objects = render(&plan)?;
    // Whoever applies them may verify, upgrade and uninstall as if mesh had.
    if !objects.is_empty() {
        objects.push(install::record(&plan));
    }
    let text = yaml::to_string_all(&objects);
    let Some(path) = args.output else {
        ui.text(&text);
        return Ok(());
    };
    let mut file = std::fs::File::create_new(&path)
        .map_err(|error| CliError::message(Kind::CannotCreate, format!("can't create {}: {error}", path.display())))?;
    std::io::Write::write_all(&mut file, text.as_bytes()).kind(Kind::Io)
}

fn diff(ui: &Ui, args: Diff) -> CliResult {
    let differences = match args.manifests.as_slice() {
        [before, after] => {
            let read = |path: &PathBuf| documents(std::slice::from_ref(path));
            let (before, after) = (read(before)?, read(after)?);
            compare(before.iter().map(|document| &document.value), after.iter().map(|document| &document.value))
        }
        _ => block_on(against_cluster(ui, &args))?,
    };
    for difference in &differences {
        ui.text(&ui::diff(ui, &difference.object, &difference.before, &difference.after));
    }
    match differences.len() {
        0 => {
            ui.note("nothing differs");
            Ok(())
        }
        number => Err(CliError::message(Kind::Failed, format!("{} differ", super::input::count(number, "object")))),
    }
}

/// What applying would change, as the server itself says.
async fn against_cluster(ui: &Ui, args: &Diff) -> CliResult<Vec<install::Difference>> {
    let connection = args.target.connect(ui).await?;
    let plan = args.settings.plan(super::install::platform(&connection).await?)?;
    let progress = ui.progress("comparing");
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for object in render(&plan)? {
        let reference = ObjectRef::of(&object)?;
        progress.update(format!("comparing {reference}"));
        let Some(present) = kube::get(&connection, &reference).await? else {
            after.push(object);
            continue;
        };
        let options = ApplyOptions { force: true, dry_run: true };
        let applied = kube::apply(&connection, &object, options).await?;
        before.push(normalise(present));
        after.push(normalise(applied.object));
    }
    Ok(compare(&before, &after))
}

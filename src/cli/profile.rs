//! `mesh profile`: where installations start from.

use serde::Serialize;
use serde_json::Value;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::settings::SettingsArgs;
use crate::cli::ui::{self, Format, Ui, table};
use crate::install::{Layers, profile_text, profiles};
use crate::yaml;

/// List, print and compare the profiles that installations start from
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(List),
    Dump(Dump),
    Diff(Diff),
}

/// List the profiles
#[derive(Debug, clap::Args)]
struct List {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Print every setting of a profile, with files and settings laid over it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh profile dump demo
  mesh profile dump --set values.pilot.replicaCount=2")]
struct Dump {
    /// The profile [default: default]
    #[arg(value_name = "PROFILE", conflicts_with = "profile")]
    name: Option<String>,
    /// Print only what is below this path
    #[arg(long, value_name = "PATH")]
    config_path: Option<String>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Compare two profiles; exits with 1 where they differ
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh profile diff default demo")]
struct Diff {
    /// The first
    before: String,
    /// The second
    after: String,
}

/// Lists, prints or compares.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    match args.command {
        Command::List(args) => list(ui, args),
        Command::Dump(args) => dump(ui, args),
        Command::Diff(args) => diff(ui, args),
    }
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    summary: &'static str,
}

fn list(ui: &Ui, args: List) -> CliResult {
    let rows: Vec<Row> = profiles().map(|(name, summary)| Row { name, summary }).collect();
    if args.output != Format::Table {
        return ui.structured(args.output, &rows);
    }
    ui.text(&table(["PROFILE", "WHAT IT IS"], rows.iter().map(|row| [row.name.to_owned(), row.summary.to_owned()])));
    Ok(())
}

fn operator(layers: &Layers) -> CliResult<Value> {
    layers.settings()?;
    let spec = layers.tree()?;
    Ok(serde_json::json!({"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec}))
}

fn dump(ui: &Ui, args: Dump) -> CliResult {
    let mut layers = args.settings.layers()?;
    if let Some(name) = args.name {
        layers.profile = Some(name);
    }
    let tree = operator(&layers)?;
    let Some(path) = args.config_path else {
        ui.text(&yaml::to_string(&tree));
        return Ok(());
    };
    let keys = path.strip_prefix("spec.").unwrap_or(&path).split('.').filter(|key| !key.is_empty());
    let spec = tree.get("spec").unwrap_or(&Value::Null);
    match keys.into_iter().try_fold(spec, |here, key| here.get(key)) {
        Some(found) => {
            ui.text(&yaml::to_string(found));
            Ok(())
        }
        None => Err(CliError::message(Kind::Usage, format!("the settings have nothing at {path:?}"))),
    }
}

fn diff(ui: &Ui, args: Diff) -> CliResult {
    let text = |name: &str| -> CliResult<String> {
        profile_text(name)?;
        let layers = Layers { profile: Some(name.to_owned()), ..Layers::default() };
        Ok(yaml::to_string(&operator(&layers)?))
    };
    let (before, after) = (text(&args.before)?, text(&args.after)?);
    if before == after {
        ui.note("nothing differs");
        return Ok(());
    }
    ui.text(&ui::diff(ui, &format!("{} {}", args.before, args.after), &before, &after));
    Err(CliError::message(Kind::Failed, format!("{} and {} differ", args.before, args.after)))
}

//! `mesh upgrade`: what is installed, at this program's version.

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::install;
use crate::cli::target::block_on;
use crate::cli::ui::Ui;
use crate::install::{Plan, Platform, installed_revisions, recorded_layers};

/// Bring an installed mesh to this version
///
/// The settings are those that it was installed with, and over them those that are named now. Refuses where nothing is installed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh upgrade --dry-run
  mesh upgrade --set values.pilot.traceSampling=10")]
pub struct Args {
    #[command(flatten)]
    install: install::Args,
}

/// Upgrades.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let said = args.install.layers()?;
    let revision = Plan::of(&said, Platform::Kubernetes)?.revision().to_owned();
    let (known, before) = block_on(async {
        let connection = args.install.target().connect(ui).await?;
        Ok((installed_revisions(&connection).await?, recorded_layers(&connection, &revision).await?))
    })?;
    if let (Some((_, version, profile)), Some(before)) = (known.iter().find(|(name, ..)| *name == revision), before) {
        ui.note(format!("revision {revision} is at {version} (profile {profile})"));
        return install::run_with(ui, args.install, before.then(said));
    }
    let there: Vec<&str> = known.iter().map(|(name, ..)| name.as_str()).collect();
    let there =
        if there.is_empty() { "nothing is installed".to_owned() } else { format!("there is {}", there.join(", ")) };
    Err(CliError::message(Kind::Failed, format!("no mesh of revision {revision} can be upgraded: {there}"))
        .hint(format!("`{} install` installs one", ui.program())))
}

//! `mesh upgrade`: what is installed, at this program's version.

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::install;
use crate::cli::target::block_on;
use crate::cli::ui::Ui;
use crate::install::installed_revisions;

/// Bring an installed mesh to this version
///
/// The same as install, but refuses where nothing is installed. Settings are not remembered: name those that you installed with.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh upgrade -f settings.yaml
  mesh upgrade --profile demo --dry-run")]
pub struct Args {
    #[command(flatten)]
    install: install::Args,
}

/// Upgrades.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let revision = args.install.plan_revision()?;
    let known = block_on(async {
        let connection = args.install.target().connect(ui).await?;
        Ok(installed_revisions(&connection).await?)
    })?;
    if let Some((_, version, profile)) = known.iter().find(|(name, ..)| *name == revision) {
        ui.note(format!("revision {revision} is at {version} (profile {profile})"));
        return install::run(ui, args.install);
    }
    let there: Vec<&str> = known.iter().map(|(name, ..)| name.as_str()).collect();
    let there =
        if there.is_empty() { "nothing is installed".to_owned() } else { format!("there is {}", there.join(", ")) };
    Err(CliError::message(Kind::Failed, format!("no mesh of revision {revision} can be upgraded: {there}"))
        .hint(format!("`{} install` installs one", ui.program())))
}

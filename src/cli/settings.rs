//! Arguments that say what an installation is to be, shared by `install`, `upgrade`, `manifest` and `profile`.

use std::path::PathBuf;

use crate::cli::error::CliResult;
use crate::cli::input::documents;
use crate::install::{Assignment, Layers, Plan, Platform};

/// What is to be installed
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingsArgs {
    /// The profile to start from [default: default]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// An IstioOperator file, or - for standard input; later ones win
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One setting; later ones win, and all of them over files
    #[arg(short = 's', long = "set", value_name = "PATH=VALUE")]
    set: Vec<Assignment>,
    /// Name of the revision, to install beside another
    #[arg(short, long, value_name = "NAME")]
    revision: Option<String>,
}

impl SettingsArgs {
    /// The layers that were said.
    pub fn layers(&self) -> CliResult<Layers> {
        let mut set = self.set.clone();
        if let Some(revision) = &self.revision {
            let revision = Assignment::new("revision", revision);
            set.extend(revision.ok());
        }
        Ok(Layers { profile: self.profile.clone(), files: documents(&self.files)?, set })
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.profile.is_none() && self.files.is_empty() && self.set.is_empty()
    }

    /// The revision, where it was named.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// The plan that it amounts to.
    pub fn plan(&self, platform: Platform) -> CliResult<Plan> {
        Ok(Plan::of(&self.layers()?, platform)?)
    }
}

//! `mesh version`.

use serde::Serialize;

use crate::cli::error::CliResult;
use crate::cli::ui::{Format, Ui};

/// Print the version
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    kubernetes: &'static str,
}

/// Prints the version of the program and of the Kubernetes API that the built-in runtime speaks.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let version = Version { version: env!("CARGO_PKG_VERSION"), kubernetes: "1.36" };
    if args.output == Format::Table {
        ui.line(format!("mesh {} (Kubernetes API {})", version.version, version.kubernetes));
        return Ok(());
    }
    ui.structured(args.output, &version)
}

//! `mesh validate`: files alone, no cluster.

use std::path::PathBuf;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::input::{Files, OptionalFiles, count};
use crate::cli::ui::{Tone, Ui};
use crate::install::Layers;

/// Check configuration files without applying them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh validate reviews.yaml
  mesh validate -R -f config/
  mesh validate https://example.com/reviews.yaml")]
pub struct Args {
    /// Files, or directories with everything below them, or URLs, or - for standard input
    #[arg(value_name = "FILE", required_unless_present = "files", conflicts_with = "files")]
    named: Vec<PathBuf>,
    #[command(flatten)]
    files: OptionalFiles,
}

/// Prints every finding with its place; fails when there is an error.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let mut input = args.files.required().unwrap_or_else(|| Files::of(args.named)).read()?;
    let number = input.documents.len();
    let installations = input.take_installations();
    let (mut errors, warnings) = input.check(ui);
    for file in installations {
        if let Err(error) = (Layers { files: vec![file], ..Layers::default() }).settings() {
            errors += 1;
            ui.error(error.to_string());
        }
    }
    if errors > 0 {
        return Err(CliError::message(
            Kind::Data,
            format!("{} and {} in {}", count(errors, "error"), count(warnings, "warning"), count(number, "object")),
        ));
    }
    let objects = count(number, "object");
    match warnings {
        0 => ui.line(format!("{} {objects}, nothing to say", ui.paint(Tone::Good, "✓"))),
        _ => ui.line(format!("{} {objects}, {}", ui.paint(Tone::Good, "✓"), count(warnings, "warning"))),
    }
    Ok(())
}

//! `mesh completion`.

use clap_complete::Shell;

use crate::cli::error::CliResult;
use crate::cli::ui::Ui;

/// Print a shell's completion script
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    ui.text(&String::from_utf8_lossy(&script(args.shell)));
    Ok(())
}

/// The completion script for `shell`; the files in `completions/` are held to it by a test.
pub fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::definition(), "mesh", &mut script);
    script
}

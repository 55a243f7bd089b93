//! Asking before something is changed.

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::ui::Ui;

/// Asks whether to go on; `yes` answers. Without somebody to ask the answer is no, and `-y` is named.
pub fn confirm(ui: &Ui, yes: bool, question: &str) -> CliResult {
    if yes {
        return Ok(());
    }
    if !ui.can_ask() {
        let error = format!("{question} Nobody is there to be asked, so nothing was done");
        return Err(CliError::message(Kind::Usage, error).hint("-y goes on without asking"));
    }
    match ui.ask(&format!("{question} [y/N] ")).trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CliError::message(Kind::Failed, "cancelled: nothing was done")),
    }
}

//! `mesh down`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::ui::Ui;
use crate::runtime::state;

/// How long a runtime may take to stop its pods before it is killed.
const PATIENCE: Duration = Duration::from_secs(45);

/// How often is looked whether it has stopped.
const POLL: Duration = Duration::from_millis(20);

/// Stop the built-in runtime; what it stores is kept
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the runtime's state [default: $XDG_STATE_HOME/mesh]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Asks the runtime to stop and waits until it has.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let root = super::up::data_dir(args.data_dir)?;
    let Some(pid) = super::up::running(&root)? else {
        ui.line(format!("No runtime is running on {}.", root.display()));
        return Ok(());
    };
    let progress = ui.progress(format!("stopping the runtime (pid {pid})"));
    send(pid, Signal::SIGTERM)?;
    let deadline = Instant::now() + PATIENCE;
    while state::holder(&root).kind(Kind::Io)? == Some(pid) {
        if Instant::now() >= deadline {
            send(pid, Signal::SIGKILL)?;
            drop(progress);
            ui.warn(format!("the runtime did not stop within {} s and was killed", PATIENCE.as_secs()));
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    drop(progress);
    ui.line(format!("Stopped the runtime (pid {pid}). What it stores is kept in {}.", root.display()));
    Ok(())
}

fn send(pid: i32, signal: Signal) -> CliResult {
    match kill(Pid::from_raw(pid), signal) {
        // It ended between two looks.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(Errno::EPERM) => {
            Err(CliError::message(Kind::Permission, format!("the runtime (pid {pid}) belongs to another user")))
        }
        Err(error) => Err(CliError::message(Kind::Failed, format!("can't signal the runtime (pid {pid}): {error}"))),
    }
}

//! Starts the real `mesh` executable as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The executable under test.
pub const MESH: &str = env!("CARGO_BIN_EXE_mesh");

/// Runs `mesh` to its end, with a home of its own.
pub fn mesh(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(MESH).args(arguments).env("HOME", home.path()).env_remove("XDG_STATE_HOME").output().unwrap()
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

//! Errors of commands: what kind they are, the exit code that follows, and what to do about them.

use std::fmt;

/// What kind of failure ended a command. The exit codes are those of `sysexits.h` where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The work was done and the answer is no: a demo that did not prove itself, pods that are not ready.
    Failed,
    /// The command was not understood, or it is not clear what it should act on.
    Usage,
    /// Input that can't be read or is not valid.
    Data,
    /// What the command needs is not running or can't be reached.
    Unavailable,
    /// Something could not be created: a port that is taken, a directory in use.
    CannotCreate,
    /// Reading or writing failed.
    Io,
    /// The user may not do that.
    Permission,
    /// An analysis found what it was to fail for.
    Found,
}

/// The exit codes, as the documentation of the program lists them.
pub const EXIT_CODES: &[(Kind, u8, &str)] = &[
    (Kind::Failed, 1, "the work was done and the answer is no"),
    (Kind::Usage, 64, "the command line was not understood, or names no single target"),
    (Kind::Data, 65, "input can't be read or is not valid"),
    (Kind::Unavailable, 69, "what the command needs is not running or can't be reached"),
    (Kind::CannotCreate, 73, "a port, a file or a directory could not be taken"),
    (Kind::Io, 74, "reading or writing failed"),
    (Kind::Permission, 77, "permission denied"),
    (Kind::Found, 79, "the analysis found something"),
];

impl Kind {
    /// The exit code that stands for this kind.
    pub fn exit_code(self) -> u8 {
        EXIT_CODES.iter().find(|(kind, ..)| *kind == self).map_or(1, |(_, code, _)| *code)
    }
}

/// How a command failed: one sentence, and hints what to do.
#[derive(Debug)]
pub struct CliError {
    /// Decides the exit code.
    pub kind: Kind,
    source: anyhow::Error,
    hints: Vec<String>,
}

impl CliError {
    /// A failure of this kind.
    pub fn new(kind: Kind, source: impl Into<anyhow::Error>) -> Self {
        Self { kind, source: source.into(), hints: Vec::new() }
    }

    /// A failure of this kind, in words.
    pub fn message(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, source: anyhow::Error::msg(message.into()), hints: Vec::new() }
    }

    /// The same, with something to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What to do about it, a line each.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for CliError {
    /// The chain of causes in one line; a cause that its wrapper already quotes is not said twice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = String::new();
        for cause in self.source.chain() {
            let cause = cause.to_string();
            if said.contains(&cause) {
                continue;
            }
            if !said.is_empty() {
                said.push_str(": ");
            }
            said.push_str(&cause);
        }
        f.write_str(&said)
    }
}

/// The result of a command.
pub type CliResult<T = ()> = Result<T, CliError>;

/// Gives an error its kind where it passes into the command line.
pub trait WithKind<T> {
    /// The same result, its error of this kind.
    fn kind(self, kind: Kind) -> CliResult<T>;
}

impl<T, E: Into<anyhow::Error>> WithKind<T> for Result<T, E> {
    fn kind(self, kind: Kind) -> CliResult<T> {
        self.map_err(|error| CliError::new(kind, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own() {
        let mut codes: Vec<u8> = EXIT_CODES.iter().map(|(_, code, _)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), EXIT_CODES.len());
        assert!(codes.iter().all(|code| *code != 0 && *code != 2));
    }

    #[test]
    fn a_cause_is_said_once() {
        let cause = std::io::Error::other("disk full");
        let wrapped = anyhow::Error::new(cause).context("can't write state: disk full");
        assert_eq!(CliError::new(Kind::Io, wrapped).to_string(), "can't write state: disk full");
    }
}

//! A small POSIX shell: what `sh -c '…'` in guides, manifests and probes is made of.
//!
//! Lists, pipelines, `if`, `for`, `while`, `until`, `case`, functions, subshells, redirections with here-documents, the expansions of
//! parameters, commands and arithmetic. Every command but the shell's own is a process of the pod. Not there: job control, arrays,
//! traps (accepted, and never run).

mod expand;
mod lex;
mod parse;
mod run;
mod syntax;

use std::io::{self, Write};
use std::process::{Child, Command};

use self::run::{Shell, Stop};
use super::{Call, Files, Launch};
use crate::runtime::tools::files::ROOT_VARIABLE;

/// Exit code where the shell cannot read what it was given.
const SYNTAX: u8 = 2;

/// Longest script, in bytes.
const SCRIPT: usize = 1 << 20;

impl Launch {
    /// A command as a process of this pod, with this process's standard streams.
    pub(super) fn command(&self, arguments: &[String], files: &Files) -> Command {
        let mut program = self.program.iter();
        let mut command = Command::new(program.next().map_or_else(|| "/proc/self/exe".into(), Clone::clone));
        command.args(program).arg(std::process::id().to_string()).arg(&self.pod).arg(&self.image);
        command.args(arguments).env("PWD", files.working());
        command
    }
}

/// Waits for a process; its exit code as a shell counts it.
pub(super) fn wait(mut child: Child) -> io::Result<u8> {
    use std::os::unix::process::ExitStatusExt;
    let status = child.wait()?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
}

/// `sh [-eux] [-c SCRIPT [NAME [ARGUMENT…]] | FILE [ARGUMENT…]]`; without either it reads standard input.
pub(super) fn run(call: &mut Call<'_>) -> io::Result<u8> {
    let mut script = None;
    let (mut exit_on_error, mut trace, mut interactive) = (false, false, false);
    let mut rest = call.args;
    while let Some((first, after)) = rest.split_first() {
        let Some(given) = first.strip_prefix('-').filter(|given| !given.is_empty()) else { break };
        rest = after;
        if given == "-" {
            break;
        }
        exit_on_error |= given.contains('e') && !given.starts_with('-');
        trace |= given.contains('x') && !given.starts_with('-');
        interactive |= given == "i";
        if given.contains('c') && !given.starts_with('-') {
            let Some((text, after)) = rest.split_first() else { return call.usage(SYNTAX, "-c needs a script") };
            (script, rest) = (Some(text.clone()), after);
            break;
        }
    }
    let mut shell = Shell::new(call.files.clone(), call.launch.clone());
    (shell.exit_on_error, shell.trace) = (exit_on_error, trace);
    if let Some(script) = script {
        let (name, arguments) = rest.split_first().map_or((call.name, rest), |(name, rest)| (name.as_str(), rest));
        shell.set_arguments(name, arguments);
        return Ok(run_script(&mut shell, &script));
    }
    if let Some((path, arguments)) = rest.split_first() {
        let text = std::fs::read_to_string(call.files.outside(path));
        let text = text.map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        shell.set_arguments(path, arguments);
        return Ok(run_script(&mut shell, &text));
    }
    shell.set_arguments(call.name, &[]);
    let prompt = interactive || std::env::var_os("MESH_TTY").is_some();
    read_commands(&mut shell, call, prompt)
}

fn run_script(shell: &mut Shell, script: &str) -> u8 {
    let list = match parse::script(script) {
        Ok(list) => list,
        Err(error) => {
            complain(&error);
            return SYNTAX;
        }
    };
    match shell.list(&list) {
        Ok(code) | Err(Stop::Exit(code)) => code,
        Err(_) => shell.status(),
    }
}

/// Runs what is typed, command by command.
fn read_commands(shell: &mut Shell, call: &mut Call<'_>, prompt: bool) -> io::Result<u8> {
    let mut pending = String::new();
    loop {
        if prompt {
            write!(call.out, "{}", if pending.is_empty() { "$ " } else { "> " })?;
            call.out.flush()?;
        }
        let ended = call.input.read_line(&mut pending)? == 0;
        if pending.len() > SCRIPT {
            return call.usage(SYNTAX, "the script is too long");
        }
        match parse::script(&pending) {
            Ok(list) => {
                pending.clear();
                if let Err(Stop::Exit(code)) = shell.list(&list) {
                    return Ok(code);
                }
            }
            Err(error) if error.is_incomplete() && !ended => {}
            Err(error) => {
                complain(&error);
                pending.clear();
                shell.fail(SYNTAX);
            }
        }
        if ended {
            return Ok(shell.status());
        }
    }
}

/// Says something on standard error; where that is closed, nobody listens.
fn complain(problem: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr(), "sh: {problem}");
}

/// Whether a variable is of this runtime's own making and none of the script's.
fn is_hidden(name: &str) -> bool {
    name == ROOT_VARIABLE
}

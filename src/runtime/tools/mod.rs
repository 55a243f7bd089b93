//! The commands that run inside pods: what guides type after `kubectl exec … --`, and what manifests give as `command`.
//!
//! The built-in runtime runs no program of the host. Each command here is a small program of this binary that becomes a process of
//! its own in its pod (`mesh pod-exec`), with the pod's environment, the pod's way to the network and the container's files: a path
//! begins at the container's root directory and cannot leave it ([`Files`]).
//!
//! The commands take the options that scripts use; an option that is not known is refused with the exit code of the original.

mod arithmetic;
mod client;
mod curl;
mod dial;
mod files;
mod fortio;
mod grpc;
mod list;
mod net;
mod pattern;
mod shell;
mod tar;
mod test;
mod text;

use std::ffi::OsString;
use std::io::{self, BufRead, Write};

pub(in crate::runtime) use self::files::{Files, ROOT_VARIABLE};
pub(in crate::runtime) use self::net::random;

/// Exit code of a shell that finds no such command.
pub(in crate::runtime) const NOT_FOUND: u8 = 127;

/// Exit code of a process whose output nobody reads any more: 128 + SIGPIPE.
const BROKEN_PIPE: u8 = 141;

/// What a command works with.
pub(in crate::runtime) struct Call<'a> {
    /// The name that it was called by, without directories.
    pub(super) name: &'a str,
    /// What follows the name.
    pub(super) args: &'a [String],
    /// The container's files.
    pub(super) files: &'a Files,
    /// How to start another command as a process of this pod.
    pub(super) launch: &'a Launch,
    /// Standard input.
    pub(super) input: &'a mut dyn BufRead,
    /// Standard output.
    pub(super) out: &'a mut dyn Write,
    /// Standard error.
    pub(super) err: &'a mut dyn Write,
}

/// How a process of this pod starts another one.
#[derive(Debug, Clone, Default)]
pub(in crate::runtime) struct Launch {
    /// The program and the arguments that come before those of `pod-exec`.
    pub(in crate::runtime) program: Vec<OsString>,
    /// `namespace/name` of the pod.
    pub(in crate::runtime) pod: String,
    /// The container's image.
    pub(in crate::runtime) image: String,
}

/// One command.
struct Tool {
    names: &'static [&'static str],
    run: fn(&mut Call<'_>) -> io::Result<u8>,
}

const fn tool(names: &'static [&'static str], run: fn(&mut Call<'_>) -> io::Result<u8>) -> Tool {
    Tool { names, run }
}

/// The table.
static TOOLS: &[Tool] = &[
    tool(&["curl"], curl::run),
    tool(&["wget"], curl::wget),
    tool(&["fortio"], fortio::run),
    tool(&["podcli"], curl::podcli),
    tool(&["client"], client::run),
    tool(&["sh", "bash", "ash", "dash"], shell::run),
    tool(&["nc", "ncat", "netcat"], net::nc),
    tool(&["test", "["], test::run),
    tool(&["echo"], text::echo),
    tool(&["printf"], text::printf),
    tool(&["cat"], text::cat),
    tool(&["head"], text::head),
    tool(&["tail"], text::tail),
    tool(&["wc"], text::wc),
    tool(&["grep", "egrep", "fgrep"], text::grep),
    tool(&["sort"], text::sort),
    tool(&["uniq"], text::uniq),
    tool(&["tr"], text::tr),
    tool(&["cut"], text::cut),
    tool(&["tee"], text::tee),
    tool(&["seq"], text::seq),
    tool(&["base64"], text::base64),
    tool(&["env", "printenv"], list::env),
    tool(&["time"], list::time),
    tool(&["sleep"], list::sleep),
    tool(&["date"], list::date),
    tool(&["hostname"], list::hostname),
    tool(&["whoami", "id"], list::whoami),
    tool(&["uname"], list::uname),
    tool(&["pwd"], list::pwd),
    tool(&["ls"], list::ls),
    tool(&["mkdir"], list::mkdir),
    tool(&["rm"], list::rm),
    tool(&["touch"], list::touch),
    tool(&["cp"], list::cp),
    tool(&["mv"], list::mv),
    tool(&["which", "command"], list::which),
    tool(&["tar"], tar::run),
    tool(&["true", ":"], |_| Ok(0)),
    tool(&["false"], |_| Ok(1)),
];

/// The program at the end of a path: the path itself means nothing here.
fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Whether a command of that name (with or without a path) is built in.
pub(in crate::runtime) fn is_known(program: &str) -> bool {
    find(program).is_some()
}

fn find(program: &str) -> Option<&'static Tool> {
    let name = base_name(program);
    TOOLS.iter().find(|tool| tool.names.contains(&name))
}

/// What to say where a command is not built in.
pub(in crate::runtime) fn unknown(program: &str) -> String {
    let names: Vec<_> = TOOLS.iter().filter_map(|tool| tool.names.first().copied()).collect();
    format!("{program}: not found; pods of the built-in runtime have {}", names.join(" "))
}

/// Runs a command as this process, from its arguments (the program first) to its exit code.
pub(in crate::runtime) fn main(arguments: &[String], files: &Files, launch: &Launch) -> u8 {
    let mut input = io::stdin().lock();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut err = io::stderr().lock();
    let code = dispatch(arguments, files, launch, &mut input, &mut out, &mut err);
    match out.flush() {
        Ok(()) => code,
        Err(_) if code == 0 => BROKEN_PIPE,
        Err(_) => code,
    }
}

fn dispatch(
    arguments: &[String],
    files: &Files,
    launch: &Launch,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let Some((program, args)) = arguments.split_first() else { return 0 };
    let Some(tool) = find(program) else {
        // Standard error is the only place to say it; where that is gone, nobody listens.
        let _ = writeln!(err, "{}", unknown(program));
        return NOT_FOUND;
    };
    let name = base_name(program);
    let mut call = Call { name, args, files, launch, input, out, err };
    match (tool.run)(&mut call) {
        Ok(code) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => BROKEN_PIPE,
        Err(error) => {
            let _ = writeln!(call.err, "{name}: {error}");
            1
        }
    }
}

impl Call<'_> {
    /// Refuses how it was called.
    fn usage(&mut self, code: u8, problem: impl std::fmt::Display) -> io::Result<u8> {
        writeln!(self.err, "{}: {problem}", self.name)?;
        Ok(code)
    }
}

//! `mesh pod-exec`: how the built-in runtime starts a container. No command for people, so it is in no help text.
//!
//! It is taken before anything else is set up: each container is a process, and what a process does not load it does not keep in
//! memory.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::error::Kind;
use crate::runtime::node::pod_exec::{self, PodExec};

/// Name of the command.
const NAME: &str = "pod-exec";

/// Becomes a container's process, where `arguments` (the program's name first) ask for that.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != NAME {
        return None;
    }
    let mut exec = || {
        let mut next = || arguments.next()?.into_string().ok();
        let (parent, pod, image) = (next()?.parse().ok()?, next()?, next()?);
        let program = ["/proc/self/exe", NAME].map(OsString::from).to_vec();
        Some(PodExec { parent, pod, image, command: std::iter::from_fn(next).collect(), program })
    };
    let Some(exec) = exec() else {
        eprintln!("pod-exec is started by `mesh up`, with its process id, a pod, an image and perhaps a command");
        return Some(ExitCode::from(Kind::Usage.exit_code()));
    };
    Some(pod_exec::run(&exec).unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    }))
}

//! What `mesh pod-exec` does: become one container's process.
//!
//! Guarantees: the process ends when the runtime does, even by `kill -9` (parent-death signal, with a check that the
//! parent did not end before it was armed); it leads a session of its own, so that the terminal's Ctrl-C reaches the
//! runtime alone; it gains no privileges, writes no core files, and is bound in memory and open files.
//! Refuses: images that are not built in. No command of the host is run here: those of a pod are built in, too.

use std::ffi::OsString;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{getppid, setsid};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::runtime::samples::{self, AppContext, Environment};
use crate::runtime::tools::{self, Files, Launch};

/// Limits of a container's process: resource and its largest value (bytes or a count).
const LIMITS: [(Resource, u64); 4] = [
    (Resource::RLIMIT_CORE, 0),
    (Resource::RLIMIT_NOFILE, 1024),
    (Resource::RLIMIT_FSIZE, 64 << 20),
    (Resource::RLIMIT_AS, 2 << 30),
];

/// Name of the variable that tells a built-in app which port its container declares.
pub const PORT_VARIABLE: &str = "APP_PORT";

/// Name of the variable that tells a built-in app its container's arguments, one on each line.
pub const ARGUMENTS_VARIABLE: &str = "APP_ARGS";

/// The arguments of `mesh pod-exec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodExec {
    /// The runtime's process id.
    pub parent: i32,
    /// `namespace/name` of the pod, for `ps`.
    pub pod: String,
    /// The container's image.
    pub image: String,
    /// The command to run in place of the image's app: the program and its arguments. Empty: the app.
    pub command: Vec<String>,
    /// The program and the arguments before those above, by which this process can be started again.
    pub program: Vec<OsString>,
}

/// Why a container's process did not start or ended.
#[derive(Debug, thiserror::Error)]
pub enum PodExecError {
    /// The runtime ended while this process started.
    #[error("the runtime (process {parent}) is gone: pod-exec is started by `mesh up` and ends with it")]
    Orphan {
        /// The runtime's process id.
        parent: i32,
    },
    /// The system refused a step.
    #[error("{pod}: cannot {step}: {source}")]
    System {
        /// The pod.
        pod: String,
        /// The step.
        step: &'static str,
        /// The system's answer.
        source: Errno,
    },
    /// The image is not built in.
    #[error("{image}: no such built-in image")]
    UnknownImage {
        /// The image.
        image: String,
    },
    /// A variable cannot be read.
    #[error("{pod}: {reason}")]
    Environment {
        /// The pod.
        pod: String,
        /// The variable and what is wrong with it.
        reason: String,
    },
    /// No async runtime or signal handler.
    #[error("{pod}: cannot start: {source}")]
    Start {
        /// The pod.
        pod: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The app does not serve.
    #[error(transparent)]
    Serve(#[from] samples::ServeError),
}

/// Becomes the container's process: returns when the app was told to stop (SIGTERM) and has drained.
///
/// Must be called before the process starts a thread: the app runs on one single-threaded runtime of its own.
pub fn run(exec: &PodExec) -> Result<ExitCode, PodExecError> {
    confine(exec)?;
    if !exec.command.is_empty() {
        let launch = Launch { program: exec.program.clone(), pod: exec.pod.clone(), image: exec.image.clone() };
        return Ok(ExitCode::from(tools::main(&exec.command, &Files::of_environment(), &launch)));
    }
    let app = samples::resolve(&exec.image).ok_or_else(|| PodExecError::UnknownImage { image: exec.image.clone() })?;
    let refuse = |reason| PodExecError::Environment { pod: exec.pod.clone(), reason };
    let environment = Environment::parse(|name| std::env::var(name).ok()).map_err(refuse)?;
    let port = match std::env::var(PORT_VARIABLE) {
        Ok(text) => Some(text.parse().map_err(|_| refuse(format!("{PORT_VARIABLE} is {text:?}: expected a port")))?),
        Err(_) => None,
    };
    let no_start = |source| PodExecError::Start { pod: exec.pod.clone(), source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .thread_stack_size(256 << 10)
        .build()
        .map_err(no_start)?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate()).map_err(no_start)?;
        let mut serving = std::pin::pin!(samples::serve(app, port, AppContext::new(environment), stop.clone()));
        tokio::select! {
            served = serving.as_mut() => served?,
            _ = terminate.recv() => {
                stop.cancel();
                serving.await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn confine(exec: &PodExec) -> Result<(), PodExecError> {
    let refuse = |step| move |source| PodExecError::System { pod: exec.pod.clone(), step, source };
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(refuse("ask to end with the runtime"))?;
    if getppid().as_raw() != exec.parent {
        return Err(PodExecError::Orphan { parent: exec.parent });
    }
    match setsid() {
        // A process that already leads a group (started from a shell, by hand) keeps it.
        Ok(_) | Err(Errno::EPERM) => {}
        Err(source) => return Err(refuse("start a session")(source)),
    }
    prctl::set_no_new_privs().map_err(refuse("give up gaining privileges"))?;
    for (resource, limit) in LIMITS {
        let (_soft, hard) = getrlimit(resource).map_err(refuse("read a resource limit"))?;
        let limit = limit.min(hard);
        setrlimit(resource, limit, limit).map_err(refuse("set a resource limit"))?;
    }
    Ok(())
}

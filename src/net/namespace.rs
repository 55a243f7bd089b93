//! User and network namespaces of a pod's processes, without privilege.
//!
//! A child enters its namespaces between fork and exec, so the program that it becomes has never seen another network. It is
//! root there and nobody outside: inside, uid and gid 0 stand for the ids that started it.

use std::{
    fmt,
    io::{self, PipeWriter, Read},
    net::Ipv4Addr,
    num::NonZeroU16,
    os::fd::AsFd,
    process::{Command, Stdio},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sched::{CloneFlags, unshare},
    sys::stat::Mode,
    unistd::{Gid, Uid, write},
};

use super::{
    Capture, SetupError,
    netlink::Batch,
    sys::{self, BeforeExec},
};

const STEP_UNSHARE: &str = "make a user and a network namespace";
const STEP_MAP: &str = "map the user into its namespace";
/// Written by a probe that got through.
const DONE: &str = "done";
/// What a probe sets up: any address and port will do, since nobody connects.
const PROBE: Capture = Capture { pod: Ipv4Addr::new(10, 244, 0, 1), port: NonZeroU16::MIN, exempt_mark: None };
/// Longest report that a probe writes, in bytes.
const REPORT: u64 = 256;

/// Why this machine cannot give pods networks of their own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this machine cannot give pods networks of their own: {reason}")]
pub struct Unsupported {
    /// What was refused, and the switch that would allow it.
    pub reason: String,
}

/// Has every child of `command` start in a user and a network namespace of its own, where it has all capabilities and no
/// network yet ([`Capture::set_up`] makes one).
///
/// Not together with [`CommandExt::uid`](std::os::unix::process::CommandExt::uid): a process that has changed its user between
/// fork and exec may not map it. Where the machine refuses, spawning fails with the system's error; [`namespaces_supported`] says more.
pub fn isolate(command: &mut Command) {
    sys::before_exec(command, Entrance::new());
}

/// Whether [`isolate`] and [`Capture`] work here. Asks by trying, in a child that ends at once; takes a few milliseconds, and
/// blocks for that long.
///
/// # Errors
/// [`Unsupported`] names the step that was refused and the usual reason.
pub fn namespaces_supported() -> Result<(), Unsupported> {
    let unasked = |error: io::Error| Unsupported { reason: format!("it could not be tried: {error}") };
    let (mut reader, writer) = io::pipe().map_err(unasked)?;
    // The step refuses in any case, so that there is nothing to run.
    let mut command = Command::new("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sys::before_exec(&mut command, Probe { entrance: Entrance::new(), batches: PROBE.batches(), report: writer });
    let errno = match command.spawn() {
        Ok(mut child) => {
            child.wait().map_err(unasked)?;
            return Err(unasked(io::Error::other("the probe did not run")));
        }
        Err(error) => error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw),
    };
    // The pipe's other end is the command's; without it reading ends.
    drop(command);
    let mut report = String::new();
    reader.by_ref().take(REPORT).read_to_string(&mut report).map_err(unasked)?;
    match report.as_str() {
        DONE => Ok(()),
        "" => Err(unasked(io::Error::from(errno))),
        step => Err(Unsupported { reason: format!("it cannot {step}: {}{}", errno.desc(), advice(step, errno)) }),
    }
}

/// What usually stands behind a refusal.
fn advice(step: &str, errno: Errno) -> &'static str {
    match (step, errno) {
        (STEP_UNSHARE, Errno::ENOSPC) => " (sysctl user.max_user_namespaces or user.max_net_namespaces is too low)",
        (STEP_UNSHARE | STEP_MAP, Errno::EPERM | Errno::EACCES | Errno::EINVAL) => {
            " (user namespaces are switched off: see sysctl kernel.unprivileged_userns_clone, \
             kernel.apparmor_restrict_unprivileged_userns, and the container's seccomp profile)"
        }
        (STEP_UNSHARE, Errno::ENOSYS) => " (the kernel is built without namespaces)",
        (_, Errno::EPERM) => " (a security module keeps capabilities back inside user namespaces)",
        (_, Errno::EOPNOTSUPP | Errno::ENOENT | Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT) => {
            " (the kernel has no nf_tables nat: its modules nf_tables, nft_chain_nat and nft_redir must be loaded)"
        }
        _ => "",
    }
}

/// Entering the namespaces; everything it needs is made before the fork.
struct Entrance {
    uid_map: String,
    gid_map: String,
}

impl Entrance {
    fn new() -> Self {
        Self { uid_map: format!("0 {} 1", Uid::effective()), gid_map: format!("0 {} 1", Gid::effective()) }
    }

    fn enter(&self) -> Result<(), SetupError> {
        let failed = |step| move |errno| SetupError { step, errno };
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(failed(STEP_UNSHARE))?;
        // An unprivileged process may map its group only after it has given up changing groups (user_namespaces(7)).
        for (file, text) in [
            (c"/proc/self/setgroups", "deny"),
            (c"/proc/self/uid_map", self.uid_map.as_str()),
            (c"/proc/self/gid_map", self.gid_map.as_str()),
        ] {
            let file = open(file, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed(STEP_MAP))?;
            write(&file, text.as_bytes()).map_err(failed(STEP_MAP))?;
        }
        Ok(())
    }
}

impl BeforeExec for Entrance {
    fn run(&self) -> io::Result<()> {
        self.enter().map_err(|failure| io::Error::from_raw_os_error(failure.errno as i32))
    }
}

/// Entering, setting up, and telling how far it went; never becomes a program.
struct Probe {
    entrance: Entrance,
    batches: [Batch; 2],
    report: PipeWriter,
}

impl BeforeExec for Probe {
    fn run(&self) -> io::Result<()> {
        let outcome = self.entrance.enter().and_then(|()| self.batches.iter().try_for_each(Batch::send));
        let (text, errno) = match outcome {
            Ok(()) => (DONE, Errno::ECANCELED),
            Err(SetupError { step, errno }) => (step, errno),
        };
        // A report that cannot be written shows as an empty one.
        let _ = write(self.report.as_fd(), text.as_bytes());
        Err(io::Error::from_raw_os_error(errno as i32))
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}

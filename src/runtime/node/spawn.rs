//! Starts processes from one thread that lives as long as the node.
//!
//! The kernel sends a parent-death signal when the *thread* that started the child ends, and a thread of the async
//! runtime may end at any time; this one ends with the node.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Starts that may wait; more wait in the caller.
const QUEUE: usize = 64;

/// A process to start: nothing is inherited but what is named here.
#[derive(Debug)]
pub(super) struct Process {
    /// The program and its arguments.
    pub(super) command: Vec<OsString>,
    pub(super) env: Vec<(String, String)>,
    pub(super) directory: PathBuf,
    /// Whether somebody writes to its standard input; else it is empty.
    pub(super) input: bool,
}

struct Request {
    process: Process,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// Hands starts to the thread. The thread ends when the last clone is dropped, and with it every child still running.
#[derive(Clone)]
pub(super) struct Spawner {
    requests: mpsc::Sender<Request>,
}

impl Spawner {
    /// Starts the thread. Children are waited for on the async runtime that calls this.
    pub(super) fn start() -> io::Result<Self> {
        let (requests, mut queue) = mpsc::channel::<Request>(QUEUE);
        let runtime = Handle::current();
        std::thread::Builder::new().name("pod-spawner".to_owned()).stack_size(128 << 10).spawn(move || {
            while let Some(Request { process, reply }) = queue.blocking_recv() {
                let entered = runtime.enter();
                // A caller that is gone drops the child, which kills it.
                let _unwanted = reply.send(process.start());
                drop(entered);
            }
        })?;
        Ok(Self { requests })
    }

    /// Starts a process with its output piped; dropping the child kills it.
    pub(super) async fn spawn(&self, process: Process) -> io::Result<Child> {
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.requests.send(Request { process, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Process {
    fn start(self) -> io::Result<Child> {
        let (program, arguments) = self.command.split_first().ok_or_else(|| io::Error::other("no program to start"))?;
        Command::new(program)
            .arg0("mesh")
            .args(arguments)
            .env_clear()
            .envs(self.env)
            .current_dir(self.directory)
            .stdin(if self.input { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }
}

//! The threads that serve: one runtime each, nothing shared on the request path.
//!
//! A [`Workers`] hosts any number of proxies. Dropping it ends the threads, and with them whatever they still serve.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::{Arc, mpsc as ready};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use crate::proxy::exchange::Scratch;
use crate::proxy::http1::BufferPool;
use crate::proxy::limits;

/// Jobs that wait for one worker at most.
const MAX_WAITING_JOBS: usize = 4096;

/// What a worker is asked to do: start tasks of its own. It runs on the worker's thread and must not block.
type Job = Box<dyn FnOnce(&Rc<Worker>) + Send>;

/// A set of worker threads. Cheap to clone; the last clone ends them.
#[derive(Clone)]
pub struct Workers {
    threads: Arc<[Thread]>,
}

struct Thread {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` workers, at least one.
    pub fn new(count: usize) -> io::Result<Self> {
        let threads = (0..count.max(1)).map(Thread::start).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { threads: threads.into() })
    }

    /// How many there are.
    pub fn count(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.threads.len()).unwrap_or(NonZeroUsize::MIN)
    }

    /// Hands each worker the future that `make` makes for it, by the worker's number. The future is made and run there.
    pub(super) fn on_each<F>(&self, mut make: impl FnMut(usize) -> F) -> io::Result<()>
    where
        F: FnOnce(&Rc<Worker>) + Send + 'static,
    {
        for (number, thread) in self.threads.iter().enumerate() {
            let job = make(number);
            let sent = thread.jobs.as_ref().map(|jobs| jobs.try_send(Box::new(job)));
            if !matches!(sent, Some(Ok(()))) {
                return Err(io::Error::other(format!(
                    "worker {number} takes no more proxies: its thread has ended or is stuck"
                )));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("count", &self.count()).finish()
    }
}

impl Thread {
    fn start(number: usize) -> io::Result<Self> {
        let (jobs, receiver) = mpsc::channel(MAX_WAITING_JOBS);
        let (started, start) = ready::sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("mesh-worker-{number}")).spawn(move || {
            let built = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let runtime = match built {
                Ok(runtime) => runtime,
                Err(error) => {
                    // Whoever started the thread waits for this, or is gone.
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let _ = started.send(Ok(()));
            runtime.block_on(run(Rc::new(Worker::new(number)), receiver));
        })?;
        match start.recv() {
            Ok(Ok(())) => Ok(Self { jobs: Some(jobs), thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other(format!("worker {number} ended while it started"))),
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A worker that panicked outside a connection has said so already.
            let _ = thread.join();
        }
    }
}

async fn run(worker: Rc<Worker>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        job(&worker);
    }
}

/// Starts a task on the worker's own runtime. Must be called on a worker's thread.
pub(super) fn spawn(future: impl Future<Output = ()> + 'static) {
    tokio::task::spawn_local(future);
}

/// What the connections of one worker share.
pub struct Worker {
    /// Its number.
    pub number: usize,
    /// Buffers that nobody uses at the moment.
    pub buffers: BufferPool,
    /// Tables that nobody uses at the moment. Boxed, so that a connection's task holds a pointer and not the tables.
    #[allow(clippy::vec_box, reason = "a box goes in and comes out, its content stays where it is")]
    pub(super) scratch: RefCell<Vec<Box<Scratch>>>,
    random: Cell<u64>,
}

impl Worker {
    pub(super) fn new(number: usize) -> Self {
        // The standard library's hash keys come from the operating system's source of randomness.
        let seed = RandomState::new().hash_one(number);
        Self { number, buffers: BufferPool::default(), scratch: RefCell::default(), random: Cell::new(seed) }
    }

    /// One whose draws are always the same.
    #[cfg(test)]
    pub(super) fn seeded(seed: u64) -> Self {
        Self { random: Cell::new(seed), ..Self::new(0) }
    }

    /// Takes tables back, unless there are enough, or these have grown large.
    pub(super) fn keep(&self, scratch: Box<Scratch>) {
        let mut kept = self.scratch.borrow_mut();
        if kept.len() < limits::SPARE_BUFFERS && scratch.is_modest() {
            kept.push(scratch);
        }
    }

    /// A uniformly distributed number (SplitMix64). Good for draws and request ids, not for secrets.
    pub fn draw(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("number", &self.number).finish_non_exhaustive()
    }
}

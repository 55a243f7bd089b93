//! Container logs: bounded files on disk, read by `kubectl logs`.
//!
//! A line is stored as Kubernetes' container runtimes store it (`time stream F text`), so that times can be shown. A
//! log is at most two files of [`FILE_LIMIT`]; the older one is dropped when the newer one is full. A pod's logs go
//! when the pod goes.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

use crate::runtime::apiserver::{LogOptions, LogStream, PodLogs as ServedLogs};

/// Largest size of one log file, in bytes.
pub const FILE_LIMIT: u64 = 1 << 20;
/// Longest line kept as one; the rest of a longer line follows as a line of its own.
const LINE_LIMIT: usize = 16 * 1024;
const CURRENT: &str = "0.log";
const OLDER: &str = "0.log.1";

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No such pod on this node, or it has not started.
    #[error("pod {namespace}/{name} has no logs on this node; it has not started, or was deleted")]
    NoPod {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// The pod has no such container.
    #[error("container {container} is not valid for pod {pod}; it has {known}")]
    NoContainer {
        /// The pod.
        pod: String,
        /// What was asked for.
        container: String,
        /// The containers that have logs.
        known: String,
    },
    /// The pod has several containers and none was named.
    #[error("a container name must be specified for pod {pod}, choose one of: [{known}]")]
    Ambiguous {
        /// The pod.
        pod: String,
        /// The containers that have logs.
        known: String,
    },
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
}

/// What part of a log to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogQuery {
    /// Wait for further lines until the container's run has ended.
    pub follow: bool,
    /// Only the last lines.
    pub tail_lines: Option<usize>,
    /// Put each line's time before it.
    pub timestamps: bool,
    /// Only what was written then or later.
    pub since: Option<Timestamp>,
    /// Only what was written before.
    pub until: Option<Timestamp>,
}

/// Where a follower is: the file's generation, and whether somebody still writes; each change wakes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    generation: u64,
    lines: u64,
    open: bool,
}

#[derive(Debug, Clone)]
struct Log {
    directory: PathBuf,
    progress: Arc<watch::Sender<Progress>>,
    /// When the container's last run, and the one before it, began.
    runs: Arc<Mutex<(Option<Timestamp>, Option<Timestamp>)>>,
}

#[derive(Debug, Default)]
struct PodLogs {
    uid: String,
    containers: Vec<(String, Log)>,
}

/// The logs of a node's pods.
#[derive(Debug)]
pub struct LogStore {
    root: PathBuf,
    pods: Mutex<HashMap<(String, String), PodLogs>>,
}

impl LogStore {
    /// Logs below `root`, which is made (0700) where it is missing.
    pub fn open(root: impl Into<PathBuf>) -> Result<Arc<Self>, LogError> {
        let root = root.into();
        make_private(&root).map_err(|source| io_error(&root, source))?;
        Ok(Arc::new(Self { root, pods: Mutex::default() }))
    }

    /// The logs, as the API server asks for them.
    pub fn reader(self: &Arc<Self>) -> LogReader {
        LogReader { logs: Arc::clone(self) }
    }

    /// The log of a container's next run, appended to what earlier runs of the same pod wrote.
    pub(super) fn writer(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        container: &str,
    ) -> Result<LogWriter, LogError> {
        let log = self.log(namespace, name, uid, container);
        make_private(&log.directory).map_err(|source| io_error(&log.directory, source))?;
        let mut runs = log.runs.lock();
        *runs = (Some(Timestamp::now()), runs.0);
        drop(runs);
        log.progress.send_modify(|progress| progress.open = true);
        Ok(LogWriter { log, file: None, size: 0, lost: 0 })
    }

    /// Makes what the containers of a pod wrote under an earlier runtime readable; none of them runs again.
    pub(super) fn remember<'a>(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        containers: impl Iterator<Item = &'a str>,
    ) {
        for container in containers {
            self.log(namespace, name, uid, container);
        }
    }

    /// A container's log, which nobody writes yet where it is new.
    fn log(&self, namespace: &str, name: &str, uid: &str, container: &str) -> Log {
        let mut pods = self.pods.lock();
        let pod = pods.entry((namespace.to_owned(), name.to_owned())).or_default();
        if pod.uid != uid {
            *pod = PodLogs { uid: uid.to_owned(), containers: Vec::new() };
        }
        if let Some((_, log)) = pod.containers.iter().find(|(known, _)| known == container) {
            return log.clone();
        }
        let (progress, _) = watch::channel(Progress { generation: 0, lines: 0, open: false });
        let directory = self.root.join(format!("{namespace}_{name}_{uid}")).join(container);
        let log = Log { directory, progress: Arc::new(progress), runs: Arc::default() };
        pod.containers.push((container.to_owned(), log.clone()));
        log
    }

    /// The log of a container that is no process of its own, as something to write whole lines into.
    pub fn sink(&self, namespace: &str, name: &str, uid: &str, container: &str) -> Result<LogSink, LogError> {
        self.writer(namespace, name, uid, container).map(|writer| LogSink { writer })
    }

    /// Forgets a pod and deletes its files; followers end.
    pub(super) fn remove(&self, namespace: &str, name: &str, uid: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let mut pods = self.pods.lock();
        if pods.get(&key).is_some_and(|pod| pod.uid == uid)
            && let Some(pod) = pods.remove(&key)
        {
            for (_, log) in pod.containers {
                log.progress.send_modify(|progress| progress.open = false);
            }
        }
        drop(pods);
        remove_directory(&self.root.join(format!("{namespace}_{name}_{uid}")));
    }

    /// Deletes the files of pods whose uid is not among `alive`: they were deleted while no runtime was up.
    pub(super) fn retain(&self, alive: impl Fn(&str) -> bool) {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let uid = name.to_str().and_then(|name| name.rsplit('_').next());
            if uid.is_some_and(|uid| !alive(uid)) {
                remove_directory(&entry.path());
            }
        }
    }

    /// Reads the log of a pod's container; the container may be left out where the pod has one.
    pub fn read(
        &self,
        namespace: &str,
        name: &str,
        container: Option<&str>,
        query: LogQuery,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, LogError> {
        let log = self.find(namespace, name, container)?;
        let mut changes = log.progress.subscribe();
        let generation = changes.borrow_and_update().generation;
        let (stored, position) = log.stored().map_err(|source| io_error(&log.directory, source))?;
        let stored = between(&stored, query.since, query.until);
        let first = Bytes::from(render(&last_lines(&stored, query.tail_lines), query.timestamps));
        let head = stream::iter((!first.is_empty()).then_some(Ok(first)));
        if !query.follow {
            return Ok(head.boxed());
        }
        let follower = Follower { log, changes, generation, position, query };
        Ok(head.chain(stream::unfold(follower, Follower::next)).boxed())
    }

    /// When the last run of a container began, and the one before it.
    fn runs(&self, namespace: &str, name: &str, container: &str) -> (Option<Timestamp>, Option<Timestamp>) {
        self.find(namespace, name, Some(container)).map_or((None, None), |log| *log.runs.lock())
    }

    fn find(&self, namespace: &str, name: &str, container: Option<&str>) -> Result<Log, LogError> {
        let pods = self.pods.lock();
        let pod = pods
            .get(&(namespace.to_owned(), name.to_owned()))
            .ok_or_else(|| LogError::NoPod { namespace: namespace.to_owned(), name: name.to_owned() })?;
        let known = || pod.containers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        match (container, pod.containers.as_slice()) {
            (None, [(_, only)]) => Ok(only.clone()),
            (None, _) => Err(LogError::Ambiguous { pod: name.to_owned(), known: known() }),
            (Some(wanted), containers) => {
                containers.iter().find(|(name, _)| name == wanted).map(|(_, log)| log.clone()).ok_or_else(|| {
                    LogError::NoContainer { pod: name.to_owned(), container: wanted.to_owned(), known: known() }
                })
            }
        }
    }
}

/// The logs, as the API server asks for them.
#[derive(Debug)]
pub struct LogReader {
    logs: Arc<LogStore>,
}

impl ServedLogs for LogReader {
    fn open(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        options: LogOptions,
    ) -> BoxFuture<'static, io::Result<LogStream>> {
        let (last, before) = self.logs.runs(namespace, pod, container);
        let asked = options.since_seconds.and_then(|seconds| {
            Timestamp::now().checked_sub(SignedDuration::from_secs(i64::try_from(seconds).ok()?)).ok()
        });
        let (run, until) = if options.previous { (before, last) } else { (last, None) };
        let query = LogQuery {
            follow: options.follow && !options.previous,
            tail_lines: options.tail.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX)),
            timestamps: options.timestamps,
            since: asked.max(run),
            until,
        };
        let opened = match options.previous && before.is_none() {
            true => Err(io::Error::other("previous terminated container not found")),
            false => self.logs.read(namespace, pod, Some(container), query).map_err(io::Error::other),
        };
        let mut left = options.limit_bytes.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let limited = move |piece: io::Result<Bytes>| {
            let piece = piece.map(|bytes| bytes.slice(..bytes.len().min(left)));
            left -= piece.as_ref().map_or(0, Bytes::len);
            let ended = matches!(&piece, Ok(bytes) if bytes.is_empty());
            std::future::ready((!ended).then_some(piece))
        };
        let opened = opened.map(|stream| {
            stream
                .scan((), {
                    let mut limited = limited;
                    move |(), piece| limited(piece)
                })
                .boxed()
        });
        Box::pin(std::future::ready(opened.map(|stream| -> LogStream { stream })))
    }
}

impl Log {
    /// Everything stored, and how much of the current file that covers.
    fn stored(&self) -> io::Result<(Vec<u8>, u64)> {
        let mut text = read_or_empty(&self.directory.join(OLDER))?;
        let current = read_or_empty(&self.directory.join(CURRENT))?;
        let complete = current.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        text.extend(current.into_iter().take(complete));
        Ok((text, complete as u64))
    }
}

struct Follower {
    log: Log,
    changes: watch::Receiver<Progress>,
    generation: u64,
    position: u64,
    query: LogQuery,
}

impl Follower {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            let progress = *self.changes.borrow_and_update();
            match self.read_on(progress.generation) {
                Ok(text) if text.is_empty() => {}
                Ok(text) => {
                    let shown = render(&text, self.query.timestamps);
                    return Some((Ok(Bytes::from(shown)), self));
                }
                Err(_) if !progress.open => return None,
                Err(error) => return Some((Err(error), self)),
            }
            if !progress.open || self.changes.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Whole lines after the position; the rest of a rotated file first.
    fn read_on(&mut self, generation: u64) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        if generation != self.generation {
            // More than one rotation since the last look: what lay between is gone.
            if generation == self.generation + 1 {
                read_from(&self.log.directory.join(OLDER), self.position, &mut text)?;
            } else {
                read_from(&self.log.directory.join(OLDER), 0, &mut text)?;
            }
            (self.generation, self.position) = (generation, 0);
        }
        let before = text.len();
        read_from(&self.log.directory.join(CURRENT), self.position, &mut text)?;
        let fresh = text.get(before..).unwrap_or_default();
        let complete = fresh.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.position += complete as u64;
        text.truncate(before + complete);
        Ok(text)
    }
}

/// Appends to one container's log.
#[derive(Debug)]
pub(super) struct LogWriter {
    log: Log,
    file: Option<File>,
    size: u64,
    /// Lines that could not be written since the last one that was.
    lost: u64,
}

impl Drop for LogWriter {
    /// Who follows a run ends with it, as with kubelet.
    fn drop(&mut self) {
        self.log.progress.send_modify(|progress| progress.open = false);
    }
}

impl LogWriter {
    /// Copies `stdout` and `stderr` into the log until both end. A line that cannot be written is lost: a full disk is no reason for
    /// an app to find its output closed.
    pub(super) async fn pump(
        mut self,
        stdout: impl AsyncRead + Unpin,
        stderr: impl AsyncRead + Unpin,
    ) -> io::Result<()> {
        let mut stdout = Lines::new(stdout);
        let mut stderr = Lines::new(stderr);
        while !(stdout.ended && stderr.ended) {
            let (stream, line) = tokio::select! {
                line = stdout.next(), if !stdout.ended => ("stdout", line?),
                line = stderr.next(), if !stderr.ended => ("stderr", line?),
            };
            self.keep(stream, &line);
        }
        Ok(())
    }

    /// Writes one line, after a word about those that were lost before it; or loses it.
    fn keep(&mut self, stream: &str, line: &[u8]) {
        if self.lost > 0 {
            let note = format!("[lines that could not be written to this log: {}]\n", self.lost);
            if self.write("stderr", note.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
        if let Err(error) = self.write(stream, line) {
            if self.lost == 0 {
                tracing::warn!(log = %self.log.directory.display(), %error, "lines of a container's log are lost");
            }
            self.lost += 1;
            // What was written of it must not run into the next line.
            if let Some(file) = self.file.take() {
                let _cut = file.set_len(self.size);
            }
        }
    }

    /// Writes one line. The write goes to the page cache and is a few hundred bytes: handing it to another thread
    /// would cost more than it.
    fn write(&mut self, stream: &str, line: &[u8]) -> io::Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        let mut entry = format!("{:.9} {stream} F ", Timestamp::now()).into_bytes();
        entry.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        entry.push(b'\n');
        if self.size + entry.len() as u64 > FILE_LIMIT && self.file.take().is_some() {
            fs::rename(self.log.directory.join(CURRENT), self.log.directory.join(OLDER))?;
            self.log.progress.send_modify(|progress| progress.generation += 1);
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().create(true).append(true).open(self.log.directory.join(CURRENT))?;
                self.size = file.metadata()?.len();
                self.file.insert(file)
            }
        };
        file.write_all(&entry)?;
        self.size += entry.len() as u64;
        self.log.progress.send_modify(|progress| progress.lines += 1);
        Ok(())
    }
}

/// A log that is written from within the process. What is written at once ends with a line's end.
#[derive(Debug)]
pub struct LogSink {
    writer: LogWriter,
}

impl Write for LogSink {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            self.writer.write("stdout", line)?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines of bounded length.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(1024, reader), line: Vec::new(), ended: false }
    }

    /// The next line; what was read so far survives a dropped call. Empty at the end.
    async fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                self.ended = true;
                return Ok(std::mem::take(&mut self.line));
            }
            let newline = available.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let take = newline.unwrap_or(available.len());
            self.line.extend(available.iter().take(take));
            self.reader.consume(take);
            if newline.is_some() || self.line.len() >= LINE_LIMIT {
                return Ok(std::mem::take(&mut self.line));
            }
        }
    }
}

fn read_or_empty(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

fn read_from(path: &Path, position: u64, text: &mut Vec<u8>) -> io::Result<()> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    file.seek(SeekFrom::Start(position))?;
    file.take(2 * FILE_LIMIT).read_to_end(text)?;
    Ok(())
}

/// The stored lines of a span of time.
fn between(stored: &[u8], since: Option<Timestamp>, until: Option<Timestamp>) -> Vec<u8> {
    // Times are written in one width: their order is that of their text.
    let text = |time: Timestamp| format!("{time:.9}").into_bytes();
    let (since, until) = (since.map(text), until.map(text));
    let fits = |line: &&[u8]| {
        let time = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        since.as_deref().is_none_or(|since| time >= since) && until.as_deref().is_none_or(|until| time < until)
    };
    stored.split_inclusive(|byte| *byte == b'\n').filter(fits).flatten().copied().collect()
}

fn last_lines(text: &[u8], count: Option<usize>) -> Vec<u8> {
    let Some(count) = count else { return text.to_vec() };
    let lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().flatten().copied().collect()
}

/// Stored lines as a reader sees them: without stream and tag, and without time unless asked for.
fn render(stored: &[u8], timestamps: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(stored.len());
    for line in stored.split_inclusive(|byte| *byte == b'\n') {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(time), Some(_stream), Some(_tag), Some(text)) => {
                if timestamps {
                    out.extend_from_slice(time);
                    out.push(b' ');
                }
                out.extend_from_slice(text);
            }
            _ => out.extend_from_slice(line),
        }
    }
    out
}

pub(super) fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes what a pod left behind. A failure leaves files that the next start of the node removes.
pub(super) fn remove_directory(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove a pod's directory");
    }
}

fn io_error(path: &Path, source: io::Error) -> LogError {
    LogError::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn text(stream: BoxStream<'static, io::Result<Bytes>>) -> String {
        let parts: Vec<_> = stream.map(|part| String::from_utf8(part.unwrap().to_vec()).unwrap()).collect().await;
        parts.concat()
    }

    #[tokio::test]
    async fn what_a_container_wrote_is_read_back_by_lines() {
        let root = tempfile::tempdir().unwrap();
        let store = LogStore::open(root.path()).unwrap();
        let writer = store.writer("default", "web", "u1", "app").unwrap();
        writer.pump(&b"one\ntwo\nlast"[..], &b""[..]).await.unwrap();
        let read = |query| store.read("default", "web", None, query).unwrap();
        assert_eq!(text(read(LogQuery::default())).await, "one\ntwo\nlast\n");
        assert_eq!(text(read(LogQuery { tail_lines: Some(1), ..LogQuery::default() })).await, "last\n");
        let timed = text(read(LogQuery { tail_lines: Some(1), timestamps: true, ..LogQuery::default() })).await;
        let (time, line) = timed.split_once(' ').unwrap();
        assert!(time.parse::<Timestamp>().is_ok() && line == "last\n", "{timed}");
    }

    #[tokio::test]
    async fn lines_that_cannot_be_written_are_counted_and_end_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = LogStore::open(root.path()).unwrap();
        let writer = store.writer("default", "web", "u1", "app").unwrap();
        let directory = root.path().join("default_web_u1");
        fs::rename(&directory, root.path().join("away")).unwrap();
        let (mut app, stdout) = tokio::io::duplex(64);
        let pumping = tokio::spawn(writer.pump(stdout, &b""[..]));
        let line = [b'x'; 63];
        for _ in 0..2 {
            app.write_all(&line).await.unwrap();
            app.write_all(b"\n").await.unwrap();
        }
        // More than the pipe holds: what came before was read.
        app.write_all(&line).await.unwrap();
        fs::rename(root.path().join("away"), &directory).unwrap();
        app.write_all(b"\nlast\n").await.unwrap();
        drop(app);
        pumping.await.unwrap().unwrap();
        let log = text(store.read("default", "web", None, LogQuery::default()).unwrap()).await;
        assert!(log.contains("could not be written") && log.ends_with("last\n"), "{log}");
    }

    #[tokio::test]
    async fn what_an_earlier_runtime_kept_is_readable() {
        let root = tempfile::tempdir().unwrap();
        let writer = LogStore::open(root.path()).unwrap().writer("default", "job", "u1", "app").unwrap();
        writer.pump(&b"done\n"[..], &b""[..]).await.unwrap();
        let store = LogStore::open(root.path()).unwrap();
        store.remember("default", "job", "u1", ["app"].into_iter());
        let query = LogQuery { follow: true, ..LogQuery::default() };
        assert_eq!(text(store.read("default", "job", None, query).unwrap()).await, "done\n");
    }

    #[tokio::test]
    async fn each_run_has_its_own_log() {
        let root = tempfile::tempdir().unwrap();
        let store = LogStore::open(root.path()).unwrap();
        let reader = store.reader();
        let read = async |options: LogOptions| match reader.open("default", "web", "app", options).await {
            Ok(stream) => text(stream.boxed()).await,
            Err(error) => error.to_string(),
        };
        let previous = LogOptions { previous: true, ..LogOptions::default() };
        store.writer("default", "web", "u1", "app").unwrap().write("stdout", b"first\n").unwrap();
        assert!(read(previous.clone()).await.contains("not found"));
        store.writer("default", "web", "u1", "app").unwrap().write("stdout", b"second\n").unwrap();
        assert_eq!(read(LogOptions::default()).await, "second\n");
        assert_eq!(read(previous).await, "first\n");
        assert_eq!(read(LogOptions { limit_bytes: Some(3), ..LogOptions::default() }).await, "sec");
    }

    #[tokio::test]
    async fn a_follower_sees_lines_across_a_rotation_and_ends_with_the_pod() {
        let root = tempfile::tempdir().unwrap();
        let store = LogStore::open(root.path()).unwrap();
        let mut writer = store.writer("default", "web", "u1", "app").unwrap();
        writer.write("stdout", b"first\n").unwrap();
        let mut follower =
            store.read("default", "web", None, LogQuery { follow: true, ..LogQuery::default() }).unwrap();
        assert_eq!(follower.next().await.unwrap().unwrap(), "first\n");
        writer.write("stdout", b"second\n").unwrap();
        writer.size = FILE_LIMIT;
        writer.write("stdout", b"third\n").unwrap();
        assert_eq!(follower.next().await.unwrap().unwrap(), "second\nthird\n");
        store.remove("default", "web", "u1");
        assert!(follower.next().await.is_none());
        assert!(store.read("default", "web", None, LogQuery::default()).is_err());
    }

    #[tokio::test]
    async fn a_follower_ends_with_the_run_and_the_next_run_has_followers_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let store = LogStore::open(root.path()).unwrap();
        let follow = || store.read("default", "web", None, LogQuery { follow: true, ..LogQuery::default() }).unwrap();
        let mut writer = store.writer("default", "web", "u1", "app").unwrap();
        writer.write("stdout", b"first\n").unwrap();
        let follower = follow();
        drop(writer);
        assert_eq!(text(follower).await, "first\n");
        let mut writer = store.writer("default", "web", "u1", "app").unwrap();
        let mut follower = follow();
        assert_eq!(follower.next().await.unwrap().unwrap(), "first\n");
        writer.write("stdout", b"second\n").unwrap();
        assert_eq!(follower.next().await.unwrap().unwrap(), "second\n");
    }

    #[tokio::test]
    async fn a_log_stays_within_two_files() {
        let root = tempfile::tempdir().unwrap();
        let store = LogStore::open(root.path()).unwrap();
        let mut writer = store.writer("default", "web", "u1", "app").unwrap();
        let line = vec![b'x'; LINE_LIMIT];
        for _ in 0..(4 * FILE_LIMIT / LINE_LIMIT as u64) {
            writer.write("stdout", &line).unwrap();
        }
        let directory = root.path().join("default_web_u1").join("app");
        let sizes: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().all(|size| *size <= FILE_LIMIT), "{sizes:?}");
    }

    #[test]
    fn a_pod_of_several_containers_wants_a_name() {
        let root = tempfile::tempdir().unwrap();
        let store = LogStore::open(root.path()).unwrap();
        store.writer("default", "web", "u1", "a").unwrap();
        store.writer("default", "web", "u1", "b").unwrap();
        let read = |container| store.read("default", "web", container, LogQuery::default()).err().unwrap().to_string();
        assert!(read(None).contains("choose one of: [a, b]"));
        assert!(read(Some("c")).contains("container c is not valid"));
    }

    #[test]
    fn logs_of_pods_that_are_gone_are_removed_at_start() {
        let root = tempfile::tempdir().unwrap();
        let store = LogStore::open(root.path()).unwrap();
        store.writer("default", "web", "u1", "a").unwrap();
        store.writer("default", "web2", "u2", "a").unwrap();
        store.retain(|uid| uid == "u2");
        assert!(!root.path().join("default_web_u1").exists());
        assert!(root.path().join("default_web2_u2").exists());
    }
}

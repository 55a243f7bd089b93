//! The thread that writes, and the handles that workers write into.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};

use super::record::{AccessLogFormat, AccessRecord};

/// Bytes that wait for the writer at most, per handle.
const MAX_WAITING: usize = 1 << 20;

/// How long the writer lets lines gather after the first, so that a busy proxy costs few writes.
const GATHER: Duration = Duration::from_millis(20);

/// Where the lines of one or more proxies go. Dropping it writes what waits and ends the thread.
pub struct AccessLog {
    shared: Arc<Shared>,
    format: AccessLogFormat,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    buffers: Vec<Arc<Mutex<String>>>,
    waiting: bool,
    ended: bool,
}

/// One worker's way into the log.
pub struct LogHandle {
    shared: Arc<Shared>,
    buffer: Arc<Mutex<String>>,
    format: AccessLogFormat,
    second: (u64, String),
}

impl AccessLog {
    /// Starts the thread that writes to `sink`. A sink that fails loses lines, nothing else.
    pub fn start(format: AccessLogFormat, sink: impl Write + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("mesh-access-log".into())
            .spawn(move || write_until_ended(&of_thread, sink))?;
        Ok(Self { shared, format, thread: Some(thread) })
    }

    /// A handle of its own for one worker.
    pub fn handle(&self) -> LogHandle {
        let buffer = Arc::new(Mutex::new(String::new()));
        self.shared.state.lock().buffers.push(buffer.clone());
        LogHandle { shared: self.shared.clone(), buffer, format: self.format, second: (0, String::new()) }
    }

    /// Lines lost so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("format", &self.format).finish_non_exhaustive()
    }
}

impl LogHandle {
    /// Appends a line; never waits for the sink.
    pub fn log(&mut self, record: &AccessRecord<'_>) {
        let start = timestamp(&mut self.second, record.start);
        let mut buffer = self.buffer.lock();
        if buffer.len() >= MAX_WAITING {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let first = buffer.is_empty();
        record.write(self.format, start, &mut buffer);
        drop(buffer);
        if first {
            self.shared.state.lock().waiting = true;
            self.shared.wake.notify_one();
        }
    }
}

/// `2026-11-23T09:00:00.123Z`. The text is kept with its second, because most lines share the part down to it.
fn timestamp((second, text): &mut (u64, String), time: SystemTime) -> &str {
    /// Bytes down to the second.
    const TO_SECOND: usize = "2026-11-23T09:00:00".len();
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if *second != since.as_secs() || text.is_empty() {
        let start = Timestamp::from_second(since.as_secs().try_into().unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH);
        (*second, *text) = (since.as_secs(), start.strftime("%Y-%m-%dT%H:%M:%S").to_string());
    }
    text.truncate(TO_SECOND);
    text.push('.');
    let milliseconds = since.subsec_millis();
    for place in [100, 10, 1] {
        text.push(char::from(b'0' + (milliseconds / place % 10) as u8));
    }
    text.push('Z');
    text
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").field("format", &self.format).finish_non_exhaustive()
    }
}

fn write_until_ended(shared: &Shared, mut sink: impl Write) {
    let mut told = 0;
    loop {
        let (buffers, ended) = {
            let mut state = shared.state.lock();
            while !state.waiting && !state.ended {
                shared.wake.wait(&mut state);
            }
            if !state.ended {
                // Only the end cuts the gathering short.
                shared.wake.wait_while_for(&mut state, |state| !state.ended, GATHER);
            }
            state.waiting = false;
            // A handle that is gone leaves the last reference to its buffer here; it is written once more and forgotten.
            let buffers = state.buffers.clone();
            state.buffers.retain(|buffer| Arc::strong_count(buffer) > 2);
            (buffers, state.ended)
        };
        for buffer in buffers {
            let lines = std::mem::take(&mut *buffer.lock());
            if !lines.is_empty() && sink.write_all(lines.as_bytes()).is_err() {
                shared.dropped.fetch_add(lines.lines().count() as u64, Ordering::Relaxed);
            }
        }
        let dropped = shared.dropped.load(Ordering::Relaxed);
        if dropped != told {
            tracing::warn!(lines = dropped - told, "access log lines were lost: the sink is too slow or failing");
            told = dropped;
        }
        // A sink that cannot be flushed has lost what it lost.
        let _ = sink.flush();
        if ended {
            return;
        }
    }
}

/// The current time as records want it.
impl AccessRecord<'_> {
    /// A record that starts now.
    pub fn now() -> Self {
        Self::new(SystemTime::now())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Channel(mpsc::Sender<Vec<u8>>);

    impl Write for Channel {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| std::io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Says that it was asked to write, and then waits to be let go.
    struct Stuck(mpsc::Sender<()>, mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // The other end is the test; when it is gone, nothing waits.
            let _ = self.0.send(());
            let _ = self.1.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_reach_the_sink_without_ending_the_log() {
        let (sender, receiver) = mpsc::channel();
        let log = AccessLog::start(AccessLogFormat::Text, Channel(sender)).expect("a thread");
        log.handle().log(&AccessRecord { code: 204, ..AccessRecord::new(SystemTime::UNIX_EPOCH) });
        let line = receiver.recv_timeout(Duration::from_secs(5)).expect("a line");
        assert!(line.starts_with(b"[1970-01-01T00:00:00.000Z] "), "{}", String::from_utf8_lossy(&line));
    }

    #[test]
    fn lines_say_when_to_the_millisecond() {
        let mut kept = (0, String::new());
        let mut at = |milliseconds| {
            timestamp(&mut kept, SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)).to_owned()
        };
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(7), "1970-01-01T00:00:00.007Z");
        assert_eq!(at(1_795_424_400_120), "2026-11-23T09:00:00.120Z");
        assert_eq!(at(1_795_424_400_999), "2026-11-23T09:00:00.999Z");
        assert_eq!(at(1_795_424_401_001), "2026-11-23T09:00:01.001Z");
    }

    #[test]
    fn a_stuck_sink_costs_lines_and_nothing_else() {
        let (writing, wrote) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let log = AccessLog::start(AccessLogFormat::Json, Stuck(writing, released)).expect("a thread");
        let mut handle = log.handle();
        handle.log(&AccessRecord::new(SystemTime::UNIX_EPOCH));
        wrote.recv_timeout(Duration::from_secs(5)).expect("the writer writes");
        let path = vec![b'a'; 64 * 1024];
        for _ in 0..40 {
            handle.log(&AccessRecord { path: &path, ..AccessRecord::new(SystemTime::UNIX_EPOCH) });
        }
        assert!(log.dropped() >= 20, "{}", log.dropped());
        drop(release);
        drop(log);
    }
}

//! Every limit of the API server, in one table.

use std::time::Duration;

/// Bytes of one request body; Kubernetes' own limit.
pub const REQUEST_BYTES: usize = 3 * 1024 * 1024;
/// Time a request body may take to arrive.
pub const REQUEST_TIME: Duration = Duration::from_secs(30);
/// Bytes of one stored object.
pub const OBJECT_BYTES: usize = 1536 * 1024;
/// Events a resource remembers for its watchers; a watcher further behind is cut with 410.
pub const RING_EVENTS: usize = 1024;
/// Bytes of objects a resource's ring keeps alive; it keeps [`RING_FLOOR`] events in any case.
pub const RING_BYTES: usize = 1024 * 1024;
/// Events a ring keeps however large they are.
pub const RING_FLOOR: usize = 32;
/// Events handed to a watcher at once.
pub const WATCH_BATCH: usize = 64;
/// Writes that wait for one disk commit at most.
pub const COMMIT_BATCH: usize = 256;
/// Writes that may be under way at one time; further ones wait.
pub const WRITES: usize = 1024;
/// Tries of a read-modify-write that nobody asked to be conditional.
pub const RETRIES: usize = 16;
/// Longest watch; clients are told to come back.
pub const WATCH_TIME: Duration = Duration::from_secs(30 * 60);
/// Interval of bookmarks on a quiet watch.
pub const BOOKMARK_TIME: Duration = Duration::from_secs(60);
/// How long an Event object is kept.
pub const EVENT_TIME: Duration = Duration::from_secs(3600);
/// Interval of the sweep that nothing triggered.
pub const SWEEP_TIME: Duration = Duration::from_secs(30);
/// Bytes of memory the database may use as cache.
pub const DISK_CACHE: usize = 1024 * 1024;
/// Largest number of JSON patch operations in one request; Kubernetes' own limit.
pub const JSON_PATCH_OPERATIONS: usize = 10_000;
/// Warnings in one answer.
pub const WARNINGS: usize = 32;
/// Sessions with pods (`exec`, `port-forward`) at one time; further ones wait.
pub const SESSIONS: usize = 128;
/// Longest life of a service account token, seconds.
pub const TOKEN_SECONDS: i64 = 48 * 3600;

/// How long a writer that is told of a conflict waits for the write that it conflicts with to be on the disk.
pub const SETTLE: Duration = Duration::from_secs(1);

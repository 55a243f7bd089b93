//! The shared Kubernetes client layer: which cluster is meant, and applying, deleting and waiting for objects there.
//!
//! It speaks to the built-in runtime and to any cluster in the same way. It guarantees that a failure is one sentence that names
//! the object, the server and what to do ([`Error`]), that a server that is not there is reported at once, and that every wait
//! has a bound. What a user wrote is sent as it is, by server-side apply under the field manager [`FIELD_MANAGER`].
//!
//! It refuses to print, to guess between two clusters when something is to be changed, and to write to a kubeconfig.

mod access;
mod apply;
mod connect;
mod error;
mod list;
mod lock;
mod object;
mod patch;
mod read;
mod ready;
mod streams;
mod table;
mod version;
mod wait;

pub use access::lacks;
pub use apply::{Applied, ApplyOptions, Deleted, Outcome, apply, delete};
pub use connect::{ConnectOptions, Connection, Environment, Target, connect};
pub use error::Error;
pub use list::{Selection, list};
pub use lock::{HELD_FOR, Lock, lock};
pub use object::ObjectRef;
pub use patch::{merge, merge_status};
pub use read::get;
pub use ready::{Readiness, readiness, wait_ready};
pub use streams::{ExecOptions, PortAnswer, ask_port, exec, forward};
pub use table::{LogOptions, ServerTable, follow_logs, logs, read_path, table};
pub use version::{ServerVersion, server_time, server_version};
pub use wait::wait_for;

/// Who mesh is in `managedFields`.
pub const FIELD_MANAGER: &str = "mesh";

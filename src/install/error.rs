//! What keeps a mesh from being installed, each as one sentence that says what to do.

use std::time::Duration;

use crate::install::Foreign;
use crate::kube::{self, ObjectRef};

/// Why something was not installed, or not removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that was written on the command line cannot be used.
    #[error("--set {text}: {reason}")]
    Assignment {
        /// What was written.
        text: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// A file is not settings.
    #[error("{place}: {reason}")]
    File {
        /// The file and the place in it.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no such profile.
    #[error("there is no profile {name:?}; there are {known}")]
    Profile {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A profile that asks for what mesh does not do.
    #[error("profile {name:?} installs ambient mode, which mesh does not have yet; use default, and sidecars")]
    Ambient {
        /// The name.
        name: String,
    },
    /// The settings are not sound; one line each.
    #[error("the settings can't be used: {}", .0.join("; "))]
    Settings(Vec<String>),
    /// A manifest of this program does not fit its settings.
    #[error("manifest {name} can't be rendered: {reason}; this is a fault of mesh, please report it")]
    Manifest {
        /// The manifest.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An overlay does not fit what it is laid over.
    #[error("overlay of {object}: {reason}")]
    Overlay {
        /// The object.
        object: String,
        /// What is wrong.
        reason: String,
    },
    /// There is an Istio that somebody else installed.
    #[error("{server} has an Istio that mesh did not install: {}; install beside it with --revision NAME, or take it over with --replace-istio", .found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Foreign {
        /// The server.
        server: String,
        /// What was found.
        found: Vec<Foreign>,
    },
    /// Nothing of mesh is installed, or not this revision.
    #[error("{server} has no mesh of revision {revision} that mesh installed; {known}")]
    NotInstalled {
        /// The server.
        server: String,
        /// The revision that was looked for.
        revision: String,
        /// What is there instead.
        known: String,
    },
    /// The cluster does not do what is asked.
    #[error(transparent)]
    Cluster(#[from] kube::Error),
    /// Whoever installs may not.
    #[error("{server} does not permit what an installation needs: {}; ask for these permissions, or use another context; nothing was changed", .missing.join(", "))]
    NotPermitted {
        /// The server.
        server: String,
        /// The permissions that are missing: verb, resource and namespace of each.
        missing: Vec<String>,
    },
    /// The lock was lost, so that somebody else may be at work.
    #[error(
        "{lease} on {server} could not be kept: somebody else may be installing; what was applied stays, and installing again goes on"
    )]
    Overtaken {
        /// The lock.
        lease: ObjectRef,
        /// The server.
        server: String,
    },
    /// Not everything was ready in time.
    #[error("not ready within {} s: {}", .bound.as_secs(), .waiting.join("; "))]
    NotReady {
        /// How long was waited.
        bound: Duration,
        /// What was not ready, and why.
        waiting: Vec<String>,
    },
    /// A tag cannot be set or is not there.
    #[error("{0}")]
    Tag(String),
}

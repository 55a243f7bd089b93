//! What can go wrong with a cluster, each as one sentence that names the object, the server and what to do.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{InClusterError, KubeconfigError};
use kube::core::Status;

use crate::kube::{Connection, ObjectRef};

/// A failure to talk to a cluster, or its refusal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing says which cluster is meant.
    #[error(
        "no cluster is known: there is no kubeconfig, and no built-in runtime is up; start one with `mesh up`, or name a cluster with --kubeconfig"
    )]
    NoTarget,
    /// Two clusters may be meant, and something is to be changed.
    #[error("both the default kubeconfig {} and a built-in runtime are there; say which is meant with --context or --runtime", .kubeconfig.display())]
    Ambiguous {
        /// The default kubeconfig.
        kubeconfig: PathBuf,
    },
    /// The built-in runtime was asked for and is not up.
    #[error("no built-in runtime is up ({} is not there); start one with `mesh up`", .kubeconfig.display())]
    NoRuntime {
        /// Where its kubeconfig would be.
        kubeconfig: PathBuf,
    },
    /// A kubeconfig cannot be read or does not say what is needed.
    #[error("the kubeconfig {path} cannot be used: {source}; correct it, or name another with --kubeconfig")]
    Kubeconfig {
        /// Where it is.
        path: String,
        /// Why not.
        source: KubeconfigError,
    },
    /// The service account of the pod around this process cannot be used.
    #[error(
        "the cluster around this process cannot be used: {source}; mount a service account token, or name a kubeconfig"
    )]
    InCluster {
        /// Why not.
        source: InClusterError,
    },
    /// The client for a cluster could not be made.
    #[error("a client for {server} cannot be made: {source}; check its certificates and credentials")]
    Client {
        /// The server.
        server: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The server does not answer.
    #[error("{server} cannot be reached: {reason}; check that it is up and that this is the cluster you mean")]
    Unreachable {
        /// The server.
        server: String,
        /// What happened on the way.
        reason: String,
    },
    /// The server does not know who we are.
    #[error("{server} does not accept these credentials: {message}; log in again, or name another context")]
    Unauthorized {
        /// The server.
        server: String,
        /// What the server said.
        message: String,
    },
    /// The server does not permit it.
    #[error("{server} does not permit this with {object}: {message}; ask for the permission, or use another context")]
    Forbidden {
        /// What it was about.
        object: String,
        /// The server.
        server: String,
        /// What the server said.
        message: String,
    },
    /// There is no such object, or its namespace is missing.
    #[error("{object} is not found on {server}: {message}; check its name and namespace")]
    NotFound {
        /// What it was about.
        object: String,
        /// The server.
        server: String,
        /// What the server said.
        message: String,
    },
    /// The server does not serve such objects.
    #[error(
        "{server} has no kind {kind} in {api_version}, which {object} is; install its CustomResourceDefinition first"
    )]
    UnknownKind {
        /// What it was about.
        object: String,
        /// Its `apiVersion`.
        api_version: String,
        /// Its kind.
        kind: String,
        /// The server.
        server: String,
    },
    /// Somebody else owns fields of the object.
    #[error("{object} conflicts with what others wrote: {message}; apply with force to take the fields over")]
    Conflict {
        /// What it was about.
        object: String,
        /// What the server said.
        message: String,
    },
    /// The server refuses the object.
    #[error("{server} refuses {object}: {message}")]
    Invalid {
        /// What it was about.
        object: String,
        /// The server.
        server: String,
        /// What the server said.
        message: String,
    },
    /// A webhook that the server has to ask does not answer.
    #[error(
        "{server} cannot ask a webhook about {object}: {message}; `mesh check` tries the mesh's webhooks and says what is in the way"
    )]
    Webhook {
        /// What it was about.
        object: String,
        /// The server.
        server: String,
        /// What the server said.
        message: String,
    },
    /// A manifest does not say what it is.
    #[error("an object without `{field}` cannot be applied; add the field")]
    Untyped {
        /// The field that is missing.
        field: &'static str,
    },
    /// A condition did not come to hold in time.
    #[error("{object} on {server} was not {condition} within {} s", .bound.as_secs_f32())]
    Timeout {
        /// What it was about.
        object: String,
        /// The server.
        server: String,
        /// What was waited for: `ready`, `gone`.
        condition: String,
        /// How long.
        bound: Duration,
    },
    /// Somebody else holds a lock.
    #[error("{object} on {server} is held by {holder} since {since}; wait until they are done, or look at the Lease")]
    Held {
        /// The lock.
        object: String,
        /// The server.
        server: String,
        /// Who holds it.
        holder: String,
        /// Since when.
        since: String,
    },
    /// Anything else.
    #[error("{server} answered for {object} with what cannot be used: {reason}")]
    Answer {
        /// What it was about.
        object: String,
        /// The server.
        server: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

impl Error {
    /// What the client library reports, about `object`.
    pub(super) fn of(error: kube::Error, object: &dyn ToString, connection: &Connection) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(*status, object, connection),
            kube::Error::HyperError(_) | kube::Error::Service(_) => {
                Self::Unreachable { server: connection.server.clone(), reason: innermost(&error) }
            }
            other => Self::Answer {
                object: object.to_string(),
                server: connection.server.clone(),
                reason: innermost(&other),
            },
        }
    }

    /// A refusal by the server.
    pub(super) fn of_status(status: Status, object: &dyn ToString, connection: &Connection) -> Self {
        let (object, server, message) = (object.to_string(), connection.server.clone(), status.message);
        match status.code {
            401 => Self::Unauthorized { server, message },
            403 => Self::Forbidden { object, server, message },
            404 => Self::NotFound { object, server, message },
            409 => Self::Conflict { object, message },
            400 | 413 | 415 | 422 => Self::Invalid { object, server, message },
            500 if message.contains("failed calling webhook") => {
                let message = message.trim_start_matches("Internal error occurred: ").to_owned();
                Self::Webhook { object, server, message }
            }
            code => Self::Answer { object, server, reason: format!("{code} {message}") },
        }
    }

    /// What looking for a kind reports: a group or kind that the server does not have is told from an object that is not there.
    pub(super) fn of_discovery(error: kube::Error, object: &ObjectRef, connection: &Connection) -> Self {
        let missing = match &error {
            kube::Error::Discovery(_) => true,
            kube::Error::Api(status) => status.code == 404,
            _ => false,
        };
        if missing {
            Self::UnknownKind {
                object: object.to_string(),
                api_version: object.api_version.clone(),
                kind: object.kind.clone(),
                server: connection.server.clone(),
            }
        } else {
            Self::of(error, object, connection)
        }
    }
}

/// The last link of a chain of causes: `Connection refused` rather than that the client failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

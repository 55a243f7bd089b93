//! The controllers of the built-in runtime: what kube-controller-manager does for the kinds that the runtime serves.
//!
//! Deployment → ReplicaSet → Pod, StatefulSet, DaemonSet, CronJob → Job → Pod, EndpointSlices of Services with a selector, the ServiceAccount `default` of every
//! namespace, and the emptying of namespaces that are deleted.
//!
//! Guarantees: every controller is level-triggered: it looks at what is there now, so it is right after a restart,
//! after missed events and after writes by others; it keeps no copies of objects; its queue holds a key once and is
//! bounded; a key that fails is tried again with growing pauses.
//! Refuses: to touch objects that another controller owns. Garbage collection by owner reference is the API server's.

mod cronjob;
mod daemonset;
mod deployment;
mod endpoints;
mod events;
mod job;
mod key;
mod load_balancer;
mod namespace;
mod pods;
mod queue;
mod replicaset;
mod rollout;
pub(in crate::runtime) mod schedule;
mod statefulset;
mod watch;

#[cfg(test)]
pub(in crate::runtime) mod fake_api;
#[cfg(test)]
mod tests;

use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The running controllers.
#[derive(Debug)]
pub struct Controllers {
    tasks: JoinSet<()>,
}

impl Controllers {
    /// Starts all controllers on the current async runtime; they end after `stop` was cancelled. `root_certificate` is what the API
    /// server's certificate is signed with, in PEM.
    pub fn start(client: &Client, root_certificate: &str, stop: &CancellationToken) -> Self {
        let mut tasks = JoinSet::new();
        deployment::start(client, stop, &mut tasks);
        replicaset::start(client, stop, &mut tasks);
        statefulset::start(client, stop, &mut tasks);
        daemonset::start(client, stop, &mut tasks);
        job::start(client, stop, &mut tasks);
        cronjob::start(client, stop, &mut tasks);
        endpoints::start(client, stop, &mut tasks);
        namespace::start(client, root_certificate, stop, &mut tasks);
        Self { tasks }
    }

    /// Waits until every controller has ended.
    pub async fn join(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a controller failed");
            }
        }
    }
}

//! Which of several control planes writes: the holder of a Lease.
//!
//! Every replica serves proxies and answers the API server; what is written once for all of them (deployments for Gateways,
//! statuses) is the leader's work. One that stops gives the Lease back, so that the next leads at once; one that dies, or that
//! the API server no longer hears, is followed after [`kube::HELD_FOR`], by when it has stopped by itself.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::kube::{self, Connection};

/// How long a replica that does not lead waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// How long giving the Lease back may take.
const RELEASE: Duration = Duration::from_secs(2);

/// A candidate for leading.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub lease: String,
    /// What the candidate is called, unlike all others: the name of its pod.
    pub name: String,
}

/// Does `work` whenever `candidate` leads, until `token` is cancelled. `work` is given a token of its own, which is cancelled when
/// it no longer leads; with no candidate there is nobody else, and it always does.
pub(super) async fn lead<W>(
    connection: &Connection,
    candidate: Option<Candidate>,
    token: CancellationToken,
    mut work: impl FnMut(CancellationToken) -> W,
) where
    W: Future<Output = ()>,
{
    let Some(Candidate { namespace, lease, name }) = candidate else { return work(token).await };
    loop {
        let locking = kube::lock(connection, &namespace, &lease, &name, |_| {});
        let mut lock = match token.run_until_cancelled(locking).await {
            None => return,
            Some(Ok(lock)) => lock,
            Some(Err(error)) => {
                match error {
                    kube::Error::Held { .. } => tracing::debug!(%error, "another control plane leads"),
                    error => tracing::warn!(%error, "nobody can be made leader; it is tried again"),
                }
                if token.run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await.is_none() {
                    return;
                }
                continue;
            }
        };
        tracing::info!(lease, "this control plane leads");
        let leading = token.child_token();
        tokio::select! {
            () = work(leading.clone()) => {}
            () = lock.lost() => tracing::warn!(lease, "this control plane leads no more"),
        }
        leading.cancel();
        if token.is_cancelled() {
            // What cannot be given back expires.
            let _ = tokio::time::timeout(RELEASE, lock.release()).await;
            return;
        }
    }
}

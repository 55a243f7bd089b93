//! A lock in the cluster: a Lease that names its holder, so that two installers do not work against each other.
//!
//! The holder renews it in the background; a holder that died loses it after [`HELD_FOR`]. Releasing deletes it. Who finds it
//! held waits until it is renewed, which says that the holder lives, or expires, which says that it does not.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::kube::{Connection, Error, FIELD_MANAGER};

/// How long a lock is held without being renewed.
pub const HELD_FOR: Duration = Duration::from_secs(15);

/// The longest that a lock is waited for, whatever its holder has written there.
const MAX_HELD_FOR: Duration = Duration::from_secs(60);

/// How often a lock that somebody holds is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A lock that is held; [`Lock::release`] gives it back, dropping it leaves it to expire.
#[derive(Debug)]
pub struct Lock {
    leases: Api<Lease>,
    name: String,
    holder: String,
    renewal: JoinHandle<()>,
}

/// Takes the lock `name` in `namespace` for `holder`. Where somebody holds it, `waiting` hears who, once, and it is waited for a
/// sign of their life, at most [`HELD_FOR`].
///
/// # Errors
/// [`Error::Held`] while somebody else holds it who is alive.
pub async fn lock(
    connection: &Connection,
    namespace: &str,
    name: &str,
    holder: &str,
    mut waiting: impl FnMut(&Error),
) -> Result<Lock, Error> {
    let leases: Api<Lease> = Api::namespaced(connection.client.clone(), namespace);
    let about = format!("Lease {namespace}/{name}");
    let failed = |error| Error::of(error, &about, connection);
    let held = |lease: Option<&Lease>| {
        let spec = lease.and_then(|lease| lease.spec.as_ref());
        let time = spec.and_then(|spec| spec.acquire_time.as_ref());
        Error::Held {
            object: about.clone(),
            server: connection.server.clone(),
            holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_else(|| "somebody".to_owned()),
            since: time.map_or_else(|| "just now".to_owned(), |MicroTime(time)| time.strftime("%H:%M:%SZ").to_string()),
        }
    };
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    // How old a lease is, is told by this machine's clock alone: its holder's may go differently.
    let mut first_seen: Option<(Lease, Instant)> = None;
    let taken = loop {
        let mut wanted = lease(namespace, name, holder, Timestamp::now(), Timestamp::now())
            .map_err(|error| failed(kube::Error::SerdeError(error)))?;
        match leases.get_opt(name).await.map_err(failed)? {
            None => break leases.create(&parameters, &wanted).await,
            Some(present) if holder_of(&present).is_some_and(|holder| !holder.is_empty()) && !expired(&first_seen) => {
                match &first_seen {
                    None => {
                        waiting(&held(Some(&present)));
                        first_seen = Some((present, Instant::now()));
                    }
                    // Its holder has renewed it, or somebody has taken it over.
                    Some((first, _)) if first.metadata.resource_version != present.metadata.resource_version => {
                        return Err(held(Some(&present)));
                    }
                    Some(_) => {}
                }
            }
            Some(present) => {
                // Whoever else takes it over at this moment makes the version differ.
                wanted.metadata.resource_version = present.metadata.resource_version;
                break leases.replace(name, &parameters, &wanted).await;
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    match taken {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let present = leases.get_opt(name).await.map_err(failed)?;
            return Err(held(present.as_ref()));
        }
        Err(error) => return Err(failed(error)),
    }
    let renewal = tokio::spawn(renew(leases.clone(), name.to_owned(), holder.to_owned()));
    Ok(Lock { leases, name: name.to_owned(), holder: holder.to_owned(), renewal })
}

impl Lock {
    /// Waits until the lock is lost: somebody else has taken it, or it could not be renewed for so long that somebody may.
    pub async fn lost(&mut self) {
        // A renewal that ended in any way renews no more.
        let _ = (&mut self.renewal).await;
    }

    /// Gives the lock back. One that somebody else has taken over meanwhile stays theirs.
    pub async fn release(self) {
        self.renewal.abort();
        let present = self.leases.get_opt(&self.name).await.ok().flatten();
        let Some(present) = present.filter(|lease| holder_of(lease) == Some(self.holder.as_str())) else { return };
        let preconditions =
            kube::api::Preconditions { resource_version: present.metadata.resource_version, uid: present.metadata.uid };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        // What cannot be deleted expires.
        let _ = self.leases.delete(&self.name, &parameters).await;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

fn holder_of(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

/// Whether a lease has been seen for as long as it lasts without being renewed.
fn expired(seen: &Option<(Lease, Instant)>) -> bool {
    let Some((lease, since)) = seen else { return false };
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
    let lasts = Duration::from_secs(u64::try_from(seconds).unwrap_or_default()).min(MAX_HELD_FOR);
    since.elapsed() >= lasts
}

fn lease(
    namespace: &str,
    name: &str,
    holder: &str,
    acquired: Timestamp,
    renewed: Timestamp,
) -> Result<Lease, serde_json::Error> {
    let time = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    serde_json::from_value(json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": HELD_FOR.as_secs(),
            "acquireTime": time(acquired),
            "renewTime": time(renewed),
        },
    }))
}

async fn renew(leases: Api<Lease>, name: String, holder: String) {
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(HELD_FOR / 5).await;
        // A renewal that fails is tried again with the next; a lock that is lost is not taken back.
        let tried = Instant::now();
        match tokio::time::timeout(HELD_FOR / 5, renew_once(&leases, &name, &holder)).await {
            Ok(Renewal::Lost) => return,
            Ok(Renewal::Done) => renewed = tried,
            Ok(Renewal::Failed) | Err(_) if renewed.elapsed() > HELD_FOR * 3 / 5 => return,
            Ok(Renewal::Failed) | Err(_) => {}
        }
    }
}

/// How an attempt to renew a lock ended.
enum Renewal {
    Done,
    Failed,
    Lost,
}

async fn renew_once(leases: &Api<Lease>, name: &str, holder: &str) -> Renewal {
    let mut present = match leases.get_opt(name).await {
        Ok(Some(present)) => present,
        Ok(None) => return Renewal::Lost,
        Err(_) => return Renewal::Failed,
    };
    if holder_of(&present) != Some(holder) {
        return Renewal::Lost;
    }
    if let Some(spec) = &mut present.spec {
        spec.renew_time = Some(MicroTime(Timestamp::now()));
    }
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match leases.replace(name, &parameters, &present).await {
        Ok(_) => Renewal::Done,
        Err(_) => Renewal::Failed,
    }
}

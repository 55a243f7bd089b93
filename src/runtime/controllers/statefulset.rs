//! StatefulSets: pods with names that stay, started in order and replaced from the last to the first.
//!
//! Claims (`volumeClaimTemplates`) are not provisioned: a pod that mounts one says so in its status.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, Volume};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::deployment::template_hash;
use super::key::{Key, owner_reference};
use super::pods::{self, Pods, REVISION, count, has_revision, is_ending, is_finished, is_ready};
use super::queue::{Next, Outcome};

/// Label that names a pod among its set's.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Label with its place.
const INDEX: &str = "apps.kubernetes.io/pod-index";

pub(super) fn start(client: &Client, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    pods::start::<StatefulSet, Pod, _, _>("StatefulSet", client, stop, tasks, reconcile);
}

async fn reconcile(client: Client, key: Key) -> Outcome {
    let sets = Api::<StatefulSet>::namespaced(client.clone(), &key.namespace);
    let Some(set) = sets.get_opt(&key.name).await? else { return Ok(Next::Change) };
    let Some(spec) = &set.spec else { return Ok(Next::Change) };
    let pods = Pods::new(client, &key.namespace, owner_reference("apps/v1", "StatefulSet", &set.metadata));
    let revision = format!("{}-{}", key.name, template_hash(&spec.template, 0));
    if set.metadata.deletion_timestamp.is_none() {
        step(&pods, &key, spec, &revision).await?;
    }
    let own = pods.list().await?;
    let updated = count(own.iter().filter(|pod| has_revision(pod, &revision)));
    let replicas = count(own.iter());
    let ready = count(own.iter().filter(|pod| is_ready(pod)));
    let before = set.status.clone().unwrap_or_default();
    let current = match before.current_revision.filter(|_| updated < replicas) {
        Some(current) => current,
        None => revision.clone(),
    };
    let status = StatefulSetStatus {
        available_replicas: Some(ready),
        ready_replicas: Some(ready),
        replicas,
        current_replicas: Some(count(own.iter().filter(|pod| has_revision(pod, &current)))),
        updated_replicas: Some(updated),
        current_revision: Some(current),
        update_revision: Some(revision),
        observed_generation: set.metadata.generation,
        collision_count: Some(0),
        ..StatefulSetStatus::default()
    };
    if set.status.as_ref() != Some(&status) {
        let patch = Patch::Merge(json!({ "status": status }));
        sets.patch_status(&key.name, &PatchParams::default(), &patch).await?;
    }
    Ok(Next::Change)
}

/// One step towards what is wanted.
async fn step(pods: &Pods, key: &Key, spec: &StatefulSetSpec, revision: &str) -> Result<(), kube::Error> {
    let first = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
    let wanted = first..first + spec.replicas.unwrap_or(1);
    let parallel = spec.pod_management_policy.as_deref() == Some("Parallel");
    let mut own: BTreeMap<i32, Pod> = BTreeMap::new();
    for pod in pods.list().await? {
        if let Some(ordinal) = ordinal(&key.name, pods::name(&pod)) {
            own.insert(ordinal, pod);
        }
    }
    for ordinal in wanted.clone() {
        match own.get(&ordinal) {
            None => {
                let name = format!("{}-{ordinal}", key.name);
                let labels = BTreeMap::from([
                    (REVISION.to_owned(), revision.to_owned()),
                    (POD_NAME.to_owned(), name.clone()),
                    (INDEX.to_owned(), ordinal.to_string()),
                ]);
                pods.create(&name, &spec.template, labels, |pod| identify(pod, &name, spec)).await?;
                if !parallel {
                    return Ok(());
                }
            }
            Some(pod) if is_finished(pod) && !is_ending(pod) => {
                pods.delete(pod).await?;
                return Ok(());
            }
            // The next one waits for this one.
            Some(pod) if !is_ready(pod) && !parallel => {
                let stale = !has_revision(pod, revision) && !is_ending(pod);
                return if stale && updates(spec, ordinal) { pods.delete(pod).await } else { Ok(()) };
            }
            Some(_) => {}
        }
    }
    if let Some((_, last)) = own.iter().rev().find(|(ordinal, _)| !wanted.contains(ordinal)) {
        return if is_ending(last) { Ok(()) } else { pods.delete(last).await };
    }
    // All are there and ready: the last outdated one is replaced.
    let outdated = own.iter().rev().find(|(ordinal, pod)| updates(spec, **ordinal) && !has_revision(pod, revision));
    match outdated {
        Some((_, pod)) if !is_ending(pod) && own.values().all(is_ready) => pods.delete(pod).await,
        _ => Ok(()),
    }
}

fn updates(spec: &StatefulSetSpec, ordinal: i32) -> bool {
    let strategy = spec.update_strategy.as_ref();
    let partition = strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition).unwrap_or(0);
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete") && ordinal >= partition
}

fn ordinal(set: &str, pod: &str) -> Option<i32> {
    pod.strip_prefix(set)?.strip_prefix('-')?.parse().ok()
}

/// What a pod of a set has of its own: its host name, the service that knows it, its claims.
fn identify(pod: &mut Pod, name: &str, spec: &StatefulSetSpec) {
    let Some(own) = &mut pod.spec else { return };
    own.hostname = Some(name.to_owned());
    own.subdomain = spec.service_name.clone();
    let volumes = own.volumes.get_or_insert_default();
    for claim in spec.volume_claim_templates.iter().flatten() {
        let volume = claim.metadata.name.clone().unwrap_or_default();
        volumes.retain(|known| known.name != volume);
        volumes.push(Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: format!("{volume}-{name}"),
                read_only: None,
            }),
            name: volume,
            ..Volume::default()
        });
    }
}

//! DaemonSets: one pod on every node, of which there is one here.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::deployment::template_hash;
use super::key::{Key, owner_reference};
use super::pods::{self, Pods, REVISION, count, has_revision, is_ending, is_finished, is_ready};
use super::queue::{Next, Outcome};
use crate::runtime::node::Placement;

/// How often it is looked whether a node fits now.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

pub(super) fn start(client: &Client, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    pods::start::<DaemonSet, Pod, _, _>("DaemonSet", client, stop, tasks, reconcile);
}

async fn reconcile(client: Client, key: Key) -> Outcome {
    let sets = Api::<DaemonSet>::namespaced(client.clone(), &key.namespace);
    let Some(set) = sets.get_opt(&key.name).await? else { return Ok(Next::Change) };
    let Some(spec) = &set.spec else { return Ok(Next::Change) };
    let nodes = Api::<Node>::all(client.clone());
    let pods = Pods::new(client, &key.namespace, owner_reference("apps/v1", "DaemonSet", &set.metadata));
    let mut own = pods.list().await?;
    let revision = template_hash(&spec.template, 0);
    let placement = spec.template.spec.as_ref().map(Placement::of).unwrap_or_default();
    let nodes = nodes.list(&ListParams::default()).await?;
    let wanted = count(nodes.iter().filter(|node| placement.selects(node))).min(1);
    if set.metadata.deletion_timestamp.is_none() {
        let on_delete = spec.update_strategy.as_ref().is_some_and(|s| s.type_.as_deref() == Some("OnDelete"));
        for pod in &own {
            // A daemon that ended is started anew; an outdated one is replaced.
            let outdated = !has_revision(pod, &revision) && !on_delete;
            if !is_ending(pod) && (is_finished(pod) || outdated || wanted == 0) {
                pods.delete(pod).await?;
            }
        }
        if own.is_empty() && wanted > 0 {
            let labels = BTreeMap::from([(REVISION.to_owned(), revision.clone())]);
            pods.create(&format!("{}-", key.name), &spec.template, labels, |_| {}).await?;
            own = pods.list().await?;
        }
    }
    let ready = count(own.iter().filter(|pod| is_ready(pod)));
    let scheduled = count(own.iter().filter(|pod| !is_ending(pod)));
    let status = DaemonSetStatus {
        current_number_scheduled: scheduled,
        desired_number_scheduled: wanted,
        number_ready: ready,
        number_available: Some(ready),
        number_unavailable: Some(wanted - ready.min(wanted)).filter(|missing| *missing > 0),
        updated_number_scheduled: Some(count(own.iter().filter(|pod| has_revision(pod, &revision)))),
        observed_generation: set.metadata.generation,
        ..DaemonSetStatus::default()
    };
    if set.status.as_ref() != Some(&status) {
        let patch = Patch::Merge(json!({ "status": status }));
        sets.patch_status(&key.name, &PatchParams::default(), &patch).await?;
    }
    // A node's labels may be changed, which is not watched.
    Ok(if wanted == 0 { Next::After(LOOK_AGAIN) } else { Next::Change })
}

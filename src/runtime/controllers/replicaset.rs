//! ReplicaSets: as many pods as wanted, from one template.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::events::FAILED_CREATE;
use super::key::{Key, controller_of, is_controlled_by, owner_reference, selects};
use super::pods::{Pods, count, is_ending, is_finished, phase, ready_since};
use super::queue::{Next, Outcome, ReconcileError, WorkQueue, work};
use super::watch::{Seen, watch};

/// Pods created or deleted in one go; the rest follows when these show up.
const BURST: usize = 50;

/// Condition of one whose pods are refused, and of its Deployment.
pub(super) const REPLICA_FAILURE: &str = "ReplicaFailure";

pub(super) fn start(client: &Client, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    let queue = WorkQueue::new();
    let mut sets = Box::pin(watch(Api::<ReplicaSet>::all(client.clone()), stop.clone()));
    let to_do = queue.clone();
    tasks.spawn(async move {
        while let Some(seen) = sets.next().await {
            if let Seen::There(set) | Seen::Gone(set) = seen {
                to_do.add(Key::of(&set.metadata)).await;
            }
        }
    });
    let mut pods = Box::pin(watch(Api::<Pod>::all(client.clone()), stop.clone()));
    let (to_do, every) = (queue.clone(), client.clone());
    tasks.spawn(async move {
        while let Some(seen) = pods.next().await {
            let affected = match seen {
                Seen::There(pod) | Seen::Gone(pod) => match controller_of(&pod.metadata) {
                    Some(_) => Ok(Key::of_owner(&pod.metadata, "ReplicaSet").into_iter().collect()),
                    None => interested_in(&every, &pod).await,
                },
                // Pods may have gone while the watch was down.
                Seen::Complete => keys(&Api::all(every.clone()), |_| true).await,
            };
            match affected {
                Ok(keys) => {
                    for key in keys {
                        to_do.add(key).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot list ReplicaSets to find those that a pod concerns"),
            }
        }
    });
    let client = client.clone();
    work("replicaset", &queue, stop, tasks, move |key| {
        let client = client.clone();
        async move { Reconciler::new(client, &key).reconcile(&key).await }
    });
}

/// ReplicaSets that could adopt a pod without a controller.
async fn interested_in(client: &Client, pod: &Pod) -> Result<Vec<Key>, kube::Error> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    keys(&Api::namespaced(client.clone(), namespace), |set| {
        set.spec.as_ref().is_some_and(|spec| selects(&spec.selector, pod.metadata.labels.as_ref()))
    })
    .await
}

async fn keys(api: &Api<ReplicaSet>, wanted: impl Fn(&ReplicaSet) -> bool) -> Result<Vec<Key>, kube::Error> {
    let list = api.list(&ListParams::default()).await?;
    Ok(list.iter().filter(|set| wanted(set)).map(|set| Key::of(&set.metadata)).collect())
}

struct Reconciler {
    client: Client,
    sets: Api<ReplicaSet>,
    pods: Api<Pod>,
}

impl Reconciler {
    fn new(client: Client, key: &Key) -> Self {
        Self {
            sets: Api::namespaced(client.clone(), &key.namespace),
            pods: Api::namespaced(client.clone(), &key.namespace),
            client,
        }
    }

    async fn reconcile(&self, key: &Key) -> Outcome {
        let Some(set) = self.sets.get_opt(&key.name).await? else { return Ok(Next::Change) };
        let incomplete = |field| ReconcileError::Incomplete { object: format!("ReplicaSet {key}"), field };
        let spec = set.spec.as_ref().ok_or_else(|| incomplete("spec"))?;
        let uid = set.metadata.uid.as_deref().ok_or_else(|| incomplete("metadata.uid"))?;
        let mut pods = self.pods_of(&set, spec, uid).await?;
        let own =
            Pods::new(self.client.clone(), &key.namespace, owner_reference("apps/v1", "ReplicaSet", &set.metadata));
        let mut refused = None;
        if set.metadata.deletion_timestamp.is_none() {
            let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
            if pods.len() < wanted {
                let missing = (wanted - pods.len()).min(BURST);
                let (name, template) = (format!("{}-", key.name), spec.template.clone().unwrap_or_default());
                for _ in 0..missing {
                    match own.create(&name, &template, BTreeMap::new(), |_| {}).await {
                        Ok(pod) => pods.extend(pod),
                        Err(error) => {
                            refused = Some(error);
                            break;
                        }
                    }
                }
            } else if pods.len() > wanted {
                pods.sort_by_key(order_of_removal);
                let surplus = (pods.len() - wanted).min(BURST);
                for pod in pods.drain(..surplus) {
                    own.delete(&pod).await?;
                }
            }
        }
        let next = self.write_status(&set, spec, &pods, refused.as_ref()).await?;
        refused.map_or(Ok(next), |error| Err(error.into()))
    }

    /// The living pods that this ReplicaSet controls. Matching orphans are adopted; pods that no longer match are
    /// released and live on without it.
    async fn pods_of(&self, set: &ReplicaSet, spec: &ReplicaSetSpec, uid: &str) -> Result<Vec<Pod>, kube::Error> {
        let going = set.metadata.deletion_timestamp.is_some();
        let mut pods = Vec::new();
        for pod in self.pods.list(&ListParams::default()).await? {
            let matches = selects(&spec.selector, pod.metadata.labels.as_ref());
            let owned = is_controlled_by(&pod.metadata, uid);
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            if owned && matches {
                if is_alive(&pod) {
                    pods.push(pod);
                }
            } else if owned && is_alive(&pod) && !going {
                let left: Vec<_> =
                    pod.metadata.owner_references.iter().flatten().filter(|owner| owner.uid != uid).collect();
                let patch = json!({ "metadata": { "uid": pod.metadata.uid, "ownerReferences": left } });
                self.pods.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
            } else if matches && controller_of(&pod.metadata).is_none() && is_alive(&pod) && !going {
                let mut owners = pod.metadata.owner_references.clone().unwrap_or_default();
                owners.push(owner_reference("apps/v1", "ReplicaSet", &set.metadata));
                let patch = json!({ "metadata": { "uid": pod.metadata.uid, "ownerReferences": owners } });
                pods.push(self.pods.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?);
            }
        }
        Ok(pods)
    }

    async fn write_status(
        &self,
        set: &ReplicaSet,
        spec: &ReplicaSetSpec,
        pods: &[Pod],
        refused: Option<&kube::Error>,
    ) -> Outcome {
        let minimum = i64::from(spec.min_ready_seconds.unwrap_or(0));
        let now = Timestamp::now().as_second();
        // Seconds until each ready pod counts as available; none or less: it does.
        let waits: Vec<i64> =
            pods.iter().filter_map(ready_since).map(|since| since.as_second() + minimum - now).collect();
        let labels =
            spec.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.clone()).unwrap_or_default();
        let fully_labelled = pods.iter().filter(|pod| {
            let own = pod.metadata.labels.as_ref();
            labels.iter().all(|(key, value)| own.and_then(|own| own.get(key)) == Some(value))
        });
        let before = set.status.clone().unwrap_or_default();
        let status = ReplicaSetStatus {
            observed_generation: set.metadata.generation,
            replicas: count(pods.iter()),
            fully_labeled_replicas: Some(count(fully_labelled)),
            ready_replicas: Some(count(waits.iter())),
            available_replicas: Some(count(waits.iter().filter(|wait| minimum == 0 || **wait <= 0))),
            conditions: conditions(&before, refused),
            terminating_replicas: before.terminating_replicas,
        };
        if status != before {
            let patch = json!({ "status": status });
            let name = set.metadata.name.as_deref().unwrap_or_default();
            self.sets.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        }
        let soonest =
            waits.iter().filter(|wait| minimum > 0 && **wait > 0).min().and_then(|wait| u64::try_from(*wait).ok());
        Ok(soonest.map_or(Next::Change, |wait| Next::After(Duration::from_secs(wait))))
    }
}

/// Not finished, and not told to end.
fn is_alive(pod: &Pod) -> bool {
    !is_ending(pod) && !is_finished(pod)
}

/// Whether the API server refuses its pods, and why. Where there is nothing to say, an empty list takes the place of what was said.
fn conditions(before: &ReplicaSetStatus, refused: Option<&kube::Error>) -> Option<Vec<ReplicaSetCondition>> {
    let mut conditions = before.conditions.clone().unwrap_or_default();
    let since = conditions.iter().find(|known| known.type_ == REPLICA_FAILURE && known.status == "True");
    let since = since.and_then(|known| known.last_transition_time.clone()).unwrap_or_else(|| Time(Timestamp::now()));
    conditions.retain(|known| known.type_ != REPLICA_FAILURE);
    if let Some(kube::Error::Api(answer)) = refused {
        conditions.push(ReplicaSetCondition {
            type_: REPLICA_FAILURE.to_owned(),
            status: "True".to_owned(),
            reason: Some(FAILED_CREATE.to_owned()),
            message: Some(answer.message.clone()),
            last_transition_time: Some(since),
        });
    }
    Some(conditions).filter(|conditions| !conditions.is_empty() || before.conditions.is_some())
}

/// Pods that are worth least go first: not on a node, not running, not ready, then the youngest.
fn order_of_removal(pod: &Pod) -> (bool, bool, bool, std::cmp::Reverse<Option<Timestamp>>) {
    let bound = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).is_some();
    let running = phase(pod) == "Running";
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (bound, running, ready_since(pod).is_some(), std::cmp::Reverse(created))
}

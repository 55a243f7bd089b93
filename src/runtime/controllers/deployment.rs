//! Deployments: one ReplicaSet per template, moved from old to new by [`super::rollout`].
//!
//! Scaling in the middle of a rollout follows the rolling-update bounds; it is not spread over the ReplicaSets in
//! proportion.

use std::hash::Hasher;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentSpec, DeploymentStatus, ReplicaSet, ReplicaSetSpec,
};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use twox_hash::XxHash64;

use super::events;
use super::key::{Key, controller_of, is_controlled_by, owner_reference, selects};
use super::queue::{Next, Outcome, ReconcileError, WorkQueue, work};
use super::replicaset::REPLICA_FAILURE;
use super::rollout::{Scale, Set, Slack, recreate, rolling};
use super::watch::{Seen, watch};

const HASH_LABEL: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
const DEFAULT_HISTORY: i32 = 10;
const DEFAULT_DEADLINE_SECONDS: i32 = 600;

pub(super) fn start(client: &Client, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    let queue = WorkQueue::new();
    let mut deployments = Box::pin(watch(Api::<Deployment>::all(client.clone()), stop.clone()));
    let to_do = queue.clone();
    tasks.spawn(async move {
        while let Some(seen) = deployments.next().await {
            if let Seen::There(deployment) | Seen::Gone(deployment) = seen {
                to_do.add(Key::of(&deployment.metadata)).await;
            }
        }
    });
    let mut sets = Box::pin(watch(Api::<ReplicaSet>::all(client.clone()), stop.clone()));
    let (to_do, every) = (queue.clone(), Api::<Deployment>::all(client.clone()));
    tasks.spawn(async move {
        while let Some(seen) = sets.next().await {
            match seen {
                Seen::There(set) | Seen::Gone(set) => {
                    if let Some(owner) = Key::of_owner(&set.metadata, "Deployment") {
                        to_do.add(owner).await;
                    }
                }
                // A ReplicaSet may have gone while the watch was down.
                Seen::Complete => match every.list(&ListParams::default()).await {
                    Ok(list) => {
                        for deployment in list {
                            to_do.add(Key::of(&deployment.metadata)).await;
                        }
                    }
                    Err(error) => tracing::warn!(%error, "cannot list deployments after a watch was started again"),
                },
            }
        }
    });
    let client = client.clone();
    work("deployment", &queue, stop, tasks, move |key| {
        let client = client.clone();
        async move { Reconciler::new(client, &key).reconcile(&key).await }
    });
}

struct Reconciler {
    client: Client,
    namespace: String,
    deployments: Api<Deployment>,
    sets: Api<ReplicaSet>,
}

/// A Deployment's ReplicaSets.
struct Sets {
    new: Option<ReplicaSet>,
    /// From the oldest.
    old: Vec<ReplicaSet>,
}

impl Reconciler {
    fn new(client: Client, key: &Key) -> Self {
        Self {
            deployments: Api::namespaced(client.clone(), &key.namespace),
            sets: Api::namespaced(client.clone(), &key.namespace),
            client,
            namespace: key.namespace.clone(),
        }
    }

    async fn reconcile(&self, key: &Key) -> Outcome {
        let Some(deployment) = self.deployments.get_opt(&key.name).await? else { return Ok(Next::Change) };
        if deployment.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Change);
        }
        let incomplete = |field| ReconcileError::Incomplete { object: format!("Deployment {key}"), field };
        let spec = deployment.spec.as_ref().ok_or_else(|| incomplete("spec"))?;
        let uid = deployment.metadata.uid.as_deref().ok_or_else(|| incomplete("metadata.uid"))?;
        let mut sets = self.sets_of(&deployment, spec, uid).await?;
        let paused = spec.paused == Some(true);
        if sets.new.is_none() && !paused {
            sets.new = self.create_new(&deployment, spec, &sets.old).await?;
            if sets.new.is_none() {
                return Ok(Next::After(Duration::ZERO));
            }
        }
        self.keep_revision(&deployment, &sets).await?;
        let slack = slack(spec);
        for scale in next_scales(spec, slack, &sets) {
            let before = sets.old.iter().chain(&sets.new).find(|set| set.metadata.name.as_deref() == Some(&scale.name));
            self.scale(spec, slack, &scale).await?;
            self.tell_scaled(&deployment, &scale.name, before.map_or(0, replicas), scale.replicas).await;
        }
        self.clean_up(spec, &sets.old).await?;
        self.write_status(&deployment, spec, &sets).await
    }

    /// The ReplicaSets that the Deployment controls; orphans that its selector matches are adopted, and what it no
    /// longer matches stays with it until its labels change back (its template never matched another).
    async fn sets_of(&self, deployment: &Deployment, spec: &DeploymentSpec, uid: &str) -> Result<Sets, kube::Error> {
        let mut owned = Vec::new();
        for set in self.sets.list(&ListParams::default()).await? {
            let matches = selects(&spec.selector, set.metadata.labels.as_ref());
            if is_controlled_by(&set.metadata, uid) {
                owned.push(set);
            } else if matches && controller_of(&set.metadata).is_none() && set.metadata.deletion_timestamp.is_none() {
                let mut owners = set.metadata.owner_references.clone().unwrap_or_default();
                owners.push(owner_reference("apps/v1", "Deployment", &deployment.metadata));
                let patch = json!({ "metadata": { "uid": set.metadata.uid, "ownerReferences": owners } });
                let name = set.metadata.name.as_deref().unwrap_or_default();
                owned.push(self.sets.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?);
            }
        }
        owned.sort_by(|a, b| {
            created(&a.metadata).cmp(&created(&b.metadata)).then_with(|| a.metadata.name.cmp(&b.metadata.name))
        });
        let hash = template_hash(&spec.template, collisions(deployment));
        let position = owned.iter().position(|set| is_of_template(set, &spec.template, &hash));
        let new = position.map(|position| owned.remove(position));
        Ok(Sets { new, old: owned })
    }

    /// Creates the ReplicaSet of the current template. `None` when its name is taken by another: the collision is
    /// counted in the status, and the next attempt uses another name.
    async fn create_new(
        &self,
        deployment: &Deployment,
        spec: &DeploymentSpec,
        old: &[ReplicaSet],
    ) -> Result<Option<ReplicaSet>, kube::Error> {
        let hash = template_hash(&spec.template, collisions(deployment));
        let name = format!("{}-{hash}", deployment.metadata.name.as_deref().unwrap_or_default());
        let mut template = spec.template.clone();
        let template_labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
        template_labels.insert(HASH_LABEL.to_owned(), hash.clone());
        let labels = template_labels.clone();
        let mut selector: LabelSelector = spec.selector.clone();
        selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash);

        let slack = slack(spec);
        let as_sets: Vec<_> = old.iter().map(as_set).collect();
        let empty = Set { name: name.clone(), replicas: 0, available: 0 };
        let first = match is_recreate(spec) {
            true => 0,
            false => rolling(wanted(spec), slack, &empty, &as_sets).first().map_or(0, |scale| scale.replicas),
        };
        let mut annotations = scale_annotations(spec, slack);
        annotations.insert(REVISION.to_owned(), (latest_revision(old) + 1).to_string());
        let set = ReplicaSet {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: deployment.metadata.namespace.clone(),
                labels: Some(labels),
                annotations: Some(annotations),
                owner_references: Some(vec![owner_reference("apps/v1", "Deployment", &deployment.metadata)]),
                ..ObjectMeta::default()
            },
            spec: Some(ReplicaSetSpec {
                min_ready_seconds: spec.min_ready_seconds,
                replicas: Some(first),
                selector,
                template: Some(template),
            }),
            status: None,
        };
        match self.sets.create(&PostParams::default(), &set).await {
            Ok(set) => {
                self.tell_scaled(deployment, &name, 0, first).await;
                Ok(Some(set))
            }
            Err(kube::Error::Api(answer)) if answer.is_already_exists() => {
                let existing = self.sets.get_opt(&name).await?;
                let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
                if existing.is_some_and(|existing| !is_controlled_by(&existing.metadata, uid)) {
                    let patch = json!({ "status": { "collisionCount": collisions(deployment) + 1 } });
                    let name = deployment.metadata.name.as_deref().unwrap_or_default();
                    self.deployments.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Tells how many pods a ReplicaSet is to have now.
    async fn tell_scaled(&self, deployment: &Deployment, set: &str, from: i32, to: i32) {
        let direction = match to.cmp(&from) {
            std::cmp::Ordering::Greater => "up",
            std::cmp::Ordering::Less => "down",
            std::cmp::Ordering::Equal => return,
        };
        let about = owner_reference("apps/v1", "Deployment", &deployment.metadata);
        let message = format!("Scaled {direction} replica set {set} from {from} to {to}");
        events::tell(&self.client, &self.namespace, &about, "ScalingReplicaSet", message).await;
    }

    /// The new ReplicaSet carries the highest revision (it may be an old one that was rolled back to), and the
    /// Deployment shows it.
    async fn keep_revision(&self, deployment: &Deployment, sets: &Sets) -> Result<(), kube::Error> {
        let Some(new) = &sets.new else { return Ok(()) };
        let least = latest_revision(&sets.old) + 1;
        let revision = revision(&new.metadata).max(least);
        let patch = json!({ "metadata": { "annotations": { REVISION: revision.to_string() } } });
        let patch = Patch::Merge(&patch);
        if self::revision(&new.metadata) != revision {
            let name = new.metadata.name.as_deref().unwrap_or_default();
            self.sets.patch(name, &PatchParams::default(), &patch).await?;
        }
        if self::revision(&deployment.metadata) != revision {
            let name = deployment.metadata.name.as_deref().unwrap_or_default();
            self.deployments.patch(name, &PatchParams::default(), &patch).await?;
        }
        Ok(())
    }

    async fn scale(&self, spec: &DeploymentSpec, slack: Slack, scale: &Scale) -> Result<(), kube::Error> {
        let patch = json!({
            "metadata": { "annotations": scale_annotations(spec, slack) },
            "spec": { "replicas": scale.replicas },
        });
        self.sets.patch(&scale.name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(|_| ())
    }

    /// Removes old ReplicaSets without pods, beyond the history that is kept.
    async fn clean_up(&self, spec: &DeploymentSpec, old: &[ReplicaSet]) -> Result<(), kube::Error> {
        let kept = usize::try_from(spec.revision_history_limit.unwrap_or(DEFAULT_HISTORY)).unwrap_or(0);
        let mut idle: Vec<_> = old.iter().filter(|set| replicas(set) == 0 && pods(set) == 0).collect();
        idle.sort_by_key(|set| revision(&set.metadata));
        for set in idle.iter().take(idle.len().saturating_sub(kept)) {
            let name = set.metadata.name.as_deref().unwrap_or_default();
            match self.sets.delete(name, &DeleteParams::background()).await {
                Ok(_) => {}
                Err(kube::Error::Api(answer)) if answer.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn write_status(&self, deployment: &Deployment, spec: &DeploymentSpec, sets: &Sets) -> Outcome {
        let before = deployment.status.clone().unwrap_or_default();
        let (status, next) = status(deployment, spec, sets, &before, Timestamp::now());
        if status != before {
            let name = deployment.metadata.name.as_deref().unwrap_or_default();
            let patch = json!({ "status": status });
            self.deployments.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        }
        Ok(next)
    }
}

fn next_scales(spec: &DeploymentSpec, slack: Slack, sets: &Sets) -> Vec<Scale> {
    let wanted = wanted(spec);
    let old: Vec<_> = sets.old.iter().map(as_set).collect();
    let Some(new) = sets.new.as_ref().map(as_set) else {
        return Vec::new();
    };
    if spec.paused == Some(true) {
        // A paused Deployment starts no rollout, but follows its number of replicas where nothing is under way.
        let settled = old.iter().all(|set| set.replicas == 0) && new.replicas != wanted;
        return if settled { vec![Scale { name: new.name, replicas: wanted }] } else { Vec::new() };
    }
    if is_recreate(spec) {
        recreate(wanted, &new, &old, sets.old.iter().map(pods).sum())
    } else {
        rolling(wanted, slack, &new, &old)
    }
}

/// The status, and when to look again without a change.
fn status(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    sets: &Sets,
    before: &DeploymentStatus,
    now: Timestamp,
) -> (DeploymentStatus, Next) {
    let all = || sets.old.iter().chain(&sets.new);
    let count = |of: fn(&ReplicaSet) -> i32| all().map(of).sum::<i32>();
    let (replicas, available) = (count(pods), count(available));
    let updated = sets.new.as_ref().map_or(0, pods);
    let wanted = wanted(spec);
    let least = wanted - slack(spec).unavailable;

    let enough = available >= least;
    let availability = match enough {
        true => ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.".to_owned()),
        false => ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.".to_owned()),
    };
    let complete = updated == wanted && replicas == wanted && available == wanted && sets.new.is_some();
    let moved = (replicas, updated, available)
        != (before.replicas.unwrap_or(0), before.updated_replicas.unwrap_or(0), before.available_replicas.unwrap_or(0))
        || before.observed_generation != deployment.metadata.generation;
    let new_name = sets.new.as_ref().and_then(|set| set.metadata.name.as_deref()).unwrap_or_default();
    let last = find(before, "Progressing");
    let since = last.and_then(|condition| condition.last_update_time.as_ref()).map_or(now, |time| time.0);
    let deadline = i64::from(spec.progress_deadline_seconds.unwrap_or(DEFAULT_DEADLINE_SECONDS));
    let waited = now.as_second() - since.as_second();
    let late = !complete && !moved && last.is_some() && waited >= deadline;
    let progress = if spec.paused == Some(true) {
        ("Unknown", "DeploymentPaused", "Deployment is paused".to_owned())
    } else if complete {
        ("True", "NewReplicaSetAvailable", format!("ReplicaSet \"{new_name}\" has successfully progressed."))
    } else if late {
        ("False", "ProgressDeadlineExceeded", format!("ReplicaSet \"{new_name}\" has timed out progressing."))
    } else {
        ("True", "ReplicaSetUpdated", format!("ReplicaSet \"{new_name}\" is progressing."))
    };
    let mut conditions = vec![
        condition("Available", availability, find(before, "Available"), false, now),
        condition("Progressing", progress, last, moved && !complete, now),
    ];
    let of_sets = || all().filter_map(|set| set.status.as_ref()?.conditions.as_ref()).flatten();
    if let Some(failure) = of_sets().find(|condition| condition.type_ == REPLICA_FAILURE) {
        let (reason, message) = (failure.reason.as_deref().unwrap_or_default(), failure.message.clone());
        let said = (failure.status.as_str(), reason, message.unwrap_or_default());
        conditions.push(condition(REPLICA_FAILURE, said, find(before, REPLICA_FAILURE), false, now));
    }
    let next = if complete || late || spec.paused == Some(true) {
        Next::Change
    } else {
        let left = u64::try_from((deadline - waited).max(1)).unwrap_or(1);
        Next::After(Duration::from_secs(left))
    };
    let shown = |count: i32| (count != 0).then_some(count);
    let status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        // Zero is written out: a merge patch would otherwise leave the old number.
        replicas: Some(replicas),
        updated_replicas: Some(updated),
        ready_replicas: Some(count(ready)),
        available_replicas: Some(available),
        unavailable_replicas: Some((wanted.max(replicas) - available).max(0)),
        conditions: Some(conditions),
        collision_count: shown(collisions(deployment)),
        terminating_replicas: before.terminating_replicas,
    };
    (status, next)
}

fn find<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn condition(
    kind: &str,
    (status, reason, message): (&str, &str, String),
    before: Option<&DeploymentCondition>,
    touched: bool,
    now: Timestamp,
) -> DeploymentCondition {
    let now = Time(now);
    let same_status = before.filter(|before| before.status == status);
    let same = same_status.filter(|before| before.reason.as_deref() == Some(reason) && !touched);
    DeploymentCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: same_status
            .and_then(|before| before.last_transition_time.clone())
            .or_else(|| Some(now.clone())),
        last_update_time: same.and_then(|before| before.last_update_time.clone()).or(Some(now)),
    }
}

fn wanted(spec: &DeploymentSpec) -> i32 {
    spec.replicas.unwrap_or(1).max(0)
}

fn is_recreate(spec: &DeploymentSpec) -> bool {
    spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

fn slack(spec: &DeploymentSpec) -> Slack {
    if is_recreate(spec) {
        return Slack { surge: 0, unavailable: wanted(spec) };
    }
    let rolling = spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    Slack::new(
        rolling.and_then(|rolling| rolling.max_surge.as_ref()),
        rolling.and_then(|rolling| rolling.max_unavailable.as_ref()),
        wanted(spec),
    )
}

fn scale_annotations(spec: &DeploymentSpec, slack: Slack) -> std::collections::BTreeMap<String, String> {
    let wanted = wanted(spec);
    [(DESIRED.to_owned(), wanted.to_string()), (MAXIMUM.to_owned(), wanted.saturating_add(slack.surge).to_string())]
        .into()
}

fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn pods(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

fn ready(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0)
}

fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

fn as_set(set: &ReplicaSet) -> Set {
    let replicas = replicas(set);
    Set { name: set.metadata.name.clone().unwrap_or_default(), replicas, available: available(set).min(replicas) }
}

fn created(metadata: &ObjectMeta) -> Option<Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn revision(metadata: &ObjectMeta) -> i64 {
    let text = metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn latest_revision(sets: &[ReplicaSet]) -> i64 {
    sets.iter().map(|set| revision(&set.metadata)).max().unwrap_or(0)
}

fn collisions(deployment: &Deployment) -> i32 {
    deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0)
}

/// Whether a ReplicaSet was made from this template. The hash finds it after the API server's defaults have changed
/// one of the two, the comparison after this binary's hash has.
fn is_of_template(set: &ReplicaSet, template: &PodTemplateSpec, hash: &str) -> bool {
    let label = set.metadata.labels.as_ref().and_then(|labels| labels.get(HASH_LABEL));
    if label.is_some_and(|label| label == hash) {
        return true;
    }
    let Some(mut own) = set.spec.as_ref().and_then(|spec| spec.template.clone()) else { return false };
    let mut theirs = template.clone();
    for template in [&mut own, &mut theirs] {
        if let Some(labels) = template.metadata.as_mut().and_then(|metadata| metadata.labels.as_mut()) {
            labels.remove(HASH_LABEL);
        }
    }
    own == theirs
}

/// A short name for a template, of letters and digits that spell no words.
pub(super) fn template_hash(template: &PodTemplateSpec, collisions: i32) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    const LENGTH: usize = 9;
    let mut hasher = XxHash64::with_seed(0);
    // A template is plain data: it always has a JSON form, with its maps in order.
    hasher.write(&serde_json::to_vec(template).unwrap_or_default());
    hasher.write_i32(collisions);
    let mut rest = hasher.finish();
    let mut name = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        let digit = usize::try_from(rest % ALPHABET.len() as u64).unwrap_or(0);
        name.push(ALPHABET.get(digit).copied().map_or('b', char::from));
        rest /= ALPHABET.len() as u64;
    }
    name
}

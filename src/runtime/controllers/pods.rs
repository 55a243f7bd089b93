//! What controllers of pods have in common: the pods that an object controls, made from its template.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::events;
use super::key::{Key, is_controlled_by};
use super::queue::{Outcome, WorkQueue, work};
use super::watch::{Seen, watch};

/// Label by which a pod is known to be of a template's current state.
pub(super) const REVISION: &str = "controller-revision-hash";

/// Reconciles the objects of a kind when they, or what they control of kind `P`, change.
pub(super) fn start<K, P, F, W>(
    kind: &'static str,
    client: &Client,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
    act: F,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    P: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    F: Fn(Client, Key) -> W + Clone + Send + Sync + 'static,
    W: Future<Output = Outcome> + Send + 'static,
{
    let queue = WorkQueue::new();
    let mut objects = Box::pin(watch(Api::<K>::all(client.clone()), stop.clone()));
    let to_do = queue.clone();
    tasks.spawn(async move {
        while let Some(seen) = objects.next().await {
            if let Seen::There(object) | Seen::Gone(object) = seen {
                to_do.add(Key::of(object.meta())).await;
            }
        }
    });
    let mut controlled = Box::pin(watch(Api::<P>::all(client.clone()), stop.clone()));
    let (to_do, every) = (queue.clone(), client.clone());
    tasks.spawn(async move {
        while let Some(seen) = controlled.next().await {
            match seen {
                Seen::There(object) | Seen::Gone(object) => {
                    if let Some(owner) = Key::of_owner(object.meta(), kind) {
                        to_do.add(owner).await;
                    }
                }
                // Some may have gone while the watch was down.
                Seen::Complete => match Api::<K>::all(every.clone()).list(&ListParams::default()).await {
                    Ok(list) => {
                        for object in list {
                            to_do.add(Key::of(object.meta())).await;
                        }
                    }
                    Err(error) => tracing::warn!(%error, kind, "cannot list what may have lost its pods"),
                },
            }
        }
    });
    let client = client.clone();
    work(kind, &queue, stop, tasks, move |key| act(client.clone(), key));
}

/// The pods of one object.
pub(super) struct Pods {
    client: Client,
    namespace: String,
    api: Api<Pod>,
    owner: OwnerReference,
}

impl Pods {
    pub(super) fn new(client: Client, namespace: &str, owner: OwnerReference) -> Self {
        let api = Api::namespaced(client.clone(), namespace);
        Self { client, namespace: namespace.to_owned(), api, owner }
    }

    /// Those that it controls, finished and ending ones among them.
    pub(super) async fn list(&self) -> Result<Vec<Pod>, kube::Error> {
        let pods = self.api.list(&ListParams::default()).await?;
        Ok(pods.items.into_iter().filter(|pod| is_controlled_by(&pod.metadata, &self.owner.uid)).collect())
    }

    /// A new one. `name` is its own, or with a hyphen at its end the beginning of one. A pod of that name that is there already
    /// stays: the next look finds it, or that it is somebody else's. One that is refused is told of.
    pub(super) async fn create(
        &self,
        name: &str,
        template: &PodTemplateSpec,
        labels: BTreeMap<String, String>,
        change: impl FnOnce(&mut Pod),
    ) -> Result<Option<Pod>, kube::Error> {
        let metadata = template.metadata.clone().unwrap_or_default();
        let mut all = metadata.labels.unwrap_or_default();
        all.extend(labels);
        let (own, generated) = if name.ends_with('-') { (None, Some(name)) } else { (Some(name), None) };
        let mut pod = Pod {
            metadata: ObjectMeta {
                name: own.map(str::to_owned),
                generate_name: generated.map(str::to_owned),
                labels: Some(all),
                annotations: metadata.annotations,
                finalizers: metadata.finalizers,
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            spec: template.spec.clone(),
            status: None,
        };
        change(&mut pod);
        match self.api.create(&PostParams::default(), &pod).await {
            Err(kube::Error::Api(answer)) if answer.is_already_exists() => Ok(None),
            Err(kube::Error::Api(mut answer)) => {
                // Each attempt has a name of its own: without it they all fail alike.
                let generated = answer.details.as_ref().map(|about| about.name.clone()).unwrap_or_default();
                if generated.starts_with(name) {
                    answer.message = answer.message.replace(&generated, name);
                }
                let said = format!("Error creating: {}", answer.message);
                events::tell(&self.client, &self.namespace, &self.owner, events::FAILED_CREATE, said).await;
                Err(kube::Error::Api(answer))
            }
            Err(error) => Err(error),
            Ok(pod) => {
                self.tell("SuccessfulCreate", ("Created", "create"), &pod).await;
                Ok(Some(pod))
            }
        }
    }

    /// Tells what was done with a pod; StatefulSets have words of their own.
    async fn tell(&self, reason: &str, (done, verb): (&str, &str), pod: &Pod) {
        let OwnerReference { kind, name: owner, .. } = &self.owner;
        let message = match kind.as_str() {
            "StatefulSet" => format!("{verb} Pod {} in StatefulSet {owner} successful", name(pod)),
            _ => format!("{done} pod: {}", name(pod)),
        };
        events::tell(&self.client, &self.namespace, &self.owner, reason, message).await;
    }

    pub(super) async fn delete(&self, pod: &Pod) -> Result<(), kube::Error> {
        let parameters = DeleteParams::default()
            .preconditions(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None });
        match self.api.delete(name(pod), &parameters).await {
            Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                self.tell("SuccessfulDelete", ("Deleted", "delete"), pod).await;
                Ok(())
            }
        }
    }
}

pub(super) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub(super) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

pub(super) fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// It has ended, one way or the other.
pub(super) fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub(super) fn is_ready(pod: &Pod) -> bool {
    !is_ending(pod) && ready_since(pod).is_some()
}

/// Since when the pod is ready, if it is.
pub(super) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status == "True")?;
    Some(ready.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0))
}

pub(super) fn has_revision(pod: &Pod, revision: &str) -> bool {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION)).is_some_and(|own| own == revision)
}

/// When its last container ended.
pub(super) fn finished_at(pod: &Pod) -> Option<Timestamp> {
    let statuses = pod.status.as_ref()?.container_statuses.iter().flatten();
    statuses.filter_map(|status| Some(status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0)).max()
}

pub(super) fn count(pods: impl Iterator) -> i32 {
    i32::try_from(pods.count()).unwrap_or(i32::MAX)
}

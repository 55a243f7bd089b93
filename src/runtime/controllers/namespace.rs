//! Namespaces: each has a ServiceAccount `default`; one that is deleted is emptied and then released.

use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{DeleteParams, DynamicObject, ListParams, ObjectMeta, PostParams};
use kube::core::ObjectList;
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Api, Client};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::key::Key;
use super::queue::{Next, Outcome, ReconcileError, WorkQueue, work};
use super::watch::{Seen, watch};

const DEFAULT_ACCOUNT: &str = "default";
/// The finalizer by which a namespace waits for its contents to go.
const FINALIZER: &str = "kubernetes";
/// How often a namespace is looked at while pods in it are still ending.
const EMPTYING: Duration = Duration::from_millis(500);

pub(super) fn start(client: &Client, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    let queue = WorkQueue::new();
    let mut namespaces = Box::pin(watch(Api::<Namespace>::all(client.clone()), stop.clone()));
    let to_do = queue.clone();
    tasks.spawn(async move {
        while let Some(seen) = namespaces.next().await {
            if let Seen::There(namespace) = seen {
                to_do.add(Key::of(&namespace.metadata)).await;
            }
        }
    });
    let mut accounts = Box::pin(watch(Api::<ServiceAccount>::all(client.clone()), stop.clone()));
    let to_do = queue.clone();
    tasks.spawn(async move {
        while let Some(seen) = accounts.next().await {
            if let Seen::Gone(account) = seen
                && account.metadata.name.as_deref() == Some(DEFAULT_ACCOUNT)
            {
                to_do.add(Key::new("", account.metadata.namespace.as_deref().unwrap_or_default())).await;
            }
        }
    });
    let client = client.clone();
    work("namespace", &queue, stop, tasks, move |key| {
        let client = client.clone();
        async move { reconcile(&client, &key.name).await }
    });
}

async fn reconcile(client: &Client, name: &str) -> Outcome {
    let Some(namespace) = Api::<Namespace>::all(client.clone()).get_opt(name).await? else { return Ok(Next::Change) };
    if namespace.metadata.deletion_timestamp.is_some() {
        return empty(client, name, namespace).await;
    }
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), name);
    if accounts.get_opt(DEFAULT_ACCOUNT).await?.is_none() {
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(DEFAULT_ACCOUNT.to_owned()), ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        match accounts.create(&PostParams::default(), &account).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.code == 409 => {}
            // The namespace went meanwhile.
            Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_forbidden() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Next::Change)
}

/// Deletes what is in the namespace; releases it once nothing is.
async fn empty(client: &Client, name: &str, mut namespace: Namespace) -> Outcome {
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(Next::Change);
    }
    let mut left = 0_usize;
    let discovery = Discovery::new(client.clone()).run().await?;
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let deletable =
                capabilities.supports_operation(verbs::LIST) && capabilities.supports_operation(verbs::DELETE);
            if capabilities.scope != Scope::Namespaced || !deletable {
                continue;
            }
            let api = Api::<DynamicObject>::namespaced_with(client.clone(), name, &resource);
            let list: ObjectList<DynamicObject> = api.list(&ListParams::default()).await?;
            for object in list {
                left += 1;
                if object.metadata.deletion_timestamp.is_some() {
                    continue;
                }
                match api.delete(object.metadata.name.as_deref().unwrap_or_default(), &DeleteParams::background()).await
                {
                    Ok(_) => {}
                    Err(kube::Error::Api(answer)) if answer.is_not_found() => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    if left > 0 {
        return Ok(Next::After(EMPTYING));
    }
    if let Some(spec) = &mut namespace.spec {
        spec.finalizers = Some(finalizers.into_iter().filter(|finalizer| finalizer != FINALIZER).collect());
    }
    let body = serde_json::to_vec(&namespace).map_err(|error| ReconcileError::Api(kube::Error::SerdeError(error)))?;
    let request = http::Request::put(format!("/api/v1/namespaces/{name}/finalize"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|error| ReconcileError::Api(kube::Error::HttpError(error)))?;
    match client.request::<Namespace>(request).await {
        Ok(_) => Ok(Next::Change),
        Err(kube::Error::Api(answer)) if answer.is_not_found() => Ok(Next::Change),
        Err(error) => Err(error.into()),
    }
}

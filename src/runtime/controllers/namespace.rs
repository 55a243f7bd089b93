//! Namespaces: each has a ServiceAccount `default` and the API server's root certificate in a ConfigMap, as in every Kubernetes.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::key::Key;
use super::queue::{Next, Outcome, WorkQueue, work};
use super::watch::{Seen, watch};

const DEFAULT_ACCOUNT: &str = "default";
const ROOT_CERTIFICATE: &str = "kube-root-ca.crt";
const ROOT_CERTIFICATE_KEY: &str = "ca.crt";

pub(super) fn start(client: &Client, root: &str, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
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
    let to_do = queue.clone();
    let mut certificates = Box::pin(watch(Api::<ConfigMap>::all(client.clone()), stop.clone()));
    tasks.spawn(async move {
        while let Some(seen) = certificates.next().await {
            if let Seen::There(config) | Seen::Gone(config) = seen
                && config.metadata.name.as_deref() == Some(ROOT_CERTIFICATE)
            {
                to_do.add(Key::new("", config.metadata.namespace.as_deref().unwrap_or_default())).await;
            }
        }
    });
    let client = client.clone();
    let root: Arc<str> = root.into();
    work("namespace", &queue, stop, tasks, move |key| {
        let (client, root) = (client.clone(), Arc::clone(&root));
        async move { reconcile(&client, &key.name, &root).await }
    });
}

async fn reconcile(client: &Client, name: &str, root: &str) -> Outcome {
    let Some(namespace) = Api::<Namespace>::all(client.clone()).get_opt(name).await? else { return Ok(Next::Change) };
    if namespace.metadata.deletion_timestamp.is_some() {
        // The API server itself empties it.
        return Ok(Next::Change);
    }
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), name);
    if accounts.get_opt(DEFAULT_ACCOUNT).await?.is_none() {
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(DEFAULT_ACCOUNT.to_owned()), ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        unless_raced(accounts.create(&PostParams::default(), &account).await)?;
    }
    let configs = Api::<ConfigMap>::namespaced(client.clone(), name);
    let data = BTreeMap::from([(ROOT_CERTIFICATE_KEY.to_owned(), root.to_owned())]);
    match configs.get_opt(ROOT_CERTIFICATE).await? {
        None => {
            let metadata = ObjectMeta {
                name: Some(ROOT_CERTIFICATE.to_owned()),
                annotations: Some(BTreeMap::from([(
                    "kubernetes.io/description".to_owned(),
                    "The root certificate that the API server's own is signed with.".to_owned(),
                )])),
                ..ObjectMeta::default()
            };
            let config = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
            unless_raced(configs.create(&PostParams::default(), &config).await)?;
        }
        Some(mut config) if config.data.as_ref() != Some(&data) => {
            config.data = Some(data);
            unless_raced(configs.replace(ROOT_CERTIFICATE, &PostParams::default(), &config).await)?;
        }
        Some(_) => {}
    }
    Ok(Next::Change)
}

/// Somebody was quicker, or the namespace went meanwhile.
fn unless_raced<T>(result: kube::Result<T>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(answer)) if answer.code == 409 || answer.is_not_found() || answer.is_forbidden() => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

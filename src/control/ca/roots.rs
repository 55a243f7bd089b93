//! The roots in every namespace: ConfigMap `istio-ca-root-cert`, from which a proxy learns whom to believe before it has said
//! its first word.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::kube::FIELD_MANAGER;

/// Name of the ConfigMap.
const NAME: &str = "istio-ca-root-cert";

/// Its key.
const KEY: &str = "root-cert.pem";

/// Marks what the mesh keeps, as Istio's own does.
const LABEL: (&str, &str) = ("istio.io/config", "true");

/// How long one write may take.
const WRITE: Duration = Duration::from_secs(10);

/// How long after a failed write the next is tried.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps the ConfigMap in every namespace as `roots` (PEM) says, until `token` is cancelled. One that is changed or deleted by
/// somebody else is put right.
pub async fn distribute_roots(client: Client, roots: watch::Receiver<String>, token: CancellationToken) {
    let keeper =
        Keeper { client, roots, namespaces: HashMap::new(), listed: HashSet::new(), listed_maps: HashSet::new() };
    let _stopped = token.run_until_cancelled(keeper.keep()).await;
}

struct Keeper {
    client: Client,
    roots: watch::Receiver<String>,
    /// What is known to be in each namespace; `None`: it has to be written.
    namespaces: HashMap<String, Option<String>>,
    /// The namespaces, and those that have the ConfigMap, that a list under way has named so far.
    listed: HashSet<String>,
    listed_maps: HashSet<String>,
}

impl Keeper {
    async fn keep(mut self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let maps: Api<ConfigMap> = Api::all(self.client.clone());
        let only = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        let mut namespaces = watcher(namespaces, watcher::Config::default()).default_backoff().boxed();
        let mut maps = watcher(maps, only).default_backoff().boxed();
        let mut again: Option<Instant> = None;
        loop {
            tokio::select! {
                Some(event) = namespaces.next() => self.namespace(event),
                Some(event) = maps.next() => self.map(event),
                changed = self.roots.changed() => if changed.is_err() { return },
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
            }
            again = (!self.write().await).then(|| Instant::now() + AGAIN);
        }
    }

    fn namespace(&mut self, event: Result<watcher::Event<Namespace>, watcher::Error>) {
        match event {
            Ok(watcher::Event::Apply(namespace) | watcher::Event::InitApply(namespace)) => {
                // One that is on its way out takes nothing new.
                let ending = namespace.metadata.deletion_timestamp.is_some();
                let Some(name) = namespace.metadata.name else { return };
                self.listed.insert(name.clone());
                if ending {
                    self.namespaces.remove(&name);
                } else {
                    self.namespaces.entry(name).or_default();
                }
            }
            Ok(watcher::Event::Delete(namespace)) => {
                self.namespaces.remove(&namespace.metadata.name.unwrap_or_default());
            }
            Ok(watcher::Event::Init) => self.listed.clear(),
            // What was deleted while nobody watched.
            Ok(watcher::Event::InitDone) => self.namespaces.retain(|name, _| self.listed.contains(name)),
            Err(error) => tracing::warn!(%error, "the watch of namespaces ended; it is opened again"),
        }
    }

    fn map(&mut self, event: Result<watcher::Event<ConfigMap>, watcher::Error>) {
        let (map, exists) = match event {
            Ok(watcher::Event::Apply(map) | watcher::Event::InitApply(map)) => (map, true),
            Ok(watcher::Event::Delete(map)) => (map, false),
            Ok(watcher::Event::Init) => return self.listed_maps.clear(),
            Ok(watcher::Event::InitDone) => {
                let gone = self.namespaces.iter_mut().filter(|(name, _)| !self.listed_maps.contains(*name));
                return gone.for_each(|(_, held)| *held = None);
            }
            Err(error) => {
                tracing::warn!(%error, "the watch of ConfigMaps ended; it is opened again");
                return;
            }
        };
        if map.metadata.name.as_deref() != Some(NAME) {
            return;
        }
        if let Some(namespace) = map.metadata.namespace.clone().filter(|_| exists) {
            self.listed_maps.insert(namespace);
        }
        let held = map.data.and_then(|mut data| data.remove(KEY)).filter(|_| exists);
        if let Some(known) = self.namespaces.get_mut(&map.metadata.namespace.unwrap_or_default()) {
            *known = held;
        }
    }

    /// Writes where something else is held than it should be. Whether all of it succeeded.
    async fn write(&mut self) -> bool {
        let wanted = self.roots.borrow_and_update().clone();
        let mut complete = true;
        for (namespace, held) in &mut self.namespaces {
            if held.as_ref() == Some(&wanted) {
                continue;
            }
            let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
            let map = ConfigMap {
                metadata: ObjectMeta {
                    name: Some(NAME.to_owned()),
                    labels: Some(BTreeMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())])),
                    ..ObjectMeta::default()
                },
                data: Some(BTreeMap::from([(KEY.to_owned(), wanted.clone())])),
                ..ConfigMap::default()
            };
            let parameters = PatchParams::apply(FIELD_MANAGER).force();
            match timeout(WRITE, api.patch(NAME, &parameters, &Patch::Apply(&map))).await {
                Ok(Ok(_)) => *held = Some(wanted.clone()),
                // The namespace is gone, or going.
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 403 | 404) => {
                    tracing::debug!(namespace = namespace.as_str(), %status, "the roots were not written");
                    complete = false;
                }
                Ok(Err(error)) => {
                    tracing::warn!(namespace = namespace.as_str(), %error, "the roots were not written");
                    complete = false;
                }
                Err(_) => complete = false,
            }
        }
        complete
    }
}

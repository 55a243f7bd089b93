//! The API server's watches, as events. A watch that breaks is opened again, with backoff, and starts from a full list.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::compile::{self, MeshConfig};
use crate::resources::gateway_api::{
    self, BackendTLSPolicy, GRPCRoute, GatewayClass, HTTPRoute, ListenerSet, ReferenceGrant, TCPRoute, TLSRoute,
    UDPRoute,
};
use crate::resources::{
    AuthorizationPolicy, DestinationRule, Gateway, Object, PeerAuthentication, RequestAuthentication, Resource,
    ServiceEntry, Sidecar, Telemetry, VirtualService, WorkloadEntry,
};

use super::closed::{self, Closed, Reader};
use super::{Event, Item, Key, Kind, project};

/// Watches every kind in every namespace until `token` is cancelled or nobody listens any more.
pub(in crate::control) fn watch(
    client: &Client,
    domain: &Arc<str>,
    root_namespace: &Arc<str>,
    events: &mpsc::Sender<Event>,
    tasks: &TaskTracker,
    token: &CancellationToken,
) {
    let domain = domain.clone();
    let spawn = Spawn { client, events, tasks, token };
    spawn.core(Kind::Service, move |service: &core::Service| project::service(service, &domain));
    spawn.core(Kind::EndpointSlice, |slice: &discovery::EndpointSlice| project::slice(slice));
    spawn.core(Kind::Pod, |pod: &core::Pod| project::pod(pod));
    spawn.core(Kind::Secret, |secret: &core::Secret| project::secret(secret));
    spawn.mesh_config(root_namespace);
    spawn.ingress();
    spawn.mesh::<VirtualService>(Kind::VirtualService, Item::VirtualService);
    spawn.mesh::<DestinationRule>(Kind::DestinationRule, Item::DestinationRule);
    spawn.mesh::<Sidecar>(Kind::Sidecar, Item::Sidecar);
    spawn.mesh::<Gateway>(Kind::Gateway, Item::Gateway);
    spawn.guarding::<PeerAuthentication>(Kind::PeerAuthentication, Item::PeerAuthentication, closed::peers);
    spawn.guarding::<RequestAuthentication>(Kind::RequestAuthentication, Item::RequestAuthentication, closed::tokens);
    spawn.guarding::<AuthorizationPolicy>(Kind::AuthorizationPolicy, Item::AuthorizationPolicy, closed::policy);
    spawn.mesh::<Telemetry>(Kind::Telemetry, Item::Telemetry);
    spawn.core(Kind::Namespace, project::namespace);
    spawn.mesh::<GatewayClass>(Kind::GatewayClass, Item::GatewayClass);
    spawn.mesh::<gateway_api::Gateway>(Kind::EdgeGateway, Item::EdgeGateway);
    spawn.mesh::<HTTPRoute>(Kind::HttpRoute, Item::HttpRoute);
    spawn.mesh::<GRPCRoute>(Kind::GrpcRoute, Item::GrpcRoute);
    spawn.mesh::<TLSRoute>(Kind::TlsRoute, Item::TlsRoute);
    spawn.mesh::<TCPRoute>(Kind::TcpRoute, Item::TcpRoute);
    spawn.mesh::<UDPRoute>(Kind::UdpRoute, Item::UdpRoute);
    spawn.mesh::<ListenerSet>(Kind::ListenerSet, Item::ListenerSet);
    spawn.mesh::<BackendTLSPolicy>(Kind::BackendTlsPolicy, Item::BackendTlsPolicy);
    spawn.core(Kind::Authorities, project::authorities);
    spawn.mesh::<ReferenceGrant>(Kind::ReferenceGrant, Item::ReferenceGrant);
    spawn.mesh::<ServiceEntry>(Kind::ServiceEntry, Item::ServiceEntry);
    spawn.mesh::<WorkloadEntry>(Kind::WorkloadEntry, Item::WorkloadEntry);
}

struct Spawn<'a> {
    client: &'a Client,
    events: &'a mpsc::Sender<Event>,
    tasks: &'a TaskTracker,
    token: &'a CancellationToken,
}

impl Spawn<'_> {
    fn core<K>(&self, kind: Kind, project: impl Fn(&K) -> Option<Item> + Send + 'static)
    where
        K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        self.run(kind, None, Api::all(self.client.clone()), project);
    }

    fn mesh<T>(&self, kind: Kind, item: fn(Arc<Object<T>>) -> Item)
    where
        T: Resource + Send + Sync + 'static,
    {
        self.objects(kind, item, None);
    }

    /// The same, of a kind that protects workloads: what is unsound is not as if it were not there.
    fn guarding<T>(&self, kind: Kind, item: fn(Arc<Object<T>>) -> Item, closed: Closed)
    where
        T: Resource + Send + Sync + 'static,
    {
        self.objects(kind, item, Some(closed));
    }

    fn objects<T>(&self, kind: Kind, item: fn(Arc<Object<T>>) -> Item, closed: Option<Closed>)
    where
        T: Resource + Send + Sync + 'static,
    {
        let Some(known) = Object::<T>::kind() else { return };
        let version = known.versions.first().copied().unwrap_or_default();
        let group_version_kind = GroupVersionKind::gvk(known.group, version, known.kind);
        let resource = ApiResource::from_gvk_with_plural(&group_version_kind, known.plural);
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        let name = format!("{}.{}", known.kind, known.group);
        let reader = RefCell::new(Reader::new(closed));
        self.run(kind, Some(name.into()), api, move |object| {
            let value = serde_json::to_value(object).ok()?;
            reader.borrow_mut().read(&value).map(item)
        });
    }

    fn ingress(&self) {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("networking.k8s.io", "v1", "Ingress"));
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        self.run(Kind::Ingress, None, api, |object| {
            let mut value = serde_json::to_value(object).ok()?;
            // A list does not say what its items are.
            let fields = value.as_object_mut()?;
            fields.insert("apiVersion".to_owned(), "networking.k8s.io/v1".into());
            fields.insert("kind".to_owned(), "Ingress".into());
            compile::ingress(&value).map(|ingress| Item::Ingress(Arc::new(ingress)))
        });
    }

    fn mesh_config(&self, root_namespace: &str) {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), root_namespace, &resource);
        // What was in force before one that cannot be read.
        let in_force: RefCell<Option<Arc<MeshConfig>>> = RefCell::default();
        self.run(Kind::MeshConfig, None, api, move |object| {
            if object.metadata.name.as_deref() != Some(MeshConfig::NAME) {
                return None;
            }
            let text = object.data.pointer("/data").and_then(|data| data.get(MeshConfig::ENTRY)?.as_str());
            let mut in_force = in_force.borrow_mut();
            match MeshConfig::parse(text.unwrap_or_default()) {
                Ok(config) => *in_force = Some(Arc::new(config)),
                Err(error) => {
                    tracing::error!(%error, "the mesh's settings are unsound, and those before them stay in force");
                }
            }
            in_force.clone().map(Item::MeshConfig)
        });
    }

    fn run<K>(
        &self,
        kind: Kind,
        configuration: Option<Arc<str>>,
        api: Api<K>,
        project: impl Fn(&K) -> Option<Item> + Send + 'static,
    ) where
        K: kube::Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let (events, token) = (self.events.clone(), self.token.clone());
        self.tasks.spawn(async move {
            let _ended = token.run_until_cancelled(follow(kind, configuration, api, project, events)).await;
        });
    }
}

/// Of kinds that are `configuration`, by that name, it is told how far the watch is.
async fn follow<K>(
    kind: Kind,
    configuration: Option<Arc<str>>,
    api: Api<K>,
    project: impl Fn(&K) -> Option<Item>,
    events: mpsc::Sender<Event>,
) where
    K: kube::Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut stream = watcher(api, watcher::Config::default()).default_backoff().boxed();
    let mut listed: Vec<(Key, Item)> = Vec::new();
    let mut said_absent = false;
    let mut seen = 0;
    while let Some(event) = stream.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                // Not the same as a kind of which there are no objects: policies that cannot be read are not policies that are
                // not there.
                let unknown =
                    matches!(&error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404);
                if unknown && kind.is_optional() {
                    tracing::debug!(?kind, "the API server does not know this kind");
                    // There are none. Should the kind be defined later, the next attempt finds it.
                    if !said_absent && events.send(Event::Replace(kind, Vec::new())).await.is_err() {
                        return;
                    }
                    said_absent = true;
                } else if unknown {
                    tracing::warn!(
                        ?kind,
                        "the API server does not know this kind yet: install its definition; it is waited for"
                    );
                } else {
                    tracing::warn!(?kind, %error, "a watch ended; it is opened again");
                }
                continue;
            }
        };
        if let watcher::Event::InitApply(object) | watcher::Event::Apply(object) | watcher::Event::Delete(object) =
            &event
        {
            seen = seen.max(version(object));
        }
        let event = match event {
            watcher::Event::Init => {
                listed.clear();
                continue;
            }
            watcher::Event::InitApply(object) => {
                listed.extend(key(&object).zip(project(&object)));
                continue;
            }
            watcher::Event::InitDone => {
                said_absent = false;
                Some(Event::Replace(kind, std::mem::take(&mut listed)))
            }
            // What cannot be used (any more) must not stay in force as if nothing had happened.
            watcher::Event::Apply(object) => key(&object).map(|key| match project(&object) {
                Some(item) => Event::Apply(key, item),
                None => Event::Delete(kind, key),
            }),
            watcher::Event::Delete(object) => key(&object).map(|key| Event::Delete(kind, key)),
        };
        let Some(event) = event else { continue };
        tracing::trace!(?event, "seen");
        if events.send(event).await.is_err() {
            return;
        }
        if let Some(name) = configuration.clone()
            && events.send(Event::Seen(name, seen)).await.is_err()
        {
            return;
        }
    }
}

/// The object's `resourceVersion`, which API servers count up
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>); 0 for one that is no number.
fn version<K: kube::Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn key<K: kube::Resource>(object: &K) -> Option<Key> {
    let meta = object.meta();
    Some(Key::new(meta.namespace.as_deref().unwrap_or("default"), meta.name.as_deref()?))
}

use std::collections::BTreeSet;

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Controllers;
use super::fake_api::{FakeApi, until};

const NAMESPACE: &str = "default";

/// The root certificate, which nothing here reads.
const ROOT: &str = "-----BEGIN CERTIFICATE-----";

struct World {
    client: kube::Client,
    _stop: DropGuard,
}

impl World {
    /// Controllers on an empty API server, with something that plays the node.
    fn start() -> Self {
        let api = FakeApi::new();
        let stop = CancellationToken::new();
        let controllers = Controllers::start(&api.client(), ROOT, &stop);
        tokio::spawn(controllers.join());
        tokio::spawn(play_node(api.client()));
        Self { client: api.client(), _stop: stop.drop_guard() }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    async fn create<K>(&self, object: Value) -> K
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + serde::Serialize
            + std::fmt::Debug,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap()
    }

    async fn pods(&self) -> Vec<Pod> {
        self.api::<Pod>().list(&ListParams::default()).await.unwrap().items
    }

    async fn patch_deployment(&self, patch: Value) {
        self.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    /// Waits until the Deployment `web` says that it has this many pods, all of them new and available.
    async fn rolled_out(&self, replicas: i32) -> Deployment {
        until("the rollout completes", || async {
            let deployment = self.api::<Deployment>().get("web").await.unwrap();
            let status = deployment.status.clone().unwrap_or_default();
            let counts = [status.replicas, status.updated_replicas, status.available_replicas, status.ready_replicas];
            let observed = status.observed_generation == deployment.metadata.generation;
            (observed && counts == [Some(replicas); 4]).then_some(deployment)
        })
        .await
    }

    /// The endpoints of Service `web` as `address:port ready`.
    async fn endpoints(&self) -> BTreeSet<String> {
        let slices = self.api::<EndpointSlice>().list(&ListParams::default()).await.unwrap();
        let mut out = BTreeSet::new();
        for slice in slices {
            assert_eq!(slice.metadata.labels.as_ref().unwrap()["kubernetes.io/service-name"], "web");
            for endpoint in slice.endpoints.iter().flatten() {
                for port in slice.ports.iter().flatten() {
                    let ready = endpoint.conditions.as_ref().unwrap().ready.unwrap();
                    out.insert(format!("{}:{} {ready}", endpoint.addresses[0], port.port.unwrap()));
                }
            }
        }
        out
    }
}

/// Binds every pod, makes it ready (unless its image is `broken`), and lets it go when it is deleted.
async fn play_node(client: kube::Client) {
    let pods = super::watch::watch(Api::<Pod>::all(client.clone()), CancellationToken::new());
    let mut pods = Box::pin(pods);
    let mut next_ip = 1;
    while let Some(seen) = pods.next().await {
        let super::watch::Seen::There(pod) = seen else { continue };
        let api = Api::<Pod>::namespaced(client.clone(), pod.metadata.namespace.as_deref().unwrap());
        let name = pod.metadata.name.as_deref().unwrap();
        let image = pod.spec.as_ref().unwrap().containers[0].image.as_deref();
        if pod.metadata.deletion_timestamp.is_some() {
            let _gone = api.delete(name, &DeleteParams::default().grace_period(0)).await;
        } else if pod.spec.as_ref().unwrap().node_name.is_none() {
            let ready = if image == Some("broken") { "False" } else { "True" };
            let patch = json!({
                "spec": { "nodeName": "node" },
                "status": {
                    "phase": "Running", "podIP": format!("10.0.0.{next_ip}"),
                    "conditions": [{ "type": "Ready", "status": ready }],
                },
            });
            next_ip += 1;
            let _gone = api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        }
    }
}

fn deployment(replicas: i32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": image, "ports": [{ "name": "http", "containerPort": 9080 }] }] },
            },
        },
    })
}

fn service(target_port: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "labels": { "team": "a" } },
        "spec": { "selector": { "app": "web" }, "ports": [{ "name": "http", "port": 80, "targetPort": target_port }] },
    })
}

#[tokio::test]
async fn a_deployment_becomes_pods() {
    let world = World::start();
    world.create::<Deployment>(deployment(3, "one")).await;
    let deployment = world.rolled_out(3).await;
    assert_eq!(deployment.metadata.annotations.unwrap()["deployment.kubernetes.io/revision"], "1");
    let conditions = deployment.status.unwrap().conditions.unwrap();
    let reasons: Vec<_> = conditions.iter().map(|condition| condition.reason.as_deref().unwrap()).collect();
    assert_eq!(reasons, ["MinimumReplicasAvailable", "NewReplicaSetAvailable"]);

    let sets = world.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(sets.len(), 1);
    let hash = &sets[0].metadata.labels.as_ref().unwrap()["pod-template-hash"];
    assert_eq!(sets[0].metadata.name.as_deref().unwrap(), format!("web-{hash}"));
    for pod in world.pods().await {
        assert!(pod.metadata.name.unwrap().starts_with(&format!("web-{hash}-")));
        assert_eq!(pod.metadata.labels.unwrap()["pod-template-hash"], *hash);
        assert_eq!(pod.metadata.owner_references.unwrap()[0].uid, sets[0].metadata.uid.clone().unwrap());
    }
}

#[tokio::test]
async fn a_new_template_replaces_the_pods_and_going_back_reuses_the_old_set() {
    let world = World::start();
    world.create::<Deployment>(deployment(3, "one")).await;
    world.rolled_out(3).await;
    world.patch_deployment(deployment(3, "two")).await;
    let rolled = world.rolled_out(3).await;
    assert_eq!(rolled.metadata.annotations.unwrap()["deployment.kubernetes.io/revision"], "2");
    let images = |pods: Vec<Pod>| -> BTreeSet<String> {
        pods.into_iter().map(|pod| pod.spec.unwrap().containers[0].image.clone().unwrap()).collect()
    };
    assert_eq!(images(world.pods().await), BTreeSet::from(["two".to_owned()]));

    world.patch_deployment(deployment(3, "one")).await;
    until("the old template is back", || async {
        (images(world.pods().await) == BTreeSet::from(["one".to_owned()])).then_some(())
    })
    .await;
    world.rolled_out(3).await;
    assert_eq!(world.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn a_broken_version_leaves_the_working_pods() {
    let world = World::start();
    world.create::<Deployment>(deployment(2, "one")).await;
    world.rolled_out(2).await;
    world.patch_deployment(deployment(2, "broken")).await;
    let status = until("the rollout stalls", || async {
        let status = world.api::<Deployment>().get("web").await.unwrap().status.unwrap();
        (status.updated_replicas == Some(1)).then_some(status)
    })
    .await;
    assert_eq!((status.replicas, status.available_replicas), (Some(3), Some(2)));
}

#[tokio::test]
async fn scaling_and_replacing() {
    let world = World::start();
    world.create::<Deployment>(deployment(1, "one")).await;
    world.rolled_out(1).await;
    world.patch_deployment(json!({ "spec": { "replicas": 4 } })).await;
    world.rolled_out(4).await;
    world.patch_deployment(json!({ "spec": { "replicas": 0 } })).await;
    world.rolled_out(0).await;
    world.patch_deployment(json!({ "spec": { "replicas": 2 } })).await;
    world.rolled_out(2).await;

    let lost = world.pods().await.remove(0).metadata.name.unwrap();
    world.api::<Pod>().delete(&lost, &DeleteParams::default()).await.unwrap();
    until("the lost pod is replaced", || async {
        let names: Vec<_> = world.pods().await.into_iter().filter_map(|pod| pod.metadata.name).collect();
        (names.len() == 2 && !names.contains(&lost)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pod_whose_label_changes_is_released_and_an_orphan_is_adopted() {
    let world = World::start();
    world.create::<Deployment>(deployment(1, "one")).await;
    world.rolled_out(1).await;
    let pod = world.pods().await.remove(0);
    let name = pod.metadata.name.as_deref().unwrap();
    let patch = json!({ "metadata": { "labels": { "app": "debug" } } });
    world.api::<Pod>().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    until("the pod is released and replaced", || async {
        let released = world.api::<Pod>().get(name).await.unwrap();
        let free = released.metadata.owner_references.is_none_or(|owners| owners.is_empty());
        (free && world.pods().await.len() == 2).then_some(())
    })
    .await;

    // Back under its label it is one too many: it is adopted, and one of the two goes.
    let patch = json!({ "metadata": { "labels": { "app": "web" } } });
    world.api::<Pod>().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    until("one pod is left, and it is owned", || async {
        let pods = world.pods().await;
        let owned =
            pods.iter().all(|pod| pod.metadata.owner_references.as_ref().is_some_and(|owners| owners.len() == 1));
        (pods.len() == 1 && owned).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_changed_while_no_controller_ran_is_put_right_at_the_next_start() {
    let api = FakeApi::new();
    let world = World { client: api.client(), _stop: CancellationToken::new().drop_guard() };
    tokio::spawn(play_node(api.client()));
    let stop = CancellationToken::new();
    let controllers = Controllers::start(&world.client, ROOT, &stop);
    world.create::<Deployment>(deployment(2, "one")).await;
    world.rolled_out(2).await;
    stop.cancel();
    controllers.join().await;

    for pod in world.pods().await {
        world.api::<Pod>().delete(&pod.metadata.name.unwrap(), &DeleteParams::default()).await.unwrap();
    }
    world.patch_deployment(json!({ "spec": { "replicas": 3 } })).await;
    let stop = CancellationToken::new();
    let _controllers = Controllers::start(&world.client, ROOT, &stop);
    world.rolled_out(3).await;
}

#[tokio::test]
async fn services_lead_to_the_pods_they_select() {
    let world = World::start();
    world.create::<Service>(service(json!("http"))).await;
    until("an empty slice", || async {
        let slices = world.api::<EndpointSlice>().list(&ListParams::default()).await.unwrap().items;
        slices.first().filter(|slice| slice.endpoints.as_ref().is_none_or(Vec::is_empty)).cloned()
    })
    .await;
    world.create::<Deployment>(deployment(2, "one")).await;
    until("two endpoints", || async {
        let endpoints = world.endpoints().await;
        (endpoints.len() == 2 && endpoints.iter().all(|endpoint| endpoint.ends_with(":9080 true"))).then_some(())
    })
    .await;
    let slice = world.api::<EndpointSlice>().list(&ListParams::default()).await.unwrap().items.remove(0);
    assert_eq!(slice.metadata.owner_references.unwrap()[0].kind, "Service");
    assert_eq!(slice.metadata.labels.unwrap()["team"], "a");
    let endpoint = &slice.endpoints.unwrap()[0];
    assert_eq!(endpoint.node_name.as_deref(), Some("node"));
    assert_eq!(endpoint.target_ref.as_ref().unwrap().kind.as_deref(), Some("Pod"));

    // A pod that is not ready stays in the slice, unready; one that leaves the selector goes.
    let mut pods = world.pods().await;
    let (first, second) = (pods.remove(0).metadata.name.unwrap(), pods.remove(0).metadata.name.unwrap());
    let unready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    world.api::<Pod>().patch_status(&first, &PatchParams::default(), &Patch::Merge(&unready)).await.unwrap();
    until("one endpoint is not ready", || async {
        world.endpoints().await.iter().any(|endpoint| endpoint.ends_with(" false")).then_some(())
    })
    .await;
    let gone = world.api::<Pod>().get(&second).await.unwrap().status.unwrap().pod_ip.unwrap();
    let patch = json!({ "metadata": { "labels": { "app": "other" } } });
    world.api::<Pod>().patch(&second, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    until("the other endpoint is gone", || async {
        let endpoints = world.endpoints().await;
        (!endpoints.iter().any(|endpoint| endpoint.starts_with(&gone)) && endpoints.len() == 2).then_some(())
    })
    .await;
}

#[test]
fn pods_with_another_number_behind_a_named_port_get_a_slice_of_their_own() {
    let pod = |name: &str, ip: &str, port: i32| -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": { "containers": [{ "name": "c", "ports": [{ "name": "http", "containerPort": port }] }] },
            "status": { "podIP": ip, "conditions": [{ "type": "Ready", "status": "True" }] },
        }))
        .unwrap()
    };
    let service: Service = serde_json::from_value(service(json!("http"))).unwrap();
    let pods =
        [pod("a", "10.0.0.1", 80), pod("b", "10.0.0.2", 8080), pod("c", "10.0.0.3", 80), pod("d", "fd00::1", 80)];
    let slices = super::endpoints::slices(&service, service.spec.as_ref().unwrap(), &pods);
    let shape: Vec<_> = slices
        .iter()
        .map(|slice| {
            let port = slice.ports.as_ref().unwrap()[0].port.unwrap();
            (slice.address_type.as_str(), port, slice.endpoints.as_ref().unwrap().len())
        })
        .collect();
    assert_eq!(shape, [("IPv4", 80, 2), ("IPv4", 8080, 1), ("IPv6", 80, 1)]);
}

#[tokio::test]
async fn a_pod_that_is_refused_is_told_of_until_it_is_made() {
    let world = World::start();
    let mut wanted = deployment(1, "one");
    wanted["spec"]["template"]["spec"]["serviceAccountName"] = "nosuch".into();
    world.create::<Deployment>(wanted).await;
    let failure = || async {
        let status = world.api::<Deployment>().get("web").await.unwrap().status.unwrap_or_default();
        status.conditions.into_iter().flatten().find(|condition| condition.type_ == "ReplicaFailure")
    };
    let condition = until("the condition says so", failure).await;
    assert_eq!(condition.reason.as_deref(), Some("FailedCreate"));
    assert!(condition.message.unwrap().contains("nosuch not found"));
    let told = until("it is tried again", || async {
        let events = world.api::<Event>().list(&ListParams::default()).await.unwrap().items;
        let told: Vec<Event> =
            events.into_iter().filter(|event| event.reason.as_deref() == Some("FailedCreate")).collect();
        told.first().is_some_and(|event| event.count > Some(1)).then_some(told)
    })
    .await;
    assert_eq!((told.len(), told[0].type_.as_deref()), (1, Some("Warning")));
    world.patch_deployment(json!({ "spec": { "template": { "spec": { "serviceAccountName": null } } } })).await;
    world.rolled_out(1).await;
    until("the condition is gone", || async { failure().await.is_none().then_some(()) }).await;
}

#[tokio::test]
async fn a_namespace_has_its_account() {
    let world = World::start();
    let namespaces = Api::<Namespace>::all(world.client.clone());
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let accounts = world.api::<ServiceAccount>();
    until("the account `default`", || async { accounts.get_opt("default").await.unwrap() }).await;
    accounts.delete("default", &DeleteParams::default()).await.unwrap();
    until("the account is made again", || async { accounts.get_opt("default").await.unwrap() }).await;
}

//! Installing: into an API server in memory, which stands for a cluster, and into the built-in runtime by the executable.

use std::path::PathBuf;
use std::time::Duration;

use mesh::install::{self, Error, Event, Extent, Layers, Options, Plan, Platform, Summary, Verdict};
use mesh::kube::{self, ApplyOptions, Connection, ObjectRef, Outcome, Selection};
use mesh::runtime::apiserver::{self, ApiServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Runtime, mesh, stderr, stdout};

/// An API server that stands for a cluster: what is deployed there becomes ready, and webhooks get their certificate.
struct Cluster {
    _server: ApiServer,
    connection: Connection,
    _directory: TempDir,
    caretaker: tokio::task::JoinHandle<()>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.caretaker.abort();
    }
}

fn cluster() -> Cluster {
    let directory = tempfile::tempdir().unwrap();
    let server = ApiServer::open(apiserver::Options::new(directory.path())).unwrap();
    let connection = Connection::new(server.client("admin"), "test", "https://test");
    let caretaker = tokio::spawn(take_care(Connection::new(server.client("controllers"), "test", "https://test")));
    Cluster { _server: server, connection, _directory: directory, caretaker }
}

/// What a cluster's controllers and a control plane would do.
async fn take_care(connection: Connection) {
    use ::kube::api::{Api, ListParams, Patch, PatchParams};
    use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
    use k8s_openapi::api::apps::v1::Deployment;

    let deployments: Api<Deployment> = Api::all(connection.client.clone());
    let hooks: Api<MutatingWebhookConfiguration> = Api::all(connection.client.clone());
    loop {
        for found in deployments.list(&ListParams::default()).await.unwrap() {
            let (name, namespace) = (found.metadata.name.unwrap(), found.metadata.namespace.unwrap());
            // One that is told so never comes up.
            if found.metadata.annotations.is_some_and(|notes| notes.contains_key("stuck")) {
                continue;
            }
            let replicas = found.spec.unwrap().replicas.unwrap_or(1);
            let status = json!({"status": {"observedGeneration": found.metadata.generation, "replicas": replicas,
                "updatedReplicas": replicas, "availableReplicas": replicas, "readyReplicas": replicas}});
            let api: Api<Deployment> = Api::namespaced(connection.client.clone(), &namespace);
            let _ = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
        }
        for found in hooks.list(&ListParams::default()).await.unwrap() {
            let entries = found.webhooks.unwrap_or_default();
            if entries.iter().all(|entry| entry.client_config.ca_bundle.is_some()) {
                continue;
            }
            let bundles: Vec<Value> =
                entries.iter().map(|entry| json!({"name": entry.name, "clientConfig": {"caBundle": "eA=="}})).collect();
            let patch = Patch::Strategic(json!({ "webhooks": bundles }));
            let _ = hooks.patch(&found.metadata.name.unwrap(), &PatchParams::default(), &patch).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn plan(profile: &str, set: &[&str]) -> Plan {
    let layers = Layers {
        profile: Some(profile.to_owned()),
        set: set.iter().map(|text| text.parse().unwrap()).collect(),
        ..Layers::default()
    };
    Plan::new(layers.settings().unwrap(), Platform::Kubernetes)
}

fn options() -> Options {
    Options {
        replace_istio: false,
        dry_run: false,
        readiness_timeout: Duration::from_secs(30),
        holder: "alice@here".to_owned(),
    }
}

async fn run(connection: &Connection, plan: &Plan, options: &Options) -> (Result<Summary, Error>, Vec<String>) {
    let mut told = Vec::new();
    let outcome = install::install(connection, plan, options, &mut |event| {
        told.push(match event {
            Event::Applied { object, outcome, .. } => format!("{outcome:?} {object}"),
            Event::Warning { object, text } => format!("warning {object} {text}"),
            Event::Waiting(waiting) => format!("waiting {}", waiting[0].0),
            Event::Pruned(object) => format!("pruned {object}"),
        });
    })
    .await;
    (outcome, told)
}

async fn installed(connection: &Connection, plan: &Plan) -> Summary {
    let (outcome, told) = run(connection, plan, &options()).await;
    outcome.unwrap_or_else(|error| panic!("{error}\n{told:#?}"))
}

fn object(api_version: &str, kind: &str, namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()),
        name: name.to_owned(),
    }
}

#[tokio::test]
async fn installing_again_changes_nothing_and_what_is_no_longer_wanted_goes() {
    let cluster = cluster();
    let connection = &cluster.connection;
    let first = installed(connection, &plan("demo", &[])).await;
    assert!(first.created > 25 && first.configured == 0 && first.pruned == 0, "{first:?}");

    let again = installed(connection, &plan("demo", &[])).await;
    assert_eq!((again.created, again.configured, again.pruned), (0, 0, 0));
    assert_eq!(again.unchanged, first.created);

    let (outcome, told) = run(connection, &plan("minimal", &[]), &options()).await;
    let smaller = outcome.unwrap();
    assert_eq!(smaller.pruned, 10, "{told:#?}");
    assert!(told.contains(&"pruned Deployment istio-system/istio-egressgateway".to_owned()), "{told:#?}");
    assert_eq!(
        kube::get(connection, &object("apps/v1", "Deployment", "istio-system", "istio-ingressgateway")).await.unwrap(),
        None
    );
    let users_kinds =
        object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "virtualservices.networking.istio.io");
    assert!(kube::get(connection, &users_kinds).await.unwrap().is_some());
}

#[tokio::test]
async fn stages_wait_for_each_other_and_the_control_plane_comes_before_its_webhooks() {
    let cluster = cluster();
    let (outcome, told) = run(&cluster.connection, &plan("default", &[]), &options()).await;
    outcome.unwrap();
    let place =
        |what: &str| told.iter().position(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {told:#?}"));
    assert!(place("CustomResourceDefinition virtualservices") < place("Created Deployment istio-system/istiod"));
    assert!(place("Created Deployment istio-system/istiod") < place("Created MutatingWebhookConfiguration"));
    assert!(
        place("Created MutatingWebhookConfiguration") < place("Created Deployment istio-system/istio-ingressgateway")
    );
}

#[tokio::test]
async fn what_is_not_ready_is_named_with_its_reason_and_installing_again_goes_on() {
    let cluster = cluster();
    let connection = &cluster.connection;
    let stuck = "components.pilot.k8s.overlays=[{kind: Deployment, name: istiod, patches: [{path: metadata.annotations.stuck, value: 'yes'}]}]";
    let brief = Options { readiness_timeout: Duration::from_millis(300), ..options() };
    let (outcome, _) = run(connection, &plan("minimal", &[stuck]), &brief).await;
    let error = outcome.unwrap_err().to_string();
    assert_eq!(error, "not ready within 0 s: Deployment istio-system/istiod has not been looked at by its controller");
    // Webhooks that nobody serves would keep every pod of the cluster from being created.
    let hook = object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "istio-sidecar-injector");
    assert_eq!(kube::get(connection, &hook).await.unwrap(), None);
    let lease = object("coordination.k8s.io/v1", "Lease", "istio-system", "mesh-install");
    assert_eq!(kube::get(connection, &lease).await.unwrap(), None, "the lock is given back");

    installed(connection, &plan("minimal", &[])).await;
    assert!(kube::get(connection, &hook).await.unwrap().is_some());
}

#[tokio::test]
async fn an_istio_of_somebody_else_is_never_overwritten_unasked() {
    let cluster = cluster();
    let connection = &cluster.connection;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}});
    kube::apply(connection, &namespace, ApplyOptions::default()).await.unwrap();
    let theirs = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "istio-system", "labels": {"app": "istiod", "istio.io/rev": "default"}},
        "spec": {"selector": {"matchLabels": {"app": "istiod", "istio.io/rev": "default"}}, "template": {
            "metadata": {"labels": {"app": "istiod", "istio.io/rev": "default"}},
            "spec": {"containers": [{"name": "discovery", "image": "docker.io/istio/pilot:1.30"}]}}},
    });
    kube::apply(connection, &theirs, ApplyOptions::default()).await.unwrap();

    let (outcome, told) = run(connection, &plan("minimal", &[]), &options()).await;
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("an Istio that mesh did not install: Deployment istio-system/istiod"), "{error}");
    assert!(error.contains("--revision") && error.contains("--replace-istio"), "{error}");
    assert!(told.is_empty(), "nothing is touched: {told:?}");

    installed(connection, &plan("minimal", &["revision=mesh"])).await;
    let image = async || {
        let istiod = object("apps/v1", "Deployment", "istio-system", "istiod");
        let found = kube::get(connection, &istiod).await.unwrap().unwrap();
        found["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
    };
    assert_eq!(image().await, "docker.io/istio/pilot:1.30");
    let (outcome, _) = run(connection, &plan("minimal", &[]), &Options { replace_istio: true, ..options() }).await;
    outcome.unwrap();
    assert!(image().await.starts_with("mesh/proxy:"), "{}", image().await);
}

#[tokio::test]
async fn two_installers_of_a_revision_are_kept_apart_and_the_second_is_told_who_holds_the_lock() {
    let cluster = cluster();
    let connection = &cluster.connection;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}});
    kube::apply(connection, &namespace, ApplyOptions::default()).await.unwrap();
    let held = kube::lock(connection, "istio-system", "mesh-install", "bob@there (pid 7)", |_| ()).await.unwrap();
    let (outcome, _) = run(connection, &plan("minimal", &[]), &options()).await;
    let error = outcome.unwrap_err().to_string();
    assert!(
        error.contains("Lease istio-system/mesh-install on https://test is held by bob@there (pid 7) since"),
        "{error}"
    );
    held.release().await;
    installed(connection, &plan("minimal", &[])).await;
}

#[tokio::test]
async fn what_an_installer_that_was_killed_holds_is_waited_for() {
    let cluster = cluster();
    let connection = &cluster.connection;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}});
    kube::apply(connection, &namespace, ApplyOptions::default()).await.unwrap();
    // Its clock went an hour fast, which makes it neither longer nor shorter.
    let renewed = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3600);
    let left = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "mesh-install", "namespace": "istio-system"},
        "spec": {"holderIdentity": "bob@there (pid 7)", "leaseDurationSeconds": 2,
            "acquireTime": renewed.strftime("%FT%T%.6fZ").to_string(),
            "renewTime": renewed.strftime("%FT%T%.6fZ").to_string()}});
    kube::apply(connection, &left, ApplyOptions::default()).await.unwrap();
    let (outcome, told) = run(connection, &plan("minimal", &[]), &options()).await;
    outcome.unwrap();
    assert!(told.contains(&"waiting Lease istio-system/mesh-install".to_owned()), "{told:#?}");
}

/// Installs until `events` things were told, and is cut off there as `kill -9` cuts it off; whether it was done before that.
async fn cut_off(connection: &Connection, plan: &Plan, events: usize) -> bool {
    let (mut told, reached) = (0, tokio::sync::Notify::new());
    let options = options();
    let mut tell = |_: Event<'_>| {
        told += 1;
        if told == events {
            reached.notify_one();
        }
    };
    let done = tokio::select! {
        biased;
        () = reached.notified() => false,
        outcome = install::install(connection, plan, &options, &mut tell) => { outcome.unwrap(); true }
    };
    // What it held is waited for, which another test sees.
    let lock = object("coordination.k8s.io/v1", "Lease", "istio-system", "mesh-install");
    kube::delete(connection, &lock).await.unwrap();
    done
}

#[tokio::test]
async fn an_installation_that_was_cut_off_anywhere_is_finished_by_the_next() {
    let cluster = cluster();
    let connection = &cluster.connection;
    // Forwards, and then to a profile that has less, so that things are removed too.
    for profile in ["demo", "minimal"] {
        let plan = plan(profile, &[]);
        let mut events = 1;
        while !cut_off(connection, &plan, events).await {
            events += 7;
        }
        assert!(events > 14, "it was cut off at several moments");
        let last = installed(connection, &plan).await;
        assert_eq!((last.created, last.configured, last.pruned), (0, 0, 0), "{profile}");
        let verdicts = install::verify(connection, "default", Platform::Kubernetes).await.unwrap();
        assert!(verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Good), "{profile}: {verdicts:?}");
    }
    let egress = object("apps/v1", "Deployment", "istio-system", "istio-egressgateway");
    assert_eq!(kube::get(connection, &egress).await.unwrap(), None);
}

#[tokio::test]
async fn a_rehearsal_changes_nothing() {
    let cluster = cluster();
    let connection = &cluster.connection;
    let rehearsal = Options { dry_run: true, ..options() };
    let (outcome, _) = run(connection, &plan("demo", &[]), &rehearsal).await;
    assert!(outcome.unwrap().created > 25);
    let namespace = object("v1", "Namespace", "", "istio-system");
    assert_eq!(kube::get(connection, &namespace).await.unwrap(), None);

    installed(connection, &plan("demo", &[])).await;
    let (outcome, told) = run(connection, &plan("minimal", &["values.global.logging.level=debug"]), &rehearsal).await;
    let summary = outcome.unwrap();
    assert_eq!(summary.pruned, 10, "{told:#?}");
    assert!(
        told.contains(&"Configured Deployment istio-system/istiod".to_owned()),
        "what would change is said: {told:#?}"
    );
    assert!(summary.unchanged > 20, "and what would not: {summary:?}");
    assert!(
        kube::get(connection, &object("apps/v1", "Deployment", "istio-system", "istio-egressgateway"))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn verification_names_what_is_missing_not_ready_or_changed() {
    let cluster = cluster();
    let connection = &cluster.connection;
    let verify = async || install::verify(connection, "default", Platform::Kubernetes).await;
    let error = verify().await.unwrap_err().to_string();
    assert!(error.contains("no mesh of revision default") && error.contains("nothing is installed"), "{error}");

    installed(connection, &plan("demo", &[])).await;
    let bad = async || -> Vec<(String, Verdict)> {
        let verdicts = verify().await.unwrap();
        let bad = verdicts.into_iter().filter(|(_, verdict)| *verdict != Verdict::Good);
        bad.map(|(object, verdict)| (object.to_string(), verdict)).collect()
    };
    assert_eq!(bad().await, []);

    kube::delete(connection, &object("v1", "ServiceAccount", "istio-system", "istiod")).await.unwrap();
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": "mine"}});
    let client = connection.client.clone();
    let maps: ::kube::Api<k8s_openapi::api::core::v1::ConfigMap> = ::kube::Api::namespaced(client, "istio-system");
    let by_hand = ::kube::api::PatchParams::apply("kubectl").force();
    maps.patch("istio", &by_hand, &::kube::api::Patch::Apply(config)).await.unwrap();
    assert_eq!(
        bad().await,
        [
            ("ServiceAccount istio-system/istiod".to_owned(), Verdict::Missing),
            ("ConfigMap istio-system/istio".to_owned(), Verdict::Changed),
        ]
    );
    installed(connection, &plan("demo", &[])).await;
    assert_eq!(bad().await, []);
}

#[tokio::test]
async fn removing_keeps_what_users_wrote_and_a_purge_counts_it() {
    let cluster = cluster();
    let connection = &cluster.connection;
    installed(connection, &plan("demo", &[])).await;
    installed(connection, &plan("minimal", &["revision=canary"])).await;
    let route = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "default"}, "spec": {"hosts": ["web"]}});
    kube::apply(connection, &route, ApplyOptions::default()).await.unwrap();

    let gone = install::removable(connection, &Extent::Revision("default".to_owned())).await.unwrap();
    assert_eq!(gone.kept, []);
    let count = install::remove(connection, &gone.objects, |_| {}).await.unwrap();
    assert_eq!(count, gone.objects.len());
    assert!(
        kube::get(connection, &object("apps/v1", "Deployment", "istio-system", "istiod-canary"))
            .await
            .unwrap()
            .is_some()
    );
    assert!(kube::get(connection, &ObjectRef::of(&route).unwrap()).await.unwrap().is_some());
    let error = install::removable(connection, &Extent::Revision("default".to_owned())).await.unwrap_err().to_string();
    assert!(error.contains("there is canary"), "{error}");

    let purge = install::purge_extent(connection).await.unwrap();
    assert_eq!(purge.objects, [("VirtualService", 1)]);
    let mut everything = install::removable(connection, &Extent::Everything).await.unwrap().objects;
    everything.extend(purge.definitions);
    install::remove(connection, &everything, |_| {}).await.unwrap();
    let ours = Selection { namespace: None, labels: "app.kubernetes.io/managed-by=mesh" };
    for (api_version, kind) in [("apps/v1", "Deployment"), ("v1", "ConfigMap")] {
        assert_eq!(kube::list(connection, api_version, kind, ours).await.unwrap(), Vec::<Value>::new(), "{kind}");
    }
    // Definitions go once their objects are gone.
    for definition in everything.iter().filter(|object| object.kind == "CustomResourceDefinition") {
        let gone = kube::wait_for(connection, definition, "gone", Duration::from_secs(20), |found| found.is_none());
        gone.await.unwrap();
    }
}

/// An Istio of somebody else in the namespace, with the authority and the roots that it made.
async fn foreign_istio(connection: &Connection, namespace: &str) -> [Value; 3] {
    let labels = json!({"app": "istiod"});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "istiod-theirs", "namespace": namespace, "labels": {"app": "istiod", "istio.io/rev": "theirs"}},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "discovery", "image": "pilot"}]}}}});
    let key = json!({"apiVersion": "v1", "kind": "Secret", "type": "istio.io/ca-root",
        "metadata": {"name": "istio-ca-secret", "namespace": namespace}});
    let root = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio-ca-root-cert", "namespace": namespace, "labels": {"istio.io/config": "true"}}});
    let name = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    for object in [&name, &deployment, &key, &root] {
        kube::apply(connection, object, ApplyOptions::default()).await.unwrap();
    }
    [deployment, key, root]
}

#[tokio::test]
async fn a_purge_leaves_what_another_istio_has_made() {
    let cluster = cluster();
    let connection = &cluster.connection;
    let theirs = foreign_istio(connection, "istio-system").await;
    let ours = plan("minimal", &["revision=ours", "namespace=mesh-system"]);
    installed(connection, &ours).await;
    for (kind, name, labels) in [
        ("Secret", "istio-ca-secret", json!({})),
        ("ConfigMap", "istio-ca-root-cert", json!({"istio.io/config": "true"})),
    ] {
        let made = json!({"apiVersion": "v1", "kind": kind,
            "metadata": {"name": name, "namespace": "mesh-system", "labels": labels}});
        kube::apply(connection, &made, ApplyOptions::default()).await.unwrap();
    }
    let left = async |places: &[install::Place]| -> Vec<String> {
        let left = install::left_behind(connection, places, Duration::from_secs(1)).await.unwrap();
        left.iter().map(ToString::to_string).collect()
    };
    let everything = install::removable(connection, &Extent::Everything).await.unwrap();
    assert_eq!(everything.places.len(), 1, "{:?}", everything.places);
    assert_eq!(left(&everything.places).await, ["Secret mesh-system/istio-ca-secret"]);
    let beside = install::Place { namespace: "istio-system".to_owned(), revision: "ours".to_owned() };
    assert_eq!(left(&[beside]).await, Vec::<String>::new(), "a key that two control planes use stays");
    for object in &theirs {
        assert!(kube::get(connection, &ObjectRef::of(object).unwrap()).await.unwrap().is_some(), "{object}");
    }
    kube::delete(connection, &ObjectRef::of(&theirs[0]).unwrap()).await.unwrap();
    let all = left(&everything.places).await;
    assert!(all.contains(&"ConfigMap mesh-system/istio-ca-root-cert".to_owned()), "with nobody else left: {all:?}");
}

#[tokio::test]
async fn a_gateway_that_another_revision_took_over_is_as_it_should_be_and_outlives_that_revision() {
    let cluster = cluster();
    let connection = &cluster.connection;
    installed(connection, &plan("demo", &[])).await;
    installed(connection, &plan("default", &["revision=canary"])).await;
    let gateway = object("apps/v1", "Deployment", "istio-system", "istio-ingressgateway");
    for revision in ["default", "canary"] {
        let verdicts = install::verify(connection, revision, Platform::Kubernetes).await.unwrap();
        let bad = |verdict: &Verdict| !matches!(verdict, Verdict::Good | Verdict::Shared(_) | Verdict::NotReady(_));
        let bad: Vec<_> = verdicts.iter().filter(|(_, verdict)| bad(verdict)).collect();
        assert!(bad.is_empty(), "{revision}: {bad:?}");
    }
    let canary = Extent::Revision("canary".to_owned());
    let removal = install::removable(connection, &canary).await.unwrap();
    assert!(removal.kept.contains(&(gateway.clone(), "default".to_owned())), "{:?}", removal.kept);
    assert!(!removal.objects.contains(&gateway));
    install::remove(connection, &removal.objects, |_| {}).await.unwrap();
    assert!(kube::get(connection, &gateway).await.unwrap().is_some());
    // Whoever asks again is told that nothing is there, not that the gateway could go.
    assert!(install::removable(connection, &canary).await.unwrap().objects.is_empty());
}

#[tokio::test]
async fn tags_point_to_revisions_that_are_there_and_are_not_pruned() {
    let cluster = cluster();
    let connection = &cluster.connection;
    let manifest = install::tag_manifest("prod", "canary", "istio-system", false);
    let error = install::set_tag(connection, &manifest, false).await.unwrap_err().to_string();
    assert!(error.contains("no mesh of revision canary"), "{error}");
    for revision in ["canary", "next"] {
        installed(connection, &plan("minimal", &[&format!("revision={revision}")])).await;
    }
    assert_eq!(install::set_tag(connection, &manifest, false).await.unwrap().outcome, Outcome::Created);
    let follower = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"istio.io/rev": "prod"}}});
    kube::apply(connection, &follower, ApplyOptions::default()).await.unwrap();
    installed(connection, &plan("minimal", &["revision=canary"])).await;
    let tags = install::tags(connection).await.unwrap();
    assert_eq!(
        (tags[0].name.as_str(), tags[0].revision.as_str(), tags[0].namespaces.as_slice()),
        ("prod", "canary", &["shop".to_owned()][..])
    );

    let elsewhere = install::tag_manifest("prod", "next", "istio-system", false);
    let error = install::set_tag(connection, &elsewhere, false).await.unwrap_err().to_string();
    assert!(error.contains("points to revision canary; --overwrite"), "{error}");
    install::set_tag(connection, &elsewhere, true).await.unwrap();
    let error = install::remove_tag(connection, "prod", false).await.unwrap_err().to_string();
    assert!(error.contains("is followed by shop"), "{error}");
    install::remove_tag(connection, "prod", true).await.unwrap();
    assert!(install::tags(connection).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_default_is_one_control_plane_also_once_a_tag_stands_for_it() {
    let cluster = cluster();
    let connection = &cluster.connection;
    installed(connection, &plan("minimal", &[])).await;
    installed(connection, &plan("minimal", &["revision=canary"])).await;
    let hook = ObjectRef {
        namespace: None,
        ..object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "istio-sidecar-injector")
    };
    let silent = async || {
        let hook = kube::get(connection, &hook).await.unwrap().unwrap();
        let mut entries = hook["webhooks"].as_array().unwrap().clone().into_iter();
        entries.all(|entry| entry["namespaceSelector"]["matchLabels"]["istio.io/deactivated"] == "never-match")
    };
    assert!(!silent().await);
    let tag = install::tag_manifest("default", "canary", "istio-system", false);
    install::set_tag(connection, &tag, false).await.unwrap();
    assert!(silent().await, "what the tag stands for is asked of one control plane");
    installed(connection, &plan("minimal", &[])).await;
    assert!(silent().await, "also after installing again");
    let verdicts = install::verify(connection, "default", Platform::Kubernetes).await.unwrap();
    assert!(verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Good), "{verdicts:?}");
    install::remove_tag(connection, "default", true).await.unwrap();
    assert!(!silent().await);
}

/// A directory with a kubeconfig at `.kube/config` that names a server that is not there.
fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".kube/config");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(
        &path,
        "apiVersion: v1\nkind: Config\ncurrent-context: far\ncontexts: [{name: far, context: {cluster: c, user: u}}]\n\
         clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\nusers: [{name: u, user: {token: t}}]\n",
    )
    .unwrap();
    (home, path)
}

fn mesh_at(home: &TempDir, arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(crate::harness::MESH);
    command.args(arguments).env("HOME", home.path()).env_remove("XDG_STATE_HOME").env_remove("KUBECONFIG");
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

#[test]
fn without_a_cluster_every_command_says_so_in_one_sentence_within_a_second() {
    let nowhere = tempfile::tempdir().unwrap();
    let (far, _) = home();
    for command in [
        &["install", "-y"][..],
        &["uninstall", "-y"],
        &["verify-install"],
        &["upgrade"],
        &["tag", "list"],
        &["manifest", "diff"],
    ] {
        for (home, expected) in [(&nowhere, "no cluster is known"), (&far, "https://127.0.0.1:9 cannot be reached")] {
            let started = std::time::Instant::now();
            let output = mesh_at(home, command);
            assert!(started.elapsed() < Duration::from_secs(1), "{command:?} took {:?}", started.elapsed());
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(69), "{command:?}: {said}");
            assert!(said.contains(expected) && said.lines().count() <= 2, "{command:?}: {said}");
        }
    }
}

#[test]
fn manifests_and_profiles_need_no_cluster() {
    let generated = mesh(&["manifest", "generate", "--set", "profile=demo"]);
    assert!(generated.status.success(), "{}", stderr(&generated));
    assert_eq!(stdout(&generated), stdout(&mesh(&["manifest", "generate", "--profile", "demo"])));
    assert!(stdout(&generated).contains("name: istio-egressgateway"));
    let wrong = mesh(&["manifest", "generate", "--set", "values.pilot.replicaCuont=2"]);
    assert_eq!(wrong.status.code(), Some(65));
    assert!(stderr(&wrong).contains("did you mean `replicaCount`?"), "{}", stderr(&wrong));
    let unknown = mesh(&["install", "--profile", "dmeo", "-y"]);
    assert_eq!(unknown.status.code(), Some(64), "{}", stderr(&unknown));
    let listed = stdout(&mesh(&["profile", "list"]));
    for name in ["default", "demo", "minimal", "empty", "preview", "remote", "stable", "openshift"] {
        assert!(listed.lines().any(|line| line.starts_with(name)), "{listed}");
    }
    let level = mesh(&["profile", "dump", "--config-path", "values.global.logging"]);
    assert_eq!(stdout(&level), "level: info\n");
    let differing = mesh(&["profile", "diff", "default", "demo"]);
    assert_eq!(differing.status.code(), Some(1));
    assert!(stdout(&differing).contains("+    accessLogFile: /dev/stdout"), "{}", stdout(&differing));
    assert_eq!(mesh(&["profile", "diff", "demo", "demo"]).status.code(), Some(0));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml").display().to_string();
    assert!(mesh(&["manifest", "generate", "-o", file.as_str()]).status.success());
    assert_eq!(mesh(&["manifest", "generate", "-o", file.as_str()]).status.code(), Some(73), "never overwritten");
    assert_eq!(mesh(&["manifest", "diff", file.as_str(), file.as_str()]).status.code(), Some(0));
}

#[test]
fn the_runtime_is_installed_into_verified_and_cleared_by_the_executable() {
    let runtime = Runtime::start(&[]);
    let refused = runtime.mesh(&["install", "--profile", "minimal"]);
    assert_eq!(refused.status.code(), Some(64), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("-y goes on without asking"), "{}", stderr(&refused));
    let installed = runtime.mesh(&["install", "--profile", "demo", "-y"]);
    let said = stderr(&installed);
    assert!(installed.status.success(), "{said}");
    assert!(said.starts_with(&format!("→ mesh ({})", runtime.api)), "{said}");
    assert!(stdout(&installed).contains("(profile demo, revision default) is installed"), "{}", stdout(&installed));
    let again = runtime.mesh(&["install", "--profile", "demo", "-y"]);
    assert!(stdout(&again).contains("0 created, 0 changed, 0 removed"), "{}", stdout(&again));
    let settings = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {profile: demo}\n";
    for command in ["install", "upgrade"] {
        let piped = runtime.mesh_with(&[command, "-y", "-f", "-"], settings);
        assert!(stdout(&piped).contains("0 created, 0 changed"), "{command}: {}{}", stdout(&piped), stderr(&piped));
    }
    let verified = runtime.mesh(&["verify-install"]);
    assert!(verified.status.success(), "{}{}", stdout(&verified), stderr(&verified));

    let asked = runtime.mesh(&["uninstall", "--purge", "-y"]);
    assert_eq!(asked.status.code(), Some(64), "a purge is not answered by -y: {}", stderr(&asked));
    assert!(stderr(&asked).contains("--confirm-context mesh"), "{}", stderr(&asked));
    let removed = runtime.mesh(&["uninstall", "-y"]);
    assert!(removed.status.success(), "{}", stderr(&removed));
    assert_eq!(runtime.mesh(&["verify-install"]).status.code(), Some(1));
}

#[test]
fn a_default_kubeconfig_beside_a_runtime_makes_a_change_ambiguous() {
    let (home, _) = home();
    let runtime = Runtime::start(&[]);
    let state = home.path().join(".local/state");
    std::fs::create_dir_all(&state).unwrap();
    std::os::unix::fs::symlink(runtime.directory(), state.join("mesh")).unwrap();
    let output = mesh_at(&home, &["install", "-y"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains(".kube/config") && said.contains("--context") && said.contains("--runtime"), "{said}");
    assert!(mesh_at(&home, &["verify-install", "--runtime"]).status.code() != Some(64));
}

#[tokio::test]
async fn what_was_said_at_installation_is_remembered_for_the_upgrade() {
    let cluster = cluster();
    let connection = &cluster.connection;
    assert!(install::recorded_layers(connection, "default").await.unwrap().is_none());
    let said = Layers {
        profile: Some("minimal".to_owned()),
        set: vec!["values.global.tag=7".parse().unwrap(), "values.pilot.traceSampling=5".parse().unwrap()],
        ..Layers::default()
    };
    installed(connection, &Plan::of(&said, Platform::Kubernetes).unwrap()).await;
    let later = Layers { set: vec!["values.pilot.traceSampling=9".parse().unwrap()], ..Layers::default() };
    let layers = install::recorded_layers(connection, "default").await.unwrap().unwrap().then(later);
    let tree = layers.tree().unwrap();
    assert_eq!(tree["profile"], "minimal");
    assert_eq!(tree["values"]["global"]["tag"], 7);
    assert_eq!(tree["values"]["pilot"]["traceSampling"], 9);

    let text = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {profile: demo}\n";
    let file = Layers { files: mesh::yaml::load("op.yaml", text.as_bytes()).documents, ..Layers::default() };
    assert_eq!(layers.then(file).profile(), "demo", "a file that names a profile is the last to name one");
}

//! Who is told of a change, and who is not.

use super::*;
use crate::compile::MeshConfig;
use crate::resources::AuthorizationPolicy;

/// What a stream is sent next, if anything is on its way; everything that was published before has been looked at.
async fn told(mesh: &Mesh, stream: &mut Stream) -> Option<DeltaDiscoveryResponse> {
    let newest = mesh.plane.generation();
    loop {
        if let Ok(message) = timeout(Duration::from_millis(1), stream.responses.message()).await {
            return Some(message.unwrap().expect("the stream goes on"));
        }
        if mesh.plane.status().last().is_some_and(|status| status.generation >= newest) {
            return None;
        }
    }
}

async fn publish(mesh: &Mesh, event: Event) {
    let before = mesh.plane.generation();
    mesh.tell(event).await;
    until("the change is published", || mesh.plane.generation() > before).await;
}

fn rule(namespace: &str, host: &str, weight: u32) -> (Key, Item) {
    let to = |subset: &str, weight: u32| json!({"destination": {"host": "web", "subset": subset}, "weight": weight});
    let value: Value = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "rule", "namespace": namespace},
        "spec": {"hosts": [host], "http": [{"route": [to("v1", 100 - weight), to("v2", weight)]}]},
    });
    (Key::new(namespace, "rule"), Item::VirtualService(Arc::new(Object::from_value(&value).unwrap())))
}

#[tokio::test]
async fn a_rule_is_told_to_those_who_ask_for_a_host_that_it_claims_or_claimed() {
    let mesh = mesh().await;
    let mut stream = mesh.stream("bank").await;
    let scope = stream.announce("bank").await;
    let name = format!("{scope}/web.bank.svc.cluster.local");
    stream.ask(ResourceType::Routes, &[&name], None).await;
    let first = stream.next().await.unwrap();
    stream.settle(&first, None).await;
    // Of another host.
    let (key, item) = canary(40);
    publish(&mesh, Event::Apply(key, item)).await;
    assert_eq!(told(&mesh, &mut stream).await, None);
    let mut versions = vec![first.resources[0].version.clone()];
    for (host, weight, is_told) in [
        ("web", 10, true),
        ("web", 20, true),
        ("other", 20, true),
        ("other", 30, false),
        ("*.bank.svc.cluster.local", 30, true),
    ] {
        let (key, item) = rule("bank", host, weight);
        publish(&mesh, Event::Apply(key, item)).await;
        let message = told(&mesh, &mut stream).await;
        assert_eq!(message.is_some(), is_told, "{host} {weight}");
        if let Some(message) = message {
            assert_eq!(message.resources.len(), 1);
            versions.push(message.resources[0].version.clone());
            stream.settle(&message, None).await;
        }
    }
    publish(&mesh, Event::Delete(Kind::VirtualService, Key::new("bank", "rule"))).await;
    let message = told(&mesh, &mut stream).await.expect("the rule is gone");
    // As before the first one came, and while it claimed another host.
    assert_eq!([&message.resources[0].version, &versions[3]], [&versions[0], &versions[0]]);
}

#[tokio::test]
async fn what_a_delegate_says_is_told_to_those_who_ask_for_the_host_of_its_root() {
    let virtual_service = |name: &str, spec: Value| {
        let value: Value = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": name, "namespace": "bank"}, "spec": spec});
        let object = Object::from_value(&value).unwrap();
        Event::Apply(Key::new("bank", name), Item::VirtualService(Arc::new(object)))
    };
    let leaf = |subset: &str| {
        let to = json!([{"destination": {"host": "web", "subset": subset}}]);
        virtual_service("rules", json!({"http": [{"route": to}]}))
    };
    let mesh = mesh().await;
    let mut stream = mesh.stream("bank").await;
    let scope = stream.announce("bank").await;
    let name = format!("{scope}/web.bank.svc.cluster.local");
    stream.ask(ResourceType::Routes, &[&name], None).await;
    let first = stream.next().await.unwrap();
    stream.settle(&first, None).await;
    // Whose delegate is not there yet has no rule: the service is as it was.
    let root = json!({"hosts": ["web"], "http": [{"delegate": {"name": "rules"}}]});
    publish(&mesh, virtual_service("root", root)).await;
    assert_eq!(told(&mesh, &mut stream).await, None);
    let mut versions = vec![first.resources[0].version.clone()];
    for event in [leaf("v1"), leaf("v2"), Event::Delete(Kind::VirtualService, Key::new("bank", "rules"))] {
        publish(&mesh, event).await;
        let message = told(&mesh, &mut stream).await.expect("the rules are others");
        versions.push(message.resources[0].version.clone());
        stream.settle(&message, None).await;
    }
    assert_eq!(versions[3], versions[0]);
    assert!(versions[1] != versions[0] && versions[2] != versions[1]);
}

#[tokio::test]
async fn the_meshs_localities_are_told_to_those_who_hold_a_policy() {
    let mesh = mesh().await;
    let value: Value = json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": "web", "namespace": "bank"},
        "spec": {"host": "web", "trafficPolicy": {"outlierDetection": {"consecutive5xxErrors": 3}}}});
    let item = Item::DestinationRule(Arc::new(Object::from_value(&value).unwrap()));
    publish(&mesh, Event::Apply(Key::new("bank", "web"), item)).await;
    let mut stream = mesh.stream("bank").await;
    let scope = stream.announce("bank").await;
    stream.ask(ResourceType::TrafficPolicy, &[&format!("{scope}/web.bank.svc.cluster.local")], None).await;
    let first = stream.next().await.unwrap();
    stream.settle(&first, None).await;
    let config = Arc::new(MeshConfig::parse("localityLbSetting: {enabled: false}\n").unwrap());
    publish(&mesh, Event::Apply(Key::new("istio-system", MeshConfig::NAME), Item::MeshConfig(config))).await;
    let message = told(&mesh, &mut stream).await.expect("the policy is another one");
    assert_eq!(message.type_url, ResourceType::TrafficPolicy.url());
    assert_ne!(message.resources[0].version, first.resources[0].version);
}

#[tokio::test]
async fn who_is_far_behind_gets_the_newest_all_the_same() {
    let mesh = mesh().await;
    let mut stream = mesh.stream("shop").await;
    let scope = stream.announce("shop").await;
    let name = format!("{scope}/web.shop.svc.cluster.local");
    stream.ask(ResourceType::Routes, &[&name], None).await;
    let first = stream.next().await.unwrap();
    // More changes than are remembered, the first of which is the one that matters.
    let (key, item) = canary(60);
    publish(&mesh, Event::Apply(key, item)).await;
    for round in 0..70 {
        let (key, item) = rule("bank", "web", round);
        publish(&mesh, Event::Apply(key, item)).await;
    }
    stream.settle(&first, None).await;
    let second = stream.next().await.unwrap();
    assert_ne!(second.resources[0].version, first.resources[0].version);
    assert_eq!(second.system_version_info, mesh.plane.generation().to_string());
}

#[tokio::test]
async fn the_meshs_settings_take_force_and_are_taken_back() {
    let mesh = mesh().await;
    let directory = mesh.proxy("shop").await;
    let value: Value = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "ask", "namespace": "shop"},
        "spec": {"action": "CUSTOM", "provider": {"name": "opa"}, "rules": [{}]}});
    let policy = Object::<AuthorizationPolicy>::from_value(&value).unwrap();
    mesh.tell(Event::Apply(Key::new("shop", "ask"), Item::AuthorizationPolicy(Arc::new(policy)))).await;
    until("the policy is there", || directory.inbound().is_some_and(|inbound| !inbound.authorization.is_empty())).await;
    assert_eq!(directory.inbound().unwrap().providers, []);
    let text = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\naccessLogFile: /dev/stdout\n\
                extensionProviders: [{name: opa, envoyExtAuthzGrpc: {service: opa.shop.svc.cluster.local, port: 9191}}]\n";
    let key = Key::new("istio-system", MeshConfig::NAME);
    let config = Arc::new(MeshConfig::parse(text).unwrap());
    mesh.tell(Event::Apply(key.clone(), Item::MeshConfig(config))).await;
    until("the settings are there", || directory.settings().outbound_mode == OutboundMode::RegistryOnly).await;
    assert!(directory.settings().server.log);
    until("the provider is there", || {
        directory.inbound().is_some_and(|inbound| inbound.providers.iter().any(|provider| provider.port == 9191))
    })
    .await;
    mesh.tell(Event::Delete(Kind::MeshConfig, key)).await;
    until("the settings are gone", || directory.settings().outbound_mode == OutboundMode::AllowAny).await;
    until("the provider is gone", || directory.inbound().is_some_and(|inbound| inbound.providers.is_empty())).await;
}

fn sidecar(host: &str) -> (Key, Item) {
    let value: Value = json!({"apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
        "metadata": {"name": "default", "namespace": "shop"},
        "spec": {"egress": [{"hosts": [host]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}});
    (Key::new("shop", "default"), Item::Sidecar(Arc::new(Object::from_value(&value).unwrap())))
}

#[tokio::test]
async fn a_sidecar_puts_its_clients_into_a_scope_that_sees_what_it_says() {
    let mesh = mesh().await;
    let (shop, bank) = (mesh.proxy("shop").await, mesh.proxy("bank").await);
    let before = shop.settings().scope.clone();
    target(&shop, "web").await;
    target(&shop, "web.bank").await;
    let (key, item) = sidecar("./*");
    mesh.tell(Event::Apply(key.clone(), item)).await;
    until("web.bank is not known", || matches!(shop.get("web.bank"), Some(Resolution::Unknown))).await;
    assert_ne!(shop.settings().scope, before);
    assert_eq!(shop.settings().outbound_mode, OutboundMode::RegistryOnly);
    assert!(now_held(&shop, "web").is_some());
    assert_eq!(bank.settings().outbound_mode, OutboundMode::AllowAny);
    target(&bank, "web.shop").await;
    // What it says otherwise is another scope, in which everything is asked for again.
    let (_, item) = sidecar("bank/*");
    mesh.tell(Event::Apply(key.clone(), item)).await;
    until("web is not known, but web.bank", || {
        now_held(&shop, "web").is_none() && now_held(&shop, "web.bank").is_some()
    })
    .await;
    mesh.tell(Event::Delete(Kind::Sidecar, key)).await;
    until("both are known", || now_held(&shop, "web").is_some() && now_held(&shop, "web.bank").is_some()).await;
    assert_eq!(shop.settings().scope, before);
    until("everybody is in sync", || {
        let newest = mesh.plane.generation();
        mesh.plane.status().iter().all(|status| status.generation == newest)
    })
    .await;
}

//! What gateways are told: ports, certificates from Secrets, and nothing of what others keep.

use serde_json::json;

use super::*;
use crate::compile::TlsSecret;
use crate::model::{HostPattern, ListenerProtocol};

fn gateway() -> (Key, Item) {
    let value: Value = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": "front", "namespace": "bank"},
        "spec": {"selector": {"app": "web"}, "servers": [{
            "port": {"number": 8443, "name": "https", "protocol": "HTTPS"}, "hosts": ["*"],
            "tls": {"mode": "SIMPLE", "credentialName": "front"},
        }]},
    });
    (Key::new("bank", "front"), Item::Gateway(Arc::new(Object::from_value(&value).unwrap())))
}

fn bound() -> (Key, Item) {
    let value: Value = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "front", "namespace": "shop"},
        "spec": {"hosts": ["a.example.com"], "gateways": ["bank/front"],
                 "http": [{"route": [{"destination": {"host": "web"}}]}]},
    });
    (Key::new("shop", "front"), Item::VirtualService(Arc::new(Object::from_value(&value).unwrap())))
}

fn secret(namespace: &str, chain: &'static str) -> (Key, Item) {
    let read = TlsSecret::read(|name| match name {
        "tls.crt" => Some(chain.as_bytes().to_vec()),
        "tls.key" => Some(b"key".to_vec()),
        _ => None,
    });
    (Key::new(namespace, "front"), Item::Secret(Arc::new(read.unwrap())))
}

/// The proxy of the pod `web-v1` in `shop`, which is a gateway.
async fn router(mesh: &Mesh) -> Directory {
    let Item::Pod(pod) = pod([10, 0, 1, 1], "v1") else { unreachable!("it is a pod") };
    let gateway = Item::Pod(PodItem { is_gateway: true, ..pod });
    mesh.tell(Event::Apply(Key::new("shop", "web-v1"), gateway)).await;
    let (plane, identity) = (mesh.plane.clone(), id("shop"));
    let connect = in_memory(move || {
        let (plane, identity) = (plane.clone(), identity.clone());
        async move { plane.connect_in_memory(identity).await }
    });
    let node = NodeId { kind: ProxyKind::Router, ..node("shop") };
    let config = XdsConfig { node, connect, token: Arc::new(|| None) };
    XdsClient::start(config, mesh.token.clone())
}

#[tokio::test]
async fn a_gateway_is_told_its_ports_and_the_secrets_of_its_own_namespace() {
    let mesh = mesh().await;
    for (key, item) in [gateway(), bound(), secret("bank", "not for the shop's gateway")] {
        mesh.tell(Event::Apply(key, item)).await;
    }
    let directory = router(&mesh).await;
    let chain = || {
        let listeners = directory.listeners();
        let listener = listeners.borrow().iter().find(|listener| listener.port == 8443).cloned()?;
        assert_eq!(listener.protocol, ListenerProtocol::Tls);
        assert_eq!(listener.tls.len(), 1);
        Some(listener.tls[0].certificate.as_ref().map(|(chain, _)| chain.to_string()))
    };
    until("the port is there, without a certificate", || chain() == Some(None)).await;
    let hosts =
        directory.listeners().borrow()[0].virtual_hosts.iter().map(|host| host.host.clone()).collect::<Vec<_>>();
    assert_eq!(hosts, [HostPattern::parse("a.example.com")]);
    for text in ["first", "second"] {
        let (key, item) = secret("shop", text);
        mesh.tell(Event::Apply(key, item)).await;
        until(text, || chain() == Some(Some(text.to_owned()))).await;
    }
    mesh.tell(Event::Delete(Kind::Secret, Key::new("shop", "front"))).await;
    until("the certificate is gone", || chain() == Some(None)).await;
}

#[tokio::test]
async fn a_workload_does_not_become_a_gateway_by_saying_so() {
    let mesh = mesh().await;
    let mut stream = mesh.stream("shop").await;
    let node = NodeId { kind: ProxyKind::Router, ..node("shop") };
    stream.ask(ResourceType::Settings, &["self"], Some(node.to_string())).await;
    let refused = stream.next().await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("shop/web-v1") && refused.message().contains("an application"), "{refused}");
}

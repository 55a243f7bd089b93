//! Which connections a workload takes: every combination of what the mesh, its namespace, itself and a port of it say, over sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::harness::{Mesh, settings, soon, start};
use super::mutual_tls::shake;
use crate::compile::{World, inbound_policy};
use crate::model::{AppProtocol, InboundService, OutboundMode, Workload};
use crate::proxy::directory::FixedDirectory;
use crate::proxy::{Bind, testing};
use crate::resources::{Object, PeerAuthentication};

/// What may be said at each place; empty: nothing.
const MODES: [&str; 4] = ["", "STRICT", "PERMISSIVE", "DISABLE"];

/// An application that says the same to everybody, whatever they say, and hangs up.
async fn app() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _said = stream.read(&mut [0; 4096]).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                let _gone = stream.write_all(answer).await;
            });
        }
    });
    address
}

fn object(namespace: &str, name: &str, spec: Value) -> Arc<Object<PeerAuthentication>> {
    let value = json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "spec": spec,
        "metadata": {"namespace": namespace, "name": name}});
    Arc::new(Object::from_value(&value).unwrap())
}

async fn answer(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> bool {
    let mut answer = Vec::new();
    let _refused = stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").await;
    let _cut = soon(stream.read_to_end(&mut answer)).await;
    answer.ends_with(b"ok")
}

#[tokio::test]
async fn the_narrowest_place_that_says_a_mode_decides_for_every_port_who_may_connect() {
    let (mesh, app) = (Mesh::new(), app().await);
    let workload = Workload {
        namespace: "shop".into(),
        labels: [("app".into(), "web".into())].into(),
        ..(*testing::workload("web", "v1", Some(mesh.id("reviews")))).clone()
    };
    let workload = Arc::new(workload);
    for number in 0..MODES.len().pow(3) {
        let [of_mesh, of_namespace, of_workload] = [number / 16, number / 4 % 4, number % 4].map(|at| MODES[at]);
        // What says nothing may say so.
        let spec = |mode: &str| match mode {
            "" if number % 2 == 0 => json!({"mtls": {"mode": "UNSET"}}),
            "" => json!({}),
            mode => json!({"mtls": {"mode": mode}}),
        };
        // The ports are known before the policy, which names them; at an address of its own nobody else takes them meanwhile.
        let held = MODES.map(|mode| (std::net::TcpListener::bind("127.93.71.5:0").unwrap(), mode));
        let ports = held.map(|(listener, mode)| (listener.local_addr().unwrap(), mode));
        let said = ports.iter().filter(|(_, mode)| !mode.is_empty());
        let said: serde_json::Map<String, Value> =
            said.map(|(address, mode)| (address.port().to_string(), json!({"mode": mode}))).collect();
        let mut own = spec(of_workload);
        own["selector"] = json!({"matchLabels": {"app": "web"}});
        own["portLevelMtls"] = said.into();
        let mut world = World::new("cluster.local", "istio-system");
        world.peer_authentications = vec![
            object("istio-system", "mesh", spec(of_mesh)),
            object("shop", "all", spec(of_namespace)),
            object("shop", "web", own),
        ];
        let service = |(address, _): &(SocketAddr, &str)| InboundService {
            host: "web.shop.svc.cluster.local".into(),
            name: "web".into(),
            namespace: "shop".into(),
            target_port: address.port(),
            protocol: AppProtocol::Http,
        };
        let services = ports.iter().map(service).collect();
        let policy = inbound_policy(&world, workload.clone(), services, &["cluster.local".into()]);
        let known = FixedDirectory {
            settings: settings(OutboundMode::AllowAny),
            inbound: Some(Arc::new(policy)),
            credentials: Some(mesh.credentials("reviews")),
            ..FixedDirectory::default()
        };
        let _proxy = start(known, ports.iter().map(|(bind, _)| Bind::InboundExplicit { bind: *bind, app }).collect());
        for (address, of_port) in ports {
            let said = [of_port, of_workload, of_namespace, of_mesh].into_iter().find(|mode| !mode.is_empty());
            let takes = match said {
                Some("STRICT") => (false, true),
                Some("DISABLE") => (true, false),
                _ => (true, true),
            };
            let plain = answer(soon(TcpStream::connect(address)).await.unwrap()).await;
            let proved = match soon(shake(&mesh, address, Some("outside"), b"istio")).await {
                Ok(stream) => answer(stream).await,
                Err(_) => false,
            };
            let place = format!("port {of_port:?}, workload {of_workload:?}, {of_namespace:?}, mesh {of_mesh:?}");
            assert_eq!((plain, proved), takes, "plaintext and mutual TLS: {place}");
        }
    }
}

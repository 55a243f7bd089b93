//! Services outside the mesh: looked up, listed, and wherever the client was going.

use std::time::Duration;

use super::harness::{App, Peer, edge, edge_with, rules};

fn entry(spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: outside, namespace: default}}\nspec: {spec}\n"
    )
}

fn to(host: &str) -> String {
    rules(&format!("[{{route: [{{destination: {{host: {host}, port: {{number: 80}}}}}}]}}]"))
}

#[tokio::test]
async fn a_gateway_reaches_a_service_by_the_name_that_dns_knows() {
    let app = App::named("outside").await;
    let spec = format!(
        "{{hosts: [api.example.com], resolution: DNS, endpoints: [{{address: localhost}}], \
        ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {}}}]}}",
        app.address.port()
    );
    let (gateway, address) = edge(&[], &(to("api.example.com") + &entry(&spec))).await;
    let mut peer = Peer::connect(address).await;
    for _ in 0..3 {
        let response = peer.ask("GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await;
        assert!(response.ends_with("outside"), "{response}");
    }
    let line = gateway.log.line("outbound|80||api.example.com").await;
    assert!(line.contains(&app.address.to_string()), "{line}");
    assert_eq!(app.connections.load(std::sync::atomic::Ordering::Relaxed), 1, "looked up once, connected once");
}

#[tokio::test]
async fn a_name_that_dns_does_not_know_is_said() {
    let spec = "{hosts: [gone.invalid], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}";
    let shortened = |config: &mut crate::proxy::ProxyConfig| config.limits.dns = Duration::from_secs(2);
    let (gateway, address) = edge_with(&[], &(to("gone.invalid") + &entry(spec)), shortened).await;
    let response = Peer::connect(address).await.ask("GET / HTTP/1.1\r\nHost: gone.invalid\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    gateway.log.line("DNS knows no address of gone.invalid").await;
}

#[tokio::test]
async fn listed_endpoints_share_requests_by_weight_and_subset() {
    let (one, two) = (App::named("one").await, App::named("two").await);
    let spec = format!(
        "{{hosts: [api.example.com], resolution: STATIC, ports: [{{number: 80, name: http, protocol: HTTP}}], endpoints: [\
        {{address: 127.0.0.1, ports: {{http: {}}}, labels: {{version: v1}}}}, \
        {{address: 127.0.0.1, ports: {{http: {}}}, labels: {{version: v2}}}}]}}",
        one.address.port(),
        two.address.port()
    );
    let subsets = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: outside, namespace: default}\n\
        spec: {host: api.example.com, subsets: [{name: v2, labels: {version: v2}}]}\n";
    let route = rules("[{route: [{destination: {host: api.example.com, port: {number: 80}, subset: v2}}]}]");
    let (_gateway, address) = edge(&[], &(route + subsets + &entry(&spec))).await;
    let mut peer = Peer::connect(address).await;
    for _ in 0..5 {
        let response = peer.ask("GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await;
        assert!(response.ends_with("two"), "{response}");
    }
    assert!(one.requests.lock().is_empty());
}

#[tokio::test]
async fn a_gateway_takes_nobodys_word_for_where_to_go() {
    // Where nothing says where the service is, a gateway's client must not be able to say it.
    let app = App::named("inside").await;
    let spec = format!(
        "{{hosts: ['*.example.com'], ports: [{{number: {}, name: http, protocol: HTTP}}]}}",
        app.address.port()
    );
    let route = rules(&format!(
        "[{{route: [{{destination: {{host: '*.example.com', port: {{number: {}}}}}}}]}}]",
        app.address.port()
    ));
    let (_gateway, address) = edge(&[], &(route + &entry(&spec))).await;
    let response = Peer::connect(address).await.ask("GET / HTTP/1.1\r\nHost: 127.0.0.1.example.com\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    assert!(app.requests.lock().is_empty());
}

#[tokio::test]
async fn endpoints_elsewhere_are_for_when_those_that_are_near_fail() {
    let failing = App::start(|_| (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec(), false)).await;
    let (near, far) = (App::named("near").await, App::named("far").await);
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: far, namespace: default}\n\
        spec: {host: api.example.com, trafficPolicy: {outlierDetection: \
        {consecutive5xxErrors: 3, baseEjectionTime: 60s, maxEjectionPercent: 100}}}\n";
    for (first, expected) in [(&near, "near"), (&failing, "far")] {
        // The gateway does not know where it is, and so is nearest to whoever does not say it either.
        let spec = format!(
            "{{hosts: [api.example.com], resolution: STATIC, ports: [{{number: 80, name: http, protocol: HTTP}}], endpoints: [\
            {{address: 127.0.0.1, ports: {{http: {}}}, locality: r2/z1}}, {{address: 127.0.0.1, ports: {{http: {}}}}}]}}",
            far.address.port(),
            first.address.port()
        );
        let (_gateway, address) = edge(&[], &[&*to("api.example.com"), &entry(&spec), rule].concat()).await;
        let mut peer = Peer::connect(address).await;
        for number in 0..20 {
            let response = peer.ask("GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await;
            let is_expected = response.ends_with(expected);
            assert!(is_expected || (expected == "far" && number < 3), "request {number}: {response}");
        }
    }
    assert_eq!(failing.requests.lock().len(), 3);
    assert_eq!(far.requests.lock().len(), 17);
}

//! What DestinationRules do: from YAML to what clients and applications see.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use super::harness::{App, Peer, edge, header, ok, rules, soon, until};

fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

/// A rule that sends everything to `web`, and the policy for it.
fn with(policy: &str) -> String {
    let to_web = rules("[{retries: {attempts: 0}, route: [{destination: {host: web}}]}]");
    let rule = format!("{{host: web, trafficPolicy: {policy}}}");
    format!(
        "{to_web}---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: default}}\nspec: {rule}\n"
    )
}

async fn three() -> (Vec<App>, Vec<(&'static str, SocketAddr)>) {
    let apps = vec![App::named("one").await, App::named("two").await, App::named("three").await];
    let addresses = apps.iter().map(|app| ("web", app.address)).collect();
    (apps, addresses)
}

fn body(response: &str) -> String {
    response.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn one_key_means_one_endpoint_and_many_keys_mean_all() {
    let (_apps, addresses) = three().await;
    for (hash, request) in [
        ("{httpHeaderName: X-User}", (|key| get("/", &format!("x-user: {key}\r\n"))) as fn(usize) -> String),
        ("{httpQueryParameterName: user}", |key| get(&format!("/?a=b&user={key}"), "")),
        ("{httpCookie: {name: user}, maglev: {tableSize: 1009}}", |key| {
            get("/", &format!("Cookie: a=b; user={key}\r\n"))
        }),
    ] {
        let config = with(&format!("{{loadBalancer: {{consistentHash: {hash}}}}}"));
        let (_gateway, address) = edge(&addresses, &config).await;
        let mut client = Peer::connect(address).await;
        let mut seen = BTreeSet::new();
        for key in 0..40 {
            let first = body(&client.ask(&request(key)).await);
            for _ in 0..3 {
                assert_eq!(body(&client.ask(&request(key)).await), first, "{hash}");
            }
            seen.insert(first);
        }
        assert_eq!(seen.len(), 3, "{hash}");
        // Without a key, any will do.
        let without: BTreeSet<String> = {
            let mut seen = BTreeSet::new();
            for _ in 0..60 {
                seen.insert(body(&client.ask(&get("/", "")).await));
            }
            seen
        };
        assert_eq!(without.len(), 3, "{hash}");
    }
}

#[tokio::test]
async fn one_clients_address_means_one_endpoint() {
    let (_apps, addresses) = three().await;
    let (_gateway, address) = edge(&addresses, &with("{loadBalancer: {consistentHash: {useSourceIp: true}}}")).await;
    let first = body(&Peer::connect(address).await.ask(&get("/", "")).await);
    for _ in 0..10 {
        assert_eq!(body(&Peer::connect(address).await.ask(&get("/", "")).await), first);
    }
}

#[tokio::test]
async fn a_client_without_the_cookie_gets_one_that_brings_it_back() {
    let (_apps, addresses) = three().await;
    let hash = "{httpCookie: {name: sticky, path: /shop, ttl: 60s, attributes: [{name: SameSite, value: Lax}]}}";
    let (_gateway, address) = edge(&addresses, &with(&format!("{{loadBalancer: {{consistentHash: {hash}}}}}"))).await;
    for _ in 0..5 {
        let mut client = Peer::connect(address).await;
        let first = client.ask(&get("/", "")).await;
        let cookie = header(&first, "set-cookie").expect("a cookie").to_owned();
        assert!(cookie.ends_with("; Max-Age=60; Path=/shop; SameSite=Lax; HttpOnly"), "{cookie}");
        let pair = cookie.split(';').next().expect("a pair");
        for _ in 0..5 {
            let response = client.ask(&get("/", &format!("Cookie: {pair}\r\n"))).await;
            assert_eq!(body(&response), body(&first));
            assert_eq!(header(&response, "set-cookie"), None);
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_left_out() {
    let broken = App::start(|_| (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec(), false)).await;
    let good = App::named("good").await;
    let policy = "{loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {consecutive5xxErrors: 3, baseEjectionTime: 60s, maxEjectionPercent: 100}}";
    let (gateway, address) = edge(&[("web", broken.address), ("web", good.address)], &with(policy)).await;
    let mut client = Peer::connect(address).await;
    for _ in 0..30 {
        client.ask(&get("/", "")).await;
    }
    assert_eq!(broken.requests.lock().len(), 3, "three in a row, and no more");
    assert_eq!(good.requests.lock().len(), 27);
    drop(gateway);
    // With nobody left, there is nobody to ask.
    let (gateway, address) = edge(&[("web", broken.address)], &with(policy)).await;
    let mut client = Peer::connect(address).await;
    for _ in 0..3 {
        client.ask(&get("/", "")).await;
    }
    assert!(client.ask(&get("/", "")).await.starts_with("HTTP/1.1 503"));
    gateway.log.line("503 UH").await;
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address_of_app = listener.local_addr().expect("an address");
    let policy = "{connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}";
    let (gateway, address) = edge(&[("web", address_of_app)], &with(policy)).await;
    let mut first = Peer::connect(address).await;
    first.send(&get("/1", "")).await;
    let (stream, _) = soon(listener.accept()).await.expect("a connection");
    let mut app = Peer::new(stream);
    assert!(app.head().await.starts_with("GET /1 "));
    let mut second = Peer::connect(address).await;
    second.send(&get("/2", "")).await;
    // The second waits for its turn; a third may not. Which of the two came first is the proxy's to say.
    let refused = loop {
        let mut third = Peer::connect(address).await;
        let waited = tokio::time::timeout(std::time::Duration::from_millis(200), third.ask(&get("/3", ""))).await;
        if let Ok(response) = waited {
            break response;
        }
    };
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert_eq!(header(&refused, "x-envoy-overloaded"), Some("true"));
    gateway.log.line("503 UO overflow").await;
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none").await;
    assert!(first.response().await.ends_with("one"));
    assert!(app.head().await.starts_with("GET /2 "), "the one that waited goes next");
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo").await;
    assert!(second.response().await.ends_with("two"));
}

#[tokio::test]
async fn a_connection_carries_so_many_requests() {
    for (limit, connections) in
        [("maxRequestsPerConnection: 1", 6), ("maxRequestsPerConnection: 3", 2), ("maxRetries: 3", 1)]
    {
        let app = App::named("x").await;
        let config = with(&format!("{{connectionPool: {{http: {{{limit}}}}}}}"));
        let (_gateway, address) = edge(&[("web", app.address)], &config).await;
        let mut client = Peer::connect(address).await;
        for _ in 0..6 {
            client.ask(&get("/", "")).await;
        }
        assert_eq!(app.connections.load(Ordering::Relaxed), connections, "{limit}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_given_up_in_time() {
    let app = App::start(|_| (ok("x"), false)).await;
    let config = with(
        "{connectionPool: {http: {idleTimeout: 1ms}, tcp: {tcpKeepalive: {time: 7200s, interval: 75s, probes: 9}, connectTimeout: 1s}}}",
    );
    let (_gateway, address) = edge(&[("web", app.address)], &config).await;
    let mut client = Peer::connect(address).await;
    let mut asked = 0;
    until(|| asked == 0 || app.connections.load(Ordering::Relaxed) == 1).await;
    while app.connections.load(Ordering::Relaxed) < 2 && asked < 100 {
        client.ask(&get("/", "")).await;
        asked += 1;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert!(asked < 100, "every request went over the connection that should have been given up");
}

#[tokio::test]
async fn a_port_and_a_subset_have_policies_of_their_own() {
    let app = App::named("x").await;
    let policy = "{connectionPool: {http: {maxRequestsPerConnection: 1}}, \
        portLevelSettings: [{port: {number: 80}, connectionPool: {http: {maxRequestsPerConnection: 2}}}]}";
    let (_gateway, address) = edge(&[("web", app.address)], &with(policy)).await;
    let mut client = Peer::connect(address).await;
    for _ in 0..6 {
        client.ask(&get("/", "")).await;
    }
    assert_eq!(app.connections.load(Ordering::Relaxed), 3);
}

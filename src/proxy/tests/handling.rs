//! What rules do with requests on the way: from YAML to what client and application see.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::harness::{App, Peer, any_port, edge, edge_with, header, ok, rules, until};

const TO_WEB: &str = "route: [{destination: {host: web}}]";

fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: shop.example.com\r\n{lines}\r\n")
}

/// What a rule answers to one request.
async fn asked(rule: &str, request: &str) -> (String, App) {
    let app = App::named("web").await;
    let (_gateway, address) = edge(&[("web", app.address)], &rules(&format!("[{{{rule}}}]"))).await;
    (Peer::connect(address).await.ask(request).await, app)
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

#[tokio::test]
async fn a_prefix_is_rewritten_and_the_query_stays() {
    let rule = format!("match: [{{uri: {{prefix: /api/}}}}], rewrite: {{uri: /, authority: web.internal}}, {TO_WEB}");
    let (response, app) = asked(&rule, &get("/api/v1/x?a=b", "")).await;
    assert!(response.ends_with("web"), "{response}");
    let request = app.last();
    assert_eq!(first_line(&request), "GET /v1/x?a=b HTTP/1.1");
    assert_eq!(header(&request, "host"), Some("web.internal"));
    assert_eq!(header(&request, "x-envoy-original-path"), Some("/api/v1/x?a=b"));
}

#[tokio::test]
async fn a_path_is_rewritten_by_substitution() {
    let rule = format!(
        r"rewrite: {{uriRegexRewrite: {{match: '^/service/([^/]+)(/.*)$', rewrite: '\2/instance/\1'}}}}, {TO_WEB}"
    );
    let (_, app) = asked(&rule, &get("/service/foo/v1/api?x=1", "")).await;
    assert_eq!(first_line(&app.last()), "GET /v1/api/instance/foo?x=1 HTTP/1.1");
}

#[tokio::test]
async fn variables_in_headers_stand_for_facts_of_the_request() {
    let rule = "name: shop, match: [{uri: {prefix: /a}}], rewrite: {uri: /b}, headers: {\
        request: {set: {\
            x-client: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% over %PROTOCOL%', x-path: '%REQ(:PATH)%', \
            x-either: '%REQ(X-NOTHING?X-GIVEN):3%', x-id: '%REQ(x-request-id)%', x-route: '%ROUTE_NAME%@%HOSTNAME%', \
            x-peer: '%DOWNSTREAM_PEER_URI_SAN%', x-odd: '100%% %NOTHING%', x-time: '%START_TIME%'}}, \
        response: {set: {x-asked: '%REQ(:METHOD)% %REQ(:PATH)%', x-said: '%RESP(x-own)% %RESPONSE_CODE%', x-id: '%REQ(x-request-id)%'}}}, \
        route: [{destination: {host: web}}]";
    let app = App::start(|_| (b"HTTP/1.1 201 Created\r\nX-Own: o\r\nContent-Length: 0\r\n\r\n".to_vec(), false)).await;
    let (_gateway, address) = edge(&[("web", app.address)], &rules(&format!("[{{{rule}}}]"))).await;
    let response = Peer::connect(address).await.ask(&get("/a?q=1", "X-Given: given\r\nX-Peer: forged\r\n")).await;
    let request = app.last();
    let of_request = |name| header(&request, name).unwrap_or("-");
    assert_eq!(of_request("x-client"), "127.0.0.1 over HTTP/1.1");
    assert_eq!((of_request("x-path"), of_request("x-either")), ("/a?q=1", "giv"));
    assert_eq!((of_request("x-route"), of_request("x-odd")), ("shop@pod", "100% %NOTHING%"));
    assert_eq!(of_request("x-id"), of_request("x-request-id"));
    assert!(of_request("x-time").ends_with('Z'), "{request}");
    // There is nothing that the variable stands for, and what the client said in its place does not count.
    assert_eq!(of_request("x-peer"), "-");
    assert_eq!(header(&response, "x-asked"), Some("GET /b?q=1"));
    assert_eq!(header(&response, "x-said"), Some("o 201"));
    assert_eq!(header(&response, "x-id"), header(&request, "x-request-id"));
}

#[tokio::test]
async fn headers_are_changed_in_both_directions() {
    let rule = "headers: {request: {set: {X-Env: prod}, remove: [x-debug, x-request-id]}, response: {add: {x-rule: r}, remove: [content-type]}}, \
        route: [{destination: {host: web}, headers: {request: {set: {x-env: canary, host: api.internal}}, response: {set: {x-to: web}}}}]";
    let (response, app) = asked(rule, &get("/", "X-Env: dev\r\nX-Debug: 1\r\n")).await;
    assert_eq!((header(&response, "x-rule"), header(&response, "x-to")), (Some("r"), Some("web")));
    let request = app.last();
    // The destination's changes are made first, the rule's decide.
    assert_eq!(header(&request, "x-env"), Some("prod"));
    assert_eq!(request.to_lowercase().matches("x-env:").count(), 1, "{request}");
    assert_eq!(header(&request, "host"), Some("api.internal"));
    assert_eq!((header(&request, "x-debug"), header(&request, "x-request-id")), (None, None));
}

#[tokio::test]
async fn a_redirect_is_answered_by_the_proxy() {
    let rule = "match: [{uri: {prefix: /old}}], redirect: {prefixRewrite: /new, authority: other.example.com, redirectCode: 308}, \
        headers: {response: {set: {x-rule: r}}}";
    let (response, app) = asked(rule, &get("/old/page?a=1", "")).await;
    assert!(response.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{response}");
    assert_eq!(header(&response, "location"), Some("http://other.example.com/new/page?a=1"));
    assert_eq!((header(&response, "x-rule"), header(&response, "content-length")), (Some("r"), Some("0")));
    assert!(app.requests.lock().is_empty());
}

#[tokio::test]
async fn a_direct_response_is_given_as_it_was_written() {
    let (response, app) = asked("directResponse: {status: 418, body: {string: 'teapot'}}", &get("/", "")).await;
    assert!(response.starts_with("HTTP/1.1 418") && response.ends_with("\r\n\r\nteapot"), "{response}");
    assert_eq!(header(&response, "content-type"), Some("text/plain"));
    let (response, _) = asked("directResponse: {status: 200, body: {bytes: aGVsbG8=}}", &get("/", "")).await;
    assert!(response.ends_with("\r\n\r\nhello"), "{response}");
    let (response, _) = asked("directResponse: {status: 204}", &get("/", "")).await;
    assert!(response.starts_with("HTTP/1.1 204") && header(&response, "content-length").is_none(), "{response}");
    assert!(app.requests.lock().is_empty());
}

#[tokio::test]
async fn a_request_that_takes_too_long_ends_in_504() {
    // An application that never answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = listener.local_addr().expect("an address");
    let (gateway, address) = edge(&[("web", silent)], &rules(&format!("[{{timeout: 50ms, {TO_WEB}}}]"))).await;
    let mut client = Peer::connect(address).await;
    for _ in 0..2 {
        let response = client.ask(&get("/", "")).await;
        assert!(response.starts_with("HTTP/1.1 504"), "{response}");
        assert!(response.contains("VirtualService default/rules http[0]"), "{response}");
        gateway.log.line("504 UT response_timeout").await;
    }
}

/// An address at which nobody takes connections: whoever asks for one waits.
fn black_hole() -> (Vec<socket2::Socket>, SocketAddr) {
    use socket2::{Domain, Socket, Type};
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let listener = socket();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    listener.listen(0).expect("listening");
    let address = listener.local_addr().expect("an address").as_socket().expect("an address");
    let mut held = vec![listener];
    // Its queue is full.
    for _ in 0..4 {
        let client = socket();
        client.set_nonblocking(true).expect("not blocking");
        let _ = client.connect(&address.into());
        held.push(client);
    }
    (held, address)
}

#[tokio::test]
async fn the_time_of_a_request_runs_while_its_connection_is_made() {
    let (_held, address) = black_hole();
    for (rule, detail) in [
        ("timeout: 100ms", "response_timeout"),
        ("timeout: 5s, retries: {attempts: 1, perTryTimeout: 50ms, retryOn: 5xx}", "upstream_per_try_timeout"),
    ] {
        let (gateway, front) = edge(&[("web", address)], &rules(&format!("[{{{rule}, {TO_WEB}}}]"))).await;
        for request in [get("/", ""), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".to_owned()] {
            let response = Peer::connect(front).await.ask(&request).await;
            assert!(response.starts_with("HTTP/1.1 504"), "{response}");
            gateway.log.line(detail).await;
        }
        // Whoever does not wait for the answer is noticed.
        let mut gone = Peer::connect(front).await;
        gone.send(&get("/gone", "")).await;
        drop(gone);
        gateway.log.line("downstream_remote_disconnect").await;
    }
}

#[tokio::test]
async fn a_body_that_takes_too_long_breaks_off() {
    let app = App::start(|_| (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec(), false)).await;
    let (gateway, address) = edge(&[("web", app.address)], &rules(&format!("[{{timeout: 50ms, {TO_WEB}}}]"))).await;
    let mut client = Peer::connect(address).await;
    client.send(&get("/", "")).await;
    assert!(client.rest().await.ends_with("half"));
    gateway.log.line("200 UT response_timeout").await;
}

/// An application that answers `status` so often, then 200.
async fn failing(status: u16, times: usize) -> (App, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let app = App::start(move |_| {
        let fails = seen.fetch_add(1, Ordering::SeqCst) < times;
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno").into_bytes();
        (if fails { answer } else { ok("yes") }, false)
    })
    .await;
    (app, count)
}

#[tokio::test]
async fn an_answer_is_tried_again_as_the_rule_says() {
    for (retries, status, expected, tries) in [
        ("{attempts: 3, retryOn: 5xx, backoff: 1ms}", 503, "200", 3),
        ("{attempts: 1, retryOn: 5xx, backoff: 1ms}", 503, "503", 2),
        ("{attempts: 3, retryOn: 'gateway-error,418', backoff: 1ms}", 418, "200", 3),
        ("{attempts: 3, retryOn: gateway-error, backoff: 1ms}", 500, "500", 1),
        ("{attempts: 0}", 503, "503", 1),
    ] {
        let (app, count) = failing(status, 2).await;
        let config = rules(&format!("[{{retries: {retries}, {TO_WEB}}}]"));
        let (gateway, address) = edge(&[("web", app.address)], &config).await;
        let body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        let response = Peer::connect(address).await.ask(body).await;
        assert_eq!(first_line(&response).split(' ').nth(1), Some(expected), "{retries}: {response}");
        assert_eq!(count.load(Ordering::SeqCst), tries, "{retries}");
        let request = app.last();
        assert!(request.ends_with("hello"), "{request}");
        assert_eq!(header(&request, "x-envoy-attempt-count"), Some(&*tries.to_string()));
        gateway.log.line(if tries == 2 { "503 URX" } else { expected }).await;
    }
}

#[tokio::test]
async fn a_rule_without_retries_tries_connections_again_and_answers_not() {
    let nobody = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).expect("a port");
    let (gateway, address) = edge(&[("web", nobody)], &rules(&format!("[{{{TO_WEB}}}]"))).await;
    let response = Peer::connect(address).await.ask(&get("/", "")).await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    gateway.log.line("503 UF,URX").await;
    let (app, count) = failing(503, 9).await;
    let (_gateway, address) = edge(&[("web", app.address)], &rules(&format!("[{{{TO_WEB}}}]"))).await;
    let response = Peer::connect(address).await.ask(&get("/", "")).await;
    assert!(response.starts_with("HTTP/1.1 503 No") && response.ends_with("no"), "{response}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_try_that_takes_too_long_goes_elsewhere() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = listener.local_addr().expect("an address");
    let app = App::named("awake").await;
    let config =
        rules(&format!("[{{retries: {{attempts: 2, perTryTimeout: 50ms, retryOn: reset, backoff: 1ms}}, {TO_WEB}}}]"));
    let (_gateway, address) = edge(&[("web", silent), ("web", app.address)], &config).await;
    let mut client = Peer::connect(address).await;
    for _ in 0..4 {
        assert!(client.ask(&get("/", "")).await.ends_with("awake"));
    }
}

#[tokio::test]
async fn faults_are_injected_and_said() {
    let config = rules(&format!(
        "[{{match: [{{uri: /a, headers: {{x: {{exact: 'y'}}}}}}], {TO_WEB}}}, \
        {{match: [{{uri: {{prefix: /slow}}}}], fault: {{delay: {{fixedDelay: 40ms, percentage: {{value: 100}}}}}}, {TO_WEB}}}, \
        {{match: [{{uri: {{prefix: /never}}}}], fault: {{abort: {{httpStatus: 500}}}}, {TO_WEB}}}, \
        {{fault: {{delay: {{fixedDelay: 1ms, percentage: {{value: 100}}}}, abort: {{httpStatus: 555, percentage: {{value: 100}}}}}}, {TO_WEB}}}]"
    ))
    .replace("uri: /a,", "uri: {exact: /a},");
    let app = App::named("web").await;
    let (gateway, address) = edge(&[("web", app.address)], &config).await;
    let mut client = Peer::connect(address).await;
    let begun = Instant::now();
    assert!(client.ask(&get("/slow", "")).await.ends_with("web"));
    assert!(begun.elapsed() >= Duration::from_millis(40));
    gateway.log.line("200 DI via_upstream").await;
    // A fault without a share is a fault for nobody.
    assert!(client.ask(&get("/never", "")).await.ends_with("web"));
    let response = client.ask(&get("/", "")).await;
    assert!(response.starts_with("HTTP/1.1 555") && response.contains("fault filter abort"), "{response}");
    gateway.log.line("555 DI,FI fault_filter_abort").await;
    assert_eq!(app.requests.lock().len(), 2);
}

#[tokio::test]
async fn grpc_clients_get_answers_they_understand() {
    let rule = "fault: {abort: {grpcStatus: RESOURCE_EXHAUSTED, percentage: {value: 100}}}, route: [{destination: {host: web}}]";
    let request = "POST /s/m HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc+proto\r\nContent-Length: 0\r\n\r\n";
    let (response, _) = asked(rule, request).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert_eq!(header(&response, "grpc-status"), Some("8"));
    assert_eq!(header(&response, "grpc-message"), Some("fault filter abort"));
    let (response, _) = asked(rule, &get("/", "")).await;
    assert!(response.starts_with("HTTP/1.1 429"), "{response}");
}

#[tokio::test]
async fn copies_go_beside_requests_bodies_included() {
    let large = "0123456789abcdef".repeat(5_000);
    for (length, mirrors) in [
        (0, "mirror: {host: copy}"),
        (12, "mirrors: [{destination: {host: copy}}]"),
        (large.len(), "mirror: {host: copy}"),
    ] {
        let (app, copy) = (App::named("web").await, App::named("copy").await);
        let config = rules(&format!("[{{{mirrors}, rewrite: {{uri: /v2/}}, {TO_WEB}}}]"));
        let (_gateway, address) = edge(&[("web", app.address), ("copy", copy.address)], &config).await;
        let mut client = Peer::connect(address).await;
        for number in 1..=2 {
            let request =
                format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{}", &large[..length]);
            assert!(client.ask(&request).await.ends_with("web"));
            until(|| copy.requests.lock().len() == number).await;
            let copied = copy.last();
            assert!(copied.starts_with("POST /v2/x HTTP/1.1\r\n") && copied.ends_with(&large[..length]), "{copied}");
        }
    }
}

#[tokio::test]
async fn a_copy_that_goes_nowhere_harms_nobody() {
    let nobody = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).expect("a port");
    let app = App::named("web").await;
    for mirror in ["{host: copy}", "{host: missing}"] {
        let config = rules(&format!("[{{mirror: {mirror}, {TO_WEB}}}]"));
        let (_gateway, address) = edge(&[("web", app.address), ("copy", nobody)], &config).await;
        assert!(Peer::connect(address).await.ask(&get("/", "")).await.ends_with("web"));
    }
}

#[tokio::test]
async fn no_share_of_requests_is_copied_where_the_share_is_nothing() {
    let (app, copy) = (App::named("web").await, App::named("copy").await);
    let config = rules(&format!("[{{mirror: {{host: copy}}, mirrorPercentage: {{value: 0}}, {TO_WEB}}}]"));
    let (_gateway, address) = edge(&[("web", app.address), ("copy", copy.address)], &config).await;
    assert!(Peer::connect(address).await.ask(&get("/", "")).await.ends_with("web"));
    assert!(copy.requests.lock().is_empty());
}

#[tokio::test]
async fn other_origins_are_told_what_they_may_do() {
    let cors = "corsPolicy: {allowOrigins: [{exact: 'https://a.com'}], allowMethods: [GET, POST], allowHeaders: [x-own], \
        exposeHeaders: [x-seen], maxAge: 24h, allowCredentials: true}";
    let app = App::start(|_| {
        (b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 3\r\n\r\nweb".to_vec(), false)
    })
    .await;
    let (_gateway, address) = edge(&[("web", app.address)], &rules(&format!("[{{{cors}, {TO_WEB}}}]"))).await;
    let mut client = Peer::connect(address).await;
    let preflight = |origin: &str| {
        format!("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\r\n")
    };
    let response = client.ask(&preflight("https://a.com")).await;
    for (name, value) in [
        ("access-control-allow-origin", "https://a.com"),
        ("access-control-allow-methods", "GET,POST"),
        ("access-control-allow-headers", "x-own"),
        ("access-control-max-age", "86400"),
        ("access-control-allow-credentials", "true"),
    ] {
        assert_eq!(header(&response, name), Some(value), "{response}");
    }
    assert!(response.starts_with("HTTP/1.1 200") && app.requests.lock().is_empty(), "{response}");
    let response = client.ask(&get("/", "Origin: https://a.com\r\n")).await;
    assert_eq!(header(&response, "access-control-allow-origin"), Some("https://a.com"));
    assert_eq!(header(&response, "access-control-expose-headers"), Some("x-seen"));
    let response = client.ask(&preflight("https://evil.example")).await;
    assert_eq!(
        header(&response, "access-control-allow-methods"),
        None,
        "it was the application's to answer: {response}"
    );
    assert_eq!(app.requests.lock().len(), 2);
}

#[tokio::test]
async fn with_credentials_a_wildcard_permits_what_was_asked_for_by_name() {
    let app = App::named("web").await;
    for (credentials, fields) in [(true, "x-a, x-b"), (false, "*")] {
        let cors = format!(
            "corsPolicy: {{allowOrigins: [{{regex: '.*'}}], allowHeaders: ['*'], allowCredentials: {credentials}}}"
        );
        let (_gateway, address) = edge(&[("web", app.address)], &rules(&format!("[{{{cors}, {TO_WEB}}}]"))).await;
        let asked = "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.com\r\nAccess-Control-Request-Method: PUT\r\n\
            Access-Control-Request-Headers: x-a, x-b\r\n\r\n";
        let response = Peer::connect(address).await.ask(asked).await;
        assert_eq!(header(&response, "access-control-allow-headers"), Some(fields), "{response}");
    }
}

#[tokio::test]
async fn a_connection_that_was_used_before_gives_no_try_more_than_the_rule_does() {
    let app =
        App::start(|request| if request.contains("/fine") { (ok("fine"), false) } else { (Vec::new(), true) }).await;
    for (on, tries) in [("reset", 3), ("retriable-4xx", 2)] {
        let config = rules(&format!("[{{retries: {{attempts: 2, retryOn: {on}, backoff: 1ms}}, {TO_WEB}}}]"));
        let (_gateway, address) = edge(&[("web", app.address)], &config).await;
        let mut peer = Peer::connect(address).await;
        assert!(peer.ask(&get("/fine", "")).await.starts_with("HTTP/1.1 200"));
        app.requests.lock().clear();
        assert!(peer.ask(&get("/broken", "")).await.starts_with("HTTP/1.1 503"));
        // Who has no rule about it gets one more, because nobody can tell whether the server had seen the first.
        assert_eq!(app.requests.lock().len(), tries, "{on}");
    }
}

#[tokio::test]
async fn a_service_that_fails_as_a_whole_gets_no_storm_of_tries() {
    let (app, count) = failing(503, usize::MAX).await;
    let config = rules(&format!("[{{retries: {{attempts: 9, retryOn: 5xx, backoff: 1ms}}, {TO_WEB}}}]"));
    let (_gateway, address) = edge_with(&[("web", app.address)], &config, |config| config.limits.retries = 0).await;
    let response = Peer::connect(address).await.ask(&get("/", "")).await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    // One request, half of it: no retry.
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

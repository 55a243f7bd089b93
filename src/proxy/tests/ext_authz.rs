//! CUSTOM policies, with providers that are asked over sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;

use super::authz::compiled;
use super::harness::{App, Peer, Running, any_port, grpc_server, header, settings, soon, start, target};
use crate::compile::MeshConfig;
use crate::model::{AppProtocol, InboundPolicy, OutboundMode};
use crate::proxy::Bind;
use crate::proxy::directory::FixedDirectory;
use crate::wire::proto::envoy::service::auth::v3 as proto;

/// Everything but `/open` is asked about.
const ASK: &str = "{action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {notPaths: [/open]}}]}]}";

/// A proxy in front of `app` with these policies, whose provider `opa` has these settings and runs at `provider`.
fn guarded(app: SocketAddr, policies: &[&str], settings_of_provider: &str, provider: SocketAddr) -> Running {
    let text = format!("extensionProviders: [{{name: opa, {settings_of_provider}}}]");
    let config = MeshConfig::parse(&text).unwrap();
    assert_eq!(config.refused, []);
    let policy = InboundPolicy { providers: config.providers, ..compiled(policies, app.port(), AppProtocol::Http) };
    let known = FixedDirectory {
        settings: settings(OutboundMode::AllowAny),
        inbound: Some(Arc::new(policy)),
        targets: vec![target("authz", &[provider], None)],
        ..FixedDirectory::default()
    };
    start(known, vec![Bind::InboundExplicit { bind: any_port(), app }])
}

fn http(more: &str) -> String {
    format!("envoyExtAuthzHttp: {{service: authz, port: 9080{more}}}")
}

async fn status(proxy: &Running, request: &str) -> (String, String) {
    let mut peer = proxy.connect().await;
    let answer = peer.ask(request).await;
    (answer[9..12].to_owned(), answer)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: web\r\nX-User: jason\r\nX-Other: 1\r\n\r\n")
}

/// Allows who calls itself `jason`, and says who that is.
async fn provider() -> App {
    App::start(|question| {
        let answer = if question.contains("/broken") {
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
        } else if header(question, "x-user") == Some("jason") && !question.contains("/secret") {
            "HTTP/1.1 200 OK\r\nx-id: 7\r\nx-back: b\r\nx-unasked: u\r\ncontent-length: 0\r\n\r\n"
        } else {
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\nx-why: no\r\ncontent-length: 3\r\n\r\nno\n"
        };
        (answer.as_bytes().to_vec(), false)
    })
    .await
}

#[tokio::test]
async fn a_provider_over_http_lets_through_changes_and_refuses() {
    let (app, opa) = (App::named("hello").await, provider().await);
    let settings = http(
        ", pathPrefix: /check, includeRequestHeadersInCheck: [x-user], includeAdditionalHeadersInCheck: {x-from: mesh}, \
         headersToUpstreamOnAllow: [x-id], headersToDownstreamOnAllow: [x-back]",
    );
    let proxy = guarded(app.address, &[ASK], &settings, opa.address);
    let request = "GET /a?b=1 HTTP/1.1\r\nHost: web\r\nX-User: jason\r\nX-Id: 1\r\nX-Other: 1\r\n\r\n";
    let (code, answer) = status(&proxy, request).await;
    assert_eq!((code.as_str(), header(&answer, "x-back"), header(&answer, "x-unasked")), ("200", Some("b"), None));
    let question = opa.requests.lock().pop().unwrap();
    assert!(question.starts_with("GET /check/a?b=1 HTTP/1.1\r\n"), "{question}");
    assert_eq!((header(&question, "host"), header(&question, "x-from")), (Some("web"), Some("mesh")));
    assert_eq!(header(&question, "x-other"), None);
    let request = app.requests.lock().pop().unwrap();
    assert_eq!((header(&request, "x-id"), header(&request, "x-unasked")), (Some("7"), None), "{request}");

    let (code, answer) = status(&proxy, &get("/secret")).await;
    assert_eq!((code.as_str(), header(&answer, "x-why")), ("401", Some("no")));
    assert_eq!(header(&answer, "www-authenticate"), Some("Bearer"));
    assert!(answer.ends_with("\r\n\r\nno\n"), "{answer}");
    let line = proxy.log.line("/secret").await;
    assert!(line.contains("UAEX") && line.contains("ext_authz_denied"), "{line}");
    assert!(line.contains("AuthorizationPolicy shop/p0 rules[0]: opa denies"), "{line}");
    // Nobody is asked about what the policy leaves out, and what was refused has not reached the application.
    let before = opa.requests.lock().len();
    assert_eq!(status(&proxy, "GET /open HTTP/1.1\r\nHost: web\r\n\r\n").await.0, "200");
    assert_eq!(opa.requests.lock().len(), before);
    assert_eq!(app.requests.lock().len(), 1);
    assert_eq!(opa.connections.load(std::sync::atomic::Ordering::Relaxed), 1, "the connection is used again");
}

#[tokio::test]
async fn headers_pass_between_request_provider_and_client_as_the_settings_name_them() {
    let app = App::named("hello").await;
    let opa = App::start(|question| {
        let head = if question.starts_with("GET /secret") { "HTTP/1.1 403 Forbidden" } else { "HTTP/1.1 200 OK" };
        let lines =
            "x-auth-id: 7\r\nx-auth-team: a\r\nx-why: no\r\nset-cookie: a=b\r\nwww-authenticate: Bearer\r\nx-own: o";
        (format!("{head}\r\n{lines}\r\ncontent-length: 0\r\n\r\n").into_bytes(), false)
    })
    .await;
    let settings = http(
        ", includeRequestHeadersInCheck: [x-team-*, '*-id', authorization], headersToUpstreamOnAllow: [x-auth-*], \
         headersToDownstreamOnAllow: [set-cookie], headersToDownstreamOnDeny: ['*-why']",
    );
    let proxy = guarded(app.address, &[ASK], &settings, opa.address);
    let request = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: web\r\nX-Team-A: a\r\nx-user-id: u\r\nAuthorization: Basic x\r\nx-other: o\r\n\
             x-auth-id: forged\r\nx-auth-new: kept\r\n\r\n"
        )
    };
    let (code, answer) = status(&proxy, &request("/a")).await;
    assert_eq!((code.as_str(), header(&answer, "set-cookie"), header(&answer, "x-own")), ("200", Some("a=b"), None));
    let question = opa.requests.lock().pop().unwrap();
    for (name, value) in
        [("x-team-a", Some("a")), ("x-user-id", Some("u")), ("authorization", Some("Basic x")), ("x-other", None)]
    {
        assert_eq!(header(&question, name), value, "{name}: {question}");
    }
    let got = app.requests.lock().pop().unwrap();
    for (name, value) in [("x-auth-id", Some("7")), ("x-auth-team", Some("a")), ("x-why", None), ("x-own", None)] {
        assert_eq!(header(&got, name), value, "{name}: {got}");
    }
    assert!(!got.contains("forged"), "{got}");
    let (code, answer) = status(&proxy, &request("/secret")).await;
    assert_eq!(code, "403");
    for (name, value) in
        [("x-why", Some("no")), ("www-authenticate", Some("Bearer")), ("x-auth-id", None), ("set-cookie", None)]
    {
        assert_eq!(header(&answer, name), value, "{name}: {answer}");
    }
}

#[tokio::test]
async fn who_does_not_answer_has_not_allowed_anything_unless_it_may_fail_open() {
    let (app, opa) = (App::named("hello").await, provider().await);
    let nobody = std::net::TcpListener::bind(any_port()).and_then(|listener| listener.local_addr()).unwrap();
    let silent = TcpListener::bind(any_port()).await.unwrap();
    let silent_address = silent.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    for (address, path, more, expected) in [
        (opa.address, "/broken", "", "403"),
        (opa.address, "/broken", ", statusOnError: '503'", "503"),
        (opa.address, "/broken", ", failOpen: true", "200"),
        (nobody, "/a", "", "403"),
        (nobody, "/a", ", failOpen: true", "200"),
        (silent_address, "/a", ", timeout: 50ms, statusOnError: '504'", "504"),
        (silent_address, "/a", ", timeout: 50ms, failOpen: true", "200"),
    ] {
        let proxy = guarded(app.address, &[ASK], &http(more), address);
        assert_eq!(status(&proxy, &get(path)).await.0, expected, "{path} {more}");
        let line = proxy.log.line(path).await;
        assert!(line.contains("AuthorizationPolicy shop/p0 rules[0]: opa does not answer"), "{line}");
    }
    accepting.abort();
}

#[tokio::test]
async fn a_provider_that_nobody_knows_denies_and_the_log_says_so() {
    let app = App::named("hello").await;
    let settings = http("").replace("envoyExtAuthzHttp", "envoyExtAuthzGrpc");
    let proxy = guarded(app.address, &[&ASK.replace("opa", "other")], &settings, any_port());
    assert_eq!(status(&proxy, &get("/a")).await.0, "403");
    let line = proxy.log.line("/a").await;
    assert!(line.contains("provider other is not in the mesh's extensionProviders"), "{line}");
    // A service that the provider's settings name and that is not there.
    let settings = http("").replace("authz", "gone");
    let proxy = guarded(app.address, &[ASK], &settings, any_port());
    assert_eq!(status(&proxy, &get("/a")).await.0, "403");
    let line = proxy.log.line("/a").await;
    assert!(line.contains("there is no service gone"), "{line}");
}

#[tokio::test]
async fn a_provider_decides_before_the_other_policies_and_not_instead_of_them() {
    let (app, opa) = (App::named("hello").await, provider().await);
    let settings = http(", includeRequestHeadersInCheck: [x-user]");
    let deny = "{action: DENY, rules: [{to: [{operation: {paths: [/secret, /denied]}}]}]}";
    let proxy = guarded(app.address, &[deny, ASK], &settings, opa.address);
    for (path, expected) in [("/a", "200"), ("/denied", "403"), ("/secret", "401")] {
        assert_eq!(status(&proxy, &get(path)).await.0, expected, "{path}");
    }
    let line = proxy.log.line("/denied").await;
    assert!(line.contains("AuthorizationPolicy shop/p0 rules[0]") && line.contains("rbac_access_denied"), "{line}");
}

#[tokio::test]
async fn a_provider_sees_as_much_of_the_body_as_its_settings_say() {
    let (app, opa) = (App::named("hello").await, provider().await);
    let put = |body: &str| {
        let length = body.len();
        format!("PUT /a HTTP/1.1\r\nHost: web\r\nX-User: jason\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let settings = |more: &str| {
        let body = format!(", includeRequestBodyInCheck: {{maxRequestBytes: 5{more}}}");
        http(&format!(", includeRequestHeadersInCheck: [x-user]{body}"))
    };
    let proxy = guarded(app.address, &[ASK], &settings(""), opa.address);
    assert_eq!(status(&proxy, &put("abc")).await.0, "200");
    assert!(opa.requests.lock().pop().unwrap().ends_with("\r\n\r\nabc"));
    assert!(app.requests.lock().pop().unwrap().ends_with("\r\n\r\nabc"));
    let chunked = "PUT /a HTTP/1.1\r\nHost: web\r\nX-User: jason\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert_eq!(status(&proxy, chunked).await.0, "200");
    assert!(opa.requests.lock().pop().unwrap().ends_with("content-length: 3\r\nx-user: jason\r\n\r\nabc"));
    assert!(app.requests.lock().pop().unwrap().ends_with("1\r\nc\r\n0\r\n\r\n"));
    assert_eq!(status(&proxy, &put("abcdef")).await.0, "413");
    assert!(opa.requests.lock().is_empty() && app.requests.lock().is_empty());

    let proxy = guarded(app.address, &[ASK], &settings(", allowPartialMessage: true"), opa.address);
    assert_eq!(status(&proxy, &put("abcdef")).await.0, "200");
    assert!(opa.requests.lock().pop().unwrap().ends_with("\r\n\r\nabcde"));
    assert!(app.requests.lock().pop().unwrap().ends_with("\r\n\r\nabcdef"));
    // A client that waits to be told to send it.
    let mut peer = Peer::connect(proxy.address()).await;
    let waiting = put("abc").replace("Content-Length", "Expect: 100-continue\r\nContent-Length");
    let (head, body) = waiting.split_at(waiting.len() - 3);
    peer.send(head).await;
    peer.send(body).await;
    assert!(peer.response().await.starts_with("HTTP/1.1 200"));
}

/// A provider that speaks gRPC: it refuses `/secret`, and takes note of what it is asked.
async fn grpc_provider() -> (SocketAddr, Arc<Mutex<Vec<proto::CheckRequest>>>) {
    let asked: Arc<Mutex<Vec<proto::CheckRequest>>> = Arc::default();
    let seen = asked.clone();
    let address = grpc_server("/envoy.service.auth.v3.Authorization/Check", move |message| {
        let question = proto::CheckRequest::decode(message).unwrap();
        let answer = decided(&question).encode_to_vec();
        seen.lock().push(question);
        answer
    })
    .await;
    (address, asked)
}

fn decided(question: &proto::CheckRequest) -> proto::CheckResponse {
    use proto::check_response::HttpResponse::{DeniedResponse, OkResponse};
    let option = |key: &str, value: &str| proto::HeaderValueOption {
        header: Some(proto::HeaderValue { key: key.into(), value: value.into(), raw_value: Bytes::new() }),
        append: None,
    };
    let http = question.attributes.clone().unwrap().request.unwrap().http.unwrap();
    let (code, http_response) = if http.path == "/secret" {
        let denied = proto::DeniedHttpResponse {
            status: Some(proto::HttpStatus { code: 418 }),
            headers: vec![option("x-why", "no")],
            body: "no".into(),
        };
        (7, DeniedResponse(denied))
    } else {
        let ok = proto::OkHttpResponse {
            headers: vec![option("x-id", "7")],
            headers_to_remove: vec!["x-other".into()],
            response_headers_to_add: vec![option("x-back", "b")],
        };
        (0, OkResponse(ok))
    };
    let status = Some(proto::Status { code, message: String::new() });
    proto::CheckResponse { status, http_response: Some(http_response) }
}

#[tokio::test]
async fn a_provider_over_grpc_lets_through_changes_and_refuses() {
    let app = App::named("hello").await;
    let (opa, asked) = grpc_provider().await;
    let settings = "envoyExtAuthzGrpc: {service: authz, port: 9080, timeout: 5s}";
    let proxy = guarded(app.address, &[ASK], settings, opa);
    let (code, answer) = soon(status(&proxy, &get("/a"))).await;
    assert_eq!((code.as_str(), header(&answer, "x-back")), ("200", Some("b")), "{answer}");
    let request = app.requests.lock().pop().unwrap();
    assert_eq!((header(&request, "x-id"), header(&request, "x-other")), (Some("7"), None), "{request}");
    let attributes = asked.lock().pop().unwrap().attributes.unwrap();
    let http = attributes.request.unwrap().http.unwrap();
    assert_eq!((http.method.as_str(), http.host.as_str(), http.headers["x-user"].as_str()), ("GET", "web", "jason"));
    assert_eq!(attributes.destination.unwrap().principal, "spiffe://cluster.local/ns/shop/sa/web");
    let (code, answer) = soon(status(&proxy, &get("/secret"))).await;
    assert_eq!((code.as_str(), header(&answer, "x-why")), ("418", Some("no")));
    assert!(answer.ends_with("\r\n\r\nno"), "{answer}");
    // Whoever sends a header in the name of the provider is not believed.
    let (_, _) = status(&proxy, "GET /a HTTP/1.1\r\nHost: web\r\nX-Id: 1\r\n\r\n").await;
    assert_eq!(header(&app.requests.lock().pop().unwrap(), "x-id"), Some("7"));
}

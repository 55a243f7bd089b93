use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::echo::Echo;
use super::*;
use crate::serve::Tls;

const LIMIT: Duration = Duration::from_secs(10);

fn environment(values: &[(&str, &str)]) -> Environment {
    Environment::parse(|name| values.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        .unwrap()
}

async fn start(app: App, values: &[(&str, &str)]) -> (SocketAddr, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let context = Arc::new(AppContext::new(environment(values)));
    tokio::spawn(server::serve_on(listener, Tls::Off, app, context, stop.clone()));
    (address, stop.drop_guard())
}

async fn get(address: SocketAddr, path: &str, headers: &[(&'static str, &str)]) -> Fetched {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    Client::new(None).get(&format!("http://{address}{path}"), map, LIMIT).await.unwrap()
}

fn body(fetched: &Fetched) -> Value {
    serde_json::from_slice(&fetched.body).unwrap()
}

/// An HTTP proxy that records each request head it is sent and answers with `response`.
async fn recording_proxy(response: Value) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel(16);
    let response = response.to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (sender, response) = (sender.clone(), response.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        sender.send(String::from_utf8(std::mem::take(&mut head)).unwrap()).await.unwrap();
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{response}", response.len());
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    (address, receiver)
}

#[test]
fn istio_images_are_known_whatever_their_tag_and_others_are_not() {
    let cases = [
        ("registry.istio.io/release/examples-bookinfo-reviews-v2:1.20.3", Some("reviews-v2")),
        ("docker.io/istio/examples-bookinfo-productpage-v1:1.20.3", Some("productpage")),
        ("istio/examples-bookinfo-details-v1", Some("details")),
        ("mesh.internal/examples-bookinfo-ratings-v1@sha256:0123", Some("ratings")),
        ("registry.istio.io/release/examples-helloworld-v2:1.0", Some("helloworld-v2")),
        ("docker.io/mccutchen/go-httpbin:v2.15.0", Some("httpbin")),
        ("docker.io/curlimages/curl:8.16.0", Some("sleep")),
        ("example.com:5000/examples-bookinfo-reviews-v2:1.20.3", None),
        ("docker.io/istio/examples-bookinfo-unheard-of:1.20.3", None),
        ("busybox:1.36", Some("sleep")),
        ("registry.istio.io/release/tcp-echo-server:1.3", Some("tcp-echo")),
        ("nginx", Some("nginx")),
        ("registry.k8s.io/gateway-api/conformance/echo-basic:v0.1.0", Some("echo-basic")),
        ("registry.k8s.io/gateway-api/conformance/echo-advanced:v0.1.0", Some("app")),
        ("registry.k8s.io/coredns/coredns:v1.14.6", Some("silent-5353")),
        ("example.com/nginx", None),
        ("registry.istio.io/testing/ext-authz:latest", Some("ext-authz")),
        ("", None),
        ("httpbin", None),
    ];
    for (image, expected) in cases {
        assert_eq!(resolve(image).map(|app| app.to_string()).as_deref(), expected, "{image}");
    }
}

#[test]
fn every_image_of_the_demo_is_built_in() {
    let images: Vec<_> =
        manifests::BOOKINFO.text.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
    assert_eq!(images.len(), 6);
    for image in images {
        assert!(resolve(image).is_some(), "{image}");
    }
}

#[test]
fn the_demo_manifests_are_kubernetes_objects() {
    let mut kinds = Vec::new();
    for manifest in manifests::DEMO {
        use serde::Deserialize;
        for document in serde_yaml::Deserializer::from_str(manifest.text) {
            let value = Value::deserialize(document).unwrap();
            assert!(value["metadata"]["name"].is_string(), "{}", manifest.path);
            kinds.push(value["kind"].as_str().unwrap().to_owned());
        }
    }
    let count = |kind: &str| kinds.iter().filter(|known| *known == kind).count();
    assert_eq!(
        ["Deployment", "Service", "ServiceAccount", "VirtualService", "DestinationRule", "Gateway"].map(count),
        [6, 4, 4, 2, 1, 1]
    );
}

#[tokio::test]
async fn reviews_v1_shows_no_stars_and_calls_nobody() {
    let (proxy, mut calls) = recording_proxy(json!({})).await;
    let proxy = format!("http://{proxy}");
    let (address, _stop) =
        start(App::Reviews(ReviewsVersion::V1), &[("http_proxy", &proxy), ("POD_NAME", "reviews-v1-abc")]).await;
    let answer = body(&get(address, "/reviews/0", &[]).await);
    assert_eq!(answer["podname"], "reviews-v1-abc");
    assert_eq!(answer["clustername"], "null");
    assert_eq!(answer["reviews"].as_array().unwrap().len(), 2);
    assert!(answer["reviews"][0].get("rating").is_none());
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn reviews_v3_asks_ratings_through_the_proxy_and_shows_red_stars() {
    let (proxy, mut calls) = recording_proxy(json!({"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}})).await;
    let proxy = format!("http://reviews:token@{proxy}");
    let (address, _stop) = start(App::Reviews(ReviewsVersion::V3), &[("http_proxy", &proxy)]).await;
    let headers = [("end-user", "jason"), ("x-request-id", "42"), ("x-private", "no")];
    let answer = body(&get(address, "/reviews/0", &headers).await);
    assert_eq!(answer["reviews"][1]["rating"], json!({"stars": 4, "color": "red"}));

    let head = calls.recv().await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get http://ratings:9080/ratings/0 http/1.1\r\n"), "{head}");
    for expected in ["host: ratings:9080", "end-user: jason", "x-request-id: 42"] {
        assert!(head.contains(&format!("{expected}\r\n")), "{expected} in {head}");
    }
    assert!(head.contains("proxy-authorization: basic cmv2awv3czp0b2tlbg=="), "{head}");
    assert!(!head.contains("x-private"));
}

#[tokio::test]
async fn reviews_says_that_ratings_is_away() {
    let (address, _stop) = start(App::Reviews(ReviewsVersion::V2), &[("http_proxy", "http://127.0.0.1:1")]).await;
    let answer = get(address, "/reviews/0", &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(body(&answer)["reviews"][0]["rating"]["error"], "Ratings service is currently unavailable");
}

#[tokio::test]
async fn productpage_passes_the_session_user_on_and_escapes_what_services_answer() {
    let reviews = json!({
        "podname": "reviews-<b>", "reviews": [{"reviewer": "R", "text": "<script>", "rating": {"stars": 3, "color": "black"}}],
    });
    let (proxy, mut calls) = recording_proxy(reviews).await;
    let proxy = format!("http://{proxy}");
    let (address, _stop) = start(App::Productpage, &[("http_proxy", &proxy)]).await;
    let page = get(address, "/productpage", &[("cookie", "a=b; session=j%20son")]).await;
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(html.contains("Reviews served by: reviews-&lt;b&gt;") && html.contains("★★★☆☆"), "{html}");
    assert!(!html.contains("<script>"));
    for _ in 0..2 {
        assert!(calls.recv().await.unwrap().contains("end-user: j son\r\n"));
    }
}

#[tokio::test]
async fn login_sets_the_session_and_logout_ends_it() {
    let (address, _stop) = start(App::Productpage, &[]).await;
    let form = "username=jason&passwd=";
    let head = raw(
        address,
        &format!(
            "POST /login HTTP/1.1\r\nhost: p\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        ),
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 302") && head.contains("set-cookie: session=jason;"), "{head}");
    let head = raw(address, "GET /logout HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n").await;
    assert!(head.contains("set-cookie: session=; ") && head.contains("Max-Age=0"), "{head}");
}

async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_api_of_productpage_is_that_of_the_services_behind() {
    let (proxy, _calls) = recording_proxy(json!({"id": 7})).await;
    let proxy = format!("http://{proxy}");
    let (address, _stop) = start(App::Productpage, &[("http_proxy", &proxy)]).await;
    let products = body(&get(address, "/api/v1/products", &[]).await);
    assert_eq!(products[0]["title"], "The Comedy of Errors");
    for path in ["", "/reviews", "/ratings"] {
        assert_eq!(body(&get(address, &format!("/api/v1/products/7{path}"), &[]).await), json!({"id": 7}));
    }
    assert_eq!(get(address, "/api/v1/products/x", &[]).await.status, 400);
    assert_eq!(get(address, "/health", &[]).await.body, "Product page is healthy");
}

#[tokio::test]
async fn details_and_ratings_answer_as_in_bookinfo() {
    let (details, _stop_details) = start(App::Details, &[]).await;
    assert_eq!(body(&get(details, "/details/3", &[]).await)["id"], 3);
    assert_eq!(get(details, "/details/x", &[]).await.status, 400);
    let (ratings, _stop_ratings) = start(App::Ratings, &[]).await;
    assert_eq!(
        body(&get(ratings, "/ratings/0", &[]).await),
        json!({"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}})
    );
    assert_eq!(body(&get(ratings, "/health", &[]).await)["status"], "Ratings is healthy");
}

#[tokio::test]
async fn httpbin_echoes() {
    let (address, _stop) = start(App::Httpbin(httpbin::Flavour::Python), &[]).await;
    let echo = body(&get(address, "/anything/x?a=1%202&b=", &[("x-one", "1")]).await);
    assert_eq!(echo["args"], json!({"a": "1 2", "b": ""}));
    assert_eq!(echo["headers"]["X-One"], "1");
    assert_eq!(echo["method"], "GET");
    assert_eq!(get(address, "/status/418", &[]).await.status, 418);
    assert_eq!(get(address, "/status/999", &[]).await.status, 400);
    assert_eq!(get(address, "/bytes/10", &[]).await.body, "abcdefghij");
}

#[tokio::test]
async fn helloworld_says_its_version_and_pod() {
    let (address, _stop) = start(App::Helloworld("v2"), &[("HOSTNAME", "helloworld-v2-x")]).await;
    assert_eq!(get(address, "/hello", &[]).await.body, "Hello version: v2, instance: helloworld-v2-x\n");
}

#[tokio::test]
async fn a_stopped_app_answers_what_it_has_and_returns() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let context = Arc::new(AppContext::new(environment(&[])));
    let server = tokio::spawn(server::serve_on(
        listener,
        Tls::Off,
        App::Httpbin(httpbin::Flavour::Python),
        context,
        stop.clone(),
    ));
    let client = Client::new(None);
    let url = format!("http://{address}/delay/0.2");
    let (answer, ()) = tokio::join!(client.get(&url, HeaderMap::new(), LIMIT), async {
        // The first request proves that the connection is served before the stop.
        Client::new(None).get(&format!("http://{address}/ip"), HeaderMap::new(), LIMIT).await.unwrap();
        stop.cancel();
    });
    assert_eq!(answer.unwrap().status, 200);
    tokio::time::timeout(LIMIT, server).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[test]
fn an_environment_that_cannot_be_read_names_the_variable() {
    let error = Environment::parse(|name| (name == "APP_IP").then(|| "localhost".to_owned())).unwrap_err();
    assert!(error.contains("APP_IP") && error.contains("localhost"), "{error}");
}

async fn ask(address: SocketAddr, outgoing: Outgoing) -> Fetched {
    let url = format!("http://{address}{}", outgoing.url);
    Client::new(None).send(&Outgoing { url, ..outgoing }, LIMIT).await.unwrap()
}

fn with(url: &str, headers: &[(&'static str, &str)]) -> Outgoing {
    let headers =
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
    Outgoing { url: url.to_owned(), headers: headers.collect(), ..Outgoing::default() }
}

#[tokio::test]
async fn ext_authz_allows_by_header_over_http_and_over_grpc() {
    let (address, _stop) = start(App::ExtAuthz, &[]).await;
    let denied = ask(address, with("/x", &[])).await;
    assert_eq!(
        (denied.status.as_u16(), &denied.headers["x-ext-authz-check-result"]),
        (403, &HeaderValue::from_static("denied"))
    );
    let allowed =
        ask(address, with("/x", &[("x-ext-authz", "allow"), ("x-ext-authz-additional-header-override", "o")])).await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.headers["x-ext-authz-additional-header-override"], "o");

    use crate::wire::proto::envoy::service::auth::v3 as auth;
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    for (value, code) in [("allow", 0), ("deny", 7)] {
        let http =
            auth::HttpRequest { headers: [("x-ext-authz".to_owned(), value.to_owned())].into(), ..Default::default() };
        let request = auth::Request { http: Some(http), ..Default::default() };
        let attributes = Some(auth::AttributeContext { request: Some(request), ..Default::default() });
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        grpc.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static("/envoy.service.auth.v3.Authorization/Check");
        let codec = tonic_prost::ProstCodec::<auth::CheckRequest, auth::CheckResponse>::default();
        let answer = grpc.unary(tonic::Request::new(auth::CheckRequest { attributes }), path, codec).await.unwrap();
        assert_eq!(answer.into_inner().status.unwrap().code, code, "{value}");
    }
}

#[tokio::test]
async fn a_post_to_tornado_reaches_who_listens_on_its_websocket() {
    use futures_util::StreamExt;
    let (address, _stop) = start(App::Tornado, &[]).await;
    let (mut socket, _) =
        tokio_tungstenite::client_async(format!("ws://{address}/ws"), TcpStream::connect(address).await.unwrap())
            .await
            .unwrap();
    assert_eq!(get(address, "/api?id=7&value=42", &[]).await.status, 200);
    let heard = tokio::time::timeout(LIMIT, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Value>(heard.to_text().unwrap()).unwrap(), json!({"id": "7", "value": "42"}));
    assert_eq!(get(address, "/ws", &[]).await.status, 400);
}

#[tokio::test]
async fn a_websocket_to_httpbin_echoes() {
    use futures_util::{SinkExt, StreamExt};
    let (address, _stop) = start(App::Httpbin(httpbin::Flavour::Go), &[]).await;
    let (mut socket, _) = tokio_tungstenite::client_async(
        format!("ws://{address}/websocket/echo"),
        TcpStream::connect(address).await.unwrap(),
    )
    .await
    .unwrap();
    socket.send("hello".into()).await.unwrap();
    let heard = tokio::time::timeout(LIMIT, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(heard.to_text().unwrap(), "hello");
}

/// Path, headers, and the status and a part of the body that are expected.
type Case = (&'static str, &'static [(&'static str, &'static str)], u16, &'static str);

#[tokio::test]
async fn httpbin_answers_what_guides_ask() {
    let (address, _stop) = start(App::Httpbin(httpbin::Flavour::Go), &[("HOSTNAME", "httpbin-1")]).await;
    let cases: &[Case] = &[
        ("/status/418", &[], 418, "I'm a teapot!"),
        ("/hostname", &[], 200, "httpbin-1"),
        ("/basic-auth/u/p", &[], 401, "false"),
        ("/basic-auth/u/p", &[("authorization", "Basic dTpw")], 200, "true"),
        ("/hidden-basic-auth/u/p", &[], 404, "false"),
        ("/bearer", &[("authorization", "Bearer t")], 200, "\"t\""),
        ("/cookies", &[("cookie", "a=1; b=2")], 200, "\"b\": \"2\""),
        ("/cookies/set?a=1", &[], 302, ""),
        ("/cache", &[("if-none-match", "x")], 304, ""),
        ("/etag/e", &[("if-none-match", "\"e\"")], 304, ""),
        ("/etag/e", &[("if-match", "\"other\"")], 412, ""),
        ("/base64/aGVsbG8=", &[], 200, "hello"),
        ("/unstable?failure_rate=1", &[], 500, ""),
        ("/stream/2", &[], 200, "\"id\":1"),
        ("/drip?numbytes=3&duration=0", &[], 200, "***"),
        ("/sse?count=1&duration=0", &[], 200, "event: ping"),
        ("/absolute-redirect/2", &[], 302, ""),
        ("/redirect-to?url=%2Fget&status_code=307", &[], 307, ""),
        ("/dump/request", &[("x-a", "1")], 200, "X-A: 1\r\n"),
        ("/uuid", &[], 200, "-4"),
        ("/get", &[], 200, "\"method\": \"GET\""),
    ];
    for (path, headers, status, expected) in cases {
        let answer = ask(address, with(path, headers)).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status.as_u16() == *status && text.contains(expected), "{path}: {} {text}", answer.status);
    }
}

#[tokio::test]
async fn echoing_images_answer_in_their_own_forms() {
    let values = [("NAMESPACE", "ns"), ("POD_NAME", "p"), ("APP_ARGS", "-text=hi\n--version\nv1")];
    let cases: &[(Echo, &str, &str)] = &[
        (Echo::Health, "/foo", ": foo "),
        (Echo::Whoami, "/", "Hostname: p\n"),
        (Echo::Text, "/", "hi\n"),
        (Echo::HelloApp("1.0.0"), "/", "Version: 1.0.0\nHostname: p\n"),
        (Echo::Agnhost, "/echo?msg=m", "m"),
        (Echo::Nginx, "/", "<title>Welcome to nginx!</title>"),
        (Echo::Istio, "/a?b", "ServiceVersion=v1\n"),
        (Echo::Fortio, "/echo?size=3", "xxx"),
    ];
    for (echo, path, expected) in cases {
        let (address, _stop) = start(App::Echo(*echo), &values).await;
        let answer = get(address, path, &[]).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 200 && text.contains(expected), "{echo:?}: {text}");
    }
    let (address, _stop) = start(App::Echo(Echo::GatewayApi), &values).await;
    let echoed = ask(address, with("/a?b=c", &[("x-a", "1"), ("x-echo-set-header", "x-set:2, x-too: 3")])).await;
    assert_eq!(
        (&echoed.headers["x-set"], &echoed.headers["x-too"]),
        (&HeaderValue::from_static("2"), &HeaderValue::from_static("3"))
    );
    let shown = body(&echoed);
    assert_eq!((&shown["path"], &shown["namespace"], &shown["pod"]), (&json!("/a?b=c"), &json!("ns"), &json!("p")));
    assert_eq!(shown["headers"]["X-A"], json!(["1"]));
}

#[tokio::test]
async fn echo_basic_fails_as_often_as_it_is_asked_to() {
    let (address, _stop) = start(App::Echo(Echo::GatewayApi), &[]).await;
    assert_eq!(get(address, "/status/418", &[]).await.status, 418);
    let path = "/retry/x?uuid=1&succeedAfter=2&responseCode=503";
    for expected in [503, 503, 200, 200] {
        assert_eq!(get(address, path, &[]).await.status, expected);
    }
    let url = format!("http://{address}/retry/x?uuid=2&succeedAfter=1");
    let lost = Client::new(None).get(&url, HeaderMap::new(), LIMIT).await;
    assert!(lost.is_err(), "the connection ends before there is a response");
    assert_eq!(get(address, "/retry/x?uuid=2&succeedAfter=1", &[]).await.status, 200);
}

#[tokio::test]
async fn echo_basic_says_over_grpc_what_it_was_asked() {
    let (address, _stop) = start(App::Echo(Echo::GatewayApi), &[("GRPC_ECHO_SERVER", "1"), ("POD_NAME", "p-1")]).await;
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (method, status) in [("Echo", "0"), ("EchoTwo", "0"), ("EchoThree", "12")] {
        let request =
            http::Request::post(format!("http://a/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/{method}"))
                .header("content-type", "application/grpc")
                .header("x-a", "1")
                .body(())
                .unwrap();
        let (response, mut stream) = client.send_request(request, false).unwrap();
        stream.send_data(bytes::Bytes::from_static(&[0; 5]), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let mut text = Vec::new();
        while let Some(chunk) = body.data().await {
            text.extend(chunk.unwrap());
        }
        // Without trailers a client has no answer, whatever came before.
        let trailers = body.trailers().await.unwrap().unwrap_or_default();
        assert_eq!(trailers.get("grpc-status").and_then(|value| value.to_str().ok()), Some(status), "{method}");
        let said = String::from_utf8_lossy(&text);
        assert_eq!(said.contains("p-1") && said.contains("x-a"), status == "0", "{method}: {said}");
    }
}

#[test]
fn echo_basic_listens_as_its_variables_say() {
    let listens = |values: &[(&str, &str)]| -> Vec<u16> {
        let ports = App::Echo(Echo::GatewayApi).listens(None, &environment(values)).unwrap();
        ports.into_iter().map(|port| port.number).collect()
    };
    assert_eq!(listens(&[]), [3000, 3001]);
    assert_eq!(listens(&[("HTTP_PORT", "8000")]), [8000, 3001]);
    assert_eq!(listens(&[("GRPC_ECHO_SERVER", "1")]), [3000]);
    assert_eq!(listens(&[("TCP_ECHO_SERVER", "1"), ("TCP_PORT", "9000")]), [9000]);
}

#[tokio::test]
async fn a_collector_takes_spans_in_three_forms_and_tells_them_as_jaeger_does() {
    let (address, _guard) = start(App::Jaeger, &[]).await;
    let post = async |path: &str, content_type: &'static str, body: Vec<u8>| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(content_type));
        let url = format!("http://{address}{path}");
        let outgoing = Outgoing { url, method: http::Method::POST, headers, body: body.into() };
        Client::new(None).send(&outgoing, LIMIT).await.unwrap().status.as_u16()
    };
    let zipkin = json!([{"traceId": "00000000000000000000000000000abc", "id": "1", "kind": "SERVER", "name": "GET <b>",
        "timestamp": 1_000_000, "duration": 250, "localEndpoint": {"serviceName": "web.shop"}, "tags": {"http.status_code": "503",
        "error": "true"}}]);
    assert_eq!(post("/api/v2/spans", "application/json", zipkin.to_string().into_bytes()).await, 202);
    let otlp = json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue":
        "reviews.shop"}}]}, "scopeSpans": [{"spans": [{"traceId": "00000000000000000000000000000abc", "spanId": "0000000000000002",
        "parentSpanId": "0000000000000001", "name": "reviews:9080/*", "kind": 3, "startTimeUnixNano": "1000050000",
        "endTimeUnixNano": "1000150000", "attributes": [{"key": "retries", "value": {"intValue": "2"}}]}]}]}]});
    assert_eq!(post("/v1/traces", "application/json", otlp.to_string().into_bytes()).await, 200);
    assert_eq!(post("/v1/traces", "application/x-protobuf", b"no".to_vec()).await, 400);
    assert_eq!(post("/v1/traces", "application/json", b"{".to_vec()).await, 400);

    let services = body(&get(address, "/jaeger/api/services", &[]).await);
    assert_eq!(services["data"], json!(["reviews.shop", "web.shop"]));
    let operations = body(&get(address, "/api/operations?service=reviews.shop", &[]).await);
    assert_eq!(operations["data"], json!([{"name": "reviews:9080/*", "spanKind": "client"}]));
    let found = body(&get(address, "/api/traces?service=web.shop&tags=%7B%22error%22%3A%22true%22%7D", &[]).await);
    let told = &found["data"][0];
    assert_eq!(told["traceID"], "00000000000000000000000000000abc");
    let child = told["spans"].as_array().unwrap().iter().find(|span| span["spanID"] == "0000000000000002").unwrap();
    assert_eq!(child["references"][0]["spanID"], "0000000000000001");
    assert_eq!((child["startTime"].as_u64(), child["duration"].as_u64()), (Some(1_000_050), Some(100)));
    assert_eq!(told["processes"][child["processID"].as_str().unwrap()]["serviceName"], "reviews.shop");
    assert_eq!(body(&get(address, "/api/traces/abc", &[]).await)["data"][0], *told);
    for (path, status) in [
        ("/api/traces?service=web.shop&minDuration=1ms", 200),
        ("/api/traces", 400),
        ("/api/traces/def", 404),
        ("/trace/def", 404),
        ("/nothing", 404),
    ] {
        let answer = get(address, path, &[]).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert!(status != 200 || body(&answer)["data"] == json!([]), "{path}");
    }
    let calls = body(&get(address, "/api/dependencies", &[]).await);
    assert_eq!(calls["data"], json!([{"parent": "web.shop", "child": "reviews.shop", "callCount": 1}]));

    for path in ["/jaeger/search?service=web.shop", "/jaeger/trace/abc", "/"] {
        let page = get(address, path, &[]).await;
        let page = String::from_utf8_lossy(&page.body).into_owned();
        assert!(page.contains("web.shop") && page.contains("GET &lt;b&gt;") && !page.contains("<b>"), "{path}: {page}");
    }
}

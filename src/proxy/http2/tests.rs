//! HTTP/2 clients and applications around a gateway and a pair of sidecars.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};

use crate::proxy::tests::harness::{App, Peer, Running, edge, edge_with, header, rules, soon, until};

const TO_WEB: &str = "[{route: [{destination: {host: web}}]}]";
const TO_GRPC: &str = "[{route: [{destination: {host: grpc}}]}]";

/// An application that speaks HTTP/2 and answers with what it got, the path in a trailer.
async fn echo() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        let te = request.headers().get("te").cloned();
                        let path = request.uri().path().to_owned();
                        let mut body = request.into_body();
                        let mut response = Response::builder().status(200).header("content-type", "application/grpc");
                        if let Some(te) = te {
                            response = response.header("x-te", te);
                        }
                        let response = response.body(()).expect("a response");
                        let Ok(mut send) = respond.send_response(response, false) else { return };
                        while let Some(Ok(data)) = body.data().await {
                            let _ = body.flow_control().release_capacity(data.len());
                            if send.send_data(data, false).is_err() {
                                return;
                            }
                        }
                        let mut trailers = HeaderMap::new();
                        trailers.insert("grpc-status", "0".parse().expect("a value"));
                        trailers.insert("x-path", path.parse().expect("a value"));
                        let _ = send.send_trailers(trailers);
                    });
                }
            });
        }
    });
    (address, connections)
}

/// A client that speaks HTTP/2 without TLS.
async fn client(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = soon(TcpStream::connect(address)).await.expect("a connection");
    let (send, connection) = soon(h2::client::handshake(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    send
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

async fn ask(client: &SendRequest<Bytes>, request: Request<()>, body: &[u8]) -> Answer {
    soon(async {
        let mut client = client.clone().ready().await.expect("ready");
        let (response, mut send) = client.send_request(request, body.is_empty()).expect("sent");
        if !body.is_empty() {
            send.send_data(Bytes::copy_from_slice(body), true).expect("sent");
        }
        let response = response.await.expect("a response");
        let (parts, mut receive) = response.into_parts();
        let mut body = Vec::new();
        while let Some(data) = receive.data().await {
            let data = data.expect("data");
            let _ = receive.flow_control().release_capacity(data.len());
            body.extend_from_slice(&data);
        }
        let trailers = receive.trailers().await.expect("trailers");
        Answer { status: parts.status.as_u16(), headers: parts.headers, body, trailers }
    })
    .await
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://shop.example.com{path}")).header("x-own", "1").body(()).expect("a request")
}

fn call(path: &str) -> Request<()> {
    let request = Request::post(format!("http://shop.example.com{path}"));
    request.header("content-type", "application/grpc").header("te", "trailers").body(()).expect("a request")
}

#[tokio::test]
async fn a_client_of_http2_reaches_an_application_of_http1() {
    let app = App::named("web").await;
    let (gateway, address) = edge(&[("web", app.address)], &rules(TO_WEB)).await;
    let client = client(address).await;
    for number in 0..5 {
        let answer = ask(&client, get(&format!("/{number}?a=b")), b"").await;
        assert_eq!((answer.status, &*answer.body), (200, &b"web"[..]));
        assert!(answer.headers.contains_key("x-envoy-upstream-service-time"));
        assert!(!answer.headers.contains_key("connection"));
    }
    let request = app.last();
    assert!(request.starts_with("GET /4?a=b HTTP/1.1\r\n"), "{request}");
    assert_eq!((header(&request, "host"), header(&request, "x-own")), (Some("shop.example.com"), Some("1")));
    let answer = ask(&client, Request::post("http://shop.example.com/").body(()).expect("a request"), b"hello").await;
    assert_eq!(answer.status, 200);
    assert!(app.last().ends_with("5\r\nhello\r\n0\r\n\r\n"), "{}", app.last());
    gateway.log.line("\"GET /4?a=b HTTP/2\" 200").await;
    assert_eq!(app.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_client_of_http1_reaches_an_application_of_http2() {
    let (app, connections) = echo().await;
    let (_gateway, address) = edge(&[("grpc", app)], &rules(TO_GRPC)).await;
    let mut peer = Peer::connect(address).await;
    for _ in 0..3 {
        let response = peer.ask("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        assert!(response.starts_with("HTTP/1.1 200") && response.contains("hello"), "{response}");
        assert!(response.ends_with("grpc-status: 0\r\nx-path: /x\r\n\r\n"), "{response}");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

/// How many requests were counted in the one series with these labels.
fn counted(gateway: &Running, labels: &str) -> Option<u64> {
    let text = gateway.proxy.registry().render();
    let line = text.lines().find(|line| line.starts_with("istio_requests_total{") && line.contains(labels))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn grpc_passes_with_its_trailers_many_calls_at_once() {
    let (app, connections) = echo().await;
    let (gateway, address) = edge(&[("grpc", app)], &rules(TO_GRPC)).await;
    let client = client(address).await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..60 {
        let client = client.clone();
        calls.spawn(async move {
            let body = vec![b'x'; number * 500 + 1];
            let answer = ask(&client, call(&format!("/s/{number}")), &body).await;
            assert_eq!((answer.status, answer.body.len()), (200, body.len()));
            let trailers = answer.trailers.expect("trailers");
            assert_eq!(trailers.get("grpc-status").map(|value| value.as_bytes()), Some(&b"0"[..]));
            assert_eq!(trailers.get("x-path").and_then(|value| value.to_str().ok()), Some(&*format!("/s/{number}")));
            assert_eq!(answer.headers.get("x-te").map(|value| value.as_bytes()), Some(&b"trailers"[..]));
        });
    }
    while let Some(ended) = soon(calls.join_next()).await {
        ended.expect("a call");
    }
    assert!(connections.load(Ordering::Relaxed) < 60, "calls share connections");
    let labels = "request_protocol=\"grpc\",response_code=\"200\",grpc_response_status=\"0\"";
    until(|| counted(&gateway, labels) == Some(60)).await;
}

#[tokio::test]
async fn what_http2_has_no_letters_for_is_escaped() {
    let (app, _) = echo().await;
    let (_gateway, address) = edge(&[("grpc", app)], &rules(TO_GRPC)).await;
    let mut client = Peer::connect(address).await;
    for (sent, expected) in [("/a?q=\"a\"", "/a"), ("/<b>", "/%3Cb%3E"), ("/c`|{}", "/c%60%7C%7B%7D")] {
        client.send(&format!("GET {sent} HTTP/1.1\r\nHost: shop.example.com\r\n\r\n")).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{sent}: {head}");
        let mut rest = String::new();
        while !rest.ends_with("\r\n\r\n") {
            rest += &client.bytes(1).await;
        }
        assert!(rest.contains(&format!("x-path: {expected}\r\n")), "{sent}: {rest}");
    }
}

#[tokio::test]
async fn how_long_a_body_is_that_was_not_asked_for_is_not_made_up() {
    let (app, _) = echo().await;
    let (_gateway, address) = edge(&[("grpc", app)], &rules(TO_GRPC)).await;
    let mut client = Peer::connect(address).await;
    client.send("HEAD / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200") && header(&head, "content-length").is_none(), "{head}");
}

#[tokio::test]
async fn a_connection_that_has_carried_what_it_may_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let app = listener.local_addr().expect("an address");
    let (opened, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, is_open) = (opened.clone(), open.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            is_open.fetch_add(1, Ordering::Relaxed);
            let is_open = is_open.clone();
            tokio::spawn(async move {
                if let Ok(mut connection) = h2::server::handshake(stream).await {
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        let _ = respond.send_response(Response::new(()), true);
                    }
                }
                is_open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    let policy = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: grpc, namespace: default}\n\
        spec: {host: grpc, trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 2}}}}\n";
    let (_gateway, address) = edge(&[("grpc", app)], &(rules(TO_GRPC) + policy)).await;
    let client = client(address).await;
    for _ in 0..20 {
        assert_eq!(ask(&client, get("/"), b"").await.status, 200);
    }
    assert_eq!(opened.load(Ordering::Relaxed), 10);
    until(|| open.load(Ordering::Relaxed) <= 1).await;
}

#[tokio::test]
async fn a_call_is_a_conversation_in_which_both_may_be_silent() {
    let (app, _) = echo().await;
    let stall = Duration::from_millis(50);
    let (_gateway, address) =
        edge_with(&[("grpc", app)], &rules(TO_GRPC), |config| config.limits.body_stall = stall).await;
    let client = client(address).await;
    let mut client = soon(client.ready()).await.expect("ready");
    let (response, mut send) = client.send_request(call("/talk"), false).expect("sent");
    let mut receive = soon(response).await.expect("a response").into_body();
    for word in ["one", "two"] {
        // Longer than the body of a request may rest.
        tokio::time::sleep(stall * 3).await;
        send.send_data(Bytes::from(word), false).expect("sent");
        assert_eq!(soon(receive.data()).await.expect("data").expect("data"), word);
    }
    send.send_data(Bytes::new(), true).expect("sent");
    assert!(soon(receive.trailers()).await.expect("trailers").is_some());
}

#[tokio::test]
async fn an_answer_of_our_own_is_one_that_grpc_understands() {
    let (gateway, address) = edge(&[], &rules(TO_GRPC)).await;
    let client = client(address).await;
    let answer = ask(&client, call("/s/m"), b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers.get("grpc-status").map(|value| value.as_bytes()), Some(&b"14"[..]));
    assert!(!answer.headers.contains_key("content-length") && answer.body.is_empty());
    gateway.log.line("NC cluster_not_found").await;
    let answer = ask(&client, get("/"), b"").await;
    assert_eq!(answer.status, 503);
    for labels in [
        "request_protocol=\"grpc\",response_code=\"200\",grpc_response_status=\"14\"",
        "request_protocol=\"http\",response_code=\"503\",grpc_response_status=\"\"",
    ] {
        until(|| counted(&gateway, labels) == Some(1)).await;
    }
}

#[tokio::test]
async fn a_large_body_passes_a_slow_reader_without_being_held() {
    let body = "0123456789abcdef".repeat(60_000);
    let whole = body.clone();
    let app = App::start(move |_| {
        (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{whole}", whole.len()).into_bytes(), false)
    })
    .await;
    let (_gateway, address) = edge(&[("web", app.address)], &rules(TO_WEB)).await;
    let client = client(address).await;
    let answer = ask(&client, get("/"), b"").await;
    assert_eq!(answer.body, body.as_bytes());
    let head = Request::head("http://shop.example.com/").body(()).expect("a request");
    let answer = ask(&client, head, b"").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[tokio::test]
async fn a_client_that_resets_whatever_it_asks_loses_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = listener.local_addr().expect("an address");
    let (gateway, address) = edge(&[("web", silent)], &rules(TO_WEB)).await;
    let client = client(address).await;
    let mut asked = 0_u32;
    let ended = soon(async {
        loop {
            let Ok(mut ready) = client.clone().ready().await else { return true };
            let Ok((_, mut send)) = ready.send_request(get("/"), false) else { return true };
            send.send_reset(h2::Reason::CANCEL);
            asked += 1;
            if asked > 20_000 {
                return false;
            }
            if asked.is_multiple_of(50) {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    assert!(ended, "{asked} requests were begun and reset on one connection");
    // Others are served.
    let other = self::client(address).await;
    let answer = ask(&other, get("/"), b"");
    assert!(tokio::time::timeout(Duration::from_millis(50), answer).await.is_err(), "it waits for the application");
    drop(gateway);
}

/// An application that grants a WebSocket and sends back, in capitals, what it gets, until that ends.
async fn websocket() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut peer = Peer::new(stream);
            let request = peer.head().await.to_ascii_lowercase();
            let asked =
                request.starts_with("get /chat http/1.1\r\n") && header(&request, "upgrade") == Some("websocket");
            let key = header(&request, "sec-websocket-key").map_or(0, str::len);
            if !asked || key != 24 || header(&request, "sec-websocket-version") != Some("13") {
                peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
                continue;
            }
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
            let said = peer.rest().await;
            peer.send(&said.to_ascii_uppercase()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_websocket_over_http2_reaches_an_application_of_http1() {
    let app = websocket().await;
    let (gateway, address) = edge(&[("web", app)], &rules(TO_WEB)).await;
    let client = client(address).await;
    let answer = soon(async {
        let mut client = client.clone().ready().await.expect("ready");
        while !client.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
        let mut request = Request::new(());
        *request.method_mut() = http::Method::CONNECT;
        *request.uri_mut() = "http://shop.example.com/chat".parse().expect("a URI");
        request.headers_mut().insert("sec-websocket-version", "13".parse().expect("a value"));
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        let (response, mut send) = client.send_request(request, false).expect("sent");
        let response = response.await.expect("a response");
        assert_eq!(response.status(), 200, "{response:?}");
        assert!(!response.headers().contains_key("upgrade"), "{response:?}");
        send.send_data(Bytes::from_static(b"hello "), false).expect("sent");
        send.send_data(Bytes::from_static(b"there"), true).expect("sent");
        let mut receive = response.into_body();
        let mut answer = Vec::new();
        while let Some(data) = receive.data().await {
            let data = data.expect("data");
            let _ = receive.flow_control().release_capacity(data.len());
            answer.extend_from_slice(&data);
        }
        answer
    })
    .await;
    assert_eq!(answer, b"HELLO THERE");
    gateway.log.line("\"GET /chat HTTP/2\" 101").await;
}

#[tokio::test]
async fn a_connect_of_http2_that_asks_for_no_websocket_is_refused() {
    let app = App::named("web").await;
    let (_gateway, address) = edge(&[("web", app.address)], &rules(TO_WEB)).await;
    let client = client(address).await;
    let mut request = Request::new(());
    *request.method_mut() = http::Method::CONNECT;
    *request.uri_mut() = "shop.example.com:443".parse().expect("a URI");
    let answer = soon(async {
        let (response, _) = client.clone().ready().await.expect("ready").send_request(request, true).expect("sent");
        response.await.expect("a response").status()
    })
    .await;
    assert!(answer.is_client_error() || answer.is_server_error(), "{answer}");
    assert!(app.requests.lock().is_empty());
}

#[tokio::test]
async fn what_is_sent_for_a_websocket_that_is_not_granted_is_no_request() {
    let app = App::named("no").await;
    let (_gateway, address) = edge(&[("web", app.address)], &rules(TO_WEB)).await;
    let client = client(address).await;
    let status = soon(async {
        let mut client = client.clone().ready().await.expect("ready");
        let mut request = Request::new(());
        *request.method_mut() = http::Method::CONNECT;
        *request.uri_mut() = "http://shop.example.com/chat".parse().expect("a URI");
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        let (response, mut send) = client.send_request(request, false).expect("sent");
        let smuggled = Bytes::from_static(b"GET /admin HTTP/1.1\r\nHost: shop.example.com\r\n\r\n");
        send.send_data(smuggled, false).expect("sent");
        let response = response.await.expect("a response");
        let status = response.status().as_u16();
        let mut receive = response.into_body();
        // Until the stream ends, in whichever way.
        while let Some(Ok(_)) = receive.data().await {}
        status
    })
    .await;
    assert_eq!(status, 200);
    let answer = ask(&client, get("/next"), b"").await;
    assert_eq!(answer.status, 200);
    let paths: Vec<String> =
        app.requests.lock().iter().filter_map(|seen| seen.lines().next().map(str::to_owned)).collect();
    assert_eq!(paths, ["GET /chat HTTP/1.1", "GET /next HTTP/1.1"]);
}

//! Messages on one connection through an inbound proxy.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::{App, Peer, header, ok, sidecar, sidecar_with, until};

#[tokio::test]
async fn a_request_and_its_response_pass_as_the_mesh_has_them() {
    let app = App::start(|_| {
        let response = "HTTP/1.1 200 Fine\r\nServer: gunicorn\r\nX-Own: 1\r\nx-envoy-peer-metadata: m\r\nConnection: keep-alive\r\n\
            Content-Length: 2\r\n\r\nhi";
        (response.into(), false)
    })
    .await;
    let proxy = sidecar(app.address);
    let mut client = proxy.connect().await;
    let response = client
        .ask("GET /a/../reviews/0?x=1 HTTP/1.1\r\nHost: reviews:9080\r\nX-Mesh-Peer: evil\r\nUser-Agent: t\r\n\r\n")
        .await;
    assert!(response.starts_with("HTTP/1.1 200 Fine\r\n") && response.ends_with("\r\n\r\nhi"), "{response}");
    assert_eq!(header(&response, "server"), Some("istio-envoy"));
    assert_eq!(header(&response, "x-own"), Some("1"));
    assert_eq!(header(&response, "x-envoy-peer-metadata"), None);
    assert!(header(&response, "x-envoy-upstream-service-time").is_some_and(|time| time.parse::<u64>().is_ok()));
    let request = app.last();
    assert!(request.starts_with("GET /reviews/0?x=1 HTTP/1.1\r\n"), "{request}");
    assert_eq!(header(&request, "host"), Some("reviews:9080"));
    assert_eq!(header(&request, "x-mesh-peer"), None);
    assert_eq!(header(&request, "x-forwarded-proto"), Some("http"));
    assert_eq!(header(&request, "x-request-id").map(str::len), Some(36));
    let line = proxy.log.line("via_upstream").await;
    assert!(line.contains("\"GET /a/../reviews/0?x=1 HTTP/1.1\" 200 - via_upstream"), "{line}");
    assert!(line.contains("\"reviews:9080\"") && line.contains(&app.address.to_string()), "{line}");
}

#[tokio::test]
async fn requests_on_one_connection_share_one_to_the_application() {
    let app = App::named("x").await;
    let proxy = sidecar(app.address);
    let mut client = proxy.connect().await;
    for number in 0..20 {
        let response = client.ask(&format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(response.ends_with("\r\n\r\nx"), "{response}");
    }
    let mut other = proxy.connect().await;
    other.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(app.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let app = App::start(|request| (ok(request.split(' ').nth(1).unwrap_or_default()), false)).await;
    let proxy = sidecar(app.address);
    let mut client = proxy.connect().await;
    let all: String =
        (0..30).map(|number| format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")).collect();
    client.send(&all).await;
    for number in 0..30 {
        let response = client.response().await;
        assert!(response.ends_with(&format!("\r\n\r\n/{number}")), "{number}: {response}");
    }
}

#[tokio::test]
async fn bodies_pass_in_both_directions_however_large_and_framed() {
    let large = "0123456789abcdef".repeat(20_000);
    let body = large.clone();
    let app = App::start(move |request| {
        let chunked = header(request, "transfer-encoding").is_some();
        assert!(request.contains(&body), "the body arrived");
        let response = if chunked {
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\nX-Sum: 1\r\n\r\n",
                body.len()
            )
        } else {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        (response.into_bytes(), false)
    })
    .await;
    let proxy = sidecar(app.address);
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        let response =
            client.ask(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{large}", large.len())).await;
        assert!(response.ends_with(&large));
        let chunks = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x};ext=1\r\n{large}\r\n0\r\n\r\n",
            large.len()
        );
        let response = client.ask(&chunks).await;
        assert!(response.contains(&large) && response.ends_with("0\r\nX-Sum: 1\r\n\r\n"));
    }
    assert!(!app.last().contains("ext=1"), "chunk extensions are not passed on");
}

#[tokio::test]
async fn a_response_that_ends_with_its_connection_becomes_chunks() {
    let app = App::start(|_| (b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec(), true)).await;
    let proxy = sidecar(app.address);
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        let response = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(header(&response, "transfer-encoding"), Some("chunked"));
        assert!(response.ends_with("\r\nd\r\nuntil the end\r\n0\r\n\r\n"), "{response}");
    }
}

#[tokio::test]
async fn a_truncated_response_is_not_passed_off_as_whole() {
    let app = App::start(|_| (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec(), true)).await;
    let proxy = sidecar(app.address);
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.rest().await.ends_with("\r\n\r\nhalf"));
    proxy.log.line("200 UC upstream_reset_after_response_started").await;
}

#[tokio::test]
async fn head_and_204_and_304_have_no_body() {
    let app = App::start(|request| {
        let response = match request.split(' ').next() {
            Some("HEAD") => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
            Some("GET") => "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
            _ => "HTTP/1.1 204 No Content\r\n\r\n",
        };
        (response.into(), false)
    })
    .await;
    let proxy = sidecar(app.address);
    let mut client = proxy.connect().await;
    for method in ["HEAD", "GET", "DELETE", "HEAD"] {
        client.send(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let head = client.head().await;
        assert_eq!(header(&head, "content-length").is_some(), method != "DELETE", "{head}");
    }
    assert_eq!(app.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn continue_reaches_the_client_before_it_sends_its_body() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = sidecar(listener.local_addr().expect("an address"));
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    let (stream, _) = super::harness::soon(listener.accept()).await.expect("a connection");
    let mut app = Peer::new(stream);
    assert_eq!(header(&app.head().await, "expect"), Some("100-continue"));
    app.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 100 "));
    client.send("hello").await;
    assert_eq!(app.bytes(5).await, "hello");
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert!(client.response().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = sidecar(listener.local_addr().expect("an address"));
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome").await;
    let (stream, _) = super::harness::soon(listener.accept()).await.expect("a connection");
    let mut app = Peer::new(stream);
    app.head().await;
    app.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!").await;
    let response = client.response().await;
    assert!(response.starts_with("HTTP/1.1 413") && response.ends_with("no!"), "{response}");
    assert_eq!(header(&response, "connection"), Some("close"));
    client.rest().await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_any_more_is_never_taken_for_requests() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = sidecar(listener.local_addr().expect("an address"));
    let body = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200_000);
    // Whether the answer or the end of reading is seen first is up to the machine: it is tried a few times.
    for _ in 0..10 {
        let client = proxy.connect().await;
        let (read, mut write) = client.stream.into_split();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        let message = head + &body;
        let sending = tokio::spawn(async move { write.write_all(message.as_bytes()).await.map(|()| write) });
        let (app, _) = super::harness::soon(listener.accept()).await.expect("a connection");
        // It reads nothing, so that the proxy cannot write on, answers, and resets.
        app.writable().await.expect("writable");
        app.try_write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!").expect("written");
        drop(app);
        let mut answer = Vec::new();
        let mut read = tokio::io::BufReader::new(read);
        // The proxy may have to reset as well: what was read until then counts.
        let _ = super::harness::soon(read.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
        assert!(answer.is_empty() || header(&answer, "connection") == Some("close"), "{answer}");
        sending.abort();
    }
}

#[tokio::test]
async fn what_follows_a_body_that_was_passed_on_is_the_next_request() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = sidecar(listener.local_addr().expect("an address"));
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").await;
    let (stream, _) = super::harness::soon(listener.accept()).await.expect("a connection");
    let mut app = Peer::new(stream);
    app.head().await;
    client.send("helloGET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(app.bytes(5).await, "hello");
    drop(app);
    assert!(client.response().await.starts_with("HTTP/1.1 503"));
    let (stream, _) = super::harness::soon(listener.accept()).await.expect("a connection");
    let mut app = Peer::new(stream);
    let head = app.head().await;
    assert!(head.starts_with("GET /next "), "{head}");
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert!(client.response().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_upgrade_becomes_a_tunnel_when_the_application_grants_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = sidecar(listener.local_addr().expect("an address"));
    let upgrade =
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
    let mut client = proxy.connect().await;
    // What follows at once must not reach the application before it has agreed (CVE-2025-64763).
    client.send(&format!("{upgrade}early")).await;
    let (stream, _) = super::harness::soon(listener.accept()).await.expect("a connection");
    let mut app = Peer::new(stream);
    let head = app.head().await;
    assert_eq!(header(&head, "upgrade"), Some("websocket"), "{head}");
    assert_eq!(header(&head, "connection"), Some("upgrade"));
    app.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert_eq!(header(&head, "upgrade"), Some("websocket"), "{head}");
    assert_eq!(client.bytes(5).await, "hello");
    assert_eq!(app.bytes(5).await, "early");
    client.send("ping").await;
    assert_eq!(app.bytes(4).await, "ping");
    client.stream.shutdown().await.expect("half closed");
    assert_eq!(app.rest().await, "");
    app.send("bye").await;
    drop(app);
    assert_eq!(client.rest().await, "bye");
    proxy.log.line("101 - via_upstream").await;
}

#[tokio::test]
async fn an_upgrade_that_is_answered_with_200_is_an_ordinary_response() {
    let app = App::named("plain").await;
    let proxy = sidecar(app.address);
    let mut client = proxy.connect().await;
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.send(&format!("{upgrade}GET /next HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    assert!(client.response().await.ends_with("plain"));
    assert!(client.response().await.ends_with("plain"));
    assert!(app.last().starts_with("GET /next "), "what followed was read as a request");
}

#[tokio::test]
async fn a_protocol_switch_that_nobody_asked_for_is_refused() {
    let app = App::start(|_| (b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec(), false)).await;
    let proxy = sidecar(app.address);
    let response = proxy.connect().await.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 502"), "{response}");
}

#[tokio::test]
async fn malformed_requests_are_answered_and_the_connection_ends() {
    let app = App::named("x").await;
    let proxy = sidecar(app.address);
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(70_000));
    for (message, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        ("GET / HTTP/1.1\nHost: a\n\n", "400"),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "426"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "501"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"),
        (large.as_str(), "431"),
    ] {
        let mut client = proxy.connect().await;
        let response = client.ask(message).await;
        let label: String = message.chars().take(60).collect();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{label:?}: {response}");
        assert_eq!(header(&response, "connection"), Some("close"), "{label:?}");
        assert!(response.split("\r\n\r\n").nth(1).is_some_and(|body| body.trim().len() > 10), "{label:?}: {response}");
        assert_eq!(client.rest().await, "", "{label:?}");
    }
    assert!(app.requests.lock().is_empty(), "{:?}", app.requests.lock());
    proxy.log.line(" 400 DPE missing_host").await;
}

#[tokio::test]
async fn an_application_that_answers_in_two_ways_is_not_believed() {
    let app = App::start(|_| {
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(), false)
    })
    .await;
    let proxy = sidecar(app.address);
    let response = proxy.connect().await.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 502"), "{response}");
    proxy.log.line("502 UPE").await;
}

#[tokio::test]
async fn a_client_that_does_not_go_on_is_let_go() {
    let app = App::named("x").await;
    let proxy = sidecar_with(app.address, |config| {
        config.limits.request_head = Duration::from_millis(50);
        config.limits.body_stall = Duration::from_millis(50);
        config.limits.detection = Duration::from_millis(50);
        config.limits.linger = Duration::from_millis(50);
    });
    let mut silent = proxy.connect().await;
    assert_eq!(silent.rest().await, "");
    let mut half = proxy.connect().await;
    half.send("GET / HTTP/1.1\r\nHos").await;
    assert_eq!(half.rest().await, "");
    let mut body = proxy.connect().await;
    body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await;
    let response = body.rest().await;
    assert!(response.starts_with("HTTP/1.1 408"), "{response}");
    until(|| proxy.proxy.connections() == 0).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_let_go() {
    let body = "0123456789abcdef".repeat(1 << 20);
    let app = App::start(move |_| {
        (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes(), false)
    })
    .await;
    let proxy = sidecar_with(app.address, |config| config.limits.write_stall = Duration::from_millis(100));
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    until(|| proxy.proxy.connections() == 1).await;
    until(|| proxy.proxy.connections() == 0).await;
    proxy.log.line(" SI stream_idle_timeout").await;
}

#[tokio::test]
async fn draining_waits_for_the_next_request_of_a_client_that_was_busy() {
    let app = App::named("x").await;
    let running = sidecar_with(app.address, |config| config.limits.idle_draining = Duration::from_secs(5));
    let mut client = running.connect().await;
    let response = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(header(&response, "connection"), None);
    let address = running.address();
    let drained = tokio::spawn(running.proxy.drain(Duration::from_secs(10)));
    until(|| std::net::TcpStream::connect(address).is_err()).await;
    let response = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(header(&response, "connection"), Some("close"));
    assert!(drained.await.expect("no panic"));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_request() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = sidecar(listener.local_addr().expect("an address"));
    let mut client = proxy.connect().await;
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (stream, _) = super::harness::soon(listener.accept()).await.expect("a connection");
    let mut app = Peer::new(stream);
    app.head().await;
    drop(client);
    assert_eq!(app.rest().await, "", "the application's connection ends too");
    proxy.log.line(" 0 DC downstream_remote_disconnect").await;
    until(|| proxy.proxy.connections() == 0).await;
}

#[tokio::test]
async fn draining_lets_requests_finish_and_idle_connections_go() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let running = sidecar(listener.local_addr().expect("an address"));
    let (mut idle, mut busy) = (running.connect().await, running.connect().await);
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (stream, _) = super::harness::soon(listener.accept()).await.expect("a connection");
    let mut app = Peer::new(stream);
    app.head().await;
    let address = running.address();
    until(|| running.proxy.connections() == 2).await;
    let drained = tokio::spawn(running.proxy.drain(Duration::from_secs(10)));
    assert_eq!(idle.rest().await, "");
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    let response = busy.response().await;
    assert!(response.ends_with("done"), "{response}");
    assert_eq!(header(&response, "connection"), Some("close"));
    assert!(drained.await.expect("no panic"), "every connection ended in time");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

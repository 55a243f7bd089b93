//! Where one request ends and the next begins, when an application does not want the body that is under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Response;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::harness::{Peer, edge, header, rules, soon};

const TO_GRPC: &str = "[{route: [{destination: {host: grpc}}]}]";

/// What an application of HTTP/2 does with a request whose body it does not read.
#[derive(Clone, Copy)]
enum Answers {
    /// 200, and an end to the body (RST_STREAM with NO_ERROR).
    AtOnce,
    /// It has not looked at it.
    Refused,
}

/// An application of HTTP/2, and how many requests it got.
async fn uninterested(answers: Answers) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((mut request, mut respond))) = connection.accept().await {
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(async move {
                        // Some of it is here, so some of it was passed on.
                        let _ = request.body_mut().data().await;
                        match answers {
                            Answers::AtOnce => drop(respond.send_response(Response::new(()), true)),
                            Answers::Refused => respond.send_reset(h2::Reason::REFUSED_STREAM),
                        }
                    });
                }
            });
        }
    });
    (address, requests)
}

/// Sends the head of a request and a body full of others, more than anybody holds; answers the head of the response, and what came
/// behind it.
async fn sends_requests_as_a_body(address: SocketAddr, framing: &str, filler: &str) -> (String, String) {
    let client = Peer::connect(address).await;
    let (read, mut write) = client.stream.into_split();
    let inner = "0\r\n\r\nGET /second HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";
    let text =
        format!("POST /first HTTP/1.1\r\nHost: shop.example.com\r\n{framing}\r\n\r\n{filler}{}", inner.repeat(20_000));
    // It is cut off somewhere in the middle.
    let sending = tokio::spawn(async move {
        let _ = write.write_all(text.as_bytes()).await;
        write
    });
    let mut said = Vec::new();
    soon(async {
        let mut room = vec![0; 4096];
        loop {
            read.readable().await.expect("readable");
            match read.try_read(&mut room) {
                Ok(0) => break,
                Ok(count) => said.extend_from_slice(&room[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    })
    .await;
    sending.abort();
    let said = String::from_utf8(said).expect("text");
    let (head, behind) = said.split_once("\r\n\r\n").unwrap_or((said.as_str(), ""));
    (format!("{head}\r\n\r\n"), behind.to_owned())
}

#[tokio::test]
async fn what_is_left_of_a_body_is_no_request() {
    for (answers, expected) in [(Answers::AtOnce, "HTTP/1.1 200"), (Answers::Refused, "HTTP/1.1 503")] {
        for (framing, filler) in [("Content-Length: 10000000", ""), ("Transfer-Encoding: chunked", "989680\r\n")] {
            let (app, requests) = uninterested(answers).await;
            let (_gateway, address) = edge(&[("grpc", app)], &rules(TO_GRPC)).await;
            let (head, behind) = sends_requests_as_a_body(address, framing, filler).await;
            assert!(head.starts_with(expected), "{framing}: {head}");
            assert_eq!(header(&head, "connection"), Some("close"), "{framing}: {head}");
            assert!(!behind.contains("HTTP/1.1 "), "{framing}: there was another answer: {behind}");
            assert_eq!(requests.load(Ordering::Relaxed), 1, "{framing}");
        }
    }
}

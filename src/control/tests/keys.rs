//! Keys of issuers that change before they are stale.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::model::InboundPolicy;
use crate::model::token::TokenRule;

/// Who tells keys: whatever set it was given last. How often it was asked comes with it.
async fn issuer() -> (String, watch::Sender<Value>, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (keys, told) = watch::channel(json!({"keys": []}));
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let body = told.borrow().to_string();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _head = stream.read(&mut [0; 4096]).await;
            counted.fetch_add(1, Ordering::Relaxed);
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    (format!("http://{address}/keys"), keys, asked)
}

#[tokio::test]
async fn keys_that_a_token_needs_are_fetched_anew_but_not_for_every_token() {
    let (uri, keys, asked) = issuer().await;
    let (mesh, set) = (mesh().await, |name: &str| json!({"keys": [{"kty": "oct", "kid": name}]}));
    keys.send_replace(set("old"));
    let value = json!({
        "apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": {"name": "jwt", "namespace": "shop"},
        "spec": {"jwtRules": [{"issuer": "me", "jwksUri": uri}, {"issuer": "it", "jwks": "{\"keys\": []}"}]},
    });
    let item = Item::RequestAuthentication(Arc::new(Object::from_value(&value).unwrap()));
    mesh.tell(Event::Apply(Key::new("shop", "jwt"), item)).await;
    let (directory, bystander) = (mesh.proxy("shop").await, mesh.proxy("bank").await);
    let sets = |policy: &InboundPolicy| {
        let told = |rule: &TokenRule| (rule.keys.source().to_string(), rule.fetched);
        policy.tokens.iter().map(told).collect::<Vec<_>>()
    };
    let written = || ("{\"keys\": []}".to_owned(), false);
    let held = |name: &str| vec![written(), (set(name).to_string(), true)];
    until("the keys are there", || directory.inbound().is_some_and(|policy| sets(&policy) == held("old"))).await;
    keys.send_replace(set("new"));
    // Who believes nobody has no keys fetched.
    let other = bystander.inbound().unwrap();
    assert!(timeout(Duration::from_secs(1), bystander.newer_keys(&other)).await.is_err());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    // Two that need them at once are one question, and both have the answer.
    let before = directory.inbound().unwrap();
    let (first, second) = tokio::join!(directory.newer_keys(&before), directory.newer_keys(&before));
    for newer in [first, second] {
        assert_eq!(newer.map(|policy| sets(&policy)), Some(held("new")));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    // Who comes soon after with another unknown key is not worth a question, and waits no longer than the first might have.
    let current = directory.inbound().unwrap();
    assert_eq!(timeout(Duration::from_secs(5), directory.newer_keys(&current)).await.unwrap(), None);
    assert_eq!(timeout(Duration::from_millis(500), directory.newer_keys(&current)).await.unwrap(), None);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

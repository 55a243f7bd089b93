//! Who may do what, over a socket.

use std::net::SocketAddr;
use std::sync::Arc;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenReview};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{object, start};
use crate::runtime::apiserver::ApiServer;

async fn listen(server: &Arc<ApiServer>) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let token = CancellationToken::new();
    let (server, stop) = (Arc::clone(server), token.clone());
    tokio::spawn(async move { server.serve(listener, None, stop).await });
    (address, token)
}

async fn get(address: SocketAddr, path: &str, token: Option<&str>) -> (u16, Value) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{bearer}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (code, serde_json::from_str(body).unwrap_or_else(|_| body.into()))
}

#[tokio::test]
async fn tokens_open_what_the_table_grants_and_end_with_their_pod() {
    let (server, _dir) = start();
    let server = Arc::new(server);
    let (address, stop) = listen(&server).await;
    assert_eq!(get(address, "/healthz", None).await, (200, "ok".into()));
    assert_eq!(get(address, "/api/v1/pods", None).await.0, 401);
    assert_eq!(get(address, "/api/v1/pods", Some("wrong")).await.0, 401);
    assert_eq!(get(address, "/api/v1/pods", Some(server.admin_token())).await.0, 200);

    let client = server.client("test");
    let post = PostParams::default();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    accounts.create(&post, &object(json!({"metadata": {"name": "web"}}))).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod: Pod = object(json!({"metadata": {"name": "p"}, "spec": {
        "serviceAccountName": "web", "containers": [{"name": "a", "image": "b"}]}}));
    pods.create(&post, &pod).await.unwrap();
    let request: TokenRequest = object(json!({"metadata": {}, "spec": {
        "audiences": ["istio-ca", "https://kubernetes.default.svc.cluster.local"], "expirationSeconds": 3600,
        "boundObjectRef": {"kind": "Pod", "name": "p"}}}));
    let issued = accounts.create_token_request("web", &post, &request).await.unwrap();
    let token = issued.status.unwrap().token.unwrap();
    let (code, refused) = get(address, "/api/v1/pods", Some(&token)).await;
    assert_eq!(code, 403);
    assert_eq!(
        refused["message"],
        "pods is forbidden: User \"system:serviceaccount:default:web\" cannot list resource \"pods\" in API group \"\" at the cluster scope"
    );
    let review = async |audience: &str| {
        let review: TokenReview = object(json!({"metadata": {}, "spec": {"token": token, "audiences": [audience]}}));
        Api::<TokenReview>::all(client.clone()).create(&post, &review).await.unwrap().status.unwrap()
    };
    let good = review("istio-ca").await;
    assert_eq!(good.authenticated, Some(true));
    let user = good.user.unwrap();
    assert_eq!(user.username.as_deref(), Some("system:serviceaccount:default:web"));
    assert_eq!(user.extra.unwrap()["authentication.kubernetes.io/pod-name"], ["p"]);
    assert_ne!(review("another").await.authenticated, Some(true));
    pods.delete("p", &DeleteParams::default()).await.unwrap();
    let ended = review("istio-ca").await;
    assert_ne!(ended.authenticated, Some(true));
    assert!(ended.error.unwrap().contains("is gone"));
    stop.cancel();
}

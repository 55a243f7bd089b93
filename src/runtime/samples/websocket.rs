//! The server side of WebSockets (RFC 6455) for the apps that speak them.
//!
//! Guarantees: a message is at most 1 MiB, a session that hears nothing ends after [`IDLE`], and no more than [`SESSIONS`] run at
//! one time; all of them end with the process.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::context::AppContext;
use super::reply;
use crate::serve::{self, Body};

/// How long a session may hear nothing.
pub(super) const IDLE: Duration = Duration::from_secs(300);
const SESSIONS: usize = 128;
const MESSAGE: usize = 1 << 20;

/// Permits for an app's sessions.
pub(super) fn permits() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(SESSIONS))
}

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Answers a handshake and runs `session` on the connection; 400 where the request is no handshake.
pub(super) fn accept<S, F>(context: &AppContext, mut request: Request<Bytes>, session: S) -> Response<Body>
where
    S: FnOnce(Socket) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let headers = request.headers();
    let upgrades = headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let accepted = headers.get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let Some(Ok(accepted)) = accepted.filter(|_| upgrades).map(|accepted| HeaderValue::from_str(&accepted)) else {
        return reply::error(StatusCode::BAD_REQUEST, "this is a WebSocket: send an Upgrade request").map(serve::full);
    };
    let Ok(permit) = Arc::clone(&context.sessions).try_acquire_owned() else {
        return reply::error(StatusCode::SERVICE_UNAVAILABLE, "too many WebSockets").map(serve::full);
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let _permit = permit;
        let Ok(upgraded) = upgrade.await else { return };
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
        session(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await).await;
    });
    let mut response = Response::new(serve::full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
    response
}

//! tornado: the WebSocket sample of Istio. What is posted to `/api?id=…&value=…` is pushed to everybody who listens on `/ws`.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::context::AppContext;
use super::websocket::{self, Socket};
use super::{bookinfo, reply};
use crate::serve::{self, Body};

const PAGE: &str = r#"<!doctype html>
<title>tornado WebSocket example</title>
<h1>tornado WebSocket example</h1>
<p>Open <code>/api?id=1&amp;value=42</code> in another window.</p>
<table border="1"><thead><tr><th>id</th><th>value</th></tr></thead><tbody id="rows"></tbody></table>
<script>
const socket = new WebSocket((location.protocol === "https:" ? "wss://" : "ws://") + location.host + "/ws");
socket.onmessage = event => {
  const { id, value } = JSON.parse(event.data);
  const key = "row-" + id;
  const row = document.getElementById(key) || document.getElementById("rows").appendChild(document.createElement("tr"));
  row.id = key;
  row.replaceChildren(...[id, value].map(text => Object.assign(document.createElement("td"), { textContent: text })));
};
</script>
"#;

pub(super) fn handle(context: &AppContext, request: Request<Bytes>) -> Response<Body> {
    let whole = match request.uri().path() {
        "/ws" => {
            let posts = context.posts.subscribe();
            return websocket::accept(context, request, move |socket| push(socket, posts));
        }
        "/" => reply::html(PAGE.to_owned()),
        "/api" => {
            let query: Vec<_> = bookinfo::form::pairs(request.uri().query().unwrap_or("")).collect();
            let value = |name| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
            match (value("id"), value("value")) {
                (Some(id), Some(value)) => {
                    // Nobody has to listen.
                    let _listeners = context.posts.send(json!({"id": id, "value": value}).to_string());
                    reply::text(StatusCode::OK, Bytes::new())
                }
                _ => reply::error(StatusCode::BAD_REQUEST, "post /api?id=…&value=…"),
            }
        }
        _ => reply::not_found(),
    };
    whole.map(serve::full)
}

/// Pushes posts until the client goes, or is silent and hears nothing for too long.
async fn push(mut socket: Socket, mut posts: broadcast::Receiver<String>) {
    loop {
        let step = async {
            tokio::select! {
                heard = socket.next() => matches!(heard, Some(Ok(message)) if !message.is_close()),
                post = posts.recv() => match post {
                    Ok(post) => socket.send(Message::text(post)).await.is_ok(),
                    Err(broadcast::error::RecvError::Lagged(_)) => true,
                    Err(broadcast::error::RecvError::Closed) => false,
                },
            }
        };
        if !matches!(timeout(websocket::IDLE, step).await, Ok(true)) {
            return;
        }
    }
}

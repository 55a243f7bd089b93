//! Serves a built-in app: HTTP/1.1 and HTTP/2 on each of its ports, with TLS where the app was given a certificate.
//!
//! Guarantees: what `serve` guarantees, with the limits of a small app, and a bound on request bodies; after the token is
//! cancelled no connection is accepted, requests under way are answered, and the server returns within the drain limit.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::app::{App, Port};
use super::context::AppContext;
use super::echo::Echo;
use super::{client, echo_basic, reply, tcp};
use crate::net;
use crate::serve::{self, Body, Limits, Tls};

const CONNECTION_LIMIT: usize = 512;
/// Fields of gRPC that end a response instead of beginning it.
const GRPC_TRAILERS: [HeaderName; 2] =
    [HeaderName::from_static("grpc-status"), HeaderName::from_static("grpc-message")];

/// Why an app does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port cannot be bound.
    #[error("{app}: cannot listen on {address}: {source}; give the container another containerPort")]
    Bind {
        /// The app.
        app: App,
        /// Where it should listen.
        address: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Its arguments name what it cannot use.
    #[error("{app}: {problem}; correct the container's args")]
    Arguments {
        /// The app.
        app: App,
        /// What is wrong.
        problem: String,
    },
}

/// Binds the app's ports on the environment's address and serves until `stop` is cancelled. `declared` is the container's
/// first port, which an app of one port takes for its own. An app without a port idles until then.
pub async fn serve(
    app: App,
    declared: Option<u16>,
    context: AppContext,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    if matches!(app, App::TcpEcho | App::Silent(_)) {
        return tcp::serve(app, declared, &context.environment, stop).await;
    }
    let lines = app == App::Echo(Echo::GatewayApi) && echo_basic::speaks_lines(&context);
    let ports =
        app.listens(declared, &context.environment).map_err(|problem| ServeError::Arguments { app, problem })?;
    if ports.is_empty() {
        stop.cancelled().await;
        return Ok(());
    }
    let context = Arc::new(context);
    let mut servers = JoinSet::new();
    for Port { number, tls } in ports {
        let address = SocketAddr::new(context.environment.listen_ip, number);
        let listener = TcpListener::bind(net::socket_of(address)).await.map_err(|source| ServeError::Bind {
            app,
            address,
            source,
        })?;
        log_line(&format!("{app} listens on {address}{}", if tls.is_some() { " with TLS" } else { "" }));
        let context = Arc::clone(&context);
        if lines {
            servers.spawn(echo_basic::serve_lines(listener, tls, context, stop.clone()));
        } else {
            servers.spawn(serve_on(listener, tls.into(), app, context, stop.clone()));
        }
    }
    while servers.join_next().await.is_some() {}
    Ok(())
}

/// Serves `app` on a listener until `stop` is cancelled, then drains.
pub(super) async fn serve_on(
    listener: TcpListener,
    tls: Tls,
    app: App,
    context: Arc<AppContext>,
    stop: CancellationToken,
) {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let service = serve::handler(move |request| {
        let context = Arc::clone(&context);
        async move { answer(app, port, &context, request).await }
    });
    let limits = Limits { connections: CONNECTION_LIMIT, ..Limits::default() };
    serve::serve(listener, tls, limits, service, stop).await;
}

async fn answer(app: App, port: u16, context: &AppContext, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let line = format!("{} {}", head.method, head.uri);
    let response = match Limited::new(body, client::BODY_LIMIT).collect().await {
        Ok(body) => app.handle(port, context, Request::from_parts(head, body.to_bytes())).await,
        Err(_) => reply::error(StatusCode::PAYLOAD_TOO_LARGE, "the request body is larger than 1 MiB, or broke off")
            .map(serve::full),
    };
    log_line(&format!("{line} {} {} ms", response.status().as_u16(), started.elapsed().as_millis()));
    with_trailers(response)
}

/// A gRPC response says at its end how the call went.
fn with_trailers(mut response: Response<Body>) -> Response<Body> {
    let is_grpc = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|content_type| content_type.as_bytes().starts_with(b"application/grpc"));
    if !is_grpc {
        return response;
    }
    let mut trailers = HeaderMap::new();
    for name in GRPC_TRAILERS {
        if let Some(value) = response.headers_mut().remove(&name) {
            trailers.insert(name, value);
        }
    }
    // Of a body whose length is known the server ends the stream with its last byte.
    response.map(|body| {
        let end = futures_util::stream::once(async { Ok(Frame::trailers(trailers)) });
        StreamBody::new(body.into_data_stream().map_ok(Frame::data).chain(end)).boxed_unsync()
    })
}

/// One line to the container's log. A log that nobody reads any more is no reason to stop serving.
pub(crate) fn log_line(line: &str) {
    let _written = writeln!(std::io::stdout().lock(), "{line}");
}

//! Serves a built-in app over HTTP/1.
//!
//! Guarantees: at most [`CONNECTION_LIMIT`] connections, a bound on the time a head may take, on heads and on bodies;
//! after the token is cancelled no connection is accepted, requests under way are answered, and the server returns
//! within [`DRAIN_LIMIT`].

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::context::AppContext;
use super::{client, reply, tcp};

const CONNECTION_LIMIT: usize = 512;
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const HEAD_BYTES: usize = 64 * 1024;
const HEAD_FIELDS: usize = 100;
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// Waited after a failed `accept`, so that running out of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
}

/// Binds `port` on the environment's address (or the app's default port) and serves until `stop` is cancelled.
/// An app without a port idles until then.
pub async fn serve(
    app: App,
    port: Option<u16>,
    context: AppContext,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    if matches!(app, App::TcpEcho | App::Silent(_)) {
        return tcp::serve(app, port, &context.environment, stop).await;
    }
    let Some(port) = port.or(app.default_port()).filter(|_| app != App::Idle) else {
        stop.cancelled().await;
        return Ok(());
    };
    let address = SocketAddr::new(context.environment.listen_ip, port);
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Bind { app, address, source })?;
    log_line(&format!("{app} listens on {address}"));
    serve_on(listener, app, Arc::new(context), stop).await;
    Ok(())
}

/// Serves `app` on a listener until `stop` is cancelled, then drains.
pub(super) async fn serve_on(listener: TcpListener, app: App, context: Arc<AppContext>, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = accept(&listener, &permits) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let (context, stop) = (Arc::clone(&context), stop.clone());
                connections.spawn(async move {
                    connection(stream, app, context, stop).await;
                    drop(permit);
                });
            }
            Err(error) => {
                log_line(&format!("{app} cannot accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    // What is left after the limit is aborted when the set is dropped.
    let _drained = timeout(DRAIN_LIMIT, async { while connections.join_next().await.is_some() {} }).await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

async fn connection(stream: TcpStream, app: App, context: Arc<AppContext>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let context = Arc::clone(&context);
        async move { Ok::<_, Infallible>(answer(app, &context, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEAD_FIELDS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // A connection that breaks concerns its peer alone; requests have been logged by then.
    let _closed = tokio::select! {
        closed = connection.as_mut() => closed,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
}

async fn answer(app: App, context: &AppContext, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let line = format!("{} {}", head.method, head.uri);
    let response = match Limited::new(body, client::BODY_LIMIT).collect().await {
        Ok(body) => app.handle(context, Request::from_parts(head, body.to_bytes())).await,
        Err(_) => reply::error(StatusCode::PAYLOAD_TOO_LARGE, "the request body is larger than 1 MiB, or broke off"),
    };
    log_line(&format!("{line} {} {} ms", response.status().as_u16(), started.elapsed().as_millis()));
    response.map(Full::new)
}

/// One line to the container's log. A log that nobody reads any more is no reason to stop serving.
pub(crate) fn log_line(line: &str) {
    let _written = writeln!(std::io::stdout().lock(), "{line}");
}

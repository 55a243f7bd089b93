//! Reaching into pods: a request to one of their ports, a command in one of their containers.
//!
//! Both go through the API server, as kubectl's do, and so need no route to the pod. A request has a bound; a command lasts as long
//! as it lasts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::kube::{Connection, Error, ObjectRef};

/// How long a request to a pod's port may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes: what a gateway of thousands of hosts holds.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Connections that are carried to a pod's port at one time.
const FORWARDED: usize = 64;

/// What a pod's port answered.
#[derive(Debug, Clone)]
pub struct PortAnswer {
    /// Status.
    pub status: http::StatusCode,
    /// Body.
    pub body: Bytes,
}

/// Sends a request without a body to a port of a pod, by way of `…/portforward`.
///
/// # Errors
/// There is no such pod, nothing listens on the port, or what answers is not HTTP.
pub async fn ask_port(
    connection: &Connection,
    pod: &ObjectRef,
    port: u16,
    method: http::Method,
    path: &str,
) -> Result<PortAnswer, Error> {
    let unusable =
        |reason: String| Error::Answer { object: pod.to_string(), server: connection.server.clone(), reason };
    let exchange = async {
        let forwarded = pods(connection, pod).portforward(&pod.name, &[port]).await;
        let mut forwarded = forwarded.map_err(|error| Error::of(error, pod, connection))?;
        let none = || unusable(format!("port {port} cannot be forwarded"));
        let stream = forwarded.take_stream(port).ok_or_else(none)?;
        let failure = forwarded.take_error(port);
        let request = http::Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.body(Full::<Bytes>::default()).map_err(|error| unusable(error.to_string()))?;
        match answer(stream, request).await {
            Ok(answer) => Ok(answer),
            Err(reason) => {
                // What the server says about the port is the better reason.
                let said = match failure {
                    Some(failure) => tokio::time::timeout(Duration::from_millis(200), failure).await.ok().flatten(),
                    None => None,
                };
                Err(unusable(format!("port {port}: {}", said.unwrap_or(reason))))
            }
        }
    };
    tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| Error::Unreachable {
        server: connection.server.clone(),
        reason: format!("port {port} of {pod} did not answer within {} s", TIMEOUT.as_secs()),
    })?
}

async fn answer<S>(stream: S, request: http::Request<Full<Bytes>>) -> Result<PortAnswer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, exchange) = handshake.map_err(|error| error.to_string())?;
    let asking = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok(PortAnswer { status, body: body.map_err(|error| error.to_string())?.to_bytes() })
    };
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        answer = &mut asking => answer,
        // A connection that ends with its answer has one to give.
        ended = exchange => match ended {
            Ok(()) => asking.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

/// Carries the connections of a listener to a port of a pod, [`FORWARDED`] at one time, until it is dropped. A connection that
/// breaks concerns its peer alone.
///
/// # Errors
/// Connections cannot be accepted any more.
pub async fn forward(connection: &Connection, pod: &ObjectRef, port: u16, listener: TcpListener) -> Result<(), Error> {
    let (api, permits) = (pods(connection, pod), Arc::new(Semaphore::new(FORWARDED)));
    // Dropping the set ends what is under way.
    let mut carried = JoinSet::new();
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await;
        let accepted = listener.accept().await;
        let (mut stream, _) = accepted.map_err(|error| Error::Answer {
            object: pod.to_string(),
            server: connection.server.clone(),
            reason: format!("connections to port {port} cannot be accepted: {error}"),
        })?;
        let (api, name) = (api.clone(), pod.name.clone());
        carried.spawn(async move {
            if let Ok(mut forwarded) = api.portforward(&name, &[port]).await
                && let Some(mut there) = forwarded.take_stream(port)
            {
                let _ended = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
            }
            drop(permit);
        });
        while carried.try_join_next().is_some() {}
    }
}

/// A command to run in a container.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// The container; the pod's default one if not said.
    pub container: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Whether it is given this process's standard input.
    pub stdin: bool,
}

/// Runs a command in a container with this process's standard streams; its exit code.
///
/// # Errors
/// There is no such pod or container, or the command cannot be started.
pub async fn exec(connection: &Connection, pod: &ObjectRef, options: &ExecOptions) -> Result<i32, Error> {
    let unusable =
        |reason: String| Error::Answer { object: pod.to_string(), server: connection.server.clone(), reason };
    let mut parameters = AttachParams::default().stdin(options.stdin).stdout(true).stderr(true).tty(false);
    if let Some(container) = &options.container {
        parameters = parameters.container(container);
    }
    let started = pods(connection, pod).exec(&pod.name, &options.command, &parameters).await;
    let mut process = started.map_err(|error| Error::of(error, pod, connection))?;
    let status = process.take_status();
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    let (out, err) = (process.stdout(), process.stderr());
    if let Some(mut into) = process.stdin() {
        // It ends with the process that reads it; a terminal that says nothing must not keep this one.
        tokio::spawn(async move {
            let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut into).await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut into).await;
        });
    }
    let copied = async {
        tokio::join!(
            async {
                if let Some(mut out) = out {
                    let _ = tokio::io::copy(&mut out, &mut stdout).await;
                    let _ = tokio::io::AsyncWriteExt::flush(&mut stdout).await;
                }
            },
            async {
                if let Some(mut err) = err {
                    let _ = tokio::io::copy(&mut err, &mut stderr).await;
                    let _ = tokio::io::AsyncWriteExt::flush(&mut stderr).await;
                }
            }
        )
    };
    copied.await;
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    let status = status.ok_or_else(|| unusable("the session ended without an exit code".to_owned()))?;
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.as_ref().and_then(|details| details.causes.as_deref()).unwrap_or_default();
    let code = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.and_then(|cause| cause.message.as_deref()?.parse().ok());
    code.ok_or_else(|| unusable(status.message.unwrap_or_else(|| "the command failed".to_owned())))
}

fn pods(connection: &Connection, pod: &ObjectRef) -> Api<Pod> {
    let namespace = pod.namespace.as_deref().unwrap_or(&connection.namespace);
    Api::namespaced(connection.client.clone(), namespace)
}

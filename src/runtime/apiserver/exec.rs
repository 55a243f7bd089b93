//! `…/pods/{name}/exec`, `attach` and `portforward`: the seam to whoever runs the pods, and what they have in common.
//!
//! All are WebSockets with Kubernetes' channels (the first byte of each message). SPDY, which kubectl before 1.30 speaks, is refused
//! with a sentence that says so. A session ends with its client, its process or the server, whichever is first.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::header::{HeaderName, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_util::io::StreamReader;

use super::columns::{list, string};
use super::failure::Failure;
use super::log::LogOptions;
use super::terminal::Terminal;
use super::tunnel;
use super::verbs::Call;
use crate::serve::{self, Body};

/// Bytes of one message at most.
const MESSAGE: usize = 1 << 20;
/// Bytes read from a process at a time.
const PIECE: usize = 16 << 10;
/// Messages that wait for a slow client.
const QUEUE: usize = 16;
/// How long the rest of a process's output may take after its end.
const REST: Duration = Duration::from_secs(5);

/// Channels of an exec session.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const OUTCOME: u8 = 3;
const RESIZE: u8 = 4;
/// Version 5: the channel that follows is closed.
const CLOSE: u8 = 255;

/// Versions of the channels' protocol, the best first.
const VERSIONS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// A command to run in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOptions {
    /// Namespace of the pod.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// The container.
    pub container: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Whether somebody will write to its standard input.
    pub stdin: bool,
    /// Whether somebody sits in front of it.
    pub tty: bool,
}

/// A command at work. It ends when this is dropped.
pub struct Execution {
    /// Its standard input, if that was asked for.
    pub stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// Its standard output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Its standard error.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Its exit code.
    pub exit: BoxFuture<'static, io::Result<i32>>,
}

/// A byte stream to a pod's port.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Runs commands in pods, and reaches their ports.
pub trait PodStreams: Send + Sync {
    /// Starts a command. The error is shown to the user.
    fn exec(&self, options: ExecOptions) -> BoxFuture<'static, io::Result<Execution>>;

    /// Connects to a port as from within the pod. The error is shown to the user.
    fn dial(&self, namespace: &str, pod: &str, port: u16) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>>;
}

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A WebSocket handshake that the client has begun.
pub(super) struct Handshake {
    accept: HeaderValue,
    upgrade: OnUpgrade,
    protocol: Option<&'static str>,
}

impl Handshake {
    /// Reads the client's side of it.
    pub(super) fn read(parts: &Parts, offered: &[&'static str]) -> Result<Self, Failure> {
        let word = |name: HeaderName| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase()
        };
        if word(UPGRADE).starts_with("spdy") {
            return Err(Failure::bad_request(
                "SPDY is not spoken here; use kubectl 1.31 or newer, which speaks WebSocket",
            ));
        }
        let no_websocket = || Failure::bad_request("Upgrade request required: this is a WebSocket");
        if word(UPGRADE) != "websocket" || !word(CONNECTION).contains("upgrade") {
            return Err(no_websocket());
        }
        let key = parts.headers.get(SEC_WEBSOCKET_KEY).ok_or_else(no_websocket)?;
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| no_websocket())?;
        let upgrade = parts.extensions.get::<OnUpgrade>().cloned().ok_or_else(no_websocket)?;
        Ok(Self { accept, upgrade, protocol: protocol(&parts.headers, offered)? })
    }

    /// Answers, and runs the session once the client has the answer, until it ends or `stop` is cancelled.
    pub(super) fn serve<S, F>(self, call: &Call, session: S) -> Response<Body>
    where
        S: FnOnce(Socket, Option<&'static str>) -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        let Self { accept, upgrade, protocol } = self;
        let stop = call.server.stop.clone();
        let sessions = Arc::clone(&call.server.sessions);
        tokio::spawn(async move {
            let session = async {
                // The limit is met by waiting: sessions are long and few.
                let Ok(_permit) = sessions.acquire().await else { return };
                let Ok(upgraded) = upgrade.await else { return };
                let config = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
                let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
                session(socket, protocol).await;
            };
            stop.run_until_cancelled(session).await;
        });
        let mut response = Response::new(serve::full(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(protocol) = protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        response
    }
}

/// The best protocol that both sides know.
fn protocol(headers: &HeaderMap, offered: &[&'static str]) -> Result<Option<&'static str>, Failure> {
    let asked: Vec<&str> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let known = offered.iter().copied().find(|protocol| asked.contains(protocol));
    if known.is_none() && !asked.is_empty() {
        let known = offered.join(", ");
        return Err(Failure::bad_request(format!("none of the protocols {asked:?} is spoken here; there are {known}")));
    }
    Ok(known)
}

/// The container that a request is for: the one that it names, that the pod's annotation names, or the first.
pub(super) fn container(call: &Call, pod: &Value) -> Result<String, Failure> {
    let name = call.place.name.as_str();
    let known = ["/spec/containers", "/spec/initContainers"].into_iter().flat_map(|path| list(pod, path));
    let mut names = known.map(|container| string(container, "/name"));
    let default = pod.pointer("/metadata/annotations/kubectl.kubernetes.io~1default-container").and_then(Value::as_str);
    match call.query.get("container").or(default) {
        Some(wanted) => names
            .find(|name| *name == wanted)
            .map(str::to_owned)
            .ok_or_else(|| Failure::bad_request(format!("container {wanted} is not valid for pod {name}"))),
        None => Ok(names.next().unwrap_or_default().to_owned()),
    }
}

/// Answers `exec`.
pub(super) async fn answer(call: &Call, parts: &Parts) -> Result<Response<Body>, Failure> {
    let pod = call.current()?.1;
    let options = ExecOptions {
        namespace: call.place.namespace.clone(),
        pod: call.place.name.clone(),
        container: container(call, &pod)?,
        command: call.query.all("command").map(str::to_owned).collect(),
        stdin: call.query.flag("stdin"),
        tty: call.query.flag("tty"),
    };
    if options.command.is_empty() {
        return Err(Failure::bad_request("you must specify at least one command for the container"));
    }
    let handshake = Handshake::read(parts, &VERSIONS)?;
    let streams = call.server.streams.as_ref().ok_or_else(|| Failure::bad_request("no node runs pods here"))?;
    let tty = options.tty;
    // What goes wrong from here on is told in the session: a refused upgrade would make kubectl try SPDY.
    let started = streams.exec(options).await;
    Ok(handshake.serve(call, move |socket, _| session(socket, started, tty)))
}

/// Answers `attach`: what the container prints from now on, until it ends. Nobody holds a container's standard input, so what is
/// typed goes nowhere.
pub(super) async fn attach(call: &Call, parts: &Parts) -> Result<Response<Body>, Failure> {
    let pod = call.current()?.1;
    let container = container(call, &pod)?;
    let handshake = Handshake::read(parts, &VERSIONS)?;
    let logs = call.server.logs.as_ref().ok_or_else(|| Failure::bad_request("no node serves logs here"))?;
    let options = LogOptions { follow: true, tail: Some(0), ..LogOptions::default() };
    let opened = logs.open(&call.place.namespace, &call.place.name, &container, options).await;
    let tty = call.query.flag("tty");
    let started = opened.map(|lines| {
        let (held, ended) = oneshot::channel::<()>();
        // The sender goes with the stream: who waits for it learns that there is nothing more to come.
        let lines = lines.map(move |piece| {
            let _held = &held;
            piece
        });
        let exit = async move {
            let _ended = ended.await;
            Ok(0)
        };
        Execution {
            stdin: None,
            stdout: Box::new(StreamReader::new(lines)),
            stderr: Box::new(tokio::io::empty()),
            exit: Box::pin(exit),
        }
    });
    Ok(handshake.serve(call, move |socket, _| session(socket, started, tty)))
}

/// What a session is told to send.
fn message(channel: u8, content: &[u8]) -> Message {
    let mut bytes = BytesMut::with_capacity(content.len() + 1);
    bytes.put_u8(channel);
    bytes.put_slice(content);
    Message::Binary(bytes.freeze())
}

/// The end of a session that went as it should.
pub(super) fn goodbye() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}

async fn session(mut socket: Socket, started: io::Result<Execution>, tty: bool) {
    let execution = match started {
        Ok(execution) => execution,
        Err(error) => {
            let outcome = outcome(Err(error)).to_string();
            for last in [message(OUTCOME, outcome.as_bytes()), goodbye()] {
                // A client that is gone needs no outcome.
                let _ = socket.send(last).await;
            }
            return;
        }
    };
    let Execution { stdin, stdout, stderr, exit } = execution;
    let (mut sink, mut source) = socket.split();
    let (sender, mut queue) = mpsc::channel::<Message>(QUEUE);
    let terminal = tty.then(Terminal::default);

    let (echo, mut to_process) = (sender.clone(), stdin);
    let reading = async {
        let mut terminal = terminal;
        while let Some(Ok(message)) = source.next().await {
            let Message::Binary(bytes) = message else {
                if matches!(message, Message::Close(_)) {
                    break;
                }
                continue;
            };
            match bytes.split_first() {
                Some((&STDIN, content)) => {
                    let fed = feed(&mut to_process, content, terminal.as_mut(), &echo).await;
                    if fed == Fed::Interrupt {
                        return;
                    }
                }
                Some((&CLOSE, [STDIN, ..])) => to_process = None,
                Some((&RESIZE | &CLOSE, _)) | None => {}
                Some(_) => break,
            }
        }
    };
    let writing = async {
        while let Some(message) = queue.recv().await {
            let last = matches!(message, Message::Close(_));
            // A client that is gone is seen by the reader.
            if sink.send(message).await.is_err() || last {
                return;
            }
        }
    };
    let (out, err) = (sender.clone(), sender.clone());
    let running = async {
        let pump = async {
            tokio::join!(copy(stdout, STDOUT, tty, out), copy(stderr, if tty { STDOUT } else { STDERR }, tty, err),)
        };
        let mut pump = std::pin::pin!(pump);
        let mut exit = exit;
        let code = tokio::select! {
            code = &mut exit => {
                // What the process wrote last is still in its pipes; a child of it may hold them open.
                let _rest = tokio::time::timeout(REST, pump).await;
                code
            }
            _ = &mut pump => exit.await,
        };
        let outcome = outcome(code).to_string();
        // A client that is gone needs no outcome.
        for last in [message(OUTCOME, outcome.as_bytes()), goodbye()] {
            let _ = sender.send(last).await;
        }
    };
    let mut writing = std::pin::pin!(writing);
    tokio::select! {
        () = async { tokio::join!(running, &mut writing); } => {}
        () = reading => {}
    }
}

/// What became of input.
#[derive(PartialEq, Eq)]
enum Fed {
    Taken,
    /// Ctrl-C on a terminal.
    Interrupt,
}

async fn feed(
    stdin: &mut Option<Box<dyn AsyncWrite + Send + Unpin>>,
    content: &[u8],
    terminal: Option<&mut Terminal>,
    echo: &mpsc::Sender<Message>,
) -> Fed {
    let (input, ends) = match terminal {
        None => (Bytes::copy_from_slice(content), false),
        Some(terminal) => {
            let typed = terminal.type_in(content);
            if !typed.echo.is_empty() {
                // A client that reads nothing sees nothing.
                let _ = echo.send(message(STDOUT, &typed.echo)).await;
            }
            if typed.interrupt {
                return Fed::Interrupt;
            }
            (typed.input.into(), typed.end)
        }
    };
    if let Some(pipe) = stdin {
        let written = async {
            pipe.write_all(&input).await?;
            pipe.flush().await
        };
        if written.await.is_err() || ends {
            // It does not read any more.
            *stdin = None;
        }
    }
    Fed::Taken
}

async fn copy(mut from: impl AsyncRead + Unpin, channel: u8, tty: bool, to: mpsc::Sender<Message>) {
    let mut buffer = vec![0; PIECE];
    loop {
        let Ok(length) = from.read(&mut buffer).await else { return };
        let Some(piece) = buffer.get(..length).filter(|piece| !piece.is_empty()) else { return };
        let sent = match tty {
            true => to.send(message(channel, &Terminal::show(piece))).await,
            false => to.send(message(channel, piece)).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The outcome as a `Status`, as clients read it.
fn outcome(code: io::Result<i32>) -> Value {
    match code {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(error) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("Internal error occurred: {error}"), "details": {"causes": [{"message": error.to_string()}]},
        }),
    }
}

/// Protocols of port forwarding.
pub(super) const FORWARDS: [&str; 3] = [tunnel::PROTOCOL, "v4.channel.k8s.io", "portforward.k8s.io"];

/// Answers `portforward`.
pub(super) fn forward(call: &Call, parts: &Parts) -> Result<Response<Body>, Failure> {
    call.current()?;
    let handshake = Handshake::read(parts, &FORWARDS)?;
    let streams = call.server.streams.clone().ok_or_else(|| Failure::bad_request("no node runs pods here"))?;
    let ports: Result<Vec<u16>, _> = call.query.all("ports").flat_map(|all| all.split(',')).map(str::parse).collect();
    let ports = ports.map_err(|_| Failure::bad_request("ports are numbers from 1 to 65535"))?;
    let (namespace, pod) = (call.place.namespace.clone(), call.place.name.clone());
    Ok(handshake.serve(call, move |socket, protocol| async move {
        let dial = move |port| streams.dial(&namespace, &pod, port);
        match protocol {
            Some(tunnel::PROTOCOL) => tunnel::serve(socket, dial).await,
            _ => channels(socket, &ports, dial).await,
        }
    }))
}

/// Port forwarding over channels: two for each port, data and error, each beginning with the port.
async fn channels(
    socket: Socket,
    ports: &[u16],
    dial: impl Fn(u16) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>>,
) {
    let (mut sink, mut source) = socket.split();
    let (sender, mut queue) = mpsc::channel::<Message>(QUEUE);
    let mut writers = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for (index, port) in ports.iter().enumerate() {
        let Ok(data) = u8::try_from(index * 2) else { break };
        for channel in [data, data + 1] {
            // Sent before anybody reads: there is room.
            let _ = sender.try_send(message(channel, &port.to_le_bytes()));
        }
        match dial(*port).await {
            Ok(stream) => {
                let (read, write) = tokio::io::split(stream);
                writers.push(Some(write));
                tasks.spawn(copy(read, data, false, sender.clone()));
            }
            Err(error) => {
                writers.push(None);
                let _ = sender.try_send(message(data + 1, error.to_string().as_bytes()));
            }
        }
    }
    drop(sender);
    let reading = async {
        while let Some(Ok(received)) = source.next().await {
            let bytes = match received {
                Message::Binary(bytes) => bytes,
                Message::Close(_) => return,
                _ => continue,
            };
            let Some((channel, content)) = bytes.split_first() else { continue };
            let writer = writers.get_mut(usize::from(*channel) / 2).filter(|_| channel % 2 == 0);
            if let Some(slot) = writer
                && let Some(writer) = slot
                && writer.write_all(content).await.is_err()
            {
                *slot = None;
            }
        }
    };
    let writing = async {
        while let Some(message) = queue.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
        // The client may be gone.
        let _ = sink.send(goodbye()).await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

//! Commands in running containers (`kubectl exec`) and connections to pods (`kubectl port-forward`).
//!
//! A command is a process of its own beside the container's, with the same environment, files and limits. In the proxy's container,
//! which is no process, the few commands that guides use there are answered by the proxy itself.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Method;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::network::{PodAttachment, PodNetwork, PodSpecLite};
use super::spawn::{Process, Spawner};
use crate::net;
use crate::proxy::admin;
use crate::runtime::apiserver::{Duplex, ExecOptions, Execution, PodStreams};
use crate::runtime::tools;
use crate::serve::{self, Limits};

/// Time for a connection to a port of a pod.
const CONNECT: Duration = Duration::from_secs(5);

/// Where a proxy tells about itself: Istio's port.
const ADMIN_PORT: u16 = 15_000;

/// Where the proxy's container is asked about its proxy: Istio's ports of administration, of the agent and of metrics.
const OWN_PORTS: [&str; 3] = ["15000", "15020", "15090"];

/// Bytes on their way on a connection to it.
const ADMIN_BUFFER: usize = 64 << 10;

/// Names of this variable's kind tell a shell that somebody sits in front of it.
const TTY_VARIABLE: &str = "MESH_TTY";

/// What a command needs to run in a container.
#[derive(Clone)]
pub(super) struct ContainerPlace {
    /// The program, and its arguments up to the container's image.
    pub(super) command: Vec<OsString>,
    pub(super) env: Vec<(String, String)>,
    pub(super) directory: PathBuf,
    pub(super) spawner: Spawner,
}

impl ContainerPlace {
    /// Runs a command to its end, without anybody listening; its exit code. It is killed when this is dropped.
    pub(super) async fn run(&self, command: &[String]) -> io::Result<i32> {
        let mut full = self.command.clone();
        full.extend(command.iter().map(Into::into));
        let process = Process { command: full, env: self.env.clone(), directory: self.directory.clone(), input: false };
        let mut child = self.spawner.spawn(process).await?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let drain = async {
            let (mut out, mut err) = (tokio::io::sink(), tokio::io::sink());
            let from_out = async {
                match stdout {
                    Some(mut pipe) => tokio::io::copy(&mut pipe, &mut out).await,
                    None => Ok(0),
                }
            };
            let from_err = async {
                match stderr {
                    Some(mut pipe) => tokio::io::copy(&mut pipe, &mut err).await,
                    None => Ok(0),
                }
            };
            tokio::join!(from_out, from_err)
        };
        let (_drained, status) = tokio::join!(drain, child.wait());
        Ok(status?.code().unwrap_or(128))
    }

    /// Whether a command ends with success; else why not.
    pub(super) async fn succeeds(&self, command: &[String]) -> Result<(), String> {
        match self.run(command).await {
            Ok(0) => Ok(()),
            Ok(code) => Err(format!("{}: exit code {code}", command.join(" "))),
            Err(error) => Err(format!("{}: {error}", command.join(" "))),
        }
    }
}

struct Entry {
    uid: String,
    app_ip: IpAddr,
    pod_ip: IpAddr,
    network: Arc<dyn PodNetwork>,
    containers: HashMap<String, ContainerPlace>,
}

/// The pods that run on this node, for those who want to reach into them.
#[derive(Default)]
pub struct RunningPods {
    pods: Mutex<HashMap<(String, String), Entry>>,
}

impl std::fmt::Debug for RunningPods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningPods").field("pods", &self.pods.lock().len()).finish()
    }
}

fn key(pod: &PodSpecLite) -> (String, String) {
    (pod.namespace.clone(), pod.name.clone())
}

impl RunningPods {
    /// A pod has its network.
    pub(super) fn enter(&self, pod: &PodSpecLite, attachment: &PodAttachment, network: Arc<dyn PodNetwork>) {
        let entry = Entry {
            uid: pod.uid.clone(),
            app_ip: attachment.app_ip,
            pod_ip: attachment.pod_ip,
            network,
            containers: HashMap::new(),
        };
        self.pods.lock().insert(key(pod), entry);
    }

    /// A container of it has all that its process needs.
    pub(super) fn run(&self, pod: &PodSpecLite, container: &str, place: ContainerPlace) {
        if let Some(entry) = self.pods.lock().get_mut(&key(pod)).filter(|entry| entry.uid == pod.uid) {
            entry.containers.insert(container.to_owned(), place);
        }
    }

    /// The pod has ended.
    pub(super) fn leave(&self, pod: &PodSpecLite) {
        let mut pods = self.pods.lock();
        if pods.get(&key(pod)).is_some_and(|entry| entry.uid == pod.uid) {
            pods.remove(&key(pod));
        }
    }

    fn start(&self, options: ExecOptions) -> Result<Start, String> {
        let pods = self.pods.lock();
        let (namespace, pod) = (&options.namespace, &options.pod);
        let entry = pods
            .get(&(namespace.clone(), pod.clone()))
            .ok_or_else(|| format!("pod {namespace}/{pod} does not run on this node (yet, or any more)"))?;
        if let Some(place) = entry.containers.get(&options.container) {
            return Ok(Start::Process(place.clone(), options));
        }
        if options.container == super::plan::PROXY {
            // Any other command runs beside the application, and as the proxy's own would: not through the proxy.
            let beside = entry.containers.values().next().filter(|_| runs_beside(&options.command));
            if let Some(place) = beside {
                let mut place = place.clone();
                place.env.retain(|(name, _)| !name.to_ascii_lowercase().ends_with("_proxy"));
                return Ok(Start::Process(place, options));
            }
            return Ok(Start::Proxy(Arc::clone(&entry.network), entry.uid.clone(), options.command));
        }
        Err(format!("container {} of pod {namespace}/{pod} does not run", options.container))
    }
}

enum Start {
    Process(ContainerPlace, ExecOptions),
    Proxy(Arc<dyn PodNetwork>, String, Vec<String>),
}

impl PodStreams for RunningPods {
    fn exec(&self, options: ExecOptions) -> BoxFuture<'static, io::Result<Execution>> {
        let start = self.start(options);
        Box::pin(async move {
            match start.map_err(io::Error::other)? {
                Start::Process(place, options) => process(place, options).await,
                Start::Proxy(network, uid, command) => Ok(proxy(network.as_ref(), &uid, &command)),
            }
        })
    }

    fn dial(&self, namespace: &str, pod: &str, port: u16) -> BoxFuture<'static, io::Result<Box<dyn Duplex>>> {
        let found = self
            .pods
            .lock()
            .get(&(namespace.to_owned(), pod.to_owned()))
            .map(|entry| (entry.app_ip, entry.pod_ip, (Arc::clone(&entry.network), entry.uid.clone())));
        let name = format!("{namespace}/{pod}");
        Box::pin(async move {
            let (app, own, (network, uid)) =
                found.ok_or_else(|| io::Error::other(format!("pod {name} does not run")))?;
            if port == ADMIN_PORT && network.ask_proxy(&uid, &Method::GET, "/").is_some() {
                return Ok(administered(network, uid));
            }
            let mut failure = io::Error::other(format!("pod {name} has no address"));
            // As from within the pod: the app first, then what the pod shows to others.
            for ip in [app, own] {
                match timeout(CONNECT, TcpStream::connect(net::socket_of(SocketAddr::new(ip, port)))).await {
                    Ok(Ok(stream)) => return Ok(Box::new(stream) as Box<dyn Duplex>),
                    Ok(Err(error)) => failure = error,
                    Err(late) => failure = late.into(),
                }
            }
            Err(io::Error::new(failure.kind(), format!("failed to connect to port {port} of pod {name}: {failure}")))
        })
    }
}

/// A connection to the port on which a pod's proxy tells about itself. No socket listens there: only who may forward a port of the
/// pod gets to it.
fn administered(network: Arc<dyn PodNetwork>, uid: String) -> Box<dyn Duplex> {
    let (ours, theirs) = tokio::io::duplex(ADMIN_BUFFER);
    let service = serve::handler(move |request: http::Request<hyper::body::Incoming>| {
        let answer =
            network.ask_proxy(&uid, request.method(), request.uri().path_and_query().map_or("/", |path| path.as_str()));
        async move {
            answer.map_or_else(
                || {
                    let mut gone = http::Response::new(serve::full("the pod's proxy does not run\n"));
                    *gone.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                    gone
                },
                admin::Response::into_http,
            )
        }
    });
    // Ends with the connection.
    tokio::spawn(serve::serve_stream(ours, Limits::default(), service));
    Box::new(theirs)
}

async fn process(place: ContainerPlace, options: ExecOptions) -> io::Result<Execution> {
    let program = options.command.first().map_or("", String::as_str);
    if !tools::is_known(program) {
        return Err(io::Error::other(tools::unknown(program)));
    }
    let ContainerPlace { mut command, mut env, directory, spawner } = place;
    command.extend(options.command.iter().map(Into::into));
    if options.tty {
        env.extend([(TTY_VARIABLE.to_owned(), "1".to_owned()), ("TERM".to_owned(), "xterm".to_owned())]);
    }
    let mut child = spawner.spawn(Process { command, env, directory, input: options.stdin }).await?;
    let pipes = child.stdout.take().zip(child.stderr.take());
    let (stdout, stderr) = pipes.ok_or_else(|| io::Error::other("the process has no output"))?;
    let stdin = child.stdin.take().map(|pipe| Box::new(pipe) as _);
    let exit = Box::pin(async move {
        use std::os::unix::process::ExitStatusExt;
        let status = child.wait().await?;
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    });
    Ok(Execution { stdin, stdout: Box::new(stdout), stderr: Box::new(stderr), exit })
}

/// Whether a command for the proxy's container is none that the proxy answers, and built in.
fn runs_beside(command: &[String]) -> bool {
    asked_of_proxy(command).is_none() && command.first().is_some_and(|program| tools::is_known(program))
}

/// What a command asks the proxy: `pilot-agent request GET path`, `curl [-s] [-X POST] localhost:15000/path`. The method is `None`
/// where it is no method.
fn asked_of_proxy(command: &[String]) -> Option<(Option<Method>, String)> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let program = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
    match (program, words.get(1..).unwrap_or_default()) {
        ("pilot-agent", ["request", method, path, ..]) => Some((method.parse().ok(), (*path).to_owned())),
        ("curl", arguments) => {
            let post = arguments.windows(2).any(|pair| matches!(pair, ["-X", "POST"])) || arguments.contains(&"-XPOST");
            let own = |word: &&str| {
                let rest = word.trim_start_matches("http://");
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                let (host, port) = authority.split_once(':')?;
                let is_own = matches!(host, "localhost" | "127.0.0.1") && OWN_PORTS.contains(&port);
                is_own.then(|| path.to_owned())
            };
            let path = arguments.iter().find_map(own)?;
            Some((Some(if post { Method::POST } else { Method::GET }), path))
        }
        _ => None,
    }
}

/// Answers in the proxy's container.
fn proxy(network: &dyn PodNetwork, uid: &str, command: &[String]) -> Execution {
    let program = command.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
    let asked = asked_of_proxy(command);
    let (code, out, err) = match asked {
        Some((Some(method), path)) => {
            let path = format!("/{}", path.trim_start_matches('/'));
            match network.ask_proxy(uid, &method, &path) {
                Some(answer) => {
                    let failed = answer.status.is_client_error() || answer.status.is_server_error();
                    (i32::from(failed), answer.body, String::new())
                }
                None => (1, String::new(), "the pod's proxy does not run\n".to_owned()),
            }
        }
        _ => {
            let said = format!(
                "{program}: in the proxy's container there are `pilot-agent request GET PATH` and `curl localhost:15000/PATH`\n"
            );
            (i32::from(tools::NOT_FOUND), String::new(), said)
        }
    };
    Execution {
        stdin: None,
        stdout: Box::new(io::Cursor::new(out.into_bytes())),
        stderr: Box::new(io::Cursor::new(err.into_bytes())),
        exit: Box::pin(std::future::ready(Ok(code))),
    }
}

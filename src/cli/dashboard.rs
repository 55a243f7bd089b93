//! `mesh dashboard`: the pages of what is installed beside a mesh, at an address of this machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use serde_json::Value;
use tokio::net::TcpListener;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Tone, Ui};
use crate::cli::{istioctl, pods};
use crate::kube::{self, Connection, ObjectRef, Selection};

/// Where the addons are.
const NAMESPACE: &str = "istio-system";

/// What has pages: the pods' label, the port, and the path to begin with.
struct Board {
    name: &'static str,
    labels: &'static str,
    port: u16,
    path: &'static str,
}

const BOARDS: [Board; 6] = [
    Board { name: "grafana", labels: "app.kubernetes.io/name=grafana", port: 3000, path: "/" },
    Board { name: "jaeger", labels: "app=jaeger", port: 16686, path: "/jaeger/search" },
    Board { name: "kiali", labels: "app=kiali", port: 20001, path: "/kiali" },
    Board { name: "prometheus", labels: "app.kubernetes.io/name=prometheus", port: 9090, path: "/" },
    Board { name: "skywalking", labels: "app=skywalking-ui", port: 8080, path: "/" },
    Board { name: "zipkin", labels: "app=zipkin", port: 9411, path: "/zipkin/" },
];

/// Where a proxy tells about itself.
const ADMIN_PORT: u16 = 15_000;

/// Open the pages of what is installed beside a mesh
///
/// What has pages:
///   grafana, jaeger, kiali, prometheus, skywalking, zipkin
///                as Istio's addons install them (samples/addons)
///   proxy POD    what a proxy tells about itself
///
/// A port of this machine leads there until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  mesh dashboard jaeger
  mesh dashboard proxy deploy/productpage-v1 --browser=false"
)]
pub struct Args {
    /// What to open
    #[arg(value_name = "NAME")]
    name: String,
    /// Whose proxy: NAME, NAME.NAMESPACE, or KIND/NAME of a workload
    #[arg(value_name = "POD")]
    pod: Option<String>,
    /// Namespace [default: istio-system; of a pod, the context's]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Port of this machine; 0 takes any [default: that of the pages, or the next free one]
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,
    /// Address of this machine
    #[arg(long, value_name = "ADDRESS", default_value = "localhost", value_parser = address)]
    address: IpAddr,
    /// Whether a browser is opened, where somebody watches
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    browser: bool,
    #[command(flatten)]
    target: Target,
}

fn address(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        text => text.parse().map_err(|_| "is no IP address".to_owned()),
    }
}

/// Leads there until Ctrl-C.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let board = match args.name.as_str() {
        "proxy" | "envoy" => None,
        name => match BOARDS.iter().find(|board| board.name == name) {
            Some(board) => Some(board),
            None => return Err(unknown(name)),
        },
    };
    block_on(async {
        let connection = args.target.connect(ui).await?;
        let (pod, port, path) = match board {
            Some(board) => {
                let namespace = args.namespace.as_deref().unwrap_or(NAMESPACE);
                (running(&connection, board, namespace).await?, board.port, board.path)
            }
            None => {
                let none = || CliError::message(Kind::Usage, "name the pod whose proxy is meant: `proxy POD`");
                let word = args.pod.as_deref().ok_or_else(none)?;
                let namespace = args.namespace.as_deref().unwrap_or(&connection.namespace);
                (pods::one(&connection, word, namespace).await?, ADMIN_PORT, "/")
            }
        };
        let listener = listen(args.address, args.port, port).await?;
        let url = format!("http://{}{path}", listener.local_addr().kind(Kind::Io)?);
        ui.line(&url);
        if ui.interactive() {
            ui.note(ui.paint_note(Tone::Faint, &format!("  leads to {pod} until Ctrl-C")));
            if args.browser && open(&url).is_err() {
                ui.note("  no browser can be opened: open the address yourself");
            }
        }
        tokio::select! {
            ended = kube::forward(&connection, &pod, port, listener) => ended.map_err(CliError::from),
            stopped = tokio::signal::ctrl_c() => stopped.kind(Kind::Io),
        }
    })
}

fn unknown(name: &str) -> CliError {
    if name == "controlz" {
        return CliError::message(Kind::Usage, istioctl::CONTROL_PLANE_LOG);
    }
    let names: Vec<&str> = BOARDS.iter().map(|board| board.name).collect();
    CliError::message(Kind::Usage, format!("{name:?} has no pages; there are {}, and proxy POD", names.join(", ")))
}

/// A pod that serves the pages.
async fn running(connection: &Connection, board: &Board, namespace: &str) -> CliResult<ObjectRef> {
    let selection = Selection { namespace: Some(namespace), labels: board.labels };
    let found = kube::list(connection, "v1", "Pod", selection).await?;
    let ready = |pod: &&Value| {
        let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
        conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    if let Some(pod) = found.iter().find(ready) {
        return Ok(ObjectRef::of(pod)?);
    }
    let name = board.name;
    let Some(pod) = found.first() else {
        let file = format!("`kubectl apply -f samples/addons/{name}.yaml` with Istio's samples installs it");
        let message = format!("there is no {name} in namespace {namespace} (no pod with {})", board.labels);
        return Err(CliError::message(Kind::Unavailable, message).hint(file));
    };
    let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let reason = statuses.into_iter().flatten().find_map(|status| status.pointer("/state/waiting/message")?.as_str());
    let message = format!("{} is not ready: {}", ObjectRef::of(pod)?, reason.unwrap_or("it may still be starting"));
    Err(CliError::message(Kind::Unavailable, message))
}

/// The port that was asked for, else that of the pages, else any.
async fn listen(address: IpAddr, asked: Option<u16>, usual: u16) -> CliResult<TcpListener> {
    match TcpListener::bind(SocketAddr::new(address, asked.unwrap_or(usual))).await {
        Err(error) if asked.is_none() && error.kind() == io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::new(address, 0)).await.kind(Kind::CannotCreate)
        }
        bound => bound.kind(Kind::CannotCreate),
    }
}

/// Hands an address to the desktop's browser.
fn open(url: &str) -> io::Result<()> {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(drop)
}

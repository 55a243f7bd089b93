//! `mesh proxy`: a proxy as a process of its own, told what to do by a control plane or by files.

mod connected;
mod idle;
mod local;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::input::OptionalFiles;
use crate::cli::ui::Ui;

/// How long requests under way may take to end once the proxy is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Namespace of the control plane, and of gateways that name no other.
const ROOT_NAMESPACE: &str = "istio-system";

/// Run a proxy: a pod's sidecar, a gateway, or a gateway from files
///
/// With --xds-address, a control plane tells the proxy what to do; the proxy proves itself with its service account's token and
/// gets a certificate. With --local, it is an HTTP gateway that reads Gateways, VirtualServices and DestinationRules, and the
/// Services, EndpointSlices and Pods that they lead to, and serves the ports of the Gateways whose selector the labels match.
/// It reads the files again on SIGHUP, or by itself with --watch; what cannot be used changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("told").args(["local", "xds_address"]).required(true))]
pub struct Args {
    /// Take the configuration from the files alone
    #[arg(long, requires = "files")]
    local: bool,
    #[command(flatten)]
    files: OptionalFiles,
    /// Read the files again whenever they change (with --local)
    #[arg(long, requires = "local")]
    watch: bool,
    /// Labels of the gateway (with --local)
    #[arg(long, value_name = "KEY=VALUE", default_value = "istio=ingressgateway", value_parser = label, value_delimiter = ',')]
    labels: Vec<(Arc<str>, Arc<str>)>,
    /// Namespace of the proxy
    #[arg(short, long, env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// Address that a gateway listens on
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Threads that serve requests
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Serve HTTP/1.0 as well
    #[arg(long)]
    http10: bool,
    /// Log requests as JSON
    #[arg(long)]
    json_log: bool,
    #[command(flatten)]
    connected: connected::Args,
}

const EXAMPLES: &str = "Examples:
  mesh proxy --local -f samples/local --watch
  mesh proxy --xds-address istiod.istio-system.svc:15012 --router --bind 0.0.0.0
  mesh proxy --xds-address istiod.istio-system.svc:15012      as a sidecar";

fn label(text: &str) -> Result<(Arc<str>, Arc<str>), String> {
    let (key, value) = text.split_once('=').ok_or("labels are written KEY=VALUE")?;
    Ok((key.into(), value.into()))
}

/// Serves until it is told to stop.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    ui.outlive_reader();
    if !args.local {
        return connected::run(ui, args);
    }
    let files = args.files.clone().required();
    let files = files.ok_or_else(|| CliError::message(Kind::Usage, "--local needs files: give some with -f"))?;
    local::run(ui, &files, args)
}

//! `mesh control-plane`: the control plane as a process of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::logging;
use crate::cli::ui::Ui;
use crate::control::{Candidate, ControlPlane, Options, Report, ServerOptions, Source, WebhookOptions, ca};
use crate::identity::{Authority, TrustDomain};
use crate::inject::{DEFAULT_REVISION, ProxySettings, Settings};
use crate::install::LEADER_LEASE;
use crate::kube::{ConnectOptions, Connection, Environment, connect};
use crate::model::OutboundMode;
use crate::net;
use crate::resources::values;
use crate::serve::{self, Limits};

/// How long a pod that is told to stop serves on: its address is taken out of Services meanwhile, and until everybody has heard of
/// that, webhooks are called and proxies connect here.
const WITHDRAWAL: Duration = Duration::from_secs(5);

/// How long connections may take to end once the control plane is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// How often the authority's files or Secret are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Run the control plane: watch a cluster, and tell its proxies what is configured
///
/// Serves discovery and certificates to proxies over TLS, with a certificate of the mesh's own authority. The authority is that
/// of Secret cacerts, else that of Secret istio-ca-secret, which is made on first start; with --ca-dir, that of the directory.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Kubeconfig of the cluster; inside a pod it is not needed
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Address that proxies connect to
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 15012)))]
    xds_address: SocketAddr,
    /// Address that answers /ready
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)))]
    health_address: SocketAddr,
    /// Address that answers /metrics
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 15014)))]
    monitoring_address: SocketAddr,
    /// Address that answers the API server's webhooks
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 15017)))]
    webhook_address: SocketAddr,
    /// Keep the certificate authority in this directory instead of a Secret
    #[arg(long, value_name = "DIR")]
    ca_dir: Option<PathBuf>,
    /// Namespace of the control plane, whose objects hold for the whole mesh
    #[arg(short, long, env = "POD_NAMESPACE", default_value = "istio-system")]
    namespace: String,
    /// Further name that proxies call the control plane by; may be given several times
    #[arg(long = "name", value_name = "HOST")]
    names: Vec<String>,
    /// Address of the pod, which proxies may call it by as well
    #[arg(long, env = "INSTANCE_IP", value_name = "ADDRESS")]
    pod_ip: Option<IpAddr>,
    /// Name of the pod; of several control planes that have one, one at a time writes what is written for all
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,
    /// Trust domain of the mesh
    #[arg(long, default_value = "cluster.local", value_name = "NAME")]
    trust_domain: String,
    /// Domain of the cluster's services
    #[arg(long, default_value = "cluster.local", value_name = "NAME")]
    domain: String,
    /// Name of the cluster, as metrics report it
    #[arg(long, env = "CLUSTER_ID", default_value = "Kubernetes", value_name = "NAME")]
    cluster_id: String,
    /// Revision of the control plane, whose webhooks are its own
    #[arg(long, env = "REVISION", default_value = DEFAULT_REVISION, value_name = "NAME")]
    revision: String,
    /// Where sidecars find the control plane [default: the Service istiod of its namespace]
    #[arg(long, value_name = "HOST:PORT")]
    discovery_address: Option<String>,
    /// Image of the sidecars
    #[arg(long, value_name = "IMAGE")]
    proxy_image: Option<String>,
    /// When nodes fetch that image
    #[arg(long, value_name = "POLICY")]
    proxy_pull_policy: Option<String>,
    /// What a sidecar asks for and may use, as JSON
    #[arg(long, value_name = "JSON", value_parser = json)]
    proxy_resources: Option<Value>,
    /// Secret that fetches that image; may be given several times
    #[arg(long = "proxy-pull-secret", value_name = "NAME")]
    proxy_pull_secrets: Vec<String>,
    /// An annotation that pods are taken to have which do not say otherwise; may be given several times
    #[arg(long = "proxy-annotation", value_name = "NAME=VALUE", value_parser = annotation)]
    proxy_annotations: Vec<(String, String)>,
    /// How proxies are run, as JSON (ProxyConfig)
    #[arg(long, value_name = "JSON", value_parser = proxy_settings)]
    proxy_config: Option<ProxySettings>,
    /// Put sidecars beside the containers of a pod, not before them
    #[arg(long)]
    classic_sidecars: bool,
    /// Let requests for hosts that the mesh does not know fail
    #[arg(long)]
    registry_only: bool,
    /// Longest life of a workload's certificate; proxies renew it at half of that
    #[arg(long, env = "MAX_WORKLOAD_CERT_TTL", default_value = "24h", value_name = "TIME")]
    max_cert_ttl: values::Duration,
    /// Have proxies log requests
    #[arg(long)]
    access_log: bool,
}

const EXAMPLES: &str = "Examples:
  mesh control-plane                      in a pod of the cluster
  mesh control-plane --kubeconfig ~/.kube/config --ca-dir ./ca \\
      --xds-address 127.0.0.1:15012 --name localhost";

fn annotation(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("is written NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn proxy_settings(text: &str) -> Result<ProxySettings, String> {
    ProxySettings::read(&json(text)?)
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Runs until it is told to stop.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    ui.outlive_reader();
    let _level = logging::start();
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build().kind(Kind::Io)?;
    executor.block_on(serve(ui, args))
}

async fn serve(ui: &Ui, args: Args) -> CliResult {
    let mut interrupted = signal(SignalKind::interrupt()).kind(Kind::Io)?;
    let mut terminated = signal(SignalKind::terminate()).kind(Kind::Io)?;
    let options = ConnectOptions {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
        ..ConnectOptions::default()
    };
    let connection = connect(&options, &Environment::of_process()).await.kind(Kind::Unavailable)?;
    ui.note(format!("→ {connection}"));
    let trust_domain = TrustDomain::new(&args.trust_domain).kind(Kind::Usage)?;
    let authority = Arc::new(authority(&args, &connection, &trust_domain).await?);
    let first = authority.clone();
    let listener = net::bind(args.xds_address).kind(Kind::CannotCreate)?;
    let health = listen(args.health_address).await?;
    let monitoring = listen(args.monitoring_address).await?;

    let (token, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (roots, distributed) = watch::channel(authority.root_pem());
    tasks.spawn(ca::distribute_roots(connection.client.clone(), distributed, token.clone()));
    let plane = ControlPlane::start(
        Options {
            source: Source::Kubernetes(connection.client.clone()),
            authority,
            trust_domain: trust_domain.clone(),
            cluster: args.cluster_id.as_str().into(),
            domain: args.domain.as_str().into(),
            root_namespace: args.namespace.as_str().into(),
            outbound_mode: if args.registry_only { OutboundMode::RegistryOnly } else { OutboundMode::AllowAny },
            access_log: args.access_log,
            way_in: None,
            candidate: args.pod_name.clone().map(|name| Candidate {
                namespace: args.namespace.clone(),
                lease: LEADER_LEASE.to_owned(),
                name,
            }),
        },
        token.clone(),
    );
    plane.limit_certificates(args.max_cert_ttl.get());
    let address = listener.local_addr().kind(Kind::Io)?;
    let served = plane.serve(ServerOptions {
        names: names(&args),
        addresses: addresses(&args),
        token_reviews: Some(connection.client.clone()),
        listener,
    });
    served.kind(Kind::CannotCreate)?;
    let webhooks = plane.serve_webhooks(WebhookOptions {
        listener: net::bind(args.webhook_address).kind(Kind::CannotCreate)?,
        names: names(&args),
        client: Some(connection.client.clone()),
        injection: injection(&args),
    });
    webhooks.kind(Kind::CannotCreate)?;
    for (listener, report) in [(health, Report::Readiness), (monitoring, Report::Monitoring)] {
        tasks.spawn(serve::serve(listener, None, Limits::default(), plane.report(report), token.clone()));
    }
    let is_pod = args.pod_ip.is_some();
    tasks.spawn(keep_authority(args, connection, trust_domain, first, plane.clone(), roots, token.clone()));
    ui.note(format!("serving proxies on {address}"));
    let ready = tokio::select! {
        ready = plane.ready() => ready,
        _ = interrupted.recv() => false,
        _ = terminated.recv() => false,
    };
    if ready {
        ui.note("ready");
        let withdrawn = tokio::select! {
            _ = interrupted.recv() => false,
            _ = terminated.recv() => is_pod,
        };
        if withdrawn {
            tokio::select! {
                () = tokio::time::sleep(WITHDRAWAL) => {}
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
        }
    }
    token.cancel();
    tasks.close();
    let ended = tokio::time::timeout(DRAIN, async {
        plane.stopped().await;
        tasks.wait().await;
    });
    if ended.await.is_err() {
        ui.warn(format!("some connections did not end within {} s and were cut", DRAIN.as_secs()));
    }
    Ok(())
}

async fn authority(args: &Args, connection: &Connection, trust_domain: &TrustDomain) -> CliResult<Authority> {
    match &args.ca_dir {
        Some(dir) => Authority::load_or_create(dir, trust_domain).kind(Kind::CannotCreate),
        None => ca::from_secret(&connection.client, &args.namespace, trust_domain).await.kind(Kind::Unavailable),
    }
}

/// Looks again and again whether the authority was replaced where it is kept, and if so has it take force.
async fn keep_authority(
    args: Args,
    connection: Connection,
    trust_domain: TrustDomain,
    mut in_force: Arc<Authority>,
    plane: ControlPlane,
    roots: watch::Sender<String>,
    token: CancellationToken,
) {
    loop {
        match authority(&args, &connection, &trust_domain).await {
            Ok(found) => {
                let same = in_force.certificate() == found.certificate() && in_force.root_pem() == found.root_pem();
                if !same {
                    in_force = Arc::new(found);
                    tracing::info!("the certificate authority was replaced");
                    plane.replace_authority(in_force.clone());
                    roots.send_replace(in_force.root_pem());
                }
            }
            // A set that is being replaced may be incomplete for a moment.
            Err(error) => tracing::warn!(%error, "the certificate authority cannot be read; the old one stays"),
        }
        if token.run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await.is_none() {
            return;
        }
    }
}

async fn listen(address: SocketAddr) -> CliResult<TcpListener> {
    let listener = net::bind(address).kind(Kind::CannotCreate)?;
    TcpListener::from_std(listener).map_err(|error| CliError::new(Kind::Io, error))
}

/// Names of the Service `istiod`, under which proxies reach it in a cluster, and those that were asked for.
fn names(args: &Args) -> Vec<String> {
    let Args { namespace, domain, .. } = args;
    let service = format!("istiod.{namespace}.svc");
    let mut names =
        vec![service.clone(), format!("{service}.{domain}"), format!("istiod.{namespace}"), "istiod".to_owned()];
    names.extend(args.names.iter().filter(|name| name.parse::<IpAddr>().is_err()).cloned());
    names
}

/// How pods get their sidecars.
fn injection(args: &Args) -> Settings {
    let standard = Settings::default();
    let image = || format!("{}:{}", standard.image, env!("CARGO_PKG_VERSION"));
    let suffix = if args.revision == DEFAULT_REVISION { String::new() } else { format!("-{}", args.revision) };
    Settings {
        image: args.proxy_image.clone().unwrap_or_else(image),
        revision: args.revision.clone(),
        cluster: args.cluster_id.clone(),
        trust_domain: args.trust_domain.clone(),
        discovery_address: args
            .discovery_address
            .clone()
            .unwrap_or_else(|| format!("istiod{suffix}.{}.svc:15012", args.namespace)),
        pull_policy: args.proxy_pull_policy.clone(),
        resources: args.proxy_resources.clone(),
        pull_secrets: args.proxy_pull_secrets.clone(),
        annotations: args.proxy_annotations.iter().cloned().collect(),
        proxy: args.proxy_config.clone().unwrap_or_default(),
        native: !args.classic_sidecars,
        ..standard
    }
}

fn addresses(args: &Args) -> Vec<IpAddr> {
    let named = args.names.iter().filter_map(|name| name.parse().ok());
    let bound = Some(args.xds_address.ip()).filter(|address| !address.is_unspecified());
    let mut addresses: Vec<IpAddr> = named.chain(args.pod_ip).chain(bound).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

//! `mesh proxy-config`: what a proxy really holds, with the object that each part comes from.

pub mod rows;

use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::cli::error::{CliError, CliResult, Kind, WithKind};
use crate::cli::pods;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Format, Ui, rows_of_text};
use crate::kube::{self, Connection, ObjectRef};
use crate::proxy::admin::{ClusterDump, Dump, EndpointDump, ListenerDump, RouteDump};

/// The most that is read from a file, in bytes.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Show what a proxy holds, and where each part of it comes from
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "pc",
    after_help = "Examples:
  mesh proxy-config route deploy/productpage
  mesh proxy-config cluster deploy/web --fqdn api.shop.svc.cluster.local
  mesh proxy-config endpoint deploy/productpage --status HEALTHY -o json
  mesh proxy-config all deploy/productpage -o json > dump.json
  mesh proxy-config route -f dump.json"
)]
pub struct Args {
    #[command(subcommand)]
    view: View,
}

#[derive(Debug, Subcommand)]
enum View {
    /// Ways in: addresses, what is taken, and where it goes
    #[command(visible_aliases = ["listeners", "l"])]
    Listener {
        #[command(flatten)]
        source: Source,
        /// Those on this address
        #[arg(long, value_name = "ADDRESS")]
        address: Option<String>,
        /// Those on this port
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
        /// Those that speak this: HTTP, HTTPS, TCP
        #[arg(long = "type", value_name = "TYPE")]
        protocol: Option<String>,
    },
    /// Rules, in the order in which they are looked at
    #[command(visible_aliases = ["routes", "r"])]
    Route {
        #[command(flatten)]
        source: Source,
        /// Those of this name or host
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Groups of endpoints, with the policy in force
    #[command(visible_aliases = ["clusters", "c"])]
    Cluster {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        filter: ClusterFilter,
    },
    /// Where requests go, and how those places do
    #[command(visible_aliases = ["endpoints", "ep"])]
    Endpoint {
        #[command(flatten)]
        source: Source,
        /// Those on this address
        #[arg(long, value_name = "ADDRESS")]
        address: Option<String>,
        /// Those on this port
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
        /// Those of this cluster
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// Those with this status: HEALTHY
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
    },
    /// Certificates, and until when they hold
    #[command(visible_aliases = ["secrets", "s"])]
    Secret {
        #[command(flatten)]
        source: Source,
    },
    /// What the workload demands of its callers: mutual TLS, tokens, authorization
    #[command(visible_aliases = ["policies", "p"])]
    Policy {
        #[command(flatten)]
        source: Source,
    },
    /// How much the proxy says about itself, and changing it
    #[command(visible_alias = "o")]
    Log {
        #[command(flatten)]
        source: Source,
        /// A level (trace, debug, info, warn, error), or MODULE=LEVEL,…
        #[arg(long, value_name = "LEVEL", conflicts_with = "reset")]
        level: Option<String>,
        /// Back to what it said at its start
        #[arg(short, long)]
        reset: bool,
    },
    /// All of it
    #[command(visible_alias = "a")]
    All {
        #[command(flatten)]
        source: Source,
    },
}

/// Which proxy
#[derive(Debug, clap::Args)]
struct Source {
    /// A pod: NAME, NAME.NAMESPACE, or KIND/NAME of a workload
    #[arg(value_name = "POD", required_unless_present = "file")]
    pod: Option<String>,
    /// Namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// What `all -o json` wrote, instead of a proxy; - for standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "pod")]
    file: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// The proxy's admin port
    #[arg(long, value_name = "PORT", default_value_t = ADMIN_PORT)]
    proxy_admin_port: u16,
    #[command(flatten)]
    target: Target,
}

/// Where proxies tell about themselves (Istio's port).
pub const ADMIN_PORT: u16 = 15_000;

/// Which clusters
#[derive(Debug, Clone, Default, clap::Args)]
struct ClusterFilter {
    /// Those of this host
    #[arg(long, value_name = "HOST")]
    fqdn: Option<String>,
    /// inbound or outbound
    #[arg(long, value_name = "DIRECTION", value_parser = ["inbound", "outbound"])]
    direction: Option<String>,
    /// Those of this subset
    #[arg(long, value_name = "SUBSET")]
    subset: Option<String>,
    /// Those of this port
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

impl ClusterFilter {
    fn takes(&self, cluster: &ClusterDump) -> bool {
        is(&self.fqdn, &cluster.fqdn)
            && is(&self.direction, &cluster.direction)
            && is(&self.subset, &cluster.subset)
            && self.port.is_none_or(|port| port == cluster.port)
    }
}

/// Whether a filter that may not have been given takes a word.
fn is(wanted: &Option<String>, word: &str) -> bool {
    wanted.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(word))
}

/// Whether an address and port are the ones that are looked for.
fn is_at(address: &str, wanted: &Option<String>, port: Option<u16>) -> bool {
    let (host, number) = address.rsplit_once(':').unwrap_or((address, ""));
    is(wanted, host.trim_matches(['[', ']'])) && port.is_none_or(|port| number == port.to_string())
}

/// Asks and shows.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let source = match &args.view {
        View::Listener { source, .. }
        | View::Route { source, .. }
        | View::Cluster { source, .. }
        | View::Endpoint { source, .. }
        | View::Secret { source }
        | View::Policy { source }
        | View::Log { source, .. }
        | View::All { source } => source,
    };
    if let View::Log { level, reset, .. } = &args.view {
        return log(ui, source, level.as_deref(), *reset);
    }
    let dump = source.read(ui)?;
    let output = source.output;
    match &args.view {
        View::Listener { address, port, protocol, .. } => {
            let takes = |listener: &ListenerDump| {
                is(address, &listener.address)
                    && is(protocol, &listener.protocol)
                    && port.is_none_or(|port| port == listener.port)
            };
            show(ui, output, dump.listeners.into_iter().filter(takes).collect(), rows::listeners)
        }
        View::Route { name, .. } => {
            let takes = |route: &RouteDump| is(name, &route.name) || is(name, &route.host);
            show(ui, output, dump.routes.into_iter().filter(takes).collect(), rows::routes)
        }
        View::Cluster { filter, .. } => {
            show(ui, output, dump.clusters.into_iter().filter(|held| filter.takes(held)).collect(), rows::clusters)
        }
        View::Endpoint { address, port, cluster, status, .. } => {
            let takes =
                |endpoint: &EndpointDump| is_at(&endpoint.address, address, *port) && is(status, &endpoint.status);
            let clusters = dump.clusters.into_iter().filter(|held| is(cluster, &held.name));
            let clusters = clusters.map(|mut held| {
                held.endpoints.retain(takes);
                held
            });
            show(ui, output, clusters.filter(|held| !held.endpoints.is_empty()).collect(), rows::endpoints)
        }
        View::Secret { .. } => show(ui, output, dump.certificates, rows::secrets),
        View::Policy { .. } => show(ui, output, dump.policies, rows::policies),
        // It asks for something else, above.
        View::Log { .. } => Ok(()),
        View::All { .. } => all(ui, output, &dump),
    }
}

fn show<T: Serialize>(ui: &Ui, output: Format, held: Vec<T>, rows: fn(&[T]) -> Vec<Vec<String>>) -> CliResult {
    if output != Format::Table {
        return ui.structured(output, &held);
    }
    if held.is_empty() {
        ui.note("the proxy holds nothing like that; it asks for what its workload calls, when it calls");
        return Ok(());
    }
    ui.text(&rows_of_text(&rows(&held)));
    Ok(())
}

fn all(ui: &Ui, output: Format, dump: &Dump) -> CliResult {
    if output != Format::Table {
        return ui.structured(output, dump);
    }
    let sections = [
        ("Listeners", rows::listeners(&dump.listeners)),
        ("Routes", rows::routes(&dump.routes)),
        ("Clusters", rows::clusters(&dump.clusters)),
        ("Endpoints", rows::endpoints(&dump.clusters)),
        ("Certificates", rows::secrets(&dump.certificates)),
        ("Policies", rows::policies(&dump.policies)),
        ("Names without a service", rows::unknown(&dump.unknown)),
    ];
    let filled = sections.into_iter().filter(|(_, rows)| rows.len() > 1);
    let texts: Vec<String> = filled.map(|(title, rows)| format!("{title}\n{}", rows_of_text(&rows))).collect();
    ui.text(&texts.join("\n"));
    Ok(())
}

/// Shows or changes what the proxy says about itself.
fn log(ui: &Ui, source: &Source, level: Option<&str>, reset: bool) -> CliResult {
    let (method, path) = match level {
        Some(level) if level.chars().all(|c| c.is_ascii_alphanumeric() || ":_=,-".contains(c)) => {
            (http::Method::POST, format!("/logging?level={level}"))
        }
        Some(level) => return Err(CliError::message(Kind::Usage, format!("{level:?} is no level"))),
        None if reset => (http::Method::POST, "/logging?reset".to_owned()),
        None => (http::Method::GET, "/logging".to_owned()),
    };
    let pod = source.pod.as_deref().ok_or_else(|| CliError::message(Kind::Usage, "a file has no log: name a pod"))?;
    block_on(async {
        let connection = source.target.connect(ui).await?;
        let namespace = source.namespace.clone().unwrap_or_else(|| connection.namespace.clone());
        let pod = pods::one(&connection, pod, &namespace).await?;
        let answer = kube::ask_port(&connection, &pod, source.proxy_admin_port, method, &path).await?;
        let said = String::from_utf8_lossy(&answer.body).trim().to_owned();
        match answer.status {
            http::StatusCode::NOT_FOUND => {
                let error = format!("the proxy of {pod} shares a process with others: it has no level of its own");
                Err(CliError::message(Kind::Failed, error))
            }
            status if status.is_success() => {
                ui.line(said);
                Ok(())
            }
            status => Err(CliError::message(Kind::Failed, format!("the proxy of {pod} answers {status}: {said}"))),
        }
    })
}

impl Source {
    fn read(&self, ui: &Ui) -> CliResult<Dump> {
        if let Some(path) = &self.file {
            return read_file(path);
        }
        block_on(async {
            let connection = self.target.connect(ui).await?;
            let namespace = self.namespace.clone().unwrap_or_else(|| connection.namespace.clone());
            let pod = pods::one(&connection, self.pod.as_deref().unwrap_or_default(), &namespace).await?;
            ask(&connection, &pod, self.proxy_admin_port).await
        })
    }
}

fn read_file(path: &PathBuf) -> CliResult<Dump> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().take(MAX_FILE_BYTES).read_to_end(&mut bytes).kind(Kind::Io)?;
    } else {
        let unreadable = |error| CliError::message(Kind::Data, format!("can't read {}: {error}", path.display()));
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        CliError::message(Kind::Data, format!("{} is no dump of a proxy: {error}", path.display()))
            .hint("`mesh proxy-config all POD -o json` writes one")
    })
}

/// What the proxy of a pod holds.
///
/// # Errors
/// The pod has no proxy of ours, or cannot be reached.
pub async fn ask(connection: &Connection, pod: &ObjectRef, port: u16) -> CliResult<Dump> {
    if kube::get(connection, pod).await?.is_none() {
        return Err(CliError::message(Kind::Failed, format!("{pod} is not on {}", connection.server)));
    }
    let answer = kube::ask_port(connection, pod, port, http::Method::GET, "/config_dump").await;
    let answer = answer.map_err(|error| {
        CliError::from(error).hint(format!("has {pod} a proxy? `mesh check-inject {}` says why not", pod.name))
    })?;
    if !answer.status.is_success() {
        let said = String::from_utf8_lossy(&answer.body).trim().to_owned();
        return Err(CliError::message(Kind::Failed, format!("the proxy of {pod} answers {}: {said}", answer.status)));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| CliError::message(Kind::Failed, format!("the proxy of {pod} is not one of mesh's: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, port: u16, subset: &str) -> ClusterDump {
        let direction = name.split('|').next().unwrap().to_owned();
        ClusterDump {
            name: name.into(),
            fqdn: "reviews.shop.svc".into(),
            port,
            subset: subset.into(),
            direction,
            ..ClusterDump::default()
        }
    }

    #[test]
    fn filters_narrow_and_what_is_not_said_takes_everything() {
        let clusters = [
            cluster("outbound|9080||reviews", 9080, ""),
            cluster("outbound|9080|v2|reviews", 9080, "v2"),
            cluster("inbound|8080||reviews", 8080, ""),
        ];
        let taken = |filter: ClusterFilter| clusters.iter().filter(|held| filter.takes(held)).count();
        assert_eq!(taken(ClusterFilter::default()), 3);
        assert_eq!(taken(ClusterFilter { subset: Some("v2".into()), ..ClusterFilter::default() }), 1);
        assert_eq!(taken(ClusterFilter { direction: Some("outbound".into()), ..ClusterFilter::default() }), 2);
        assert_eq!(taken(ClusterFilter { port: Some(8080), ..ClusterFilter::default() }), 1);
        assert_eq!(taken(ClusterFilter { fqdn: Some("other".into()), ..ClusterFilter::default() }), 0);
    }

    #[test]
    fn an_address_is_found_with_and_without_its_port() {
        let ip = |text: &str| Some(text.to_owned());
        assert!(is_at("10.0.0.1:80", &ip("10.0.0.1"), None) && is_at("10.0.0.1:80", &None, Some(80)));
        assert!(is_at("[fd00::1]:80", &ip("fd00::1"), Some(80)));
        assert!(!is_at("10.0.0.1:80", &ip("10.0.0.2"), None) && !is_at("10.0.0.1:80", &None, Some(8)));
    }
}

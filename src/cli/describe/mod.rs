//! `mesh describe`: what the mesh makes of a pod or a service, compiled from the cluster's objects by the control plane's own rules.

mod world;

use std::sync::Arc;

use clap::Subcommand;
use serde::Serialize;
use serde_json::Value;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::pods;
use crate::cli::proxy_config::rows::targets;
use crate::cli::target::{Target, block_on};
use crate::cli::ui::{Format, Tone, Ui, rows_of_text};
use crate::compile::{self, Scope};
use crate::model::{ClusterPolicy, InboundService, MtlsMode, Routes, Service, Workload};
use crate::proxy::admin::RuleDump;
use crate::resources::Provenance;

use world::Cluster;

/// Show what the mesh makes of a pod or a service
///
/// Ports and protocols, routes, destination rule, mutual TLS, tokens, authorization,
/// and the gateways that let it be reached from outside; each with the object that says so.
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "des",
    after_help = "Examples:
  mesh describe pod deploy/reviews-v2
  mesh describe service reviews -n shop -o yaml"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A pod: NAME, NAME.NAMESPACE, or KIND/NAME of a workload
    #[command(visible_alias = "po")]
    Pod(Which),
    /// A service: NAME, or NAME.NAMESPACE
    #[command(visible_alias = "svc")]
    Service(Which),
}

/// Which one
#[derive(Debug, clap::Args)]
struct Which {
    /// Its name
    name: String,
    /// Namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    target: Target,
}

/// What is said of a pod.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PodReport {
    name: String,
    namespace: String,
    address: Option<String>,
    /// Who its proxy proves to be; `None`: it is no part of the mesh.
    identity: Option<String>,
    ports: Vec<String>,
    demands: Vec<Demand>,
    services: Vec<ServiceReport>,
}

/// What a workload demands of its callers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Demand {
    what: &'static str,
    says: String,
    from: String,
}

/// What is said of a service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceReport {
    host: String,
    ports: Vec<PortReport>,
    /// The DestinationRule in force for clients of its own namespace.
    destination_rule: Option<String>,
    traffic_policy: Option<String>,
    subsets: Vec<SubsetReport>,
    routes: Vec<RuleReport>,
    exposed: Vec<Exposure>,
    endpoints: usize,
}

#[derive(Debug, Serialize)]
struct PortReport {
    port: u16,
    name: String,
    protocol: String,
    /// Where the port leads to, where every endpoint agrees.
    target: Option<u16>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SubsetReport {
    name: String,
    labels: String,
    endpoints: usize,
    /// Whether the pod that was asked about is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    has_pod: Option<bool>,
}

#[derive(Debug, Serialize)]
struct RuleReport {
    matches: Vec<String>,
    to: String,
    from: String,
}

#[derive(Debug, Serialize)]
struct Exposure {
    gateway: String,
    port: u16,
    host: String,
    rules: Vec<RuleReport>,
}

/// Looks and shows.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let which = match &args.what {
        What::Pod(which) | What::Service(which) => which,
    };
    block_on(async {
        let connection = which.target.connect(ui).await?;
        let namespace = which.namespace.clone().unwrap_or_else(|| connection.namespace.clone());
        match &args.what {
            What::Pod(_) => {
                let pod = pods::one(&connection, &which.name, &namespace).await?;
                let cluster = Cluster::read(&connection).await?;
                let missing = || CliError::message(Kind::Failed, format!("{pod} is not on {}", connection.server));
                let found =
                    cluster.pod(pod.namespace.as_deref().unwrap_or(&namespace), &pod.name).ok_or_else(missing)?;
                let report = pod_report(&cluster, found);
                if which.output == Format::Table {
                    print_pod(ui, &report);
                } else {
                    ui.structured(which.output, &report)?;
                }
            }
            What::Service(_) => {
                let cluster = Cluster::read(&connection).await?;
                let (name, namespace) = match which.name.split_once('.') {
                    Some((name, rest)) => (name, rest.split('.').next().unwrap_or(rest).to_owned()),
                    None => (which.name.as_str(), namespace),
                };
                let host: Arc<str> = format!("{name}.{namespace}.svc.{}", cluster.world.domain).into();
                let missing = || {
                    let error = format!("Service {namespace}/{name} is not on {}", connection.server);
                    CliError::message(Kind::Failed, error)
                };
                let service = cluster.world.services.get(&host).ok_or_else(missing)?;
                let report = service_report(&cluster, service, None);
                if which.output == Format::Table {
                    print_service(ui, &report);
                } else {
                    ui.structured(which.output, &report)?;
                }
            }
        }
        Ok(())
    })
}

fn said(provenance: Option<&Provenance>) -> String {
    provenance.map_or_else(|| "the mesh's default".to_owned(), ToString::to_string)
}

fn pod_report(cluster: &Cluster, pod: &Value) -> PodReport {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let workload = compile::workload(pod, &cluster.trust_domain).map(Arc::new);
    let services = workload.as_deref().map(|workload| cluster.services_of(workload)).unwrap_or_default();
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let ports = containers.flat_map(|container| {
        let name = container["name"].as_str().unwrap_or_default().to_owned();
        let ports = container["ports"].as_array().cloned().unwrap_or_default();
        ports.into_iter().map(move |port| format!("{} ({name})", port["containerPort"]))
    });
    let demands = match &workload {
        Some(workload) if workload.identity.is_some() => demands(cluster, workload, &services),
        _ => Vec::new(),
    };
    PodReport {
        name: text("/metadata/name"),
        namespace: text("/metadata/namespace"),
        address: Some(text("/status/podIP")).filter(|address| !address.is_empty()),
        identity: workload.as_ref().and_then(|workload| Some(workload.identity.as_ref()?.to_string())),
        ports: ports.collect(),
        demands,
        services: services.iter().map(|service| service_report(cluster, service, workload.as_deref())).collect(),
    }
}

/// PeerAuthentication's word for a mode.
fn mode_word(mode: MtlsMode) -> &'static str {
    match mode {
        MtlsMode::Disable => "DISABLE: plaintext only",
        MtlsMode::Permissive => "PERMISSIVE: mutual TLS and plaintext",
        MtlsMode::Strict => "STRICT: mutual TLS only",
    }
}

fn demands(cluster: &Cluster, workload: &Arc<Workload>, services: &[Arc<Service>]) -> Vec<Demand> {
    let answered: Vec<InboundService> = Vec::new();
    let domains = [Arc::from(cluster.trust_domain.as_str())];
    let policy = compile::inbound_policy(&cluster.world, workload.clone(), answered, &domains);
    let (mode, from) = &policy.default_mtls;
    let mut demands = vec![Demand { what: "mTLS", says: mode_word(*mode).to_owned(), from: said(from.as_ref()) }];
    demands.extend(policy.port_mtls.iter().map(|(port, mode, from)| Demand {
        what: "mTLS",
        says: format!("port {port} {}", mode_word(*mode)),
        from: from.to_string(),
    }));
    demands.extend(policy.tokens.iter().map(|token| Demand {
        what: "token",
        says: format!("issuer {}", token.issuer),
        from: token.provenance.to_string(),
    }));
    demands.extend(policy.authorization.iter().map(|policy| {
        let dry = if policy.dry_run { ", dry run" } else { "" };
        let action = policy.action.to_string();
        Demand {
            what: "authorization",
            says: format!("{action}, {}{dry}", crate::cli::input::count(policy.rules.len(), "rule")),
            from: policy.provenance.to_string(),
        }
    }));
    // What clients are told to speak must be what the workload takes.
    for service in services {
        let scope = compile::scope(&cluster.world, &workload.namespace, &workload.labels);
        let traffic = compile::traffic_policy(&cluster.world, &scope, service, false);
        let plaintext = traffic.policies.default.tls == crate::model::UpstreamTls::Disable;
        if plaintext && *mode == MtlsMode::Strict {
            demands.push(Demand {
                what: "conflict",
                says: format!("clients of {} are told to speak plaintext, which is refused", service.name),
                from: said(traffic.provenance.as_ref()),
            });
        }
    }
    demands
}

fn service_report(cluster: &Cluster, service: &Arc<Service>, pod: Option<&Workload>) -> ServiceReport {
    let scope = match pod {
        Some(pod) => compile::scope(&cluster.world, &pod.namespace, &pod.labels),
        None => Scope::of_namespace(service.namespace.clone()),
    };
    let policy = compile::traffic_policy(&cluster.world, &scope, service, false);
    let endpoints = cluster.world.endpoints.get(&service.host).map_or(&[][..], |held| &held.endpoints);
    let ports = service.ports.iter().map(|port| {
        let mut targets: Vec<u16> =
            endpoints.iter().filter_map(|one| Some(one.socket_address(port.number)?.port())).collect();
        targets.dedup();
        PortReport {
            port: port.number,
            name: port.name.to_string(),
            protocol: format!("{:?}", port.protocol).to_uppercase(),
            target: targets.first().copied().filter(|_| targets.len() == 1),
        }
    });
    let subsets = policy.subsets.iter().map(|subset| {
        let labels: Vec<String> = subset.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        SubsetReport {
            name: subset.name.to_string(),
            labels: labels.join(","),
            endpoints: endpoints.iter().filter(|one| subset.contains(&one.workload)).count(),
            has_pod: pod.map(|pod| subset.contains(pod)),
        }
    });
    ServiceReport {
        host: service.host.to_string(),
        ports: ports.collect(),
        destination_rule: policy.provenance.as_ref().map(ToString::to_string),
        traffic_policy: policy.provenance.as_ref().map(|_| traffic(&policy.policies.default)),
        subsets: subsets.collect(),
        routes: rules(&compile::routes(&cluster.world, &scope, service)),
        exposed: cluster.exposures(service),
        endpoints: endpoints.len(),
    }
}

/// What differs from the defaults, a word each.
fn traffic(policy: &ClusterPolicy) -> String {
    let mut words = vec![format!("{:?}", policy.balancer), format!("TLS {:?}", policy.tls)];
    words.extend(policy.hash.as_ref().map(|_| "consistent hash".to_owned()));
    words.extend(policy.outlier.as_ref().map(|outlier| format!("outlier after {} errors", outlier.server_errors)));
    words.extend(policy.limits.connections.map(|most| format!("at most {most} connections")));
    words.extend(policy.limits.requests.map(|most| format!("at most {most} requests")));
    words.join(", ")
}

fn rules(routes: &Routes) -> Vec<RuleReport> {
    let shown = routes.http.iter().map(RuleDump::of);
    let shown = shown.map(|rule| RuleReport { to: targets(&rule), matches: rule.matches, from: rule.rule });
    shown.collect()
}

fn print_pod(ui: &Ui, report: &PodReport) {
    ui.line(ui.paint(Tone::Strong, &format!("Pod {}.{}", report.name, report.namespace)));
    let identity = match &report.identity {
        Some(identity) => identity.clone(),
        None => "none: the pod is no part of the mesh (`mesh check-inject` says why)".to_owned(),
    };
    let mut rows = vec![
        row("Address", report.address.clone().unwrap_or_else(|| "-".to_owned())),
        row("Identity", identity),
        row("Ports", if report.ports.is_empty() { "-".to_owned() } else { report.ports.join(", ") }),
    ];
    rows.extend(
        report
            .demands
            .iter()
            .map(|demand| vec![format!("  {}", demand.what), format!("{}  ({})", demand.says, demand.from)]),
    );
    ui.text(&rows_of_text(&rows));
    if report.services.is_empty() {
        ui.line("No service leads to it: nobody in the mesh calls it by name.");
    }
    for service in &report.services {
        print_service(ui, service);
    }
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![format!("  {name}"), value]
}

fn print_service(ui: &Ui, report: &ServiceReport) {
    ui.line(ui.paint(Tone::Strong, &format!("Service {}", report.host)));
    let mut rows = Vec::new();
    for port in &report.ports {
        let target = port.target.map(|target| format!(" → pod port {target}")).unwrap_or_default();
        let name = if port.name.is_empty() { "unnamed" } else { &port.name };
        rows.push(row("Port", format!("{} {name} {}{target}", port.port, port.protocol)));
    }
    rows.push(row("Endpoints", report.endpoints.to_string()));
    if let Some(rule) = &report.destination_rule {
        rows.push(row("Policy", format!("{}  ({rule})", report.traffic_policy.as_deref().unwrap_or("-"))));
    }
    for subset in &report.subsets {
        let here = match subset.has_pod {
            Some(true) => ", this pod among them",
            _ => "",
        };
        let endpoints = crate::cli::input::count(subset.endpoints, "endpoint");
        rows.push(row("Subset", format!("{}  {}  {endpoints}{here}", subset.name, subset.labels)));
    }
    push_rules(&mut rows, "Route", &report.routes);
    for exposure in &report.exposed {
        rows.push(row("Exposed", format!("{} port {} host {}", exposure.gateway, exposure.port, exposure.host)));
        push_rules(&mut rows, "  by", &exposure.rules);
    }
    ui.text(&rows_of_text(&rows));
}

fn push_rules(rows: &mut Vec<Vec<String>>, name: &str, rules: &[RuleReport]) {
    for rule in rules {
        let matches = if rule.matches.is_empty() { "*".to_owned() } else { rule.matches.join(" or ") };
        rows.push(row(name, format!("{matches} → {}  ({})", rule.to, rule.from)));
    }
}

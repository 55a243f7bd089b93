//! The traffic policy of a service, from the DestinationRules that apply to it.

use crate::compile::gateway_api;
use crate::compile::locality;
use crate::compile::mesh_config::MeshConfig;
use crate::compile::origination::{self, Secrets};
use crate::compile::world::{Scope, World, is_visible};
use crate::model::policy::PortPolicies;
use crate::model::pool::MAX_HASH_TABLE;
use crate::model::{
    Balancer, ClusterPolicy, CookieKey, HashKey, HashPolicy, HashTable, Http2Use, Keepalive, OutlierPolicy, PoolLimits,
    ProxyProtocol, RetryBudget, Service, Share, Subset, TrafficPolicy, UpstreamTls, Warmup,
};
use crate::resources::destination_rule::{
    self, ClientTls, ConnectionPool, ConsistentHash, H2UpgradePolicy, HttpCookie, LoadBalancer, OutlierDetection,
    ProxyProtocolVersion, SimpleBalancer,
};
use crate::resources::values::{self, ExportTo};
use crate::resources::{DestinationRule, Object, Provenance};

/// The policy of `service`, as clients of `scope` see it.
///
/// DestinationRules are looked for in the client's namespace, then the service's, then the root namespace; the first that has one
/// wins, with its most specific host. Several for one host there are merged: subsets add up, the first of a name and the first
/// policy win.
///
/// `reads_secrets`: whether it is for a gateway, which alone gets what Secrets of its namespace hold.
pub fn traffic_policy(world: &World, scope: &Scope, service: &Service, reads_secrets: bool) -> TrafficPolicy {
    let secrets = reads_secrets.then_some((world, scope));
    let merged = applicable(world, scope, service);
    let top = merged.iter().find_map(|object| object.spec.traffic_policy.as_ref());
    let ground = Ground { service, mesh: &world.mesh, secrets };
    let own = Levels { top, subset: None, ground };
    let mut subsets: Vec<Subset> = Vec::new();
    for object in &merged {
        for (index, subset) in object.spec.subsets.iter().enumerate() {
            if subsets.iter().any(|known| *known.name == *subset.name) {
                continue;
            }
            let levels = Levels { top, subset: subset.traffic_policy.as_ref(), ground };
            let mut policies = levels.for_ports();
            secure(world, service, &mut policies);
            subsets.push(Subset {
                name: subset.name.as_str().into(),
                labels: subset.labels.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect(),
                policies,
                provenance: object.provenance().with_rule(format!("subsets[{index}]")),
            });
        }
    }
    let mut policies = own.for_ports();
    let secured = secure(world, service, &mut policies);
    let provenance = merged.first().map(|first| first.provenance()).or(secured);
    TrafficPolicy { host: service.host.clone(), provenance, policies, subsets }
}

/// Has the Gateway API's policies say what is spoken to the ports for which no DestinationRule does; the first that has a say.
fn secure(world: &World, service: &Service, policies: &mut PortPolicies) -> Option<Provenance> {
    let mut by = None;
    for port in &service.ports {
        if policies.for_port(port.number).tls != UpstreamTls::Auto {
            continue;
        }
        let Some((tls, provenance)) = gateway_api::backend_tls(world, service, port) else { continue };
        let policy = ClusterPolicy { tls, ..policies.for_port(port.number).clone() };
        policies.ports.retain(|(number, _)| *number != port.number);
        policies.ports.push((port.number, policy));
        by = by.or(Some(provenance));
    }
    by
}

/// The DestinationRules that are merged for a service, oldest first.
fn applicable<'w>(world: &'w World, scope: &Scope, service: &Service) -> Vec<&'w Object<DestinationRule>> {
    let lookup = [&*scope.namespace, &*service.namespace, &*world.root_namespace];
    for (step, namespace) in lookup.into_iter().enumerate() {
        let is_candidate = |object: &Object<DestinationRule>| {
            object.meta.namespace == namespace
                && is_visible(object, &scope.namespace)
                // What the root namespace exports is for the whole mesh, and the last to be asked. A client that lives there,
                // as a gateway may, has no claim to it as a rule of its own: the services' owners go first.
                && (step > 0 || namespace != &*world.root_namespace || is_private(object))
        };
        for claiming in world.destination_rules.covering(&service.host) {
            let candidates = || claiming.iter().map(|object| &**object).filter(|object| is_candidate(object));
            // One for chosen clients comes before those for all, and is merged with none.
            let own = candidates().find(|object| step == 0 && scope.selected.contains(&object.meta.name));
            if let Some(own) = own {
                return vec![own];
            }
            let mut chosen = candidates().filter(|object| object.spec.workload_selector.is_none());
            let Some(first) = chosen.next() else { continue };
            // The order in which namespaces are listed says nothing.
            let alike = |object: &Object<DestinationRule>| {
                let (one, other) = (&first.spec.export_to, &object.spec.export_to);
                one.iter().all(|target| other.contains(target)) && other.iter().all(|target| one.contains(target))
            };
            return std::iter::once(first).chain(chosen.filter(|object| alike(object))).collect();
        }
    }
    Vec::new()
}

/// Whether the rule is for clients of its own namespace alone.
fn is_private(object: &Object<DestinationRule>) -> bool {
    matches!(object.spec.export_to.as_slice(), [ExportTo::Private])
}

/// The blocks of a policy that mesh puts in force.
#[derive(Clone, Copy, Default)]
struct Blocks<'a> {
    load_balancer: Option<&'a LoadBalancer>,
    pool: Option<&'a ConnectionPool>,
    outlier: Option<&'a OutlierDetection>,
    tls: Option<&'a ClientTls>,
    retry_budget: Option<&'a destination_rule::RetryBudget>,
    proxy_protocol: Option<&'a destination_rule::ProxyProtocol>,
}

/// The policies of a rule and of a subset, whose blocks override each other one by one.
#[derive(Clone, Copy)]
struct Levels<'a> {
    top: Option<&'a destination_rule::TrafficPolicy>,
    subset: Option<&'a destination_rule::TrafficPolicy>,
    ground: Ground<'a>,
}

/// What holds whatever a rule says.
#[derive(Clone, Copy)]
struct Ground<'a> {
    service: &'a Service,
    mesh: &'a MeshConfig,
    secrets: Secrets<'a>,
}

impl<'a> Levels<'a> {
    fn for_ports(self) -> PortPolicies {
        let default = cluster_policy(self.blocks(None), self.ground);
        let ports = self.ground.service.ports.iter().filter_map(|port| {
            let policy = cluster_policy(self.blocks(Some(port.number)), self.ground);
            (policy != default).then_some((port.number, policy))
        });
        PortPolicies { ports: ports.collect(), default }
    }

    fn blocks(self, port: Option<u16>) -> Blocks<'a> {
        let mut blocks = Blocks::default();
        for policy in [self.top, self.subset].into_iter().flatten() {
            blocks.load_balancer = policy.load_balancer.as_ref().or(blocks.load_balancer);
            blocks.pool = policy.connection_pool.as_ref().or(blocks.pool);
            blocks.outlier = policy.outlier_detection.as_ref().or(blocks.outlier);
            blocks.tls = policy.tls.as_ref().or(blocks.tls);
            blocks.retry_budget = policy.retry_budget.as_ref().or(blocks.retry_budget);
            blocks.proxy_protocol = policy.proxy_protocol.as_ref().or(blocks.proxy_protocol);
            let for_port = policy.port_level_settings.iter().find(|settings| {
                let number = settings.port.as_ref().and_then(|port| port.number).map(|port| port.get());
                port.is_some() && number == port
            });
            if let Some(settings) = for_port {
                // A port's settings replace the blocks as a whole: one that is left out falls back to the default.
                blocks = Blocks {
                    load_balancer: settings.load_balancer.as_ref(),
                    pool: settings.connection_pool.as_ref(),
                    outlier: settings.outlier_detection.as_ref(),
                    tls: settings.tls.as_ref(),
                    retry_budget: blocks.retry_budget,
                    proxy_protocol: blocks.proxy_protocol,
                };
            }
        }
        blocks
    }
}

fn cluster_policy(blocks: Blocks<'_>, ground: Ground<'_>) -> ClusterPolicy {
    let balancer = match blocks.load_balancer.and_then(|settings| settings.simple) {
        Some(SimpleBalancer::RoundRobin) => Balancer::RoundRobin,
        Some(SimpleBalancer::Random) => Balancer::Random,
        Some(SimpleBalancer::Passthrough) => Balancer::Passthrough,
        _ => Balancer::LeastRequest,
    };
    let tls = blocks.tls.map_or(UpstreamTls::Auto, |settings| origination::upstream_tls(settings, ground.secrets));
    let default = ClusterPolicy::default();
    let connect = blocks.pool.and_then(|pool| pool.tcp.as_ref()?.connect_timeout).map(|timeout| timeout.get());
    ClusterPolicy {
        balancer,
        hash: blocks.load_balancer.and_then(|settings| settings.consistent_hash.as_ref()).and_then(hash),
        locality: locality::policy(
            blocks.load_balancer.and_then(|settings| settings.locality_lb_setting.as_ref()),
            ground.service,
            ground.mesh,
            blocks.outlier.is_some(),
        ),
        warmup: blocks.load_balancer.and_then(warmup),
        limits: limits(blocks.pool, blocks.retry_budget),
        http2: http2(blocks.pool),
        outlier: blocks.outlier.map(outlier),
        tls,
        proxy_protocol: blocks.proxy_protocol.map(|wanted| match wanted.version {
            Some(ProxyProtocolVersion::V2) => ProxyProtocol::V2,
            Some(ProxyProtocolVersion::V1) | None => ProxyProtocol::V1,
        }),
        connect_timeout: connect.filter(|timeout| !timeout.is_zero()).unwrap_or(default.connect_timeout),
    }
}

/// Defaults of Envoy, which are Istio's: from a tenth of the share on, evenly.
fn warmup(settings: &LoadBalancer) -> Option<Warmup> {
    let evenly = |duration: values::Duration| Warmup { duration: duration.get(), least: 1_000, aggression: 1_000 };
    match (&settings.warmup, settings.warmup_duration_secs) {
        (Some(warmup), _) => Some(Warmup {
            least: warmup.minimum_percent.map_or(1_000, |percent| Share::of_hundred(percent).millionths() / 100),
            // Beyond a million it makes no difference any more; not a number is none.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            aggression: warmup.aggression.map_or(1_000, |aggression| (aggression * 1000.0).clamp(1.0, 1e9) as u32),
            ..evenly(warmup.duration)
        }),
        (None, Some(duration)) => Some(evenly(duration)),
        (None, None) => None,
    }
}

fn limits(pool: Option<&ConnectionPool>, budget: Option<&destination_rule::RetryBudget>) -> PoolLimits {
    // 0 stands for "not set" here, as in Istio.
    let count = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0);
    let time = |value: Option<values::Duration>| value.map(|value| value.get()).filter(|value| !value.is_zero());
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let http = pool.and_then(|pool| pool.http.as_ref());
    PoolLimits {
        connections: count(tcp.and_then(|tcp| tcp.max_connections)),
        pending: count(http.and_then(|http| http.http1_max_pending_requests)),
        requests: count(http.and_then(|http| http.http2_max_requests)),
        retries: count(http.and_then(|http| http.max_retries)),
        retry_budget: budget.map(|budget| RetryBudget {
            // Defaults of Envoy, which are Istio's.
            basis_points: Share::of_hundred(budget.percent.unwrap_or(20.0)).millionths() / 100,
            always: budget.min_retry_concurrency.unwrap_or(3),
        }),
        requests_per_connection: count(http.and_then(|http| http.max_requests_per_connection)),
        idle: time(http.and_then(|http| http.idle_timeout)),
        // Here 0 is a value: for ever.
        stream_idle: tcp.and_then(|tcp| tcp.idle_timeout).map(|idle| idle.get()),
        lifetime: time(tcp.and_then(|tcp| tcp.max_connection_duration)),
        keepalive: tcp.and_then(|tcp| tcp.tcp_keepalive.as_ref()).map(|keepalive| Keepalive {
            time: time(keepalive.time),
            interval: time(keepalive.interval),
            probes: keepalive.probes.filter(|probes| *probes > 0),
        }),
    }
}

fn http2(pool: Option<&ConnectionPool>) -> Http2Use {
    let http = pool.and_then(|pool| pool.http.as_ref());
    match http {
        Some(http) if http.use_client_protocol == Some(true) => Http2Use::AsClient,
        Some(http) if http.h2_upgrade_policy == Some(H2UpgradePolicy::Upgrade) => Http2Use::Upgrade,
        _ => Http2Use::AsDeclared,
    }
}

fn outlier(detection: &OutlierDetection) -> OutlierPolicy {
    let default = OutlierPolicy::default();
    let time = |value: Option<values::Duration>, default| {
        value.map(|value: values::Duration| value.get()).filter(|value| !value.is_zero()).unwrap_or(default)
    };
    let percent = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    let apart = detection.split_external_local_origin_errors == Some(true);
    OutlierPolicy {
        server_errors: detection.consecutive_5xx_errors.unwrap_or(default.server_errors),
        gateway_errors: detection.consecutive_gateway_errors.unwrap_or(default.gateway_errors),
        local_failures: apart.then(|| detection.consecutive_local_origin_failures.unwrap_or(5)),
        interval: time(detection.interval, default.interval),
        base_ejection: time(detection.base_ejection_time, default.base_ejection),
        // 0 per cent stands for "not set" in Istio.
        most_ejected: percent(detection.max_ejection_percent)
            .filter(|percent| *percent > 0)
            .unwrap_or(default.most_ejected),
        least_healthy: percent(detection.min_health_percent).unwrap_or(default.least_healthy),
    }
}

fn hash(hash: &ConsistentHash) -> Option<HashPolicy> {
    let named = |name: &Option<String>| name.as_deref().filter(|name| !name.is_empty()).map(str::to_owned);
    let key = if let Some(header) = named(&hash.http_header_name) {
        HashKey::Header(header.to_ascii_lowercase().into())
    } else if let Some(cookie) = &hash.http_cookie {
        HashKey::Cookie(cookie_key(cookie))
    } else if let Some(parameter) = named(&hash.http_query_parameter_name) {
        HashKey::Query(parameter.into())
    } else if hash.use_source_ip == Some(true) {
        HashKey::Source
    } else {
        return None;
    };
    let table = match (&hash.maglev, &hash.ring_hash) {
        (Some(maglev), _) => HashTable::Maglev(maglev.table_size.filter(|size| *size > 0).unwrap_or(65_537)),
        (None, ring) => {
            let size = ring.as_ref().and_then(|ring| ring.minimum_ring_size).or(hash.minimum_ring_size);
            HashTable::Ring(size.filter(|size| *size > 0).unwrap_or(1024).min(MAX_HASH_TABLE))
        }
    };
    Some(HashPolicy { key, table })
}

fn cookie_key(cookie: &HttpCookie) -> CookieKey {
    let mut attributes = String::new();
    if let Some(path) = cookie.path.as_deref().filter(|path| !path.is_empty()) {
        attributes.push_str("; Path=");
        attributes.push_str(path);
    }
    for attribute in &cookie.attributes {
        attributes.push_str("; ");
        attributes.push_str(&attribute.name);
        if let Some(value) = attribute.value.as_deref().filter(|value| !value.is_empty()) {
            attributes.push('=');
            attributes.push_str(value);
        }
    }
    // It goes into a header line.
    attributes.retain(|character| !character.is_control());
    CookieKey { name: cookie.name.as_str().into(), ttl: cookie.ttl.map(|ttl| ttl.get()), attributes: attributes.into() }
}

//! A small mesh for tests.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::model::policy::PortPolicies;
use crate::model::{
    Action, AppProtocol, ClusterName, Endpoint, Endpoints, Handling, Health, HttpRule, InboundPolicy, Locality,
    MtlsMode, OutboundMode, Reporting, Resolution, Routes, Service, ServicePort, Settings, Subset, TrafficPolicy,
    TunnelProtocol, WeightedCluster, Workload,
};
use crate::resources::Provenance;
use crate::wire::ServiceRecord;

pub(in crate::proxy) const SCOPE: &str = "00000000000000aa";
pub(in crate::proxy) const OTHER_SCOPE: &str = "00000000000000bb";
pub(in crate::proxy) const REVIEWS: &str = "reviews.shop.svc.cluster.local";
pub(in crate::proxy) const RATINGS: &str = "ratings.shop.svc.cluster.local";

pub(in crate::proxy) fn settings(scope: &str) -> Settings {
    Settings {
        scope: scope.into(),
        trust_domain: "cluster.local".into(),
        cluster: "Kubernetes".into(),
        outbound_mode: OutboundMode::AllowAny,
        client: Reporting::default(),
        server: Reporting::default(),
        proxy_protocol: false,
        trusted_proxies: 0,
        bundle: None,
    }
}

pub(in crate::proxy) fn workload(name: &str, address: IpAddr, version: &str) -> Workload {
    Workload {
        uid: format!("c//Pod/shop/{name}").into(),
        name: name.into(),
        namespace: "shop".into(),
        addresses: vec![address],
        identity: "spiffe://cluster.local/ns/shop/sa/default".parse().ok(),
        labels: [("version".into(), version.into())].into(),
        workload_name: name.into(),
        canonical_name: name.into(),
        canonical_revision: version.into(),
        locality: Locality::default(),
        node: Default::default(),
        protocol: TunnelProtocol::MutualTls,
    }
}

pub(in crate::proxy) fn inbound() -> InboundPolicy {
    InboundPolicy {
        tokens: Vec::new(),
        authorization: Vec::new(),
        providers: Vec::new(),
        ingress: Vec::new(),
        workload: Arc::new(workload("productpage", [10, 0, 0, 1].into(), "v1")),
        default_mtls: (MtlsMode::Permissive, None),
        port_mtls: Vec::new(),
        services: Vec::new(),
    }
}

/// A service with port 9080 and one chunk of endpoints.
pub(in crate::proxy) fn record(scope: &str, host: &str) -> ServiceRecord {
    let name = host.split('.').next().unwrap_or(host);
    ServiceRecord {
        service: Service {
            host: host.into(),
            name: name.into(),
            namespace: "shop".into(),
            addresses: vec![Ipv4Addr::new(10, 96, 3, 7).into()],
            resolution: Resolution::Endpoints,
            distribution: Default::default(),
            ports: vec![ServicePort { number: 9080, name: "http".into(), protocol: AppProtocol::Http }],
            provenance: Provenance::new("Service", "shop", name),
        },
        routes: format!("{scope}/{host}").into(),
        traffic_policy: format!("{scope}/{host}").into(),
        endpoints: vec![format!("{host}/0").into()],
    }
}

/// A policy whose subsets select by the label `version`.
pub(in crate::proxy) fn policy(host: &str, versions: &[&str]) -> TrafficPolicy {
    let rule = Provenance::new("DestinationRule", "shop", "rule");
    let subset = |version: &&str| Subset {
        name: (*version).into(),
        labels: vec![("version".into(), (*version).into())],
        policies: PortPolicies::default(),
        provenance: rule.with_rule(format!("subsets[{version}]")),
    };
    TrafficPolicy {
        host: host.into(),
        provenance: (!versions.is_empty()).then(|| rule.clone()),
        policies: PortPolicies::default(),
        subsets: versions.iter().map(subset).collect(),
    }
}

/// Endpoints as (last byte of the address, version).
pub(in crate::proxy) fn endpoints(host: &str, pods: &[(u8, &str)]) -> Endpoints {
    let endpoint = |(last, version): &(u8, &str)| {
        let address = IpAddr::from([10, 0, 0, *last]);
        Arc::new(Endpoint {
            address,
            name: None,
            ports: vec![(9080, 19080)],
            weight: 1,
            health: Health::Healthy,
            plaintext: Vec::new(),
            workload: Arc::new(workload(&format!("pod-{last}"), address, version)),
        })
    };
    Endpoints { host: host.into(), endpoints: pods.iter().map(endpoint).collect() }
}

/// One rule that sends every request to these (host, subset, weight); an empty subset is none.
pub(in crate::proxy) fn routes(name: &str, destinations: &[(&str, &str, u32)]) -> Routes {
    let destination = |(host, subset, weight): &(&str, &str, u32)| WeightedCluster::new(cluster(host, subset), *weight);
    let rule = HttpRule {
        provenance: Provenance::new("VirtualService", "shop", "rule").with_rule("http[0]"),
        name: "default".into(),
        matches: Vec::new(),
        action: Action::Forward(destinations.iter().map(destination).collect()),
        handling: Handling::default(),
        tier: 0,
    };
    Routes { name: name.into(), http: vec![rule], ..Routes::default() }
}

pub(in crate::proxy) fn cluster(host: &str, subset: &str) -> ClusterName {
    ClusterName { host: host.into(), port: 9080, subset: (!subset.is_empty()).then(|| subset.into()) }
}

//! What tests of this room share: small parts of the model, made by hand.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::identity::SpiffeId;
use crate::model::{
    AppProtocol, ClusterName, ClusterPolicy, Endpoint, Health, Labels, Locality, Resolution, Service, ServicePort,
    TrafficDistribution, TunnelProtocol, Workload,
};
use crate::proxy::directory::{Cluster, UpstreamEndpoint};
use crate::proxy::upstream::{Groups, Originator};
use crate::resources::Provenance;

/// A workload called `NAME-VERSION`, with mutual TLS where it has an identity.
pub fn workload(name: &str, version: &str, identity: Option<SpiffeId>) -> Arc<Workload> {
    let labels: Labels = [("app", name), ("version", version)].map(|(key, value)| (key.into(), value.into())).into();
    Arc::new(Workload {
        uid: format!("cluster//Pod/default/{name}-{version}").into(),
        name: format!("{name}-{version}-abc").into(),
        namespace: "default".into(),
        addresses: Vec::new(),
        protocol: if identity.is_some() { TunnelProtocol::MutualTls } else { TunnelProtocol::Plaintext },
        identity,
        labels,
        workload_name: format!("{name}-{version}").into(),
        canonical_name: name.into(),
        canonical_revision: version.into(),
        locality: Locality::default(),
        node: Arc::default(),
    })
}

/// A service `NAME.default.svc.cluster.local` with port 9080.
pub fn service(name: &str) -> Arc<Service> {
    Arc::new(Service {
        host: format!("{name}.default.svc.cluster.local").into(),
        name: name.into(),
        namespace: "default".into(),
        addresses: Vec::new(),
        resolution: Resolution::Endpoints,
        distribution: TrafficDistribution::Any,
        ports: vec![ServicePort { number: 9080, name: "http".into(), protocol: AppProtocol::Http }],
        provenance: Provenance::new("Service", "default", name),
    })
}

/// Port 9080 of a service, with endpoints at these addresses.
pub fn cluster(
    name: &str,
    policy: ClusterPolicy,
    addresses: &[SocketAddr],
    identity: Option<&SpiffeId>,
) -> Arc<Cluster> {
    let service = service(name);
    let endpoint = |address: &SocketAddr| {
        Arc::new(UpstreamEndpoint {
            endpoint: Arc::new(Endpoint {
                address: address.ip(),
                name: None,
                ports: vec![(9080, address.port())],
                weight: 1,
                health: Health::Healthy,
                plaintext: Vec::new(),
                workload: workload(name, "v1", identity.cloned()),
            }),
            address: *address,
            state: Arc::default(),
        })
    };
    let (endpoints, groups) = Groups::divide(addresses.iter().map(endpoint).collect(), &policy, None, None);
    Arc::new(Cluster {
        name: ClusterName { host: service.host.clone(), port: 9080, subset: None },
        origin: Originator::of(&policy, &service.host),
        service,
        policy,
        policy_provenance: None,
        endpoints,
        groups,
        state: Arc::default(),
    })
}

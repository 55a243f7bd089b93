//! Services, endpoints and workloads.

use std::sync::Arc;

use crate::identity::SpiffeId;
use crate::model::{
    AppProtocol, Endpoint, Endpoints, Health, Locality, Resolution, Service, ServicePort, TunnelProtocol, Workload,
};
use crate::wire::convert::{ConvertError, Problem, address, address_bytes, list, non_empty, port, required, weight};
use crate::wire::proto::mesh::v1;

/// A service and the names of its other resources, as one message carries them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRecord {
    /// The service.
    pub service: Service,
    /// Name of its Routes.
    pub routes: Arc<str>,
    /// Name of its TrafficPolicy.
    pub traffic_policy: Arc<str>,
    /// Names of the chunks of its Endpoints.
    pub endpoints: Vec<Arc<str>>,
}

impl From<&ServiceRecord> for v1::Service {
    fn from(record: &ServiceRecord) -> Self {
        let service = &record.service;
        Self {
            host: service.host.to_string(),
            name: service.name.to_string(),
            namespace: service.namespace.to_string(),
            addresses: service.addresses.iter().copied().map(address_bytes).collect(),
            ports: service.ports.iter().map(v1::ServicePort::from).collect(),
            provenance: Some((&service.provenance).into()),
            routes: record.routes.to_string(),
            traffic_policy: record.traffic_policy.to_string(),
            endpoints: record.endpoints.iter().map(ToString::to_string).collect(),
            distribution: v1::TrafficDistribution::from(service.distribution).into(),
            resolution: match service.resolution {
                Resolution::Endpoints => v1::Resolution::Endpoints,
                Resolution::FirstAnswer => v1::Resolution::FirstAnswer,
                Resolution::Original => v1::Resolution::Original,
            }
            .into(),
        }
    }
}

impl TryFrom<v1::Service> for ServiceRecord {
    type Error = ConvertError;

    fn try_from(message: v1::Service) -> Result<Self, ConvertError> {
        let resolution = match v1::Resolution::try_from(message.resolution) {
            Ok(v1::Resolution::Endpoints) => Resolution::Endpoints,
            Ok(v1::Resolution::FirstAnswer) => Resolution::FirstAnswer,
            Ok(v1::Resolution::Original) => Resolution::Original,
            Ok(v1::Resolution::Unspecified) | Err(_) => {
                return Err(ConvertError::new("resolution", Problem::UnknownValue(message.resolution)));
            }
        };
        let distribution = v1::TrafficDistribution::try_from(message.distribution)
            .map_err(|_| ConvertError::new("distribution", Problem::UnknownValue(message.distribution)))?;
        Ok(Self {
            service: Service {
                host: non_empty("host", message.host)?,
                name: message.name.into(),
                namespace: message.namespace.into(),
                addresses: list("addresses", message.addresses, |bytes| address(&bytes))?,
                ports: list("ports", message.ports, ServicePort::try_from)?,
                resolution,
                distribution: distribution.into(),
                provenance: required("provenance", message.provenance, TryInto::try_into)?,
            },
            routes: non_empty("routes", message.routes)?,
            traffic_policy: non_empty("traffic_policy", message.traffic_policy)?,
            endpoints: list("endpoints", message.endpoints, |name| non_empty("", name))?,
        })
    }
}

impl From<&ServicePort> for v1::ServicePort {
    fn from(port: &ServicePort) -> Self {
        Self {
            number: port.number.into(),
            name: port.name.to_string(),
            protocol: v1::AppProtocol::from(port.protocol).into(),
        }
    }
}

impl TryFrom<v1::ServicePort> for ServicePort {
    type Error = ConvertError;

    fn try_from(message: v1::ServicePort) -> Result<Self, ConvertError> {
        Ok(Self {
            number: port("number", message.number)?,
            name: message.name.into(),
            protocol: app_protocol("protocol", message.protocol)?,
        })
    }
}

impl From<AppProtocol> for v1::AppProtocol {
    fn from(protocol: AppProtocol) -> Self {
        match protocol {
            AppProtocol::Http => Self::Http,
            AppProtocol::Http2 => Self::Http2,
            AppProtocol::Tls => Self::Tls,
            AppProtocol::Tcp => Self::Tcp,
            AppProtocol::Detect => Self::Detect,
        }
    }
}

pub(super) fn app_protocol(field: &str, value: i32) -> Result<AppProtocol, ConvertError> {
    match v1::AppProtocol::try_from(value) {
        Ok(v1::AppProtocol::Http) => Ok(AppProtocol::Http),
        Ok(v1::AppProtocol::Http2) => Ok(AppProtocol::Http2),
        Ok(v1::AppProtocol::Tls) => Ok(AppProtocol::Tls),
        Ok(v1::AppProtocol::Tcp) => Ok(AppProtocol::Tcp),
        Ok(v1::AppProtocol::Detect) => Ok(AppProtocol::Detect),
        Ok(v1::AppProtocol::Unspecified) | Err(_) => Err(ConvertError::new(field, Problem::UnknownValue(value))),
    }
}

impl From<&Endpoints> for v1::Endpoints {
    fn from(endpoints: &Endpoints) -> Self {
        Self {
            host: endpoints.host.to_string(),
            endpoints: endpoints.endpoints.iter().map(|endpoint| (&**endpoint).into()).collect(),
        }
    }
}

impl TryFrom<v1::Endpoints> for Endpoints {
    type Error = ConvertError;

    fn try_from(message: v1::Endpoints) -> Result<Self, ConvertError> {
        Ok(Self {
            host: non_empty("host", message.host)?,
            endpoints: list("endpoints", message.endpoints, |endpoint| endpoint.try_into().map(Arc::new))?,
        })
    }
}

impl From<&Endpoint> for v1::Endpoint {
    fn from(endpoint: &Endpoint) -> Self {
        let mapping = |(service_port, target_port): &(u16, u16)| v1::PortMapping {
            service_port: (*service_port).into(),
            target_port: (*target_port).into(),
        };
        let health = match endpoint.health {
            Health::Healthy => v1::Health::Healthy,
            Health::Draining => v1::Health::Draining,
            Health::Unhealthy => v1::Health::Unhealthy,
        };
        Self {
            address: address_bytes(endpoint.address),
            name: endpoint.name.as_deref().unwrap_or_default().to_owned(),
            ports: endpoint.ports.iter().map(mapping).collect(),
            weight: endpoint.weight,
            health: health.into(),
            plaintext_ports: endpoint.plaintext.iter().map(|port| u32::from(*port)).collect(),
            workload: Some((&*endpoint.workload).into()),
        }
    }
}

impl TryFrom<v1::Endpoint> for Endpoint {
    type Error = ConvertError;

    fn try_from(message: v1::Endpoint) -> Result<Self, ConvertError> {
        let health = match v1::Health::try_from(message.health) {
            Ok(v1::Health::Healthy) => Health::Healthy,
            Ok(v1::Health::Draining) => Health::Draining,
            Ok(v1::Health::Unhealthy) => Health::Unhealthy,
            Ok(v1::Health::Unspecified) | Err(_) => {
                return Err(ConvertError::new("health", Problem::UnknownValue(message.health)));
            }
        };
        Ok(Self {
            address: address(&message.address).map_err(|error| error.within("address"))?,
            name: (!message.name.is_empty()).then(|| message.name.into()),
            ports: list("ports", message.ports, |mapping| {
                Ok((port("service_port", mapping.service_port)?, port("target_port", mapping.target_port)?))
            })?,
            weight: weight("weight", message.weight)?,
            health,
            plaintext: list("plaintext_ports", message.plaintext_ports, |number| port("", number))?,
            workload: Arc::new(required("workload", message.workload, TryInto::try_into)?),
        })
    }
}

impl From<&Workload> for v1::Workload {
    fn from(workload: &Workload) -> Self {
        let protocol = match workload.protocol {
            TunnelProtocol::Plaintext => v1::TunnelProtocol::Plaintext,
            TunnelProtocol::MutualTls => v1::TunnelProtocol::MutualTls,
        };
        Self {
            uid: workload.uid.to_string(),
            name: workload.name.to_string(),
            namespace: workload.namespace.to_string(),
            addresses: workload.addresses.iter().copied().map(address_bytes).collect(),
            identity: workload.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
            labels: workload.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            workload_name: workload.workload_name.to_string(),
            canonical_name: workload.canonical_name.to_string(),
            canonical_revision: workload.canonical_revision.to_string(),
            region: workload.locality.region.to_string(),
            zone: workload.locality.zone.to_string(),
            subzone: workload.locality.subzone.to_string(),
            protocol: protocol.into(),
            node: workload.node.to_string(),
        }
    }
}

impl TryFrom<v1::Workload> for Workload {
    type Error = ConvertError;

    fn try_from(message: v1::Workload) -> Result<Self, ConvertError> {
        let identity = match &*message.identity {
            "" => None,
            identity => Some(identity.parse::<SpiffeId>().map_err(|error| ConvertError::new("identity", error))?),
        };
        let protocol = match v1::TunnelProtocol::try_from(message.protocol) {
            Ok(v1::TunnelProtocol::Plaintext) => TunnelProtocol::Plaintext,
            Ok(v1::TunnelProtocol::MutualTls) => TunnelProtocol::MutualTls,
            Ok(v1::TunnelProtocol::Unspecified) | Err(_) => {
                return Err(ConvertError::new("protocol", Problem::UnknownValue(message.protocol)));
            }
        };
        Ok(Self {
            uid: non_empty("uid", message.uid)?,
            name: message.name.into(),
            namespace: message.namespace.into(),
            addresses: list("addresses", message.addresses, |bytes| address(&bytes))?,
            identity,
            labels: message.labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            workload_name: message.workload_name.into(),
            canonical_name: message.canonical_name.into(),
            canonical_revision: message.canonical_revision.into(),
            locality: Locality {
                region: message.region.into(),
                zone: message.zone.into(),
                subzone: message.subzone.into(),
            },
            node: message.node.into(),
            protocol,
        })
    }
}

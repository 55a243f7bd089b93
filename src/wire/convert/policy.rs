//! Traffic policies: subsets, balancing, TLS.

use std::sync::Arc;
use std::time::Duration;

use crate::identity::IdentityError;
use crate::model::policy::PortPolicies;
use crate::model::{
    Balancer, ClusterPolicy, Http2Use, OutlierPolicy, PoolLimits, ProxyProtocol, Subset, TrafficPolicy, UpstreamTls,
};
use crate::resources::Provenance;
use crate::wire::convert::{ConvertError, Problem, list, non_empty, pairs, port, required, shared_pairs};
use crate::wire::proto::mesh::v1;

impl From<&TrafficPolicy> for v1::TrafficPolicy {
    fn from(policy: &TrafficPolicy) -> Self {
        Self {
            host: policy.host.to_string(),
            provenance: policy.provenance.as_ref().map(Into::into),
            policies: Some((&policy.policies).into()),
            subsets: policy.subsets.iter().map(v1::Subset::from).collect(),
        }
    }
}

impl TryFrom<v1::TrafficPolicy> for TrafficPolicy {
    type Error = ConvertError;

    fn try_from(message: v1::TrafficPolicy) -> Result<Self, ConvertError> {
        let provenance = message.provenance.map(Provenance::try_from).transpose();
        Ok(Self {
            host: non_empty("host", message.host)?,
            provenance: provenance.map_err(|error| error.within("provenance"))?,
            policies: required("policies", message.policies, TryInto::try_into)?,
            subsets: list("subsets", message.subsets, Subset::try_from)?,
        })
    }
}

impl From<&Subset> for v1::Subset {
    fn from(subset: &Subset) -> Self {
        Self {
            name: subset.name.to_string(),
            labels: pairs(&subset.labels),
            policies: Some((&subset.policies).into()),
            provenance: Some((&subset.provenance).into()),
        }
    }
}

impl TryFrom<v1::Subset> for Subset {
    type Error = ConvertError;

    fn try_from(message: v1::Subset) -> Result<Self, ConvertError> {
        Ok(Self {
            name: non_empty("name", message.name)?,
            labels: shared_pairs(message.labels),
            policies: required("policies", message.policies, TryInto::try_into)?,
            provenance: required("provenance", message.provenance, TryInto::try_into)?,
        })
    }
}

impl From<&PortPolicies> for v1::PortPolicies {
    fn from(policies: &PortPolicies) -> Self {
        let port = |(port, policy): &(u16, ClusterPolicy)| v1::PortPolicy {
            port: (*port).into(),
            policy: Some(policy.into()),
        };
        Self { default: Some((&policies.default).into()), ports: policies.ports.iter().map(port).collect() }
    }
}

impl TryFrom<v1::PortPolicies> for PortPolicies {
    type Error = ConvertError;

    fn try_from(message: v1::PortPolicies) -> Result<Self, ConvertError> {
        Ok(Self {
            default: required("default", message.default, TryInto::try_into)?,
            ports: list("ports", message.ports, |message| {
                Ok((port("port", message.port)?, required("policy", message.policy, TryInto::try_into)?))
            })?,
        })
    }
}

impl From<&ClusterPolicy> for v1::ClusterPolicy {
    fn from(policy: &ClusterPolicy) -> Self {
        let balancer = match policy.balancer {
            Balancer::LeastRequest => v1::Balancer::LeastRequest,
            Balancer::RoundRobin => v1::Balancer::RoundRobin,
            Balancer::Random => v1::Balancer::Random,
            Balancer::Passthrough => v1::Balancer::Passthrough,
        };
        let tls = match &policy.tls {
            UpstreamTls::Auto => v1::UpstreamTls::Auto,
            UpstreamTls::Disable => v1::UpstreamTls::Disable,
            UpstreamTls::IstioMutual { .. } => v1::UpstreamTls::IstioMutual,
            UpstreamTls::Originate(_) => v1::UpstreamTls::Originate,
            UpstreamTls::Unavailable(_) => v1::UpstreamTls::Unavailable,
        };
        let origination = match &policy.tls {
            UpstreamTls::Originate(wanted) => Some((&**wanted).into()),
            _ => None,
        };
        let tls_unavailable = match &policy.tls {
            UpstreamTls::Unavailable(reason) => reason.to_string(),
            _ => String::new(),
        };
        Self {
            balancer: balancer.into(),
            tls: tls.into(),
            origination,
            tls_unavailable,
            mutual_server_name: match &policy.tls {
                UpstreamTls::IstioMutual { server_name: Some(name), .. } => name.to_string(),
                _ => String::new(),
            },
            mutual_names: match &policy.tls {
                UpstreamTls::IstioMutual { names, .. } => names.iter().map(ToString::to_string).collect(),
                _ => Vec::new(),
            },
            // At least 1: a timeout of less than a millisecond must not be read as none.
            connect_timeout_ms: u32::try_from(policy.connect_timeout.as_millis()).unwrap_or(u32::MAX).max(1),
            hash: policy.hash.as_ref().map(Into::into),
            limits: Some((&policy.limits).into()),
            outlier: policy.outlier.as_ref().map(Into::into),
            locality: policy.locality.as_ref().map(Into::into),
            warmup: policy.warmup.as_ref().map(Into::into),
            proxy_protocol: match policy.proxy_protocol {
                None => v1::ProxyProtocol::Unspecified,
                Some(ProxyProtocol::V1) => v1::ProxyProtocol::V1,
                Some(ProxyProtocol::V2) => v1::ProxyProtocol::V2,
            }
            .into(),
            http2: match policy.http2 {
                Http2Use::AsDeclared => v1::Http2Use::AsDeclared,
                Http2Use::Upgrade => v1::Http2Use::Upgrade,
                Http2Use::AsClient => v1::Http2Use::AsClient,
            }
            .into(),
        }
    }
}

impl TryFrom<v1::ClusterPolicy> for ClusterPolicy {
    type Error = ConvertError;

    fn try_from(message: v1::ClusterPolicy) -> Result<Self, ConvertError> {
        let balancer = match v1::Balancer::try_from(message.balancer) {
            Ok(v1::Balancer::LeastRequest) => Balancer::LeastRequest,
            Ok(v1::Balancer::RoundRobin) => Balancer::RoundRobin,
            Ok(v1::Balancer::Random) => Balancer::Random,
            Ok(v1::Balancer::Passthrough) => Balancer::Passthrough,
            Ok(v1::Balancer::Unspecified) | Err(_) => {
                return Err(ConvertError::new("balancer", Problem::UnknownValue(message.balancer)));
            }
        };
        let tls = match v1::UpstreamTls::try_from(message.tls) {
            Ok(v1::UpstreamTls::Auto) => UpstreamTls::Auto,
            Ok(v1::UpstreamTls::Disable) => UpstreamTls::Disable,
            Ok(v1::UpstreamTls::IstioMutual) => UpstreamTls::IstioMutual {
                server_name: Some(message.mutual_server_name.into()).filter(|name: &Arc<str>| !name.is_empty()),
                names: list("mutual_names", message.mutual_names, |name| {
                    name.parse().map_err(|error: IdentityError| ConvertError::new("name", error))
                })?,
            },
            Ok(v1::UpstreamTls::Originate) => {
                UpstreamTls::Originate(Arc::new(required("origination", message.origination, TryInto::try_into)?))
            }
            Ok(v1::UpstreamTls::Unavailable) => {
                UpstreamTls::Unavailable(non_empty("tls_unavailable", message.tls_unavailable)?)
            }
            Ok(v1::UpstreamTls::Unspecified) | Err(_) => {
                return Err(ConvertError::new("tls", Problem::UnknownValue(message.tls)));
            }
        };
        if message.connect_timeout_ms == 0 {
            return Err(ConvertError::new("connect_timeout_ms", Problem::OutOfRange(0, 1, u32::MAX.into())));
        }
        let hash =
            message.hash.map(TryInto::try_into).transpose().map_err(|error: ConvertError| error.within("hash"))?;
        let http2 = match v1::Http2Use::try_from(message.http2) {
            Ok(v1::Http2Use::AsDeclared) => Http2Use::AsDeclared,
            Ok(v1::Http2Use::Upgrade) => Http2Use::Upgrade,
            Ok(v1::Http2Use::AsClient) => Http2Use::AsClient,
            Ok(v1::Http2Use::Unspecified) | Err(_) => {
                return Err(ConvertError::new("http2", Problem::UnknownValue(message.http2)));
            }
        };
        let proxy_protocol = match v1::ProxyProtocol::try_from(message.proxy_protocol) {
            Ok(v1::ProxyProtocol::Unspecified) => None,
            Ok(v1::ProxyProtocol::V1) => Some(ProxyProtocol::V1),
            Ok(v1::ProxyProtocol::V2) => Some(ProxyProtocol::V2),
            Err(_) => return Err(ConvertError::new("proxy_protocol", Problem::UnknownValue(message.proxy_protocol))),
        };
        let locality = message.locality.map(TryInto::try_into).transpose();
        Ok(Self {
            balancer,
            locality: locality.map_err(|error: ConvertError| error.within("locality"))?,
            warmup: message.warmup.map(Into::into),
            http2,
            proxy_protocol,
            hash,
            limits: message.limits.map(PoolLimits::from).unwrap_or_default(),
            outlier: message.outlier.map(OutlierPolicy::from),
            tls,
            connect_timeout: Duration::from_millis(message.connect_timeout_ms.into()),
        })
    }
}

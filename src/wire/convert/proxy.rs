//! What a proxy is told about itself: settings, inbound policy, listeners.

use std::sync::Arc;

use crate::identity::{TrustBundle, TrustDomain};
use crate::model::authz::{Policy, Provider};
use crate::model::token::TokenRule;
use crate::model::{
    ClientCertificates, HostPattern, InboundPolicy, InboundService, IngressPort, Listener, ListenerProtocol, MtlsMode,
    OutboundMode, PrivateKeyPem, ServerTls, Settings, Termination, TlsDemands, TlsVersions, VirtualHost,
};
use crate::resources::Provenance;
use crate::wire::convert::service::app_protocol;
use crate::wire::convert::telemetry::reporting;
use crate::wire::convert::{ConvertError, Problem, list, non_empty, port, required};
use crate::wire::name;
use crate::wire::proto::mesh::v1;

impl From<&Settings> for v1::Settings {
    fn from(settings: &Settings) -> Self {
        let outbound_mode = match settings.outbound_mode {
            OutboundMode::AllowAny => v1::OutboundMode::AllowAny,
            OutboundMode::RegistryOnly => v1::OutboundMode::RegistryOnly,
        };
        Self {
            scope: settings.scope.to_string(),
            trust_domain: settings.trust_domain.to_string(),
            cluster: settings.cluster.to_string(),
            outbound_mode: outbound_mode.into(),
            proxy_protocol: settings.proxy_protocol,
            trusted_proxies: settings.trusted_proxies,
            client: Some((&settings.client).into()),
            server: Some((&settings.server).into()),
            trust_roots: settings.bundle.iter().flat_map(trust_roots).collect(),
        }
    }
}

impl TryFrom<v1::Settings> for Settings {
    type Error = ConvertError;

    fn try_from(message: v1::Settings) -> Result<Self, ConvertError> {
        let outbound_mode = match v1::OutboundMode::try_from(message.outbound_mode) {
            Ok(v1::OutboundMode::AllowAny) => OutboundMode::AllowAny,
            Ok(v1::OutboundMode::RegistryOnly) => OutboundMode::RegistryOnly,
            Ok(v1::OutboundMode::Unspecified) | Err(_) => {
                return Err(ConvertError::new("outbound_mode", Problem::UnknownValue(message.outbound_mode)));
            }
        };
        Ok(Self {
            scope: non_empty("scope", message.scope)?,
            trust_domain: non_empty("trust_domain", message.trust_domain)?,
            cluster: message.cluster.into(),
            outbound_mode,
            client: reporting("client", message.client)?,
            server: reporting("server", message.server)?,
            proxy_protocol: message.proxy_protocol,
            trusted_proxies: message.trusted_proxies,
            bundle: bundle(message.trust_roots)?,
        })
    }
}

fn trust_roots(bundle: &TrustBundle) -> impl Iterator<Item = v1::TrustRoots> {
    bundle.trust_domains().map(|domain| v1::TrustRoots { trust_domain: domain.to_string(), pem: bundle.pem_of(domain) })
}

fn bundle(messages: Vec<v1::TrustRoots>) -> Result<Option<TrustBundle>, ConvertError> {
    let bundles = list("trust_roots", messages, |message| {
        let domain =
            TrustDomain::new(&message.trust_domain).map_err(|error| ConvertError::new("trust_domain", error))?;
        TrustBundle::from_pem(&domain, &message.pem).map_err(|error| ConvertError::new("pem", error))
    })?;
    Ok(bundles.into_iter().reduce(|all, more| all.union(&more)))
}

impl From<MtlsMode> for v1::MtlsMode {
    fn from(mode: MtlsMode) -> Self {
        match mode {
            MtlsMode::Disable => Self::Disable,
            MtlsMode::Permissive => Self::Permissive,
            MtlsMode::Strict => Self::Strict,
        }
    }
}

fn mtls_mode(field: &str, value: i32) -> Result<MtlsMode, ConvertError> {
    match v1::MtlsMode::try_from(value) {
        Ok(v1::MtlsMode::Disable) => Ok(MtlsMode::Disable),
        Ok(v1::MtlsMode::Permissive) => Ok(MtlsMode::Permissive),
        Ok(v1::MtlsMode::Strict) => Ok(MtlsMode::Strict),
        Ok(v1::MtlsMode::Unspecified) | Err(_) => Err(ConvertError::new(field, Problem::UnknownValue(value))),
    }
}

impl From<&InboundPolicy> for v1::InboundPolicy {
    fn from(policy: &InboundPolicy) -> Self {
        let (default_mtls, default_provenance) = &policy.default_mtls;
        let port = |(port, mode, provenance): &(u16, MtlsMode, Provenance)| v1::PortMtls {
            port: (*port).into(),
            mode: v1::MtlsMode::from(*mode).into(),
            provenance: Some(provenance.into()),
        };
        Self {
            workload: Some((&*policy.workload).into()),
            default_mtls: v1::MtlsMode::from(*default_mtls).into(),
            default_mtls_provenance: default_provenance.as_ref().map(Into::into),
            port_mtls: policy.port_mtls.iter().map(port).collect(),
            services: policy.services.iter().map(v1::InboundService::from).collect(),
            tokens: policy.tokens.iter().map(v1::TokenRule::from).collect(),
            authorization: policy.authorization.iter().map(v1::AuthorizationPolicy::from).collect(),
            providers: policy.providers.iter().map(v1::AuthorizationProvider::from).collect(),
            ingress: policy.ingress.iter().map(v1::IngressPort::from).collect(),
        }
    }
}

impl TryFrom<v1::InboundPolicy> for InboundPolicy {
    type Error = ConvertError;

    fn try_from(message: v1::InboundPolicy) -> Result<Self, ConvertError> {
        let provenance = message.default_mtls_provenance.map(Provenance::try_from).transpose();
        Ok(Self {
            workload: Arc::new(required("workload", message.workload, TryInto::try_into)?),
            default_mtls: (
                mtls_mode("default_mtls", message.default_mtls)?,
                provenance.map_err(|error| error.within("default_mtls_provenance"))?,
            ),
            port_mtls: list("port_mtls", message.port_mtls, |message| {
                Ok((
                    port("port", message.port)?,
                    mtls_mode("mode", message.mode)?,
                    required("provenance", message.provenance, TryInto::try_into)?,
                ))
            })?,
            services: list("services", message.services, InboundService::try_from)?,
            tokens: list("tokens", message.tokens, TokenRule::try_from)?,
            authorization: list("authorization", message.authorization, Policy::try_from)?,
            providers: list("providers", message.providers, Provider::try_from)?,
            ingress: list("ingress", message.ingress, IngressPort::try_from)?,
        })
    }
}

impl From<&IngressPort> for v1::IngressPort {
    fn from(ingress: &IngressPort) -> Self {
        Self {
            provenance: Some((&ingress.provenance).into()),
            port: ingress.port.into(),
            protocol: v1::AppProtocol::from(ingress.protocol).into(),
            endpoint: ingress.endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::IngressPort> for IngressPort {
    type Error = ConvertError;

    fn try_from(message: v1::IngressPort) -> Result<Self, ConvertError> {
        let endpoint = Some(message.endpoint).filter(|endpoint| !endpoint.is_empty()).map(|endpoint| {
            let read = endpoint.parse();
            read.map_err(|_| ConvertError::new("endpoint", Problem::Text(endpoint, "address with a port")))
        });
        Ok(Self {
            provenance: required("provenance", message.provenance, TryInto::try_into)?,
            port: port("port", message.port)?,
            protocol: app_protocol("protocol", message.protocol)?,
            endpoint: endpoint.transpose()?,
        })
    }
}

impl From<&InboundService> for v1::InboundService {
    fn from(service: &InboundService) -> Self {
        Self {
            host: service.host.to_string(),
            name: service.name.to_string(),
            namespace: service.namespace.to_string(),
            target_port: service.target_port.into(),
            protocol: v1::AppProtocol::from(service.protocol).into(),
        }
    }
}

impl TryFrom<v1::InboundService> for InboundService {
    type Error = ConvertError;

    fn try_from(message: v1::InboundService) -> Result<Self, ConvertError> {
        Ok(Self {
            host: non_empty("host", message.host)?,
            name: message.name.into(),
            namespace: message.namespace.into(),
            target_port: port("target_port", message.target_port)?,
            protocol: app_protocol("protocol", message.protocol)?,
        })
    }
}

impl From<&Listener> for v1::Listener {
    fn from(listener: &Listener) -> Self {
        let protocol = match listener.protocol {
            ListenerProtocol::Http => v1::ListenerProtocol::Http,
            ListenerProtocol::Tls => v1::ListenerProtocol::Tls,
            ListenerProtocol::Tcp => v1::ListenerProtocol::Tcp,
        };
        let virtual_host =
            |host: &VirtualHost| v1::VirtualHost { host: host.host.to_string(), routes: host.routes.to_string() };
        Self {
            port: listener.port.into(),
            protocol: protocol.into(),
            provenance: listener.provenance.iter().map(v1::Provenance::from).collect(),
            virtual_hosts: listener.virtual_hosts.iter().map(virtual_host).collect(),
            tls: listener.tls.iter().map(v1::ServerTls::from).collect(),
            redirected: listener.redirected.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<v1::Listener> for Listener {
    type Error = ConvertError;

    fn try_from(message: v1::Listener) -> Result<Self, ConvertError> {
        let protocol = match v1::ListenerProtocol::try_from(message.protocol) {
            Ok(v1::ListenerProtocol::Http) => ListenerProtocol::Http,
            Ok(v1::ListenerProtocol::Tls) => ListenerProtocol::Tls,
            Ok(v1::ListenerProtocol::Tcp) => ListenerProtocol::Tcp,
            Ok(v1::ListenerProtocol::Unspecified) | Err(_) => {
                return Err(ConvertError::new("protocol", Problem::UnknownValue(message.protocol)));
            }
        };
        Ok(Self {
            port: port("port", message.port)?,
            protocol,
            provenance: list("provenance", message.provenance, TryInto::try_into)?,
            virtual_hosts: list("virtual_hosts", message.virtual_hosts, |message| {
                Ok(VirtualHost { host: host_pattern(message.host)?, routes: non_empty("routes", message.routes)? })
            })?,
            tls: list("tls", message.tls, ServerTls::try_from)?,
            redirected: list("redirected", message.redirected, host_pattern)?,
        })
    }
}

impl From<&ServerTls> for v1::ServerTls {
    fn from(tls: &ServerTls) -> Self {
        let (chain, key) = match &tls.certificate {
            Some((chain, key)) => (chain.to_string(), key.reveal().to_owned()),
            None => (String::new(), String::new()),
        };
        let (clients, authorities) = match &tls.clients {
            ClientCertificates::None => (v1::ClientCertificates::None, String::new()),
            ClientCertificates::Optional(pem) => (v1::ClientCertificates::Optional, pem.to_string()),
            ClientCertificates::Required(pem) => (v1::ClientCertificates::Required, pem.to_string()),
            ClientCertificates::Mesh => (v1::ClientCertificates::Mesh, String::new()),
        };
        Self {
            hosts: tls.hosts.iter().map(ToString::to_string).collect(),
            chain,
            key,
            clients: clients.into(),
            authorities,
            versions: match tls.demands.versions {
                TlsVersions::All => v1::TlsVersions::All,
                TlsVersions::Only12 => v1::TlsVersions::Only12,
                TlsVersions::From13 => v1::TlsVersions::From13,
            }
            .into(),
            suites: tls.demands.suites.iter().map(ToString::to_string).collect(),
            client_names: tls.demands.client_names.iter().map(ToString::to_string).collect(),
            provenance: Some((&tls.provenance).into()),
            termination: match tls.termination {
                Termination::Http => v1::Termination::Http,
                Termination::Tcp => v1::Termination::Tcp,
                Termination::Passthrough => v1::Termination::Passthrough,
                Termination::AutoPassthrough => v1::Termination::AutoPassthrough,
            }
            .into(),
        }
    }
}

impl TryFrom<v1::ServerTls> for ServerTls {
    type Error = ConvertError;

    fn try_from(message: v1::ServerTls) -> Result<Self, ConvertError> {
        let authorities = |pem: String| non_empty("authorities", pem);
        let clients = match v1::ClientCertificates::try_from(message.clients) {
            Ok(v1::ClientCertificates::None) => ClientCertificates::None,
            Ok(v1::ClientCertificates::Optional) => ClientCertificates::Optional(authorities(message.authorities)?),
            Ok(v1::ClientCertificates::Required) => ClientCertificates::Required(authorities(message.authorities)?),
            Ok(v1::ClientCertificates::Mesh) => ClientCertificates::Mesh,
            Ok(v1::ClientCertificates::Unspecified) | Err(_) => {
                return Err(ConvertError::new("clients", Problem::UnknownValue(message.clients)));
            }
        };
        let termination = match v1::Termination::try_from(message.termination) {
            Ok(v1::Termination::Http) => Termination::Http,
            Ok(v1::Termination::Tcp) => Termination::Tcp,
            Ok(v1::Termination::Passthrough) => Termination::Passthrough,
            Ok(v1::Termination::AutoPassthrough) => Termination::AutoPassthrough,
            Ok(v1::Termination::Unspecified) | Err(_) => {
                return Err(ConvertError::new("termination", Problem::UnknownValue(message.termination)));
            }
        };
        let certificate = match (message.chain.is_empty(), message.key.is_empty()) {
            (true, true) => None,
            (false, false) => Some((message.chain.into(), PrivateKeyPem::new(&message.key))),
            (true, false) => return Err(ConvertError::new("chain", Problem::Missing)),
            (false, true) => return Err(ConvertError::new("key", Problem::Missing)),
        };
        Ok(Self {
            hosts: list("hosts", message.hosts, host_pattern)?,
            termination,
            certificate,
            clients,
            demands: TlsDemands {
                versions: match v1::TlsVersions::try_from(message.versions) {
                    Ok(v1::TlsVersions::All) => TlsVersions::All,
                    Ok(v1::TlsVersions::Only12) => TlsVersions::Only12,
                    Ok(v1::TlsVersions::From13) => TlsVersions::From13,
                    // A version that somebody demands is not to be spoken around.
                    Err(_) => return Err(ConvertError::new("versions", Problem::UnknownValue(message.versions))),
                },
                suites: message.suites.into_iter().map(Into::into).collect(),
                client_names: message.client_names.into_iter().map(Into::into).collect(),
            },
            provenance: required("provenance", message.provenance, TryInto::try_into)?,
        })
    }
}

pub(super) fn host_pattern(host: String) -> Result<HostPattern, ConvertError> {
    name::host_pattern(&host).ok_or_else(|| ConvertError::new("host", Problem::Text(host, "host pattern")))
}

//! The mesh's settings (MeshConfig), as far as the control plane puts them in force: outbound traffic, access log, aliases of the
//! trust domain, and the providers that CUSTOM policies ask.
//!
//! It guarantees that a provider that cannot be asked as it is written is not there, so that what it should decide is denied, and
//! says why; it refuses a text that is no MeshConfig as a whole, for those that it replaces to stay in force.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::compile::telemetry::MeshTelemetry;
use crate::compile::{authorization, locality};
use crate::model::authz::{CheckedBody, HttpCheck, Provider, ProviderProtocol, Text};
use crate::model::{GatewayTopology, LocalityPolicy, OutboundMode};
use crate::resources::destination_rule::LocalityLb;
use crate::resources::field::decode;
use crate::resources::values;
use crate::yaml;

/// How long a provider may take where nobody says it (Istio's default).
const TIMEOUT: Duration = Duration::from_secs(600);

/// What refuses a request when its provider does not answer (Istio's default).
const STATUS_ON_ERROR: u16 = 403;

/// What is in force of a MeshConfig. What it does not say is `None`, or empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MeshConfig {
    /// The mesh's trust domain.
    pub trust_domain: Option<Arc<str>>,
    /// Other names of the trust domain.
    pub trust_domain_aliases: Vec<Arc<str>>,
    /// What happens to requests for unknown hosts.
    pub outbound_mode: Option<OutboundMode>,
    /// Whether proxies log requests.
    pub access_log: Option<bool>,
    /// What stands in front of gateways.
    pub topology: GatewayTopology,
    /// `localityLbSetting`, where it is there: which endpoints come first because of where they are, if that makes a difference.
    pub locality_setting: Option<Option<LocalityPolicy>>,
    /// What it says of logs and traces.
    pub telemetry: MeshTelemetry,
    /// Whom CUSTOM policies may ask.
    pub providers: Vec<Provider>,
    /// What is not in force, and why.
    pub refused: Vec<RefusedSetting>,
}

/// A setting that cannot be read, so that it is not in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct RefusedSetting {
    /// Where it stands.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Settings that are read by nobody yet: where they are, the values that make no difference, and what the mesh does instead.
const NOT_IN_FORCE: &[(&str, &[&str], &str)] = &[
    ("/enableAutoMtls", &["true"], "mutual TLS is spoken where the other side has it"),
    ("/caCertificates", &[], "certificates of these authorities are not believed"),
    ("/meshMTLS", &[], "proxies speak TLS 1.3 with the mesh's own suites between each other"),
    ("/tlsDefaults", &[], "servers and clients outside the mesh are spoken to as each rule says"),
    (
        "/pathNormalization/normalization",
        &["DEFAULT", "BASE"],
        "paths are sent on as they come; policies read them every way",
    ),
    ("/defaultHttpRetryPolicy", &[], "requests are tried again as Istio's own default says"),
    ("/connectTimeout", &["10s"], "connecting may take 10s where no DestinationRule says it"),
    ("/defaultTrafficPolicy", &[], "DestinationRules alone say how services are talked to"),
    ("/discoverySelectors", &[], "every namespace is looked at"),
    ("/h2UpgradePolicy", &["DO_NOT_UPGRADE"], "DestinationRules alone upgrade connections"),
    ("/defaultServiceExportTo", &[], "services are seen everywhere"),
    ("/defaultVirtualServiceExportTo", &[], "those that say nothing are seen everywhere"),
    ("/defaultDestinationRuleExportTo", &[], "those that say nothing are seen everywhere"),
];

/// Why there are no settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeshConfigError {
    /// It cannot be read.
    #[error("it is no YAML: {0}")]
    Yaml(String),
    /// It is something else.
    #[error("it is not a map of settings")]
    NoMap,
    /// What becomes of connections to unknown hosts is none of the known.
    #[error("outboundTrafficPolicy.mode is {0:?}: there are ALLOW_ANY and REGISTRY_ONLY")]
    OutboundMode(String),
}

impl MeshConfig {
    /// The name of the ConfigMap that holds it, in the mesh's root namespace (Istio's).
    pub const NAME: &str = "istio";

    /// Its entry.
    pub const ENTRY: &str = "mesh";

    /// Reads the entry `mesh` of the mesh's ConfigMap.
    pub fn parse(text: &str) -> Result<Self, MeshConfigError> {
        let mut loaded = yaml::load("mesh", text.as_bytes());
        if let Some(error) = loaded.errors.first() {
            return Err(MeshConfigError::Yaml(error.to_string()));
        }
        let value = match loaded.documents.len() {
            0 => return Ok(Self::default()),
            _ => loaded.documents.remove(0).value,
        };
        Self::read(&value)
    }

    /// Reads settings that were parsed already.
    pub fn read(value: &Value) -> Result<Self, MeshConfigError> {
        if !value.is_object() {
            return Err(MeshConfigError::NoMap);
        }
        let mut config = Self {
            trust_domain: text_at(value, "trustDomain").map(Into::into),
            trust_domain_aliases: texts_at(value, "trustDomainAliases").into_iter().map(Into::into).collect(),
            outbound_mode: match value.pointer("/outboundTrafficPolicy/mode").and_then(Value::as_str) {
                Some("REGISTRY_ONLY") => Some(OutboundMode::RegistryOnly),
                Some("ALLOW_ANY" | "ALLOW_ANY_DYNAMIC_DNS") => Some(OutboundMode::AllowAny),
                Some(other) => return Err(MeshConfigError::OutboundMode(other.to_owned())),
                None => None,
            },
            access_log: value.get("accessLogFile").and_then(Value::as_str).map(|file| !file.is_empty()),
            topology: value.get("defaultConfig").map(topology).unwrap_or_default(),
            telemetry: MeshTelemetry::read(value),
            ..Self::default()
        };
        if let Some(setting) = value.get("localityLbSetting").filter(|setting| !setting.is_null()) {
            match decode::<LocalityLb>(setting) {
                Ok(setting) => config.locality_setting = Some(locality::read(&setting)),
                Err(findings) => config.refuse("localityLbSetting".to_owned(), findings.to_string()),
            }
        }
        for (place, harmless, instead) in NOT_IN_FORCE {
            let said = value.pointer(place).filter(|said| !said.is_null());
            let text = said.map(|said| said.as_str().map_or_else(|| said.to_string(), str::to_owned));
            if text.is_some_and(|text| !harmless.contains(&text.as_str()) && text != "[]" && text != "{}") {
                let path = place.trim_start_matches('/').replace('/', ".");
                config.refuse(path, format!("it is not in force: {instead}"));
            }
        }
        let mut named = BTreeSet::new();
        for (index, entry) in
            value.get("extensionProviders").and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            let name = text_at(entry, "name").unwrap_or_default();
            if name.is_empty() || !named.insert(name) {
                let reason =
                    if name.is_empty() { "it has no name".to_owned() } else { format!("{name} is there twice") };
                config.refuse(format!("extensionProviders[{index}]"), reason);
                continue;
            }
            match config.telemetry.provider(name, entry) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(reason) => {
                    config.refuse(format!("extensionProviders[{index}]"), reason);
                    continue;
                }
            }
            match provider(entry) {
                Ok(found) => config.providers.extend(found),
                Err(reason) => config.refuse(format!("extensionProviders[{index}]"), reason),
            }
        }
        Ok(config)
    }

    fn refuse(&mut self, path: String, reason: String) {
        self.refused.push(RefusedSetting { path, reason });
    }

    /// Which endpoints come first because of where they are, where nobody else says so: the nearest, unless it says otherwise.
    pub fn locality(&self) -> Option<LocalityPolicy> {
        let nearest = LocalityPolicy::Nearest { failover: Vec::new() };
        self.locality_setting.clone().unwrap_or(Some(nearest))
    }

    /// The provider of a name.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| *provider.name == *name)
    }
}

/// The longest annotation with settings that is read, in bytes: each of a cluster's pods may have one.
const MAX_ANNOTATION: usize = 64 << 10;

/// What the settings of proxies in a pod's annotation `proxy.istio.io/config` say of what stands in front of its gateway. What is
/// no YAML says nothing.
pub fn annotated_topology(text: &str) -> GatewayTopology {
    if text.len() > MAX_ANNOTATION {
        return GatewayTopology::default();
    }
    let loaded = yaml::load("proxy.istio.io/config", text.as_bytes());
    let found = loaded.documents.first().filter(|_| loaded.errors.is_empty());
    found.map(|found| topology(&found.value)).unwrap_or_default()
}

/// The same of a ProxyConfig (MeshConfig's `defaultConfig`). `proxyProtocol: {}` demands the header.
fn topology(config: &Value) -> GatewayTopology {
    let Some(found) = config.get("gatewayTopology") else { return GatewayTopology::default() };
    GatewayTopology {
        proxy_protocol: found.get("proxyProtocol").is_some_and(Value::is_object),
        trusted_proxies: found.get("numTrustedProxies").and_then(number).and_then(|count| u32::try_from(count).ok()),
    }
}

pub(super) fn text_at<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}

pub(super) fn texts_at<'v>(value: &'v Value, field: &str) -> Vec<&'v str> {
    value.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A whole number, which Protobuf's JSON also takes as a text, as Istio's guides write it.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }
}

/// A provider of authorization decisions; `None` for one of something else.
fn provider(entry: &Value) -> Result<Option<Provider>, String> {
    let (http, settings) = match (entry.get("envoyExtAuthzHttp"), entry.get("envoyExtAuthzGrpc")) {
        (Some(settings), None) => (true, settings),
        (None, Some(settings)) => (false, settings),
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err("it speaks HTTP or gRPC, not both".to_owned()),
    };
    let name = text_at(entry, "name").ok_or("it has no name")?;
    let service = text_at(settings, "service").ok_or_else(|| format!("{name} names no service"))?;
    // `NAMESPACE/HOST` tells services of one host apart; hosts are fully qualified either way.
    let host = service.rsplit_once('/').map_or(service, |(_, host)| host).to_ascii_lowercase();
    let port = settings.get("port").and_then(number).and_then(|port| u16::try_from(port).ok());
    let port = port.filter(|port| *port > 0).ok_or_else(|| format!("{name}: port is none from 1 to 65535"))?;
    let timeout = match settings.get("timeout") {
        None | Some(Value::Null) => TIMEOUT,
        Some(given) => {
            let text = given.as_str().unwrap_or_default();
            let read: Option<values::Duration> = text.parse().ok();
            read.map(|read| read.get())
                .filter(|time| !time.is_zero())
                .ok_or_else(|| format!("{name}: timeout is no duration such as 5s"))?
        }
    };
    let status_on_error = match (settings.get("statusOnError"), settings.get("statusOnError").and_then(number)) {
        (None, _) => STATUS_ON_ERROR,
        (Some(_), Some(status @ 400..=599)) => status as u16,
        (Some(_), _) => return Err(format!("{name}: statusOnError is none from 400 to 599")),
    };
    let flag = |value: &Value, field: &str| value.get(field).and_then(Value::as_bool).unwrap_or(false);
    let body = settings.get("includeRequestBodyInCheck").filter(|body| body.is_object()).map(|body| CheckedBody {
        max_bytes: body
            .get("maxRequestBytes")
            .and_then(number)
            .map_or(0, |most| u32::try_from(most).unwrap_or(u32::MAX)),
        allow_partial: flag(body, "allowPartialMessage"),
        as_bytes: flag(body, "packAsBytes"),
    });
    if body.is_some_and(|body| body.max_bytes == 0) {
        return Err(format!("{name}: includeRequestBodyInCheck.maxRequestBytes has to be more than 0"));
    }
    let protocol = if http { ProviderProtocol::Http(http_check(name, settings)?) } else { ProviderProtocol::Grpc };
    Ok(Some(Provider {
        name: name.into(),
        host: host.into(),
        port,
        timeout,
        fail_open: flag(settings, "failOpen"),
        status_on_error,
        body,
        protocol,
    }))
}

fn http_check(name: &str, settings: &Value) -> Result<HttpCheck, String> {
    let headers = |field: &str| -> Result<Vec<Text>, String> {
        let names = texts_at(settings, field).into_iter();
        names.map(|header| text(header).ok_or_else(|| format!("{name}: {field}: `{header}` is no name"))).collect()
    };
    let path_prefix = text_at(settings, "pathPrefix").unwrap_or_default();
    if !path_prefix.is_empty() && !path_prefix.starts_with('/') {
        return Err(format!("{name}: pathPrefix does not begin with /"));
    }
    if path_prefix.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(format!("{name}: pathPrefix has characters that no path has"));
    }
    let additional = settings.get("includeAdditionalHeadersInCheck").and_then(Value::as_object);
    let additional_headers = additional.into_iter().flatten().map(|(header, value)| {
        let header = header.to_ascii_lowercase();
        let value = value.as_str().filter(|value| http::HeaderValue::from_str(value).is_ok());
        let value = value.filter(|_| http::HeaderName::from_bytes(header.as_bytes()).is_ok());
        let value = value.ok_or_else(|| format!("{name}: includeAdditionalHeadersInCheck: `{header}` is no header"))?;
        Ok((header.into(), value.into()))
    });
    // The older name of the field.
    let old = if settings.get("includeRequestHeadersInCheck").is_some() { None } else { Some("includeHeadersInCheck") };
    Ok(HttpCheck {
        path_prefix: path_prefix.into(),
        request_headers: headers(old.unwrap_or("includeRequestHeadersInCheck"))?,
        additional_headers: additional_headers.collect::<Result<_, String>>()?,
        upstream_on_allow: headers("headersToUpstreamOnAllow")?,
        downstream_on_allow: headers("headersToDownstreamOnAllow")?,
        downstream_on_deny: headers("headersToDownstreamOnDeny")?,
    })
}

/// `name`, `prefix*` or `*suffix`.
fn text(header: &str) -> Option<Text> {
    let wanted = header.to_ascii_lowercase().parse().ok()?;
    Some(authorization::text(&wanted)).filter(|text| *text != Text::Present)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_what_is_not_said_has_istios_defaults() {
        let config = MeshConfig::parse(
            "trustDomainAliases: [old.example.org]\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}\n\
             accessLogFile: /dev/stdout\nextensionProviders:\n- name: jaeger\n  zipkin: {service: z, port: 9411}\n\
             - name: grpc\n  envoyExtAuthzGrpc: {service: shop/authz.shop.svc.cluster.local, port: '9000'}\n\
             - name: http\n  envoyExtAuthzHttp:\n    service: Authz.shop.svc.cluster.local\n    port: 8000\n    timeout: 1.5s\n\
             \x20   failOpen: true\n    statusOnError: '503'\n    pathPrefix: /check\n\
             \x20   includeRequestHeadersInCheck: [X-User, x-team-*]\n    includeAdditionalHeadersInCheck: {X-From: mesh}\n\
             \x20   headersToUpstreamOnAllow: ['*-id']\n    headersToDownstreamOnDeny: [set-cookie]\n\
             \x20   includeRequestBodyInCheck: {maxRequestBytes: 1024, allowPartialMessage: true}\n",
        )
        .unwrap();
        assert_eq!(config.refused, []);
        assert_eq!(config.outbound_mode, Some(OutboundMode::RegistryOnly));
        assert_eq!((config.access_log, config.trust_domain_aliases.len()), (Some(true), 1));
        let grpc = config.provider("grpc").unwrap();
        assert_eq!((&*grpc.host, grpc.port), ("authz.shop.svc.cluster.local", 9000));
        assert_eq!((grpc.timeout, grpc.fail_open, grpc.status_on_error), (TIMEOUT, false, 403));
        assert_eq!(grpc.protocol, ProviderProtocol::Grpc);
        let http = config.provider("http").unwrap();
        assert_eq!((http.timeout, http.fail_open, http.status_on_error), (Duration::from_millis(1500), true, 503));
        assert_eq!(http.body, Some(CheckedBody { max_bytes: 1024, allow_partial: true, as_bytes: false }));
        let ProviderProtocol::Http(check) = &http.protocol else { panic!("it speaks HTTP") };
        assert_eq!(&*check.path_prefix, "/check");
        for (header, is_sent) in [("x-user", true), ("x-team-a", true), ("x-other", false)] {
            assert_eq!(Text::any(&check.request_headers, header), is_sent, "{header}");
        }
        assert_eq!(check.additional_headers, [("x-from".into(), "mesh".into())]);
        assert!(config.provider("jaeger").is_none());
    }

    #[test]
    fn a_pod_says_for_itself_what_stands_in_front_of_its_gateway_and_the_mesh_what_it_does_not_say() {
        let mesh = MeshConfig::parse("defaultConfig: {gatewayTopology: {numTrustedProxies: 2, proxyProtocol: {}}}");
        let mesh = mesh.unwrap().topology;
        assert_eq!(mesh, GatewayTopology { proxy_protocol: true, trusted_proxies: Some(2) });
        for (annotation, proxies) in [
            ("gatewayTopology: {numTrustedProxies: 1}", 1),
            ("gatewayTopology: {numTrustedProxies: '0'}", 0),
            ("concurrency: 2", 2),
            ("gatewayTopology: {numTrustedProxies: -1}", 2),
            ("a: [", 2),
        ] {
            let own = annotated_topology(annotation).or(mesh);
            assert_eq!(own, GatewayTopology { proxy_protocol: true, trusted_proxies: Some(proxies) }, "{annotation}");
        }
    }

    #[test]
    fn a_provider_that_cannot_be_asked_as_it_is_written_is_not_there() {
        for (settings, said) in [
            ("{port: 1}", "names no service"),
            ("{service: a, port: 0}", "port"),
            ("{service: a, port: 1, timeout: soon}", "timeout"),
            ("{service: a, port: 1, statusOnError: '200'}", "statusOnError"),
            ("{service: a, port: 1, pathPrefix: check}", "pathPrefix"),
            ("{service: a, port: 1, headersToUpstreamOnAllow: ['*']}", "headersToUpstreamOnAllow"),
            ("{service: a, port: 1, includeAdditionalHeadersInCheck: {'a b': c}}", "includeAdditionalHeadersInCheck"),
            ("{service: a, port: 1, includeRequestBodyInCheck: {maxRequestBytes: 0}}", "maxRequestBytes"),
        ] {
            let text = format!("extensionProviders: [{{name: x, envoyExtAuthzHttp: {settings}}}]");
            let config = MeshConfig::parse(&text).unwrap();
            assert!(config.providers.is_empty(), "{settings}");
            assert!(
                config.refused.iter().any(|refused| refused.reason.contains(said)),
                "{settings}: {:?}",
                config.refused
            );
        }
    }

    #[test]
    fn what_is_asked_for_and_not_there_is_said() {
        let said = |text: &str| {
            let config = MeshConfig::parse(text).unwrap();
            config.refused.iter().map(|refused| refused.path.clone()).collect::<Vec<_>>().join(" ")
        };
        for (text, expected) in [
            (
                "{enableAutoMtls: true, connectTimeout: 10s, pathNormalization: {normalization: BASE}, caCertificates: []}",
                "",
            ),
            ("enableAutoMtls: false", "enableAutoMtls"),
            ("meshMTLS: {minProtocolVersion: TLSV1_3}", "meshMTLS"),
            ("pathNormalization: {normalization: MERGE_SLASHES}", "pathNormalization.normalization"),
            ("discoverySelectors: [{matchLabels: {a: b}}]", "discoverySelectors"),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
        let wrong = MeshConfig::parse("outboundTrafficPolicy: {mode: REGISTRY_ONY}").unwrap_err().to_string();
        assert!(wrong.contains("outboundTrafficPolicy.mode") && wrong.contains("REGISTRY_ONY"), "{wrong}");
        let twice =
            MeshConfig::parse("extensionProviders: [{name: a, prometheus: {}}, {name: a, zipkin: {}}]").unwrap();
        assert!(twice.refused.iter().any(|refused| refused.reason.contains("is there twice")), "{:?}", twice.refused);
    }

    #[test]
    fn what_is_no_map_is_refused_and_nothing_is_no_setting() {
        assert_eq!(MeshConfig::parse(""), Ok(MeshConfig::default()));
        assert_eq!(MeshConfig::parse("- a"), Err(MeshConfigError::NoMap));
        assert!(matches!(MeshConfig::parse("a: ["), Err(MeshConfigError::Yaml(_))));
    }
}

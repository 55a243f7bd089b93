//! The labels of Istio's standard metrics.

use std::sync::Arc;

use super::overrides::{Customized, StandardMetric};

/// What an absent value is reported as (Istio's convention).
pub const UNKNOWN: &str = "unknown";

/// The protocol of connections whose bytes are not looked at. Their series have no response code (Istio's standard metrics).
pub const TCP: &str = "tcp";

/// Which side of a call reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reporter {
    /// The caller's proxy, or a gateway.
    Source,
    /// The called workload's proxy.
    Destination,
}

impl Reporter {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

/// One side of a call. Empty fields are reported as `unknown`, an empty revision as `latest`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Party {
    /// Name of the workload (`reviews-v2`).
    pub workload: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// SPIFFE id, when the connection proved it.
    pub principal: Arc<str>,
    /// Label `app`.
    pub app: Arc<str>,
    /// Label `version`.
    pub version: Arc<str>,
    /// Cluster that it runs in.
    pub cluster: Arc<str>,
    /// Canonical service.
    pub canonical_service: Arc<str>,
    /// Canonical revision.
    pub canonical_revision: Arc<str>,
}

/// Everything that distinguishes one series of the request metrics from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestLabels {
    /// Who reports.
    pub reporter: Reporter,
    /// The caller.
    pub source: Arc<Party>,
    /// The called workload.
    pub destination: Arc<Party>,
    /// Fully qualified host of the called service.
    pub destination_service: Arc<str>,
    /// Its short name.
    pub destination_service_name: Arc<str>,
    /// Its namespace.
    pub destination_service_namespace: Arc<str>,
    /// `http`, `grpc` or `tcp`.
    pub request_protocol: &'static str,
    /// Status code; 0 for connections, and when the connection ended before one was sent.
    pub response_code: u16,
    /// gRPC status; empty where the protocol has none.
    pub grpc_response_status: &'static str,
    /// Envoy's response flags, `-` for none.
    pub response_flags: &'static str,
    /// Whether the call went over mutual TLS.
    pub mutual_tls: bool,
    /// What users make of the series, where it is anything.
    pub customized: Option<Arc<Customized>>,
}

impl RequestLabels {
    /// Hands (name, value) pairs to `each`, in the order in which they are printed.
    pub(super) fn each(&self, mut each: impl FnMut(&'static str, &str)) {
        let or = |value: &Arc<str>, absent: &'static str| -> Arc<str> {
            if value.is_empty() { absent.into() } else { value.clone() }
        };
        each("reporter", self.reporter.as_str());
        for (side, party) in [(&SOURCE, &self.source), (&DESTINATION, &self.destination)] {
            each(side.workload, &or(&party.workload, UNKNOWN));
            each(side.namespace, &or(&party.namespace, UNKNOWN));
            each(side.principal, &or(&party.principal, UNKNOWN));
            each(side.app, &or(&party.app, UNKNOWN));
            each(side.version, &or(&party.version, UNKNOWN));
            each(side.cluster, &or(&party.cluster, UNKNOWN));
            each(side.canonical_service, &or(&party.canonical_service, UNKNOWN));
            each(side.canonical_revision, &or(&party.canonical_revision, "latest"));
        }
        each("destination_service", &or(&self.destination_service, UNKNOWN));
        each("destination_service_name", &or(&self.destination_service_name, UNKNOWN));
        each("destination_service_namespace", &or(&self.destination_service_namespace, UNKNOWN));
        each("request_protocol", self.request_protocol);
        if self.request_protocol != TCP {
            each("response_code", &self.response_code.to_string());
            each("grpc_response_status", self.grpc_response_status);
        }
        each("response_flags", self.response_flags);
        each("connection_security_policy", self.security_policy());
    }

    /// Whether the series is left out of a metric.
    pub(super) fn is_hidden(&self, metric: StandardMetric) -> bool {
        let customized = self.customized.as_ref();
        customized.and_then(|customized| customized.overrides.get(&metric)).is_some_and(|said| said.hidden)
    }

    /// Hands the pairs of one metric to `each`: those of [`Self::each`], as users have changed them.
    pub(super) fn each_of(&self, metric: StandardMetric, mut each: impl FnMut(&str, &str)) {
        let Some((customized, said)) =
            self.customized.as_ref().and_then(|customized| Some((customized, customized.overrides.get(&metric)?)))
        else {
            return self.each(each);
        };
        let value = |at: usize| customized.values.get(at).map_or(UNKNOWN, |value| value);
        let mut standard = Vec::new();
        self.each(|name, own| {
            if said.removed.iter().any(|removed| **removed == *name) {
                return;
            }
            match said.set.iter().find(|(set, _)| **set == *name) {
                Some((_, at)) => {
                    standard.push(name);
                    each(name, value(*at));
                }
                None => each(name, own),
            }
        });
        for (name, at) in said.set.iter().filter(|(name, _)| !standard.contains(&&**name)) {
            each(name, value(*at));
        }
    }

    /// The caller's side does not report it: Istio leaves that to the side that terminates the connection.
    fn security_policy(&self) -> &'static str {
        match (self.reporter, self.mutual_tls) {
            (Reporter::Source, _) => UNKNOWN,
            (Reporter::Destination, true) => "mutual_tls",
            (Reporter::Destination, false) => "none",
        }
    }
}

struct PartyNames {
    workload: &'static str,
    namespace: &'static str,
    principal: &'static str,
    app: &'static str,
    version: &'static str,
    cluster: &'static str,
    canonical_service: &'static str,
    canonical_revision: &'static str,
}

const SOURCE: PartyNames = PartyNames {
    workload: "source_workload",
    namespace: "source_workload_namespace",
    principal: "source_principal",
    app: "source_app",
    version: "source_version",
    cluster: "source_cluster",
    canonical_service: "source_canonical_service",
    canonical_revision: "source_canonical_revision",
};

const DESTINATION: PartyNames = PartyNames {
    workload: "destination_workload",
    namespace: "destination_workload_namespace",
    principal: "destination_principal",
    app: "destination_app",
    version: "destination_version",
    cluster: "destination_cluster",
    canonical_service: "destination_canonical_service",
    canonical_revision: "destination_canonical_revision",
};

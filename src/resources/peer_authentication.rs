//! PeerAuthentication: whether workloads take plaintext, mutual TLS, or both.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::field::{Cx, Field, Limit, names, record};
use super::rules::peer_authentication as rules;
use super::values::{Labels, Port};

record! {
    /// Whether workloads take plaintext, mutual TLS, or both.
    pub struct PeerAuthentication {
        /// The workloads; all of the namespace, or of the mesh in its root namespace, if not said.
        selector: Option<WorkloadSelector> = "selector";
        /// What they take.
        mtls: Option<MutualTls> = "mtls";
        /// What they take on single ports of theirs.
        port_level_mtls: PortLevelMtls = "portLevelMtls" [Limit::MinProperties(1)];
    }
    cel: &[(
        "!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0)",
        "portLevelMtls requires selector",
    )];
    check: rules::peer_authentication;
}

record! {
    /// Selects workloads by their labels.
    pub struct WorkloadSelector {
        /// Labels that the workloads have.
        match_labels: Labels = "matchLabels" [Limit::Selector];
    }
}

record! {
    /// What a workload takes.
    pub struct MutualTls {
        /// The mode.
        mode: Option<MtlsMode> = "mode";
    }
}

names! {
    /// What a workload takes.
    pub enum MtlsMode {
        /// What the policy around it says.
        Unset = "UNSET",
        /// Plaintext.
        Disable = "DISABLE",
        /// Plaintext and mutual TLS.
        Permissive = "PERMISSIVE",
        /// Mutual TLS.
        Strict = "STRICT",
    }
}

/// Modes by the workload's port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortLevelMtls(pub BTreeMap<Port, MutualTls>);

impl Field for PortLevelMtls {
    const REQUIRED: bool = false;

    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": MutualTls::schema(),
            "x-kubernetes-validations": [{
                "message": "port must be between 1-65535",
                "rule": "self.all(key, 0 < int(key) && int(key) <= 65535)",
            }],
        })
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        let Value::Object(entries) = value else {
            cx.wrong_type("a mapping", value);
            return None;
        };
        let decoded: Vec<Option<(Port, MutualTls)>> = entries
            .iter()
            .map(|(key, value)| {
                cx.at(key, |cx| {
                    let port = key.parse().ok().and_then(Port::new);
                    if port.is_none() {
                        cx.error("has to be a port from 1 to 65535");
                    }
                    let mode = MutualTls::decode(value, cx);
                    Some((port?, mode?))
                })
            })
            .collect();
        decoded.into_iter().collect::<Option<_>>().map(Self)
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn encode(&self) -> Option<Value> {
        let entries: Map<String, Value> =
            self.0.iter().filter_map(|(port, mode)| Some((port.to_string(), mode.encode()?))).collect();
        (!entries.is_empty()).then_some(Value::Object(entries))
    }
}

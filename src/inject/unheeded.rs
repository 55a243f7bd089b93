//! What a pod says that injection does not heed, for whoever created it: nothing is left out in silence.

use serde_json::Value;

use super::annotation;
use super::capture::PROXY_ID;
use super::overlay;
use super::sidecar::SIDECAR;

/// Istio's annotations of pods that are not in force, and what holds instead.
pub const UNHEEDED: [(&str, &str); 15] = [
    ("istio.io/reroute-virtual-interfaces", "connections of virtual machines' interfaces are not captured"),
    ("prometheus.istio.io/merge-metrics", "the proxy's own metrics are served, those of the application by itself"),
    ("sidecar.istio.io/agentLogLevel", "there is one program and one level: sidecar.istio.io/logLevel"),
    ("sidecar.istio.io/bootstrapOverride", "the proxy is not Envoy, and has no bootstrap"),
    ("sidecar.istio.io/componentLogLevel", "there is one level: sidecar.istio.io/logLevel"),
    ("sidecar.istio.io/extraStatTags", "metrics have Istio's labels; Telemetry adds to them"),
    ("sidecar.istio.io/proxyImageType", "there is one image, and it has no shell"),
    ("sidecar.istio.io/statsHistogramBuckets", "histograms have the buckets that they have"),
    ("sidecar.istio.io/statsInclusionPrefixes", "all metrics are there"),
    ("sidecar.istio.io/statsInclusionRegexps", "all metrics are there"),
    ("sidecar.istio.io/statsInclusionSuffixes", "all metrics are there"),
    ("status.sidecar.istio.io/port", "probes are answered on port 15020"),
    ("readiness.status.sidecar.istio.io/applicationPorts", "the proxy is ready once it has its configuration"),
    ("traffic.sidecar.istio.io/excludeInterfaces", "every interface is captured; exclude ports or addresses"),
    ("traffic.sidecar.istio.io/kubevirtInterfaces", "connections of virtual machines' interfaces are not captured"),
];

/// One sentence for each thing that a pod says and that is not in force.
pub fn unheeded(pod: &Value) -> Vec<String> {
    let mut said: Vec<String> = UNHEEDED
        .iter()
        .filter(|(name, _)| annotation::text(pod, name).is_some())
        .map(|(name, instead)| format!("annotation {name} is not in force: {instead}"))
        .collect();
    let of_pod = pod.get("spec").and_then(overlay::user);
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    for container in containers.into_iter().flatten() {
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        if name != SIDECAR && overlay::user(container).or(of_pod) == Some(PROXY_ID.into()) {
            said.push(format!(
                "container {name} runs as user {PROXY_ID}, which is the proxy's: its connections pass the proxy by; \
                 have it run as another user"
            ));
        }
    }
    said
}

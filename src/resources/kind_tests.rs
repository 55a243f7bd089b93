//! Rules of the kinds that have no test file of their own: one line each for what is refused, and what is doubtful.

use super::tests::{document, lines};
use super::*;

fn judged(api: &str, kind: &str, spec: &str) -> Findings {
    let text = format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
    let document = document(&text);
    check(kinds::of(&document.value).expect("a known kind"), &document.value)
}

/// Every spec has the one fault, and nothing else.
fn refused(api: &str, kind: &str, cases: &[(&str, &str)]) {
    for (spec, wanted) in cases {
        let errors = lines(&judged(api, kind, spec).errors);
        assert!(errors.len() == 1 && errors[0].starts_with(wanted), "{kind} {spec}: {errors:?}");
    }
}

const NETWORKING: &str = "networking.istio.io/v1";

#[test]
fn service_entries() {
    refused(
        NETWORKING,
        "ServiceEntry",
        &[
            ("{hosts: [a.b], resolution: STATIC, endpoints: [{address: c.d}]}", "spec.endpoints[0].address is a name"),
            (
                "{hosts: [a.b], resolution: DNS, endpoints: [{address: \"unix:///c\"}]}",
                "spec.endpoints[0].address is a Unix",
            ),
            ("{hosts: [\"*.b\"], resolution: DNS}", "spec.hosts[0] is a wildcard, which DNS cannot resolve"),
            ("{hosts: [a.b], resolution: DYNAMIC_DNS}", "spec.hosts[0] is a.b, and DYNAMIC_DNS is for wildcards"),
            (
                "{hosts: [\"*.b\"], resolution: DYNAMIC_DNS, ports: [{number: 1, name: a, protocol: TCP}]}",
                "spec.ports[0].protocol has to be one of",
            ),
            (
                "{hosts: [\"*.b\"], resolution: DYNAMIC_DNS, location: MESH_INTERNAL}",
                "spec.location has to be MESH_EXTERNAL",
            ),
            ("{hosts: [a.b], ports: [{number: 1, name: a, protocol: HTP}]}", "spec.ports[0].protocol is \"HTP\""),
            ("{hosts: [a.b], exportTo: [\"~\", b]}", "spec.exportTo has `~`, which is nobody, beside others"),
            ("{hosts: [a.b], addresses: [10.0.0.0/33]}", "spec.addresses[0] is neither an address nor a network"),
        ],
    );
    let entry = judged(NETWORKING, "ServiceEntry", "{hosts: [\"*x\"], exportTo: [\"~\"]}");
    assert!(entry.errors.is_empty() && entry.warnings[0].message.contains("part of a label"), "{entry}");
    let rule = judged(NETWORKING, "DestinationRule", "{host: a, exportTo: [\"~\"]}");
    assert!(rule.errors[0].message.contains("only a ServiceEntry can say"), "{rule}");
}

#[test]
fn sidecars() {
    refused(
        NETWORKING,
        "Sidecar",
        &[
            ("{}", "spec says nothing"),
            ("{egress: [{hosts: [a.b]}]}", "spec.egress[0].hosts[0] has no namespace"),
            ("{egress: [{hosts: [\"A_/b\"]}]}", "spec.egress[0].hosts[0] has \"A_\" before the `/`"),
            ("{egress: [{hosts: [\"./*\"]}, {hosts: [\"*/*\"]}]}", "spec.egress[1] is never used"),
            ("{egress: [{bind: 1.2.3.4, hosts: [\"./*\"]}]}", "spec.egress[0].bind needs a port"),
            (
                "{ingress: [{port: {number: 1}, defaultEndpoint: \"1.2.3.4:5\"}]}",
                "spec.ingress[0].defaultEndpoint is none of",
            ),
            ("{ingress: [{port: {number: 1}}, {port: {number: 1}}]}", "spec.ingress[1].port.number repeats"),
            (
                "{ingress: [{port: {number: 1}, tls: {mode: ISTIO_MUTUAL}}]}",
                "spec.ingress[0].tls.mode has to be SIMPLE",
            ),
            (
                "{outboundTrafficPolicy: {mode: REGISTRY_ONLY, egressProxy: {host: a.b, port: {number: 1}}}}",
                "spec.outboundTrafficPolicy.egressProxy needs the mode ALLOW_ANY",
            ),
        ],
    );
    for fine in [
        "{egress: [{hosts: [\"~/*\"]}]}",
        "{egress: [{hosts: [\"*/*\", \"~ns/a.b\"]}]}",
        "{ingress: [{port: {number: 1}, defaultEndpoint: \"[::1]:5\"}]}",
    ] {
        assert!(judged(NETWORKING, "Sidecar", fine).is_empty(), "{fine}");
    }
}

#[test]
fn workloads() {
    refused(
        NETWORKING,
        "WorkloadEntry",
        &[
            ("{address: \"*.b\"}", "spec.address has a wildcard"),
            ("{address: 1.2.3.4, locality: a//b}", "spec.locality is no place"),
            ("{address: 1.2.3.4, labels: {\"a b\": c}}", "spec.labels[\"a b\"] is no label's key"),
        ],
    );
    refused(
        NETWORKING,
        "WorkloadGroup",
        &[
            ("{template: {}, probe: {}}", "spec.probe says nothing about how"),
            ("{template: {}, probe: {httpGet: {port: 1, scheme: FTP}}}", "spec.probe.httpGet.scheme has to be"),
            ("{template: {address: \"unix:///a\", ports: {a: 1}}}", "spec.template.ports cannot be set"),
        ],
    );
}

#[test]
fn extensions_and_telemetry() {
    refused(
        "extensions.istio.io/v1alpha1",
        "TrafficExtension",
        &[
            ("{}", "spec has no code"),
            ("{lua: {inlineCode: a}, wasm: {url: b}}", "spec has both `wasm` and `lua`"),
            ("{wasm: {url: \"ftp://a\"}}", "spec.wasm.url is no URL"),
        ],
    );
    refused(
        "telemetry.istio.io/v1",
        "Telemetry",
        &[
            ("{tracing: [{customTags: {a: {}}}]}", "spec.tracing[0].customTags.a says nothing"),
            (
                "{tracing: [{randomSamplingPercentage: 101}]}",
                "spec.tracing[0].randomSamplingPercentage has to be between",
            ),
        ],
    );
    let several = judged("telemetry.istio.io/v1", "Telemetry", "{tracing: [{}, {}]}");
    assert!(several.errors.is_empty() && several.warnings.len() == 1);
    let label = |value: &str| {
        let spec = format!("{{metrics: [{{overrides: [{{tagOverrides: {{a: {{value: \"{value}\"}}}}}}]}}]}}");
        let found = judged("telemetry.istio.io/v1", "Telemetry", &spec);
        assert!(found.errors.is_empty(), "{value}");
        found.warnings.len()
    };
    assert_eq!(["request.host", "'a' + string(response.code)", "filter_state['x']"].map(label), [0, 0, 1]);
}

#[test]
fn envoy_filters() {
    refused(
        "networking.istio.io/v1alpha3",
        "EnvoyFilter",
        &[
            ("{configPatches: [{patch: {operation: MERGE, value: {}}}]}", "spec.configPatches[0].applyTo is required"),
            ("{configPatches: [{applyTo: CLUSTER}]}", "spec.configPatches[0].patch is required"),
            (
                "{configPatches: [{applyTo: CLUSTER, patch: {operation: INSERT_FIRST, value: {}}}]}",
                "spec.configPatches[0].patch.operation cannot be INSERT_FIRST on CLUSTER",
            ),
            (
                "{configPatches: [{applyTo: CLUSTER, match: {listener: {}}, patch: {operation: MERGE, value: {}}}]}",
                "spec.configPatches[0].match does not look at what CLUSTER changes",
            ),
            (
                "{configPatches: [{applyTo: CLUSTER, patch: {operation: ADD}}]}",
                "spec.configPatches[0].patch.value is required",
            ),
        ],
    );
}

#[test]
fn the_controller_of_a_class_stays() {
    let class = |controller: &str| {
        serde_json::json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "a"},
            "spec": {"controllerName": controller},
        })
    };
    let kind = kinds::of(&class("a.b/c")).unwrap();
    assert_eq!(forbidden_change(kind, &class("a.b/c"), &class("a.b/c")), None);
    let said = forbidden_change(kind, &class("a.b/c"), &class("a.b/d")).unwrap();
    assert!(said.starts_with("spec.controllerName cannot be changed"), "{said}");
}

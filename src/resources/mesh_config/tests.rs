use serde_json::{Value, json};

use super::{Settings, is_settings};

fn errors(settings: Settings, value: &Value) -> Vec<String> {
    settings.validate(value).errors.iter().map(ToString::to_string).collect()
}

#[test]
fn what_istio_takes_is_taken() {
    let config = json!({
        "accessLogFile": "/dev/stdout", "enableAutoMtls": true, "connectTimeout": "10s", "proxyListenPort": "15001",
        "trustDomain": "cluster.local", "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        "defaultConfig": {
            "discoveryAddress": "istiod.istio-system.svc:15012", "proxyMetadata": {"A": "b"}, "concurrency": 2,
            "tracing": {"sampling": 12.5, "zipkin": {"address": "zipkin:9411"}}, "holdApplicationUntilProxyStarts": true,
        },
        "extensionProviders": [
            {"name": "checks", "envoyExtAuthzHttp": {"service": "a.b.svc", "port": 8000, "timeout": "1s"}},
            {"name": "log", "envoyFileAccessLog": {"path": "/dev/stdout", "logFormat": {"labels": {"a": "%START_TIME%"}}}},
            {"name": "prometheus", "prometheus": {}},
        ],
        "localityLbSetting": {"enabled": true}, "discoverySelectors": [{"matchLabels": {"a": "b"}}],
        "defaultHttpRetryPolicy": {"attempts": 3}, "meshMTLS": {"minProtocolVersion": "TLSV1_3"}, "rootNamespace": null,
    });
    assert_eq!(errors(Settings::Mesh, &config), [""; 0]);
    let networks = json!({"networks": {"a": {
        "endpoints": [{"fromRegistry": "a"}], "gateways": [{"address": "1.1.1.1", "port": 443}],
    }}});
    assert_eq!(errors(Settings::Networks, &networks), [""; 0]);
}

#[test]
fn what_would_silently_not_be_applied_is_refused_with_a_remedy() {
    for (config, expected) in [
        (
            json!({"accessLogFiles": "/dev/stdout"}),
            "accessLogFiles is not a field of this kind: did you mean `accessLogFile`?",
        ),
        (
            json!({"outboundTrafficPolicy": {"mode": "REGISTRY"}}),
            "outboundTrafficPolicy.mode cannot be \"REGISTRY\": it can be one of REGISTRY_ONLY, ALLOW_ANY, ALLOW_ANY_DYNAMIC_DNS",
        ),
        (
            json!({"enableAutoMtls": "true"}),
            "enableAutoMtls has to be a boolean, and is the string \"true\": write it without quotes",
        ),
        (json!({"connectTimeout": 10}), "connectTimeout has to be a duration such as `5s`, and is the number 10"),
        (json!({"connectTimeout": "10"}), "connectTimeout is no duration: \"10\" (write one such as `5s`)"),
        (json!({"proxyListenPort": 70_000}), "proxyListenPort has to be a port, from 1 to 65535, and is 70000"),
        (
            json!({"defaultConfig": {"concurency": 2}}),
            "defaultConfig.concurency is not a field of this kind: did you mean `concurrency`?",
        ),
        (json!({"extensionProviders": [{"name": "a"}]}), "extensionProviders[0] says nothing of what provides"),
        (
            json!({"extensionProviders": [{"name": "a", "envoyExtAuthzGrpc": {"service": "a"}}]}),
            "extensionProviders[0].envoyExtAuthzGrpc.port is required: add it",
        ),
        (
            json!({"extensionProviders": [{"name": "a", "prometheus": {}}, {"name": "a", "prometheus": {}}]}),
            "extensionProviders[1].name \"a\" is there twice: rename one",
        ),
        (
            json!({"extensionProviders": [{"name": "a", "prometheus": {}, "sds": {"name": "b"}}]}),
            "extensionProviders[0] has both `prometheus` and `sds`",
        ),
        (
            json!({"localityLbSetting": {"enable": true}}),
            "localityLbSetting.enable is not a field of this kind: did you mean `enabled`?",
        ),
        (json!([1]), "has to be a mapping, and is a list"),
    ] {
        let found = errors(Settings::Mesh, &config);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{config}\nwanted {expected}\nfound {found:?}");
    }
    let networks = json!({"networks": {"a": {"gateways": [{"port": 0}]}}});
    assert_eq!(errors(Settings::Networks, &networks).len(), 2);
}

#[test]
fn only_istios_own_maps_hold_settings() {
    let map = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    assert!(
        is_settings(&map("istio", json!({"mesh": ""})))
            && is_settings(&map("istio-canary", json!({"meshNetworks": ""})))
    );
    assert!(!is_settings(&map("other", json!({"mesh": ""}))) && !is_settings(&map("istio", json!({"a": ""}))));
}

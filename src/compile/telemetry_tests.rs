use serde_json::json;

use super::*;
use crate::compile::MeshConfig;

const MESH: &str = "
defaultProviders: {tracing: [zip]}
defaultConfig: {tracing: {sampling: 10}}
extensionProviders:
- {name: zip, zipkin: {service: zipkin.istio-system.svc.cluster.local, port: 9411, maxTagLength: 64}}
- {name: otel, opentelemetry: {service: obs/Otel.obs.svc.cluster.local, port: '4317'}}
- name: web
  opentelemetry:
    service: otel.obs.svc.cluster.local
    port: 4318
    http: {path: /otlp/v1/traces, timeout: 3s, headers: [{name: X-Key, value: secret}]}
- {name: file, envoyFileAccessLog: {path: /dev/stdout}}
- {name: als, envoyOtelAls: {service: otel, port: 4317}}
";

fn world(mesh: &str, telemetries: &[(&str, &str, Value)]) -> World {
    let mut world = World::new("cluster.local", "istio-system");
    world.mesh = Arc::new(MeshConfig::parse(mesh).unwrap());
    assert_eq!(world.mesh.refused, []);
    for (namespace, name, spec) in telemetries {
        let value = json!({"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry",
            "metadata": {"namespace": namespace, "name": name}, "spec": spec});
        world.telemetries.push(Arc::new(Object::from_value(&value).unwrap()));
    }
    world
}

fn web() -> Workload {
    let labels = [("app".into(), "web".into())].into_iter().collect();
    Workload::new("uid".into(), "web-1".into(), "shop".into(), "web".into(), labels)
}

fn traced(telemetries: &[(&str, &str, Value)], side: Side) -> Option<(String, u32)> {
    let tracing = reporting(&world(MESH, telemetries), &web(), side, false).tracing?;
    Some((tracing.collector.name.to_string(), tracing.sampling.millionths() / 10_000))
}

#[test]
fn what_is_nearer_to_a_workload_holds_before_what_is_farther_field_by_field() {
    let root = || ("istio-system", "all", json!({"tracing": [{"providers": [{"name": "otel"}]}]}));
    let namespace = || ("shop", "all", json!({"tracing": [{"randomSamplingPercentage": 50}]}));
    let selected = json!({"matchLabels": {"app": "web"}});
    let own = || ("shop", "web", json!({"selector": selected, "tracing": [{"providers": [{"name": "web"}]}]}));
    let elsewhere = || ("bank", "all", json!({"tracing": [{"randomSamplingPercentage": 99}]}));
    for (telemetries, expected) in [
        (vec![], ("zip", 10)),
        (vec![root()], ("otel", 10)),
        (vec![root(), namespace(), elsewhere()], ("otel", 50)),
        (vec![root(), own(), namespace()], ("web", 50)),
    ] {
        assert_eq!(traced(&telemetries, Side::Client), Some((expected.0.to_owned(), expected.1)), "{telemetries:?}");
    }
}

#[test]
fn an_entry_may_be_about_one_side_and_a_provider_that_is_none_traces_nothing() {
    let client = ("shop", "all", json!({"tracing": [{"match": {"mode": "CLIENT"}, "randomSamplingPercentage": 70}]}));
    assert_eq!(traced(std::slice::from_ref(&client), Side::Client), Some(("zip".to_owned(), 70)));
    assert_eq!(traced(&[client], Side::Server), Some(("zip".to_owned(), 10)));
    for none in ["als", "nosuch"] {
        let named = ("shop", "all", json!({"tracing": [{"providers": [{"name": none}]}]}));
        assert_eq!(traced(&[named], Side::Server), None);
    }
    assert_eq!(reporting(&world("enableTracing: false", &[]), &web(), Side::Server, false).tracing, None);
}

#[test]
fn a_collector_is_what_its_provider_says() {
    let named = |name: &str| {
        (
            "shop",
            "all",
            json!({"tracing": [{"providers": [{"name": name}],
        "disableSpanReporting": true, "customTags": {"a": {"literal": {"value": "1"}},
            "b": {"header": {"name": "X-B", "defaultValue": "none"}}, "c": {"environment": {"name": "C"}}}}]}),
        )
    };
    let of = |name: &str| reporting(&world(MESH, &[named(name)]), &web(), Side::Server, false).tracing.unwrap();
    let zipkin = of("zip");
    assert_eq!(zipkin.collector.protocol, CollectorProtocol::Zipkin { path: "/api/v2/spans".into() });
    assert_eq!((zipkin.max_path_bytes, zipkin.reports, zipkin.propagates), (64, false, true));
    assert_eq!(
        zipkin.tags,
        [
            ("a".into(), TagValue::Literal("1".into())),
            ("b".into(), TagValue::Header("x-b".into(), Some("none".into()))),
            ("c".into(), TagValue::Environment("C".into(), None)),
        ]
    );
    let otel = of("otel").collector.clone();
    assert_eq!(
        (&*otel.host, otel.port, otel.protocol),
        ("otel.obs.svc.cluster.local", 4317, CollectorProtocol::OtlpGrpc)
    );
    assert_eq!(
        of("web").collector.protocol,
        CollectorProtocol::OtlpHttp {
            path: "/otlp/v1/traces".into(),
            headers: vec![("x-key".into(), "secret".into())],
            timeout: Duration::from_secs(3),
        }
    );
}

#[test]
fn a_provider_that_cannot_be_reached_as_it_is_written_is_not_there_and_says_why() {
    for (settings, said) in [
        ("zipkin: {port: 9411}", "names no service"),
        ("zipkin: {service: z, port: 0}", "port"),
        ("zipkin: {service: z, port: 1, path: spans}", "is no path"),
        ("opentelemetry: {service: o, port: 1, http: {path: /, timeout: soon}}", "timeout"),
        ("opentelemetry: {service: o, port: 1, http: {path: /, headers: [{name: x, envName: X}]}}", "has no value"),
    ] {
        let config = MeshConfig::parse(&format!("extensionProviders: [{{name: x, {settings}}}]")).unwrap();
        assert!(config.telemetry.collectors.is_empty(), "{settings}");
        assert!(config.refused.iter().any(|refused| refused.reason.contains(said)), "{settings}: {:?}", config.refused);
    }
}

#[test]
fn logging_is_switched_on_and_off_by_whom_it_is_nearest_to() {
    let logs = |telemetries: &[(&str, &str, Value)], mesh: bool| {
        let world = world(MESH, telemetries);
        [Side::Client, Side::Server].map(|side| reporting(&world, &web(), side, mesh).log)
    };
    let entry = |namespace, entry: Value| (namespace, "all", json!({"accessLogging": [entry]}));
    let on = |name: &str| entry("istio-system", json!({"providers": [{"name": name}]}));
    let off = || entry("shop", json!({"disabled": true}));
    for (telemetries, mesh, expected) in [
        (vec![], true, [true, true]),
        (vec![], false, [false, false]),
        (vec![on("envoy")], false, [true, true]),
        (vec![on("file")], false, [true, true]),
        // It is no provider of lines.
        (vec![on("als")], true, [false, false]),
        (vec![entry("shop", json!({}))], false, [true, true]),
        (vec![off()], true, [false, false]),
        (vec![on("envoy"), off()], false, [false, false]),
        (vec![entry("shop", json!({"match": {"mode": "CLIENT"}, "disabled": true}))], true, [false, true]),
        (vec![entry("shop", json!({"providers": [{"name": "file"}], "disabled": true}))], true, [true, true]),
    ] {
        assert_eq!(logs(&telemetries, mesh), expected, "{telemetries:?} {mesh}");
    }
    // Nobody has written settings of the mesh: what the control plane was told holds.
    let bare = World::new("cluster.local", "istio-system");
    assert_eq!([true, false].map(|logs| reporting(&bare, &web(), Side::Server, logs).log), [true, false]);
}

use crate::compile::tests::{object, scope, world};
use crate::compile::{resolve, traffic_policy};
use crate::model::{ClusterPolicy, LocalityPolicy, Warmup};

/// The policy of port 80 of a service under a rule and the mesh's setting. `service`: more of its metadata, or `#` and what its spec
/// says about the distribution of traffic.
fn compiled(service: &str, rule: &str, mesh: &str) -> ClusterPolicy {
    let (annotations, distribution) = match service.strip_prefix('#') {
        Some(distribution) => ("", format!("trafficDistribution: {distribution}, ")),
        None => (service, String::new()),
    };
    let mut text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop{annotations}}}\n\
        spec: {{{distribution}ports: [{{name: http, port: 80}}]}}\n"
    );
    if !rule.is_empty() {
        text += &object("DestinationRule", "shop", "web", &format!("{{host: web, trafficPolicy: {rule}}}"));
    }
    if !mesh.is_empty() {
        text += &format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\n\
            data: {{mesh: 'localityLbSetting: {mesh}'}}\n"
        );
    }
    let world = world(&text);
    assert_eq!(world.mesh.refused, []);
    let service = resolve(&world, &scope("shop"), "web").unwrap();
    traffic_policy(&world, &scope("shop"), service, false).policies.for_port(80).clone()
}

/// The policy in a few words.
fn said(policy: Option<LocalityPolicy>) -> String {
    match policy {
        None => "any".to_owned(),
        Some(LocalityPolicy::Nearest { failover }) => {
            let regions: Vec<String> = failover.iter().map(|(from, to)| format!(" {from}>{to}")).collect();
            format!("nearest{}", regions.concat())
        }
        Some(LocalityPolicy::Labels(labels)) => {
            let last = labels.last().map(|(key, value)| format!("{key}{}", value.as_deref().unwrap_or_default()));
            format!("{} labels to {}", labels.len(), last.unwrap_or_default())
        }
        Some(LocalityPolicy::Distribute(distributions)) => {
            let one = distributions.first().map(|first| format!("{} {:?}", first.from.as_str(), first.to.len()));
            format!("shares of {}", one.unwrap_or_default())
        }
    }
}

#[test]
fn who_says_which_endpoints_come_first() {
    const EJECTS: &str = "outlierDetection: {consecutive5xxErrors: 1}";
    let rule = |setting: &str| format!("{{loadBalancer: {{localityLbSetting: {setting}}}}}");
    let ejecting = |setting: &str| format!("{{{EJECTS}, loadBalancer: {{localityLbSetting: {setting}}}}}");
    let annotated = ", annotations: {networking.istio.io/traffic-distribution: PreferClose}";
    let shares = "{distribute: [{from: r1/*, to: {\"r1/*\": 70, \"r2/*\": 30}}]}";
    for (service, rule, mesh, expected) in [
        ("", String::new(), "", "any"),
        ("", format!("{{{EJECTS}}}"), "", "nearest"),
        ("", format!("{{{EJECTS}}}"), "{enabled: false}", "any"),
        ("", format!("{{{EJECTS}}}"), "{failoverPriority: [team]}", "1 labels to team"),
        ("", String::new(), "{failoverPriority: [team]}", "any"),
        ("", String::new(), shares, "shares of r1/* 2"),
        ("", rule(shares), "", "shares of r1/* 2"),
        ("", rule("{failover: [{from: r1, to: r2}]}"), "", "any"),
        ("", ejecting("{failover: [{from: r1, to: r2}]}"), "", "nearest r1>r2"),
        ("", ejecting("{failoverPriority: [a, b=c]}"), "", "2 labels to bc"),
        ("", ejecting("{enabled: false}"), shares, "any"),
        ("#PreferClose", String::new(), "", "4 labels to topology.istio.io/subzone"),
        ("#PreferSameZone", String::new(), "{enabled: false}", "4 labels to topology.istio.io/subzone"),
        ("#PreferSameNode", String::new(), "", "5 labels to kubernetes.io/hostname"),
        ("#PreferSameNode", ejecting("{failover: [{from: r1, to: r2}]}"), "", "nearest r1>r2"),
        ("#PreferSameNode", rule("{enabled: false}"), "", "any"),
        (annotated, String::new(), "", "4 labels to topology.istio.io/subzone"),
    ] {
        assert_eq!(said(compiled(service, &rule, mesh).locality), expected, "{service} {rule} {mesh}");
    }
}

#[test]
fn new_endpoints_come_to_their_share_as_the_rule_says() {
    let warmup = |seconds: u64, least: u32, aggression: u32| {
        Some(Warmup { duration: std::time::Duration::from_secs(seconds), least, aggression })
    };
    for (settings, expected) in [
        ("{simple: ROUND_ROBIN}", None),
        ("{simple: ROUND_ROBIN, warmup: {duration: 60s}}", warmup(60, 1_000, 1_000)),
        ("{warmup: {duration: 5s, minimumPercent: 25, aggression: 1.5}}", warmup(5, 2_500, 1_500)),
        ("{simple: LEAST_REQUEST, warmupDurationSecs: 30s}", warmup(30, 1_000, 1_000)),
    ] {
        assert_eq!(compiled("", &format!("{{loadBalancer: {settings}}}"), "").warmup, expected, "{settings}");
    }
}

use super::tests::{object, scope, service, world};
use super::*;
use crate::model::{Resolution, TunnelProtocol};

fn entry(namespace: &str, name: &str, spec: &str) -> String {
    object("ServiceEntry", namespace, name, spec)
}

/// Namespace and host of the service that an authority means in a namespace.
fn means(world: &World, namespace: &str, authority: &str) -> String {
    resolve(world, &scope(namespace), authority)
        .map_or_else(|| "unknown".to_owned(), |found| format!("{}/{}", found.namespace, found.host))
}

/// Where the endpoints of what an authority means are: addresses or names, with the ports.
fn places(world: &World, namespace: &str, authority: &str) -> Vec<String> {
    let found = resolve(world, &scope(namespace), authority).expect("known");
    let places = endpoints_of(world, found).iter().map(|endpoint| {
        let address = endpoint.name.as_deref().map_or_else(|| endpoint.address.to_string(), str::to_owned);
        let ports: Vec<String> = endpoint.ports.iter().map(|(port, target)| format!("{port}>{target}")).collect();
        format!("{address} {} x{}", ports.join(","), endpoint.weight)
    });
    places.collect()
}

#[test]
fn each_namespace_may_have_its_own_service_of_a_host_and_others_see_what_is_exported() {
    let ports = "ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS";
    let text = [
        entry("shop", "api", &format!("{{hosts: [api.example.com], exportTo: ['.'], {ports}}}")),
        entry("bank", "api", &format!("{{hosts: [api.example.com], {ports}}}")),
        entry("bank", "hidden", &format!("{{hosts: [hidden.example.com], exportTo: ['~'], {ports}}}")),
        entry("bank", "chosen", &format!("{{hosts: [chosen.example.com], exportTo: [shop], {ports}}}")),
    ];
    let world = world(&text.concat());
    for (from, host, expected) in [
        ("shop", "api.example.com", "shop/api.example.com"),
        ("bank", "api.example.com", "bank/api.example.com"),
        ("other", "api.example.com", "bank/api.example.com"),
        ("bank", "hidden.example.com", "unknown"),
        ("shop", "chosen.example.com", "bank/chosen.example.com"),
        ("other", "chosen.example.com", "unknown"),
    ] {
        assert_eq!(means(&world, from, host), expected, "{host} from {from}");
    }
}

#[test]
fn names_go_from_the_exact_to_the_wide_and_kubernetes_own_go_first() {
    let ports = "ports: [{number: 80, name: http, protocol: HTTP}]";
    let text = [
        service("web", "shop", &[80]),
        entry("shop", "taken", &format!("{{hosts: [web.shop.svc.cluster.local], {ports}}}")),
        entry("shop", "exact", &format!("{{hosts: [a.example.com], {ports}}}")),
        entry("shop", "near", &format!("{{hosts: ['*.b.example.com'], {ports}}}")),
        entry("shop", "wide", &format!("{{hosts: ['*.example.com'], {ports}}}")),
    ];
    let world = world(&text.concat());
    for (host, expected) in [
        ("web", "shop/web.shop.svc.cluster.local"),
        ("a.example.com", "shop/a.example.com"),
        ("x.b.example.com", "shop/*.b.example.com"),
        ("b.example.com", "shop/*.example.com"),
        ("x.y.example.com", "shop/*.example.com"),
        ("example.com", "unknown"),
        ("*.example.com", "shop/*.example.com"),
    ] {
        assert_eq!(means(&world, "shop", host), expected, "{host}");
    }
    let taken = resolve(&world, &scope("shop"), "web").unwrap();
    assert_eq!(&*taken.provenance.kind, "Service");
}

#[test]
fn addresses_and_networks_mean_their_service() {
    let ports = "ports: [{number: 5432, name: tcp, protocol: TCP}]";
    let text = [
        entry("shop", "one", &format!("{{hosts: [one.db], addresses: [10.1.2.3], {ports}}}")),
        entry("shop", "wide", &format!("{{hosts: [wide.db], addresses: [10.0.0.0/8], {ports}}}")),
        entry("shop", "near", &format!("{{hosts: [near.db], addresses: [10.1.0.0/16], {ports}}}")),
    ];
    let world = world(&text.concat());
    for (address, expected) in
        [("10.1.2.3", "one.db"), ("10.1.2.4", "near.db"), ("10.2.0.1", "wide.db"), ("192.0.2.1", "")]
    {
        let found = resolve(&world, &scope("shop"), address).map_or("", |found| &*found.host);
        assert_eq!(found, expected, "{address}");
    }
}

#[test]
fn endpoints_are_listed_looked_up_selected_or_wherever_the_client_was_going() {
    let ports =
        "ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}, {number: 80, name: http, protocol: HTTP}]";
    let text = [
        entry(
            "shop",
            "static",
            &format!(
                "{{hosts: [static.org], {ports}, resolution: STATIC, endpoints: [\
                {{address: 192.0.2.1, weight: 3}}, {{address: 192.0.2.2, ports: {{http: 8080}}}}]}}"
            ),
        ),
        entry("shop", "dns", &format!("{{hosts: [dns.org, other.org], {ports}, resolution: DNS}}")),
        entry(
            "shop",
            "named",
            &format!(
                "{{hosts: [named.org], {ports}, resolution: DNS_ROUND_ROBIN, endpoints: [{{address: real.net}}]}}"
            ),
        ),
        entry("shop", "none", &format!("{{hosts: ['*.none.org'], {ports}}}")),
        entry(
            "shop",
            "selected",
            &format!(
                "{{hosts: [selected.org], {ports}, resolution: STATIC, location: MESH_INTERNAL, \
                workloadSelector: {{labels: {{app: legacy}}}}}}"
            ),
        ),
        object("WorkloadEntry", "shop", "machine", "{address: 192.0.2.9, labels: {app: legacy}, ports: {http: 81}}"),
        object("WorkloadEntry", "bank", "foreign", "{address: 192.0.2.10, labels: {app: legacy}}"),
        object("WorkloadEntry", "shop", "other", "{address: 192.0.2.11, labels: {app: modern}}"),
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: pod, namespace: shop, labels: {app: legacy, \
         security.istio.io/tlsMode: istio}}\nstatus: {podIP: 10.0.0.7}\n"
            .to_owned(),
    ];
    let world = world(&text.concat());
    assert_eq!(places(&world, "shop", "static.org"), ["192.0.2.1 443>8443,80>80 x3", "192.0.2.2 443>8443,80>8080 x1"]);
    assert_eq!(places(&world, "shop", "dns.org"), ["dns.org 443>8443,80>80 x1"]);
    assert_eq!(places(&world, "shop", "other.org"), ["other.org 443>8443,80>80 x1"]);
    assert_eq!(places(&world, "shop", "named.org"), ["real.net 443>8443,80>80 x1"]);
    assert!(places(&world, "shop", "x.none.org").is_empty());
    assert_eq!(places(&world, "shop", "selected.org"), ["10.0.0.7 443>8443,80>80 x1", "192.0.2.9 443>8443,80>81 x1"]);
    let resolution = |host: &str| resolve(&world, &scope("shop"), host).unwrap().resolution;
    assert_eq!(resolution("static.org"), Resolution::Endpoints);
    assert_eq!(resolution("named.org"), Resolution::FirstAnswer);
    assert_eq!(resolution("x.none.org"), Resolution::Original);
    // A pod of the mesh is spoken to as such, a machine without a proxy in plaintext.
    let selected = resolve(&world, &scope("shop"), "selected.org").unwrap();
    let protocols: Vec<_> = endpoints_of(&world, selected).iter().map(|found| found.workload.protocol).collect();
    assert_eq!(protocols, [TunnelProtocol::MutualTls, TunnelProtocol::Plaintext]);
}

#[test]
fn a_machine_with_an_account_has_a_proxy_unless_its_label_says_otherwise() {
    let selected = "{hosts: [selected.org], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, \
        location: MESH_INTERNAL, workloadSelector: {labels: {app: legacy}}}";
    for (more, label, expected) in [
        ("", "", TunnelProtocol::Plaintext),
        (", serviceAccount: vm", "", TunnelProtocol::MutualTls),
        (", serviceAccount: vm", ", security.istio.io/tlsMode: disabled", TunnelProtocol::Plaintext),
        ("", ", security.istio.io/tlsMode: istio", TunnelProtocol::MutualTls),
    ] {
        let machine = format!("{{address: 192.0.2.9, labels: {{app: legacy{label}}}{more}}}");
        let world = world(&(entry("shop", "selected", selected) + &object("WorkloadEntry", "shop", "vm", &machine)));
        let found = resolve(&world, &scope("shop"), "selected.org").unwrap();
        let workload = &endpoints_of(&world, found)[0].workload;
        assert_eq!((workload.protocol, workload.identity.is_some()), (expected, expected != TunnelProtocol::Plaintext));
    }
}

#[test]
fn pods_that_a_service_entry_selects_are_those_that_are_ready_spoken_to_as_they_demand() {
    let selected = "{hosts: [selected.org], ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, \
        {number: 81, name: other, protocol: HTTP}], resolution: STATIC, location: MESH_INTERNAL, \
        workloadSelector: {labels: {app: legacy}}}";
    let pod = |name: &str, meta: &str, address: &str, ready: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop{meta}, labels: {{app: legacy, \
             security.istio.io/tlsMode: istio}}}}\nstatus: {{podIP: {address}, \
             conditions: [{{type: Ready, status: '{ready}'}}]}}\n"
        )
    };
    let demand =
        "{selector: {matchLabels: {app: legacy}}, mtls: {mode: STRICT}, portLevelMtls: {'8080': {mode: DISABLE}}}";
    let text = entry("shop", "selected", selected)
        + &object("PeerAuthentication", "shop", "legacy", demand)
        + &pod("ready", "", "10.0.0.1", "True")
        + &pod("starting", "", "10.0.0.2", "False")
        + &pod("leaving", ", deletionTimestamp: '2026-01-01T00:00:00Z'", "10.0.0.3", "True");
    let world = world(&text);
    assert_eq!(places(&world, "shop", "selected.org"), ["10.0.0.1 80>8080,81>81 x1"]);
    let found = resolve(&world, &scope("shop"), "selected.org").unwrap();
    assert_eq!(endpoints_of(&world, found)[0].plaintext, [8080]);
}

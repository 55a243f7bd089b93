use serde_json::Value;

use super::status::{SUPPORTED_FEATURES, Said, statuses};
use super::tests::{WEB, at_gateway, conditions, front, object, said, services, workload, world};
use crate::compile::{Scope, resolve};
use crate::compile::{World, listeners, traffic_policy};
use crate::model::{Authorities, UpstreamTls};

/// A Gateway with one listener that allows ListenerSets.
fn open(from: &str) -> String {
    services()
        + &object(
            "Gateway",
            "shop",
            "front",
            &format!(
                "{{gatewayClassName: istio, allowedListeners: {{namespaces: {from}}},
                  listeners: [{{name: own, port: 80, protocol: HTTP, hostname: own.com}}]}}"
            ),
        )
}

fn set(namespace: &str, name: &str, listeners: &str) -> String {
    object(
        "ListenerSet",
        namespace,
        name,
        &format!("{{parentRef: {{name: front, namespace: shop}}, listeners: [{listeners}]}}"),
    )
}

fn said_of(world: &World, kind: &str, name: &str) -> Value {
    let found: Vec<Said> = statuses(world).into_iter().filter(|said| said.kind == kind && said.name == name).collect();
    assert_eq!(found.len(), 1, "{kind} {name}: {found:?}");
    found[0].status.clone()
}

#[test]
fn a_listener_set_adds_listeners_and_has_its_own_routes() {
    let route = |parent: &str, name: &str, backend: &str| {
        object(
            "HTTPRoute",
            "shop",
            name,
            &format!("{{parentRefs: [{parent}], rules: [{{backendRefs: [{{name: {backend}, port: 80}}]}}]}}"),
        )
    };
    let text = open("{from: Same}")
        + &set("shop", "more", "{name: added, port: 80, protocol: HTTP, hostname: added.com}")
        + &route("{name: front}", "own", "web")
        + &route("{name: more, kind: ListenerSet}", "added", "api")
        // A listener of a set is not reached by a reference to its Gateway.
        + &route("{name: front, sectionName: added}", "lost", "api");
    assert_eq!(at_gateway(&text, "own.com", "/"), "web.shop.svc.cluster.local:80");
    assert_eq!(at_gateway(&text, "added.com", "/"), "api.shop.svc.cluster.local:80");
    let world = world(&text);
    assert_eq!(said(&world, "Gateway")["attachedListenerSets"], 1);
    let set = said(&world, "ListenerSet");
    assert_eq!(set["listeners"][0]["attachedRoutes"], 1);
    assert_eq!(conditions(&set["conditions"]), ["Accepted=True/Accepted", "Programmed=False/Pending"]);
    let lost = said_of(&world, "HTTPRoute", "lost");
    assert_eq!(conditions(&lost["parents"][0]["conditions"])[0], "Accepted=False/NoMatchingParent");
}

#[test]
fn a_gateway_says_whose_listener_sets_it_takes() {
    let bank = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: bank, labels: {edge: 'yes'}}\n";
    let added = "{name: added, port: 81, protocol: HTTP}";
    for (from, namespace, taken) in [
        ("{}", "shop", false),
        ("{from: None}", "shop", false),
        ("{from: Same}", "shop", true),
        ("{from: Same}", "bank", false),
        ("{from: All}", "bank", true),
        ("{from: Selector, selector: {matchLabels: {edge: 'yes'}}}", "bank", true),
        ("{from: Selector, selector: {matchLabels: {edge: 'no'}}}", "bank", false),
    ] {
        let world = world(&(open(from) + bank + &set(namespace, "more", added)));
        let ports: Vec<u16> = listeners(&world, &workload()).iter().map(|listener| listener.port).collect();
        assert_eq!(ports.contains(&81), taken, "{from} {namespace}");
        let conditions = conditions(&said(&world, "ListenerSet")["conditions"]);
        let expected = if taken { "Accepted=True/Accepted" } else { "Accepted=False/NotAllowed" };
        assert_eq!(conditions[0], expected, "{from} {namespace}");
        assert_eq!(said(&world, "Gateway")["attachedListenerSets"], usize::from(taken));
    }
}

#[test]
fn a_listener_takes_nothing_from_one_before_it() {
    let text = open("{from: Same}")
        + &set(
            "shop",
            "a",
            "{name: host, port: 80, protocol: HTTP, hostname: own.com}, {name: fine, port: 80, protocol: HTTP, hostname: a.com}",
        )
        + &set("shop", "b", "{name: raw, port: 80, protocol: TCP}")
        + &set("shop", "c", "{name: late, port: 80, protocol: HTTP, hostname: a.com}");
    let world = world(&text);
    let a = said_of(&world, "ListenerSet", "a");
    assert_eq!(conditions(&a["conditions"])[0], "Accepted=True/ListenersNotValid");
    assert_eq!(
        conditions(&a["listeners"][0]["conditions"]),
        [
            "Accepted=False/HostnameConflict",
            "Programmed=False/HostnameConflict",
            "ResolvedRefs=True/ResolvedRefs",
            "Conflicted=True/HostnameConflict"
        ]
    );
    assert_eq!(conditions(&a["listeners"][1]["conditions"])[3], "Conflicted=False/NoConflicts");
    for (name, reason) in [("b", "ProtocolConflict"), ("c", "HostnameConflict")] {
        let set = said_of(&world, "ListenerSet", name);
        assert_eq!(
            conditions(&set["conditions"]),
            ["Accepted=False/ListenersNotValid", "Programmed=False/ListenersNotValid"]
        );
        assert_eq!(conditions(&set["listeners"][0]["conditions"])[3], format!("Conflicted=True/{reason}"));
    }
    assert_eq!(said(&world, "Gateway")["attachedListenerSets"], 1);
    assert_eq!(listeners(&world, &workload()).len(), 1);
}

#[test]
fn requests_go_to_the_listener_with_the_narrowest_hosts_alone() {
    let text = front(
        "{name: wide, port: 80, protocol: HTTP}, {name: narrow, port: 80, protocol: HTTP, hostname: '*.a.com'},
         {name: exact, port: 80, protocol: HTTP, hostname: x.a.com}",
    );
    let route = |section: &str, backend: &str, path: &str| {
        object(
            "HTTPRoute",
            "shop",
            section,
            &format!(
                "{{parentRefs: [{{name: front, sectionName: {section}}}], rules: [{{matches: [{{path: {{value: {path}}}}}],
                  backendRefs: [{{name: {backend}, port: 80}}]}}]}}"
            ),
        )
    };
    let text = text + &route("wide", "web", "/wide") + &route("narrow", "api", "/narrow");
    for (host, path, expected) in [
        ("b.org", "/wide", "web.shop.svc.cluster.local:80"),
        ("y.a.com", "/narrow", "api.shop.svc.cluster.local:80"),
        ("y.a.com", "/wide", "404"),
        ("x.a.com", "/narrow", "404"),
        ("x.a.com", "/wide", "404"),
    ] {
        assert_eq!(at_gateway(&text, host, path), expected, "{host}{path}");
    }
}

/// A certificate of an authority, which nobody has the key of.
fn authority() -> String {
    let directory = tempfile::tempdir().unwrap();
    let trust_domain = crate::identity::TrustDomain::new("cluster.local").unwrap();
    crate::identity::Authority::load_or_create(directory.path(), &trust_domain).unwrap().root_pem()
}

fn map(name: &str, entry: &str, text: &str) -> String {
    let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: shop}}\ndata:\n  {entry}: |\n{indented}"
    )
}

fn policy(name: &str, target: &str, validation: &str) -> String {
    object("BackendTLSPolicy", "shop", name, &format!("{{targetRefs: [{target}], validation: {validation}}}"))
}

const TO_WEB: &str = "{group: '', kind: Service, name: web}";

fn spoken(world: &World, port: u16) -> UpstreamTls {
    let scope = Scope::of_namespace("shop");
    let service = resolve(world, &scope, "web.shop.svc.cluster.local").unwrap();
    traffic_policy(world, &scope, service, true).policies.for_port(port).tls.clone()
}

#[test]
fn a_policy_has_clients_begin_tls() {
    let validation = "{hostname: web.example.com, caCertificateRefs: [{group: '', kind: ConfigMap, name: roots}],
        subjectAltNames: [{type: URI, uri: 'spiffe://a/b'}, {type: Hostname, hostname: other.example.com}]}";
    let text = services() + &map("roots", "ca.crt", &authority()) + &policy("web", TO_WEB, validation);
    let UpstreamTls::Originate(origination) = spoken(&world(&text), 80) else { panic!("TLS") };
    assert_eq!(origination.server_name.as_deref(), Some("web.example.com"));
    let names: Vec<&str> = origination.subject_names.iter().map(|name| &**name).collect();
    assert_eq!(names, ["spiffe://a/b", "other.example.com"]);
    assert!(matches!(&origination.authorities, Authorities::Pem(pem) if pem.contains("BEGIN CERTIFICATE")));
    let system = policy("web", TO_WEB, "{hostname: web.example.com, wellKnownCACertificates: System}");
    let UpstreamTls::Originate(origination) = spoken(&world(&(services() + &system)), 80) else { panic!("TLS") };
    assert_eq!(origination.authorities, Authorities::System);
    // Who writes a DestinationRule about TLS means it.
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web, namespace: shop}\n\
        spec: {host: web, trafficPolicy: {tls: {mode: DISABLE}}}\n";
    assert_eq!(spoken(&world(&(text + rule)), 80), UpstreamTls::Disable);
}

#[test]
fn where_nobody_vouches_for_a_server_nobody_is_talked_to() {
    let naming = |kind: &str| {
        policy(
            "web",
            TO_WEB,
            &format!("{{hostname: a.com, caCertificateRefs: [{{group: '', kind: {kind}, name: roots}}]}}"),
        )
    };
    for (more, kind, resolved) in [
        (String::new(), "ConfigMap", "ResolvedRefs=False/InvalidCACertificateRef"),
        (map("roots", "ca.crt", "no certificate"), "ConfigMap", "ResolvedRefs=False/InvalidCACertificateRef"),
        (map("roots", "other", &authority()), "ConfigMap", "ResolvedRefs=False/InvalidCACertificateRef"),
        (map("roots", "ca.crt", &authority()), "Service", "ResolvedRefs=False/InvalidKind"),
    ] {
        let world = world(&(services() + &more + &naming(kind)));
        assert!(matches!(spoken(&world, 80), UpstreamTls::Unavailable(_)), "{more} {kind}");
        let status = said(&world, "BackendTLSPolicy");
        assert_eq!(
            conditions(&status["ancestors"][0]["conditions"]),
            ["Accepted=False/NoValidCACertificate", resolved]
        );
    }
}

#[test]
fn of_policies_for_one_target_the_oldest_is_in_force_and_one_for_a_port_before_it() {
    let system = |host: &str| format!("{{hostname: {host}, wellKnownCACertificates: System}}");
    let port = "{group: '', kind: Service, name: web, sectionName: http}";
    let server_name = |text: &str| match spoken(&world(text), 80) {
        UpstreamTls::Originate(origination) => origination.server_name.as_deref().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    let route = object("HTTPRoute", "shop", "web", &format!("{{parentRefs: [{{name: front}}], rules: [{{{WEB}}}]}}"));
    let both = front("{name: http, port: 80, protocol: HTTP}")
        + &route
        + &policy("a", TO_WEB, &system("a.com"))
        + &policy("b", TO_WEB, &system("b.com"));
    assert_eq!(server_name(&both), "a.com");
    assert_eq!(server_name(&(both.clone() + &policy("c", port, &system("c.com")))), "c.com");
    let world = world(&both);
    let ancestors = said_of(&world, "BackendTLSPolicy", "a")["ancestors"].clone();
    assert_eq!(
        (&ancestors[0]["ancestorRef"]["kind"], &ancestors[0]["ancestorRef"]["name"]),
        (&"Gateway".into(), &"front".into())
    );
    assert_eq!(ancestors[1]["ancestorRef"]["kind"], "Service");
    assert_eq!(conditions(&ancestors[0]["conditions"])[0], "Accepted=True/Accepted");
    let late = said_of(&world, "BackendTLSPolicy", "b");
    assert_eq!(conditions(&late["ancestors"][0]["conditions"])[0], "Accepted=False/Conflicted");
}

#[test]
fn the_features_are_sorted_as_their_status_wants_them() {
    assert!(SUPPORTED_FEATURES.is_sorted() && SUPPORTED_FEATURES.len() <= 64);
}

#[test]
fn the_features_are_those_of_the_document() {
    let document = include_str!("../../../docs/gateway-api.md");
    let (claimed, _) = document.split_once("## Not claimed").unwrap();
    let rows = claimed.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let named: Vec<&str> = rows.map(|(name, _)| name).filter(|name| *name != "feature" && *name != "---").collect();
    assert_eq!(named, SUPPORTED_FEATURES);
}

#[test]
fn a_port_checks_clients_by_its_own_settings_or_by_the_default() {
    let pair = rcgen::generate_simple_self_signed(["a.com".to_owned()]).unwrap();
    let data = serde_json::json!({"tls.crt": pair.cert.pem(), "tls.key": pair.signing_key.serialize_pem()});
    let secret =
        format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: cert, namespace: shop}}\nstringData: {data}\n");
    let https = |name: &str, port: u16| {
        format!("{{name: {name}, port: {port}, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}")
    };
    let validation = |kind: &str, name: &str| {
        format!("validation: {{caCertificateRefs: [{{group: '', kind: {kind}, name: {name}}}]}}")
    };
    let spec = format!(
        "{{gatewayClassName: istio, listeners: [{}, {}, {}], tls: {{frontend: {{default: {{{}}}, perPort: [{{port: 444, tls: {{{}}}}}, {{port: 445, tls: {{{}}}}}]}}}}}}",
        https("by-default", 443),
        https("gone", 444),
        https("kind", 445),
        validation("ConfigMap", "roots"),
        validation("ConfigMap", "gone"),
        validation("Service", "web"),
    );
    let text =
        services() + &secret + &map("roots", "ca.crt", &authority()) + &object("Gateway", "shop", "front", &spec);
    let world = world(&text);
    let found = listeners(&world, &workload());
    assert!(matches!(found[2].tls[0].clients, crate::model::ClientCertificates::Required(_)));
    assert!(found[0].tls[0].certificate.is_none() && found[1].tls[0].certificate.is_none());
    let status = said(&world, "Gateway");
    for (index, expected) in [
        ["Accepted=True/Accepted", "Programmed=True/Programmed", "ResolvedRefs=True/ResolvedRefs"],
        [
            "Accepted=False/NoValidCACertificate",
            "Programmed=False/Invalid",
            "ResolvedRefs=False/InvalidCACertificateRef",
        ],
        [
            "Accepted=False/NoValidCACertificate",
            "Programmed=False/Invalid",
            "ResolvedRefs=False/InvalidCACertificateKind",
        ],
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(conditions(&status["listeners"][index]["conditions"])[..3], expected, "{index}");
    }
}

#[test]
fn parameters_that_nobody_knows_are_said() {
    let spec = "{gatewayClassName: istio, listeners: [{name: a, port: 80, protocol: HTTP}],
        infrastructure: {parametersRef: {group: a.b, kind: Settings, name: c}}}";
    let status = said(&world(&(services() + &object("Gateway", "shop", "front", spec))), "Gateway");
    assert_eq!(conditions(&status["conditions"])[0], "Accepted=False/InvalidParameters");
}

#[test]
fn a_long_name_fits_and_stays_apart_from_its_siblings() {
    let (a, b) = ("a".repeat(100), "a".repeat(99));
    let (a, b) = (super::fitting(&a), super::fitting(&b));
    assert!(a.len() == 63 && b.len() == 63 && a != b);
    assert_eq!(super::fitting("front-istio"), "front-istio");
}

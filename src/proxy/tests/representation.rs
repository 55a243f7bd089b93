//! One request written in several ways, and several that only look alike: a test for each class of `docs/threats.md` that a policy
//! has to see through. The wider tables are in `authz_matrix`; here stands the case that each class is known for.

use proptest::prelude::*;
use serde_json::json;

use super::authz::{Asked, compiled};
use crate::compile::{World, inbound_policy};
use crate::identity::SpiffeId;
use crate::model::AppProtocol;
use crate::model::token::testing::{Signer, ed25519};
use crate::model::token::{self, Place};
use crate::proxy::testing;
use crate::resources::{Object, RequestAuthentication};

/// Each request, a line of the matrix, is allowed or refused as it says.
fn holds(policies: &[&str], requests: &[&str]) {
    for protocol in [AppProtocol::Http, AppProtocol::Tcp] {
        let policy = compiled(policies, 8080, protocol);
        for line in requests {
            let asked = Asked::parse(line);
            assert_eq!(asked.allowed(&policy), line.starts_with('+'), "{policies:?}: {line}");
        }
    }
}

const NO_ADMIN: &str = "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}";
const ONLY_PUBLIC: &str = "{rules: [{to: [{operation: {paths: [/public]}}]}]}";

#[test]
fn t1_a_path_in_another_notation_is_the_same_path() {
    holds(
        &[NO_ADMIN],
        &[
            "+ GET /other",
            "- GET //admin",
            "- GET /%61dmin",
            "- GET /x/../admin",
            "- GET /./admin",
            "- GET /%2Fadmin",
            "- GET /x/%2e%2e/admin",
            "- GET /admin/",
            "- GET \\admin",
            "- GET /%5Cadmin",
        ],
    );
}

#[test]
fn t2_a_fragment_is_refused() {
    holds(&[NO_ADMIN], &["- GET /admin#x", "- GET /other#/../admin"]);
}

#[test]
fn t3_parameters_of_segments_hide_nothing() {
    holds(&[NO_ADMIN], &["- GET /admin;v=1", "- GET /;v=1/admin", "- GET /x/..;v=1/admin"]);
}

#[test]
fn t4_a_query_is_no_part_of_the_path() {
    holds(&[NO_ADMIN], &["- GET /admin?x=1", "- GET /admin?"]);
    holds(&[ONLY_PUBLIC], &["+ GET /public?x=/admin", "- GET /admin?/public"]);
}

#[test]
fn t5_a_host_in_another_notation_is_the_same_host() {
    let policy = "{action: DENY, rules: [{to: [{operation: {hosts: [admin.org]}}]}]}";
    let hosts = ["admin.org", "ADMIN.org", "admin.org:80", "admin.org.", "Admin.Org.:80"];
    for host in hosts {
        holds(&[policy], &[&format!("- GET / host={host}")]);
    }
    holds(&[policy], &["+ GET / host=admin.org.evil"]);
}

#[test]
fn t6_a_method_in_another_case_is_not_let_through() {
    holds(
        &["{action: DENY, rules: [{to: [{operation: {methods: [DELETE]}}]}]}"],
        &["- DELETE /", "- delete /", "+ GET /"],
    );
    holds(&["{rules: [{to: [{operation: {methods: [GET]}}]}]}"], &["+ GET /", "- get /"]);
}

#[test]
fn t7_all_lines_of_a_header_are_looked_at() {
    let policy = "{action: DENY, rules: [{when: [{key: 'request.headers[x-role]', values: [evil]}]}]}";
    holds(
        &[policy],
        &["- GET / h.x-role=evil", "- GET / h.x-role=good h.x-role=evil", "- GET / h.x-role=evil h.x-role=good"],
    );
    let policy = "{rules: [{when: [{key: 'request.headers[x-role]', values: [good]}]}]}";
    holds(&[policy], &["+ GET / h.x-role=good", "- GET / h.x-role=good h.x-role=evil"]);
}

#[test]
fn t9_an_underscore_is_read_as_a_dash_where_that_refuses() {
    let policy = "{action: DENY, rules: [{when: [{key: 'request.headers[x-role]', values: [evil]}]}]}";
    holds(&[policy], &["- GET / h.x_role=evil"]);
    holds(&["{rules: [{when: [{key: 'request.headers[x-role]', values: [good]}]}]}"], &["- GET / h.x_role=good"]);
}

#[test]
fn t10_a_dot_in_an_identity_is_a_dot() {
    holds(
        &["{rules: [{from: [{source: {principals: ['cluster.local/ns/shop/sa/a.b']}}]}]}"],
        &["+ GET / from=shop/a.b", "- GET / from=shop/axb"],
    );
    holds(&["{rules: [{from: [{source: {principals: ['*/sa/a.b']}}]}]}"], &["- GET / from=shop/axb"]);
}

#[test]
fn t11_the_end_of_a_principal_is_compared_on_connections_as_well() {
    holds(
        &["{action: DENY, rules: [{from: [{source: {principals: ['*/sa/evil']}}]}]}"],
        &["- TCP from=shop/evil", "- GET / from=shop/evil", "+ TCP from=shop/good"],
    );
}

#[test]
fn t12_and_t13_an_identity_has_one_reading() {
    for text in [
        "spiffe://cluster.local/ns/*/sa/web",
        "spiffe://*.local/ns/shop/sa/web",
        "spiffe://cluster.local/ns/shop/sa/web\0.evil",
        "spiffe://cluster.local/ns/shop/sa/web%00",
        "spiffe://cluster.local/ns/shop/sa/web/../admin",
        "spiffe://CLUSTER.local/ns/shop/sa/web",
    ] {
        assert!(text.parse::<SpiffeId>().is_err(), "{text:?}");
    }
}

#[test]
fn t14_who_proves_nobody_is_not_everybody_else() {
    for field in ["notPrincipals: ['cluster.local/ns/shop/sa/evil']", "notNamespaces: [evil]"] {
        let policy = format!("{{rules: [{{from: [{{source: {{{field}}}}}]}}]}}");
        holds(&[&policy], &["- GET /", "- TCP", "+ GET / from=shop/good"]);
    }
}

#[test]
fn t16_where_only_a_connection_is_seen_conditions_on_requests_refuse() {
    holds(&[NO_ADMIN], &["- TCP"]);
    holds(&[ONLY_PUBLIC], &["- TCP"]);
    holds(&["{action: DENY, rules: [{when: [{key: 'request.auth.claims[group]', notValues: [a]}]}]}"], &["- TCP"]);
}

/// What becomes of a token where the issuer's keys are these.
fn believed(keys: serde_json::Value, token: &str) -> bool {
    let mut world = World::new("cluster.local", "istio-system");
    let value = json!({"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"jwtRules": [keys]}});
    world
        .request_authentications
        .push(std::sync::Arc::new(Object::<RequestAuthentication>::from_value(&value).unwrap()));
    let policy = inbound_policy(&world, testing::workload("web", "v1", None), Vec::new(), &["cluster.local".into()]);
    let tokens = |place: &Place| match place {
        Place::Header { .. } => vec![token.to_owned()],
        _ => Vec::new(),
    };
    let found = token::authenticate(&policy.tokens, tokens, std::time::SystemTime::now());
    matches!(found, Ok(Some(_)))
}

fn known(signer: &Signer) -> serde_json::Value {
    json!({"issuer": "me", "jwks": json!({"keys": [signer.jwk]}).to_string()})
}

#[test]
fn t17_keys_that_could_not_be_fetched_believe_nobody() {
    let signer = ed25519();
    let token = signer.token(&json!({"iss": "me", "sub": "ann"}));
    assert!(believed(known(&signer), &token));
    assert!(!believed(json!({"issuer": "me", "jwksUri": "https://me.example/keys"}), &token));
    assert!(!believed(known(&ed25519()), &token));
}

#[test]
fn t18_a_token_does_not_say_how_it_is_to_be_checked() {
    let signer = ed25519();
    let claims = json!({"iss": "me", "sub": "ann"});
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "HS256", "kid": signer.jwk["kid"]}),
        json!({"alg": "EdDSA", "kid": "another"}),
        json!({"alg": "EdDSA", "kid": signer.jwk["kid"], "crit": ["exp"]}),
    ] {
        assert!(!believed(known(&signer), &signer.token_with(&header, &claims)), "{header}");
    }
    let good = signer.token(&claims);
    let unsigned = good.rsplit_once('.').map(|(signed, _)| format!("{signed}.")).unwrap();
    assert!(!believed(known(&signer), &unsigned));
}

/// The same path: unreserved letters escaped or not, in either case of hexadecimal (RFC 3986 section 6.2.2).
fn escaped(path: &str, choices: &[u8]) -> String {
    let mut written = String::new();
    for (index, letter) in path.chars().enumerate() {
        match choices.get(index).copied().unwrap_or_default() % 3 {
            1 if letter.is_ascii_alphanumeric() => written.push_str(&format!("%{:02x}", u32::from(letter))),
            2 if letter.is_ascii_alphanumeric() => written.push_str(&format!("%{:02X}", u32::from(letter))),
            _ => written.push(letter),
        }
    }
    written
}

proptest! {
    #[test]
    fn an_equivalent_encoding_never_changes_a_verdict(
        choices in prop::collection::vec(any::<u8>(), 24),
        path in prop::sample::select(vec!["/admin", "/admin/users", "/public/a", "/public", "/", "/x.y-z_~"]),
        method in prop::sample::select(vec!["GET", "DELETE"]),
        host in prop::sample::select(vec!["web.org", "WEB.org", "web.org.", "web.org:80", "Web.Org.:80"]),
        header in prop::sample::select(vec!["h.x-role=a,b", "h.X-Role=a,b", "h.x-role=a h.x-role=b", "h.x-role=a h.X-ROLE=b"]),
    ) {
        let written = escaped(path, &choices);
        for policies in [
            &["{action: DENY, rules: [{to: [{operation: {hosts: [web.org], paths: [/admin, '/admin/*'], methods: [GET]}}]}]}"][..],
            &["{rules: [{to: [{operation: {hosts: [web.org], notPaths: [/admin, '/admin/*']}}]}]}"],
            &["{rules: [{to: [{operation: {paths: ['/public/*', '/x.y-z_~'], notMethods: [DELETE]}}]}]}"],
            &["{rules: [{when: [{key: 'request.headers[x-role]', values: ['a,b']}]}]}"],
            &["{action: DENY, rules: [{when: [{key: 'request.headers[x-role]', notValues: ['a,b', a, b]}]}]}"],
        ] {
            let policy = compiled(policies, 8080, AppProtocol::Http);
            let plain = Asked::parse(&format!("+ {method} {path} host=web.org h.x-role=a,b")).allowed(&policy);
            let other = Asked::parse(&format!("+ {method} {written} host={host} {header}")).allowed(&policy);
            prop_assert_eq!(plain, other, "{:?}: {} {} at {} with {}", policies, method, written, host, header);
        }
    }
}

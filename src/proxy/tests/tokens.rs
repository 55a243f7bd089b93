//! Tokens through a proxy's sockets: what passes, what the workload gets, what a policy makes of it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::harness::{App, Peer, any_port, edge, header, settings, start};
use crate::compile::{World, inbound_policy};
use crate::model::token::testing::{Signer, ed25519};
use crate::model::{InboundPolicy, OutboundMode};
use crate::proxy::Bind;
use crate::proxy::directory::FixedDirectory;
use crate::proxy::testing;
use crate::resources::{AuthorizationPolicy, Object, RequestAuthentication};

fn object(kind: &str, spec: Value) -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": kind, "spec": spec,
        "metadata": {"name": "p", "namespace": "default"}})
}

fn policy(signer: &Signer, more: &Value, authorization: Option<Value>) -> InboundPolicy {
    let mut world = World::new("cluster.local", "istio-system");
    let mut rule = json!({"issuer": "https://issuer", "jwks": json!({"keys": [signer.jwk]}).to_string()});
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let authentication = object("RequestAuthentication", json!({"jwtRules": [rule]}));
    world.request_authentications.push(Arc::new(Object::<RequestAuthentication>::from_value(&authentication).unwrap()));
    if let Some(spec) = authorization {
        let value = object("AuthorizationPolicy", spec);
        world.authorization_policies.push(Arc::new(Object::<AuthorizationPolicy>::from_value(&value).unwrap()));
    }
    inbound_policy(&world, testing::workload("web", "v1", None), Vec::new(), &["cluster.local".into()])
}

/// Sends each request on a connection of its own; the status, and what the application got.
async fn ask(policy: InboundPolicy, requests: &[String]) -> Vec<(String, String)> {
    let app = App::named("hello").await;
    let known = FixedDirectory {
        settings: settings(OutboundMode::AllowAny),
        inbound: Some(Arc::new(policy)),
        ..FixedDirectory::default()
    };
    let server = start(known, vec![Bind::InboundExplicit { bind: any_port(), app: app.address }]);
    let mut answers = Vec::new();
    for request in requests {
        let before = app.requests.lock().len();
        let answer = Peer::connect(server.address()).await.ask(request).await;
        let got = app.requests.lock().get(before).cloned().unwrap_or_default();
        answers.push((answer, got));
    }
    answers
}

fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: web\r\n{lines}\r\n")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn a_good_token_passes_and_the_workload_gets_what_the_rule_says() {
    let signer = ed25519();
    let token = signer.token(&json!({"iss": "https://issuer", "sub": "ann", "groups": ["a", "b"], "n": {"x": 7},
        "evil": "a\r\nx-admin: yes"}));
    let more = json!({"outputPayloadToHeader": "x-payload", "outputClaimToHeaders": [
        {"header": "x-sub", "claim": "sub"}, {"header": "x-groups", "claim": "groups"}, {"header": "x-n", "claim": "n.x"},
        {"header": "x-evil", "claim": "evil"}]});
    let forged = "X-Sub: root\r\nX_Sub: root\r\nx-payload: e30\r\nx-evil: 1\r\n";
    let requests = [
        get("/a?b=c", &format!("Authorization: Bearer {token}\r\n{forged}")),
        get(&format!("/a?b=c&access_token={token}&d=e"), ""),
        get(&format!("/a?access_token={token}"), ""),
        get("/a", forged),
    ];
    let answers = ask(policy(&signer, &more, None), &requests).await;
    for (answer, _) in &answers {
        assert_eq!(status(answer), "200", "{answer}");
    }
    let got = &answers[0].1;
    assert!(got.starts_with("GET /a?b=c HTTP/1.1"), "{got}");
    let payload = token.split('.').nth(1).unwrap();
    for (name, expected) in [
        ("authorization", None),
        ("x-payload", Some(payload)),
        ("x-sub", Some("ann")),
        ("x-groups", Some("a,b")),
        ("x-n", Some("7")),
        ("x-evil", None),
        ("x-admin", None),
    ] {
        assert_eq!(header(got, name), expected, "{name} in {got}");
    }
    assert!(answers[1].1.starts_with("GET /a?b=c&d=e HTTP/1.1"), "{}", answers[1].1);
    assert!(answers[2].1.starts_with("GET /a HTTP/1.1"), "{}", answers[2].1);
    assert_eq!(header(got, "x_sub"), None, "{got}");
    for name in ["x-sub", "x_sub", "x-payload", "x-evil"] {
        assert_eq!(header(&answers[3].1, name), None, "{name} was made up");
    }
}

#[tokio::test]
async fn a_bad_token_is_refused_whatever_else_there_is_and_a_missing_one_is_not() {
    let (signer, stranger) = (ed25519(), ed25519());
    let claims = json!({"iss": "https://issuer", "sub": "ann", "aud": "shop"});
    let (good, forged) = (signer.token(&claims), stranger.token(&claims));
    let old = signer.token(&json!({"iss": "https://issuer", "exp": 1}));
    let other = signer.token(&json!({"iss": "https://issuer", "aud": "bank"}));
    let requests = [
        get("/", &format!("Authorization: bearer {good}\r\n")),
        get("/", ""),
        get("/", "Authorization: Basic abc\r\n"),
        get("/", &format!("Authorization: Bearer {forged}\r\n")),
        get("/", &format!("Authorization: Bearer {old}\r\n")),
        get("/", &format!("Authorization: Bearer {other}\r\n")),
        get("/", "Authorization: Bearer x\r\n"),
        get("/", &format!("Authorization: Bearer {good}\r\nAuthorization: Bearer {forged}\r\n")),
        "OPTIONS / HTTP/1.1\r\nHost: web\r\nOrigin: https://a\r\nAccess-Control-Request-Method: GET\r\nAuthorization: Bearer x\r\n\r\n".into(),
    ];
    let answers = ask(policy(&signer, &json!({"audiences": ["shop"]}), None), &requests).await;
    let statuses: Vec<&str> = answers.iter().map(|(answer, _)| status(answer)).collect();
    assert_eq!(statuses, ["200", "200", "200", "401", "401", "403", "401", "401", "200"]);
    let (refused, got) = &answers[3];
    assert!(refused.contains("www-authenticate: Bearer error=\"invalid_token\""), "{refused}");
    assert!(refused.contains("Jwt verification fails"), "{refused}");
    assert!(answers[4].0.contains("Jwt is expired"), "{}", answers[4].0);
    assert_eq!(got, "", "the application got it all the same");
}

#[tokio::test]
async fn keys_that_are_not_known_believe_nobody() {
    let signer = ed25519();
    let token = signer.token(&json!({"iss": "https://issuer"}));
    // Nothing has been fetched.
    let mut policy = policy(&signer, &json!({}), None);
    policy.tokens[0].keys = crate::model::token::KeySet::parse("".into());
    let requests = [get("/", &format!("Authorization: Bearer {token}\r\n")), get("/", "")];
    let answers = ask(policy, &requests).await;
    assert_eq!((status(&answers[0].0), status(&answers[1].0)), ("401", "200"));
}

#[tokio::test]
async fn a_policy_asks_who_signed_in_and_with_which_claims() {
    let signer = ed25519();
    let token = |claims: Value| {
        let mut claims = claims;
        claims["iss"] = "https://issuer".into();
        get("/", &format!("Authorization: Bearer {}\r\n", signer.token(&claims)))
    };
    let spec = json!({"rules": [{
        "from": [{"source": {"requestPrincipals": ["https://issuer/*"]}}],
        "when": [
            {"key": "request.auth.claims[groups]", "values": ["admins", "op*"]},
            {"key": "request.auth.audiences", "values": ["shop"]},
            {"key": "request.auth.claims[realm][roles]", "notValues": ["guest"]},
        ],
    }]});
    let good = json!({"sub": "ann", "aud": ["shop", "x"], "groups": ["users", "admins"], "realm": {"roles": ["user"]}});
    let with = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        token(claims)
    };
    let requests = [
        token(good.clone()),
        with("groups", "operators".into()),
        with("groups", json!(["users"])),
        with("aud", "bank".into()),
        with("realm", json!({"roles": ["guest"]})),
        with("realm", Value::Null),
        with("sub", Value::Null),
        get("/", ""),
    ];
    let answers = ask(policy(&signer, &json!({}), Some(spec)), &requests).await;
    let statuses: Vec<&str> = answers.iter().map(|(answer, _)| status(answer)).collect();
    assert_eq!(statuses, ["200", "200", "403", "403", "403", "200", "403", "403"]);
}

/// A gateway's configuration: whom it believes, and rules each of which leads to a service of its own, the last one to `rest`.
fn by_claims(signer: &Signer, matches: &[Value]) -> String {
    let authentication = json!({"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"jwtRules": [{"issuer": "https://issuer", "jwks": json!({"keys": [signer.jwk]}).to_string()}]}});
    let to = |host: &str| json!([{"destination": {"host": host}}]);
    let mut rules: Vec<Value> =
        matches.iter().map(|conditions| json!({"match": [conditions], "route": to("chosen")})).collect();
    rules.push(json!({"route": to("rest")}));
    let service = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "rules", "namespace": "default"},
        "spec": {"hosts": ["*"], "gateways": ["front"], "http": rules}});
    format!("{authentication}\n---\n{service}\n")
}

#[tokio::test]
async fn a_gateway_routes_by_what_a_verified_token_says_and_by_nothing_else() {
    let (signer, stranger) = (ed25519(), ed25519());
    let (chosen, rest) = (App::named("chosen").await, App::named("rest").await);
    let claims = json!({"iss": "https://issuer", "sub": "ann", "groups": ["users", "admins"], "scope": "read write",
        "realm": {"roles": ["op-1"], "a.b": "dot"}, "level": 7, "vip": true, "Case": "Kept"});
    let token = format!("Authorization: Bearer {}\r\n", signer.token(&claims));
    let with = |key: &str, value: Value| json!({"headers": {key: value}});
    let without = |key: &str, value: Value| json!({"withoutHeaders": {key: value}});
    for (conditions, expected) in [
        (with("@request.auth.claims.sub", json!({"exact": "ann"})), "chosen"),
        (with("@Request.Auth.Claims.sub", json!({"exact": "ann"})), "chosen"),
        (with("@request.auth.claims[sub]", json!({"prefix": "an"})), "chosen"),
        (with("@request.auth.claims.sub", json!({"exact": "an"})), "rest"),
        (with("@request.auth.claims.sub", json!({"regex": "a.n"})), "chosen"),
        (with("@request.auth.claims.sub", json!({"regex": "a"})), "rest"),
        (with("@request.auth.claims.groups", json!({"exact": "admins"})), "chosen"),
        (with("@request.auth.claims.groups", json!({"exact": "users,admins"})), "rest"),
        (with("@request.auth.claims.scope", json!({"exact": "write"})), "chosen"),
        (with("@request.auth.claims.realm.roles", json!({"prefix": "op-"})), "chosen"),
        (with("@request.auth.claims[realm][roles]", json!({"exact": "op-1"})), "chosen"),
        (with("@request.auth.claims[realm][a.b]", json!({"exact": "dot"})), "chosen"),
        (with("@request.auth.claims.realm", json!({})), "rest"),
        (with("@request.auth.claims.level", json!({"exact": "7"})), "chosen"),
        (with("@request.auth.claims.vip", json!({"exact": "true"})), "chosen"),
        (with("@request.auth.claims.sub", json!({})), "chosen"),
        (with("@request.auth.claims.nothing", json!({})), "rest"),
        (with("@request.auth.claims.Case", json!({"exact": "Kept"})), "chosen"),
        (with("@request.auth.claims.case", json!({"exact": "Kept"})), "rest"),
        (without("@request.auth.claims.groups", json!({"exact": "guests"})), "chosen"),
        (without("@request.auth.claims.groups", json!({"exact": "users"})), "rest"),
        (without("@request.auth.claims.nothing", json!({})), "chosen"),
        (json!({"headers": {"@request.auth.claims.sub": {"exact": "ann"}, "x-a": {"exact": "1"}}}), "rest"),
    ] {
        let apps = [("chosen", chosen.address), ("rest", rest.address)];
        let (_running, address) = edge(&apps, &by_claims(&signer, std::slice::from_ref(&conditions))).await;
        let answer = Peer::connect(address).await.ask(&get("/", &token)).await;
        assert!(answer.ends_with(expected), "{conditions}: {answer}");
    }
    let apps = [("chosen", chosen.address), ("rest", rest.address)];
    let wanted = with("@request.auth.claims.sub", json!({"exact": "ann"}));
    let (_running, address) = edge(&apps, &by_claims(&signer, &[wanted])).await;
    let forged = format!("Authorization: Bearer {}\r\n", stranger.token(&claims));
    for (lines, expected) in [
        ("", "rest"),
        (forged.as_str(), "401"),
        // No header can have such a name; one that a lenient proxy took for it proves nothing either.
        ("@request.auth.claims.sub: ann\r\n", "400"),
        ("request.auth.claims.sub: ann\r\n", "rest"),
    ] {
        let answer = Peer::connect(address).await.ask(&get("/", lines)).await;
        assert!(answer.ends_with(expected) || status(&answer) == expected, "{lines}: {answer}");
    }
}

#[tokio::test]
async fn a_gateway_of_files_asks_the_policies_of_its_files() {
    let (signer, app) = (ed25519(), App::named("chosen").await);
    let policy =
        object("AuthorizationPolicy", json!({"rules": [{"from": [{"source": {"requestPrincipals": ["*"]}}]}]}));
    let config = format!("{}---\n{policy}\n", by_claims(&signer, &[json!({"uri": {"prefix": "/"}})]));
    let (_running, address) = edge(&[("chosen", app.address)], &config).await;
    let token = signer.token(&json!({"iss": "https://issuer", "sub": "ann"}));
    for (lines, expected) in [(format!("Authorization: Bearer {token}\r\n"), "200"), (String::new(), "403")] {
        let answer = Peer::connect(address).await.ask(&get("/", &lines)).await;
        assert_eq!(status(&answer), expected, "{answer}");
    }
}

/// Each attribute of a token that a condition can name, in each form that a value has: whether a request with the token is allowed,
/// and, since nobody who shows none has it, that one without is not.
#[tokio::test]
async fn every_attribute_of_a_token_can_be_asked_for() {
    let signer = ed25519();
    let token = signer.token(&json!({"iss": "https://issuer", "sub": "ann", "aud": ["shop", "x"], "azp": "front",
        "groups": ["users", "admins"], "realm": {"access": {"roles": ["op-1", "op-2"]}}, "scope": "read write", "n": 7,
        "empty": "", "none": []}));
    let requests = [get("/", &format!("Authorization: Bearer {token}\r\n")), get("/", "")];
    for (key, value, expected) in [
        ("request.auth.principal", "https://issuer/ann", true),
        ("request.auth.principal", "https://issuer/*", true),
        ("request.auth.principal", "*/ann", true),
        ("request.auth.principal", "*", true),
        ("request.auth.principal", "https://issuer", false),
        ("request.auth.audiences", "x", true),
        ("request.auth.audiences", "sho*", true),
        ("request.auth.audiences", "shop,x", false),
        ("request.auth.presenter", "front", true),
        ("request.auth.presenter", "*ont", true),
        ("request.auth.presenter", "back", false),
        ("request.auth.claims[groups]", "admins", true),
        ("request.auth.claims[groups]", "*mins", true),
        ("request.auth.claims[groups]", "guests", false),
        ("request.auth.claims[realm][access][roles]", "op-2", true),
        ("request.auth.claims[realm][access][roles]", "op*", true),
        ("request.auth.claims[realm][access]", "*", false),
        ("request.auth.claims[realm][other][roles]", "op-2", false),
        ("request.auth.claims[scope]", "write", true),
        ("request.auth.claims[scope]", "read write", false),
        ("request.auth.claims[n]", "7", true),
        ("request.auth.claims[groups]", "*", true),
        ("request.auth.claims[empty]", "*", false),
        ("request.auth.claims[none]", "*", false),
        ("request.auth.claims[absent]", "*", false),
    ] {
        let spec = json!({"rules": [{"when": [{"key": key, "values": [value]}]}]});
        let answers = ask(policy(&signer, &json!({}), Some(spec)), &requests).await;
        let statuses = (status(&answers[0].0), status(&answers[1].0));
        assert_eq!(statuses, (if expected { "200" } else { "403" }, "403"), "{key} {value}");
    }
}

/// Each place in which a rule looks for a token: a good one is found there and taken off unless it is to be forwarded, a bad one is
/// refused there, and nowhere else is looked at.
#[tokio::test]
async fn a_token_is_looked_for_where_the_rule_says_and_nowhere_else() {
    let (signer, stranger) = (ed25519(), ed25519());
    let claims = json!({"iss": "https://issuer", "sub": "ann"});
    let (good, bad) = (signer.token(&claims), stranger.token(&claims));
    let only = json!({"rules": [{"from": [{"source": {"requestPrincipals": ["https://issuer/ann"]}}]}]});
    let bearer = |token: &str| get("/a", &format!("Authorization: Bearer {token}\r\n"));
    for (places, request, kept) in [
        (json!({"fromHeaders": [{"name": "X-Jwt", "prefix": "Token "}]}), "x-jwt: Token {}", ""),
        (json!({"fromHeaders": [{"name": "x-jwt"}]}), "x-jwt: {}", ""),
        (json!({"fromHeaders": [{"name": "x-jwt"}], "forwardOriginalToken": true}), "x-jwt: {}", "x-jwt"),
        (json!({"fromCookies": ["session"]}), "cookie: a=b; session={}; c=d", "cookie"),
        (json!({"fromParams": ["jwt"], "fromCookies": ["session"]}), "cookie: session={}", "cookie"),
    ] {
        let line = |token: &str| get("/a", &format!("{}\r\n", request.replace("{}", token)));
        let requests = [line(&good), line(&bad), bearer(&good), line("x")];
        let answers = ask(policy(&signer, &places, Some(only.clone())), &requests).await;
        let statuses: Vec<&str> = answers.iter().map(|(answer, _)| status(answer)).collect();
        assert_eq!(statuses, ["200", "401", "403", "401"], "{places}");
        let got = &answers[0].1;
        assert_eq!(got.contains(&good), !kept.is_empty(), "{places}: {got}");
        assert_eq!(header(got, kept).is_some(), !kept.is_empty(), "{places}: {got}");
    }
    let places = json!({"fromParams": ["jwt"]});
    let requests = [get(&format!("/a?x=1&jwt={good}"), ""), get(&format!("/a?jwt={bad}"), ""), bearer(&good)];
    let answers = ask(policy(&signer, &places, Some(only.clone())), &requests).await;
    let statuses: Vec<&str> = answers.iter().map(|(answer, _)| status(answer)).collect();
    assert_eq!(statuses, ["200", "401", "403"]);
    assert!(answers[0].1.starts_with("GET /a?x=1 HTTP/1.1"), "{}", answers[0].1);
    // Who has to show a token and shows none is refused without any policy.
    let answers = ask(policy(&signer, &json!({"presence": "REQUIRED"}), None), &[get("/", ""), bearer(&good)]).await;
    assert_eq!((status(&answers[0].0), status(&answers[1].0)), ("401", "200"));
    // Words of a claim count one by one where the rule says so.
    let words = json!({"spaceDelimitedClaims": ["teams"]});
    let spec = json!({"rules": [{"when": [{"key": "request.auth.claims[teams]", "values": ["b"]}]}]});
    let token = signer.token(&json!({"iss": "https://issuer", "teams": "a b"}));
    for (more, expected) in [(words, "200"), (json!({}), "403")] {
        let answers = ask(policy(&signer, &more, Some(spec.clone())), &[bearer(&token)]).await;
        assert_eq!(status(&answers[0].0), expected, "{more}");
    }
}

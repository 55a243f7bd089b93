//! Questions that are answered at once: tokens, and what somebody may do.

use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::auth::{Claims, Question, User, allowed, rules};
use super::columns::{list, string};
use super::failure::{Cause, Failure};
use super::kinds::{REVIEWS, Review};
use super::limits;
use super::request::{Place, Verb};
use super::response;
use super::server::{Inner, now, user_of};
use super::store::Key;
use super::verbs::{Call, parse_body};
use crate::serve::Body;

/// Life of a token nobody named one for, seconds.
const DEFAULT_SECONDS: i64 = 3600;
/// Shortest life of a token, seconds.
const LEAST_SECONDS: i64 = 600;

/// The review kind at a place.
pub(super) fn find(place: &Place) -> Option<&'static Review> {
    REVIEWS
        .iter()
        .find(|review| review.group == place.group && review.version == place.version && review.plural == place.plural)
}

/// Answers a review.
pub(super) fn answer(
    server: &Inner,
    user: &User,
    review: &Review,
    verb: Verb,
    content_type: &str,
    body: &[u8],
) -> Result<Response<Body>, Failure> {
    if verb != Verb::Create {
        return Err(Failure::method_not_allowed());
    }
    let mut object = parse_body(content_type, body)?.value;
    if !object.is_object() {
        return Err(Failure::bad_request("the body is not an object"));
    }
    let status = match review.kind {
        "TokenReview" => token_review(server, &object["spec"]),
        "SelfSubjectReview" => json!({"userInfo": user_info(user)}),
        "SelfSubjectAccessReview" => access(server, user, &object["spec"]),
        "SelfSubjectRulesReview" => {
            let (mut resources, paths) = everybody();
            resources.extend(rules(&server.store, user, string(&object, "/spec/namespace")));
            json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
        }
        _ => {
            let spec = &object["spec"];
            let name = string(spec, "/user");
            if spec["resourceAttributes"].is_null() && spec["nonResourceAttributes"].is_null() {
                let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
                let cause = Cause::invalid("spec.resourceAttributes", &Value::Null, why);
                return Err(Failure::invalid(review.group, review.kind, "", vec![cause]));
            }
            access(server, &User::impersonated(name, texts(list(spec, "/groups"))), spec)
        }
    };
    object["apiVersion"] = format!("{}/{}", review.group, review.version).into();
    object["kind"] = review.kind.into();
    object["status"] = status;
    Ok(response::json(StatusCode::CREATED, &object))
}

/// What everybody may do who is known: ask about themselves, and discover what is served.
fn everybody() -> (Vec<Value>, Vec<Value>) {
    let ask =
        |group: &str, resources: &[&str]| json!({"verbs": ["create"], "apiGroups": [group], "resources": resources});
    let see = |paths: &[&str]| json!({"verbs": ["get"], "nonResourceURLs": paths});
    let resources = vec![
        ask("authentication.k8s.io", &["selfsubjectreviews"]),
        ask("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
    ];
    let discovery = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"];
    (resources, vec![see(&discovery), see(&["/healthz", "/livez", "/readyz", "/version", "/version/"])])
}

fn access(server: &Inner, user: &User, spec: &Value) -> Value {
    let asked = &spec["resourceAttributes"];
    let text = |field: &str| string(asked, field);
    let question = Question {
        verb: text("/verb"),
        group: text("/group"),
        resource: text("/resource"),
        subresource: text("/subresource"),
        namespace: text("/namespace"),
        name: text("/name"),
    };
    json!({"allowed": allowed(&server.store, user, &question)})
}

fn user_info(user: &User) -> Value {
    let mut info = json!({"username": &*user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    if let Some((name, uid)) = &user.pod {
        info["extra"] = json!({
            "authentication.kubernetes.io/pod-name": [name],
            "authentication.kubernetes.io/pod-uid": [uid],
        });
    }
    info
}

fn token_review(server: &Inner, spec: &Value) -> Value {
    let token = string(spec, "/token");
    let asked: Vec<String> = texts(list(spec, "/audiences"));
    if server.tokens.is_admin(token) {
        return json!({"authenticated": true, "user": user_info(&User::trusted("system:admin")), "audiences": asked});
    }
    let wanted = if asked.is_empty() { vec![server.tokens.issuer().to_owned()] } else { asked };
    match server.verify(token, &wanted) {
        Ok(claims) => {
            let audiences: Vec<String> =
                claims.audiences.iter().filter(|audience| wanted.contains(audience)).cloned().collect();
            json!({"authenticated": true, "user": user_info(&user_of(claims)), "audiences": audiences})
        }
        Err(error) => json!({"user": {}, "error": format!("[invalid bearer token, {error}]")}),
    }
}

fn texts(values: &[Value]) -> Vec<String> {
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Makes a token for a service account.
pub(super) fn token_request(call: &Call) -> Result<Response<Body>, Failure> {
    let (account, _) = call.current()?;
    let mut request = call.decode()?.value;
    let spec = &request["spec"];
    let invalid = |cause| Failure::invalid("authentication.k8s.io", "TokenRequest", "", vec![cause]);
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
    if seconds < LEAST_SECONDS {
        let why = "may not specify a duration less than 10 minutes";
        return Err(invalid(Cause::invalid("spec.expirationSeconds", &seconds.into(), why)));
    }
    let seconds = seconds.min(limits::TOKEN_SECONDS);
    let mut audiences = texts(list(spec, "/audiences"));
    if audiences.is_empty() {
        audiences.push(call.server.tokens.issuer().to_owned());
    }
    let bound = &spec["boundObjectRef"];
    let pod = match string(bound, "/kind") {
        "" => None,
        "Pod" => {
            let name = string(bound, "/name");
            let key = Key::new(&std::sync::Arc::from("pods."), &call.place.namespace, name);
            let about = super::failure::About::new("", "pods", name);
            let pod = call.server.store.get(&key).ok_or_else(|| Failure::not_found(about.clone()))?;
            let wanted = string(bound, "/uid");
            if !wanted.is_empty() && wanted != pod.uid {
                let why = format!("the UID in the bound object reference ({wanted}) does not match the UID in record");
                return Err(Failure::conflict_because(about, why));
            }
            if string(&pod.value(), "/spec/serviceAccountName") != call.place.name {
                let why = format!("pod {name} does not run as service account {}", call.place.name);
                return Err(invalid(Cause::invalid("spec.boundObjectRef", &name.into(), why)));
            }
            Some((name.to_owned(), pod.uid.clone()))
        }
        other => {
            let supported = ["Pod".to_owned()];
            return Err(invalid(Cause::unsupported("spec.boundObjectRef.kind", &other.into(), &supported)));
        }
    };
    let start = Timestamp::now();
    let end = start.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    let claims = Claims {
        namespace: call.place.namespace.clone(),
        account: call.place.name.clone(),
        account_uid: account.uid.clone(),
        pod,
        audiences: audiences.clone(),
        expires: end.as_second(),
    };
    let token = call
        .server
        .tokens
        .issue(&claims, start)
        .map_err(|error| Failure::internal(format!("no token could be made: {error}")))?;
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["kind"] = "TokenRequest".into();
    request["metadata"] = json!({
        "name": call.place.name, "namespace": call.place.namespace, "creationTimestamp": now(),
    });
    request["spec"]["audiences"] = audiences.into();
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] = json!({
        "token": token, "expirationTimestamp": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    Ok(response::json(StatusCode::CREATED, &request))
}

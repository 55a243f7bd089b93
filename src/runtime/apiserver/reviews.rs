//! Requests that are answered and not stored: whose token is this, may somebody, give me a token.

use std::sync::Arc;

use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::auth::{Claims, Power, Question, User, allowed};
use super::columns::string;
use super::failure::{About, Failure};
use super::kinds::REVIEWS;
use super::request::{Place, Verb};
use super::server::Inner;
use super::store::Key;
use super::{json as reader, limits, response};
use crate::serve::Body;

/// Shortest life of a token, seconds; Kubernetes' own.
const SHORTEST: i64 = 600;
const USUAL: i64 = 3600;

/// The answer, if the place is one of these.
pub(super) fn answer(
    server: &Inner,
    user: &User,
    place: &Place,
    verb: Verb,
    body: &[u8],
) -> Option<Result<Response<Body>, Failure>> {
    let review = REVIEWS.iter().find(|r| {
        r.group == place.group && r.version == place.version && r.plural == place.plural
    });
    let token = place.group.is_empty()
        && place.plural == "serviceaccounts"
        && place.subresource == "token";
    if review.is_none() && !token {
        return None;
    }
    if verb != Verb::Create {
        return Some(Err(Failure::method_not_allowed()));
    }
    Some(reviewed(server, user, place, review.map(|r| r.kind), body).map(|value| {
        response::json(StatusCode::CREATED, &value)
    }))
}

fn reviewed(
    server: &Inner,
    user: &User,
    place: &Place,
    kind: Option<&str>,
    body: &[u8],
) -> Result<Value, Failure> {
    let mut value = reader::parse(body)
        .map_err(|error| Failure::bad_request(error.to_string()))?
        .value;
    if !value.is_object() {
        return Err(Failure::bad_request("the body must be an object"));
    }
    let status = match kind {
        None => return token(server, place, value),
        Some("TokenReview") => token_review(server, &value),
        Some("SelfSubjectReview") => json!({"userInfo": info(user)}),
        Some("SelfSubjectAccessReview") => access(user, &value),
        Some(_) => access(&subject(string(&value, "/spec/user")), &value),
    };
    value["status"] = status;
    Ok(value)
}

fn audiences(value: &Value) -> Vec<String> {
    let given = value.pointer("/spec/audiences").and_then(Value::as_array);
    given.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn token(server: &Inner, place: &Place, mut value: Value) -> Result<Value, Failure> {
    let key = |plural: &str, name: &str| Key::new(&Arc::from(plural), &place.namespace, name);
    let account = server
        .store
        .latest(&key("serviceaccounts.", &place.name))
        .ok_or_else(|| Failure::not_found(About::new("", "serviceaccounts", &place.name)))?;
    let pod = match string(&value, "/spec/boundObjectRef/kind") {
        "" => None,
        "Pod" => {
            let name = string(&value, "/spec/boundObjectRef/name");
            let pod = server
                .store
                .latest(&key("pods.", name))
                .ok_or_else(|| Failure::not_found(About::new("", "pods", name)))?;
            Some((name.to_owned(), pod.uid.clone()))
        }
        other => return Err(Failure::bad_request(format!("cannot bind token to object of kind {other:?}"))),
    };
    let now = Timestamp::now();
    let asked = value.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(USUAL);
    let mut audiences = audiences(&value);
    if audiences.is_empty() {
        audiences.push(server.tokens.issuer().to_owned());
    }
    let claims = Claims {
        namespace: place.namespace.clone(),
        account: place.name.clone(),
        account_uid: account.uid.clone(),
        pod,
        audiences,
        expires: now.as_second() + asked.clamp(SHORTEST, limits::TOKEN_SECONDS),
    };
    let token = server.tokens.issue(&claims, now).map_err(Failure::internal)?;
    let ends = Timestamp::from_second(claims.expires).map_err(|e| Failure::internal(e.to_string()))?;
    value["kind"] = "TokenRequest".into();
    value["apiVersion"] = "authentication.k8s.io/v1".into();
    value["status"] = json!({"token": token, "expirationTimestamp": ends.to_string()});
    Ok(value)
}

fn token_review(server: &Inner, value: &Value) -> Value {
    let token = string(value, "/spec/token");
    if server.tokens.is_admin(token) {
        return json!({"authenticated": true, "user": info(&User::trusted("system:admin"))});
    }
    let mut wanted = audiences(value);
    if wanted.is_empty() {
        wanted.push(server.tokens.issuer().to_owned());
    }
    match server.bearer(token, &wanted) {
        Ok((user, given)) => {
            let both: Vec<&String> = given.iter().filter(|a| wanted.contains(a)).collect();
            json!({"authenticated": true, "user": info(&user), "audiences": both})
        }
        Err(error) => json!({"authenticated": false, "error": error}),
    }
}

fn info(user: &User) -> Value {
    let mut info = json!({"username": user.name.as_ref(), "uid": user.uid, "groups": user.groups});
    if let Some((name, uid)) = &user.pod {
        info["extra"] = json!({
            "authentication.kubernetes.io/pod-name": [name],
            "authentication.kubernetes.io/pod-uid": [uid],
        });
    }
    info
}

/// The user of that name: the administrator has all powers, a service account what the table grants, others none.
fn subject(name: &str) -> User {
    let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, name)) => User::service_account(namespace, name),
        None if name == "system:admin" => User::trusted(name),
        None => User {
            power: Power::ServiceAccount { namespace: String::new(), name: String::new() },
            ..User::trusted(name)
        },
    }
}

fn access(user: &User, value: &Value) -> Value {
    let about = |name: &str| string(value, &format!("/spec/resourceAttributes/{name}")).to_owned();
    let (verb, group, resource) = (about("verb"), about("group"), about("resource"));
    let (subresource, namespace, name) = (about("subresource"), about("namespace"), about("name"));
    let allowed = allowed(user, &Question {
        verb: &verb, group: &group, resource: &resource, subresource: &subresource, namespace: &namespace, name: &name,
    });
    json!({"allowed": allowed})
}

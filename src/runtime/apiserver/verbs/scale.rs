//! `/scale`: the replicas of a kind, in a shape that is the same for all kinds.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Call, write};
use crate::runtime::apiserver::columns::string;
use crate::runtime::apiserver::failure::Failure;
use crate::runtime::apiserver::patch::{self, Patch};
use crate::runtime::apiserver::request::Verb;
use crate::runtime::apiserver::{managed, response};
use crate::serve::Body;

/// Shows it.
pub(crate) fn get_scale(call: &Call) -> Result<Response<Body>, Failure> {
    let (_, object) = call.current()?;
    Ok(response::json(StatusCode::OK, &scale(call, &object)?))
}

/// Replaces or patches it.
pub(crate) async fn set_scale(call: &mut Call, verb: Verb) -> Result<Response<Body>, Failure> {
    let patch = match verb {
        Verb::Update => None,
        _ => Some(Patch::parse(call)?),
    };
    let given = match patch {
        None => call.decode()?.value,
        Some(_) => Value::Null,
    };
    let pointer = call.version()?.scale.as_ref().map(|scale| scale.spec.clone()).unwrap_or_default();
    write::modify(call, managed::Origin::Update, |call, live| {
        let next = match &patch {
            Some(patch) => patch::apply(call, patch, &scale(call, live)?)?,
            None => given.clone(),
        };
        let replicas = next.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or_default();
        if !(0..=i64::from(i32::MAX)).contains(&replicas) {
            let cause = crate::runtime::apiserver::failure::Cause::invalid(
                "spec.replicas",
                &replicas.into(),
                "must be greater than or equal to 0",
            );
            return Err(Failure::invalid("autoscaling", "Scale", &call.place.name, vec![cause]));
        }
        let mut object = live.clone();
        let version = string(&next, "/metadata/resourceVersion");
        object["metadata"]["resourceVersion"] = if patch.is_some() { Value::Null } else { version.into() };
        set(&mut object, &pointer, replicas.into());
        Ok(object)
    })
    .await?;
    get_scale(call)
}

/// Sets a value below objects that may be missing.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for name in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name];
    }
    *place = value;
}

fn scale(call: &Call, object: &Value) -> Result<Value, Failure> {
    let paths = call.version()?.scale.as_ref().ok_or_else(Failure::no_such_path)?;
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or_default();
    let metadata = &object["metadata"];
    let selector = match &paths.selector {
        Some(path) => string(object, path).to_owned(),
        None => {
            let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
            let pairs: Vec<String> = labels
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            pairs.join(",")
        }
    };
    let mut shown = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {},
        "status": {"replicas": number(&paths.status)},
    });
    // What is 0 or empty is left out.
    if number(&paths.spec) != 0 {
        shown["spec"]["replicas"] = number(&paths.spec).into();
    }
    if !selector.is_empty() {
        shown["status"]["selector"] = selector.into();
    }
    Ok(shown)
}

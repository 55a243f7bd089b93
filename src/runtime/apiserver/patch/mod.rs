//! The kinds of patch: JSON (RFC 6902), merge (RFC 7386), strategic merge, and server-side apply.

mod shape;
mod strategic;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(super) use self::shape::{ListRule, Shape};

use super::failure::{Cause, Failure};
use super::kinds::Builtin;
use super::verbs::{Call, parse_json, parse_yaml};
use super::{fields, limits};

/// A patch, read.
pub(super) enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own, for built-in kinds.
    Strategic(Value),
    /// What a field manager wants.
    Apply {
        /// The object as far as the manager cares.
        config: Value,
        /// Whether conflicts are overridden.
        force: bool,
    },
}

impl Patch {
    /// Reads the request's body.
    pub(super) fn parse(call: &mut Call) -> Result<Self, Failure> {
        let apply = call.content_type == "application/apply-patch+yaml";
        if !apply && call.query.get("force").is_some() {
            let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
            return Err(Failure::invalid_option("PatchOptions", cause));
        }
        if apply && call.query.get("fieldManager").is_none() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Failure::invalid_option("PatchOptions", cause));
        }
        match call.content_type.as_str() {
            "application/json-patch+json" => {
                let value = parse_json(&call.body)?.value;
                if value.as_array().is_some_and(|all| all.len() > limits::JSON_PATCH_OPERATIONS) {
                    return Err(Failure::too_large(limits::JSON_PATCH_OPERATIONS));
                }
                serde_json::from_value(value)
                    .map(Self::Json)
                    .map_err(|error| Failure::bad_request(format!("the body is no JSON patch: {error}")))
            }
            "application/merge-patch+json" => Ok(Self::Merge(object(parse_json(&call.body)?.value)?)),
            "application/strategic-merge-patch+json" if call.resource.builtin.is_some() => {
                Ok(Self::Strategic(object(parse_json(&call.body)?.value)?))
            }
            "application/apply-patch+yaml" => {
                let parsed = parse_yaml(&call.body)?;
                let mut config = object(parsed.value)?;
                let text = |field: &str| config.get(field).and_then(Value::as_str).unwrap_or_default();
                if text("apiVersion").is_empty() || text("kind").is_empty() {
                    let (version, kind) = (text("apiVersion"), text("kind"));
                    return Err(Failure::bad_request(format!("invalid object type: {version}/, Kind={kind}")));
                }
                call.check_kind(&mut config)?;
                if config.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
                    return Err(Failure::bad_request("metadata.managedFields must be nil"));
                }
                let name = super::verbs::name_of(&config);
                if name.is_empty() {
                    config["metadata"]["name"] = call.place.name.as_str().into();
                } else if name != call.place.name {
                    return Err(Failure::bad_request(format!(
                        "the name of the object ({name}) does not match the name on the URL ({})",
                        call.place.name
                    )));
                }
                fields::check(call, &mut config, parsed.duplicates)?;
                reset(call, &mut config)?;
                call.applied = Some(config.clone());
                Ok(Self::Apply { config, force: call.query.flag("force") })
            }
            "application/strategic-merge-patch+json" => Err(Failure::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            _ => Err(Failure::unknown_patch()),
        }
    }
}

/// Leaves out what this request does not write, so that nobody owns it through this request, or has a conflict about it.
fn reset(call: &Call, config: &mut Value) -> Result<(), Failure> {
    let Some(map) = config.as_object_mut() else { return Ok(()) };
    if call.place.subresource == "status" {
        map.retain(|field, _| ["apiVersion", "kind", "metadata", "status"].contains(&field.as_str()));
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|field, _| ["name", "namespace", "uid", "resourceVersion"].contains(&field.as_str()));
        }
    } else if call.version()?.status {
        map.remove("status");
    }
    Ok(())
}

fn object(value: Value) -> Result<Value, Failure> {
    if value.is_object() { Ok(value) } else { Err(Failure::bad_request("the patch is not an object")) }
}

/// The object that the patch makes of `live`. Server-side apply has its own way.
pub(super) fn apply(call: &Call, patch: &Patch, live: &Value) -> Result<Value, Failure> {
    let mut next = live.clone();
    // Only a version that the patch itself names is a condition.
    if let Some(metadata) = next["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    match patch {
        Patch::Json(patch) => {
            next["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            operate(&mut next, patch)?;
            if next["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]
                && let Some(metadata) = next["metadata"].as_object_mut()
            {
                metadata.remove("resourceVersion");
            }
        }
        Patch::Merge(patch) => json_patch::merge(&mut next, patch),
        Patch::Strategic(patch) => {
            let kind = call.resource.builtin.and_then(Builtin::fields);
            strategic::merge(&mut next, patch, &Shape::builtin(kind))?;
        }
        Patch::Apply { .. } => {
            return Err(Failure::unknown_patch());
        }
    }
    Ok(next)
}

/// Carries out the operations in order. What is copied is counted, because each copy may hold all copies before it.
fn operate(next: &mut Value, patch: &json_patch::Patch) -> Result<(), Failure> {
    let mut copied = 0_usize;
    for operation in &patch.0 {
        if let json_patch::PatchOperation::Copy(copy) = operation
            && let Some(source) = next.pointer(copy.from.as_str())
        {
            copied = copied.saturating_add(source.to_string().len());
            if copied > limits::OBJECT_BYTES {
                return Err(Failure::too_large(limits::OBJECT_BYTES));
            }
        }
        json_patch::patch(next, std::slice::from_ref(operation)).map_err(|_| Failure::unfitting_patch())?;
    }
    Ok(())
}

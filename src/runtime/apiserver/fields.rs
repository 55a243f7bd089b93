//! Fields that a kind does not have: refused, warned of, or dropped, as the client asks (`fieldValidation`).

use serde_json::Value;

use super::failure::Failure;
use super::limits;
use super::schema::{remove_unknown, unknown_fields};
use super::verbs::Call;

/// Most fields named in one answer.
const NAMED: usize = limits::WARNINGS;

/// Most leaves tried to find the one whose type is wrong.
const TRIED: usize = 2000;

/// Gives `object` the fields of its kind, and no others. `duplicates` are keys that came twice in the body.
pub(super) fn check(call: &mut Call, object: &mut Value, duplicates: Vec<String>) -> Result<(), Failure> {
    let mode = call.query.get("fieldValidation").unwrap_or("Warn").to_owned();
    if !matches!(mode.as_str(), "Ignore" | "Warn" | "Strict") {
        return Err(Failure::bad_request(format!(
            "fieldValidation: Unsupported value: {mode:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
        )));
    }
    let mut unknown = Vec::new();
    if let Some(builtin) = call.resource.builtin {
        quantities_to_text(object);
        let known = (builtin.round_trip)(object).map_err(|error| wrong_type(call, object, &error))?;
        unknown.extend(unknown_fields(object, &known, NAMED));
        remove_unknown(object, &known);
    } else {
        let schema = call.version()?.schema.clone();
        check_metadata(call, object, &mut unknown)?;
        if let Some(schema) = schema {
            schema.drop_nulls(object);
            unknown.extend(schema.prune(object, NAMED));
            schema.set_defaults(object);
        }
    }
    let mut said: Vec<String> = duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
    said.extend(unknown.iter().map(|path| format!("unknown field {path:?}")));
    if said.is_empty() || mode == "Ignore" {
        return Ok(());
    }
    if mode == "Strict" {
        let (kind, version) = (&call.resource.kind, &call.place.version);
        return Err(Failure::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {}",
            said.join(", ")
        )));
    }
    call.warn(said);
    Ok(())
}

/// The metadata of custom kinds has the type that all metadata has.
fn check_metadata(call: &Call, object: &mut Value, unknown: &mut Vec<String>) -> Result<(), Failure> {
    type Metadata = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    let given = &object["metadata"];
    let known = serde_json::from_value::<Metadata>(given.clone())
        .and_then(serde_json::to_value)
        .map_err(|error| cannot_handle(call, &format!("metadata: {error}")))?;
    unknown.extend(unknown_fields(given, &known, NAMED).into_iter().map(|path| format!("metadata.{path}")));
    remove_unknown(&mut object["metadata"], &known);
    Ok(())
}

fn cannot_handle(call: &Call, why: &str) -> Failure {
    let (kind, version) = (&call.resource.kind, &call.place.version);
    Failure::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
}

/// Names the field whose type is wrong: the one without which the object reads.
fn wrong_type(call: &Call, object: &Value, error: &serde_json::Error) -> Failure {
    let Some(builtin) = call.resource.builtin else { return cannot_handle(call, &error.to_string()) };
    let mut leaves = Vec::new();
    collect(object, String::new(), &mut leaves);
    let culprit = leaves.into_iter().take(TRIED).find(|pointer| {
        let mut without = object.clone();
        if let Some(place) = without.pointer_mut(pointer) {
            *place = Value::Null;
        }
        (builtin.round_trip)(&without).is_ok()
    });
    match culprit {
        Some(pointer) => {
            let path = pointer.trim_start_matches('/').replace('/', ".");
            cannot_handle(call, &format!("{path}: {error}"))
        }
        None => cannot_handle(call, &error.to_string()),
    }
}

fn collect(value: &Value, pointer: String, out: &mut Vec<String>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                collect(value, format!("{pointer}/{}", escaped(name)), out);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect(value, format!("{pointer}/{index}"), out);
            }
        }
        _ => {}
    }
    // Innermost first, so that the place named is the narrowest.
    out.push(pointer);
}

/// `cpu: 1` is a quantity as well as `cpu: "1"`.
fn quantities_to_text(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if matches!(name.as_str(), "limits" | "requests" | "capacity" | "allocatable") {
                    for quantity in value.as_object_mut().into_iter().flatten().map(|(_, quantity)| quantity) {
                        if quantity.is_number() {
                            *quantity = quantity.to_string().into();
                        }
                    }
                } else {
                    quantities_to_text(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(quantities_to_text),
        _ => {}
    }
}

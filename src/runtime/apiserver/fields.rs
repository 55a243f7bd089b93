//! Fields that a kind does not have: refused, warned of, or dropped, as the client asks (`fieldValidation`).

use serde_json::Value;

use super::failure::Failure;
use super::limits;
use super::types::{self, WrongType};
use super::verbs::Call;

/// Most fields named in one answer.
const NAMED: usize = limits::WARNINGS;

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
        if let Some(kind) = builtin.fields() {
            unknown.extend(types::check(object, kind, NAMED).map_err(|why| cannot_handle(call, &why))?);
        }
    } else {
        let schema = call.version()?.schema.clone();
        if let Some(kind) = types::get(types::METADATA) {
            let found = types::check(&mut object["metadata"], kind, NAMED).map_err(|why| cannot_handle(call, &why))?;
            unknown.extend(found.into_iter().map(|path| format!("metadata.{path}")));
        }
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

fn cannot_handle(call: &Call, why: &WrongType) -> Failure {
    let (kind, version) = (&call.resource.kind, &call.place.version);
    Failure::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
}

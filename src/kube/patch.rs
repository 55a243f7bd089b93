//! Changing single fields of an object.

use kube::api::{Patch, PatchParams};
use serde_json::Value;

use crate::kube::{Connection, Error, FIELD_MANAGER, ObjectRef};

/// Lays `change` over the object by merge patch (RFC 7396): null removes. Returns the object as it is then.
///
/// # Errors
/// The object is not there, or the server refuses the change.
pub async fn merge(connection: &Connection, object: &ObjectRef, change: &Value, dry_run: bool) -> Result<Value, Error> {
    let location = object.locate(connection).await?;
    let changed = location.api(connection).patch(&object.name, &parameters(dry_run), &Patch::Merge(change)).await;
    let changed = changed.map_err(|error| Error::of(error, object, connection))?;
    serde_json::to_value(changed).map_err(|error| Error::of(kube::Error::SerdeError(error), object, connection))
}

/// The same of the object's status, which is a resource of its own.
///
/// # Errors
/// The object is not there, or the server refuses the change.
pub async fn merge_status(connection: &Connection, object: &ObjectRef, change: &Value) -> Result<(), Error> {
    let location = object.locate(connection).await?;
    let changed = location.api(connection).patch_status(&object.name, &parameters(false), &Patch::Merge(change)).await;
    changed.map(drop).map_err(|error| Error::of(error, object, connection))
}

fn parameters(dry_run: bool) -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run, ..PatchParams::default() }
}

//! Reading one object.

use serde_json::Value;

use crate::kube::{Connection, Error, ObjectRef};

/// The object as it is; `None` where there is none.
pub async fn get(connection: &Connection, object: &ObjectRef) -> Result<Option<Value>, Error> {
    let location = object.locate(connection).await?;
    let found = location.api(connection).get_opt(&object.name).await;
    let found = found.map_err(|error| Error::of(error, object, connection))?;
    Ok(found.and_then(|found| serde_json::to_value(found).ok()))
}

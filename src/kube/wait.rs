//! Waiting until an object is as it should be.

use std::time::Duration;

use kube::core::DynamicObject;
use kube::runtime::wait::await_condition;
use kube::runtime::watcher;

use crate::kube::{Connection, Error, ObjectRef};

/// Waits until `holds` of the object, which is `None` as long as it is not there, and returns it as it is then.
///
/// `condition` says in a word what is waited for: `ready`, `gone`.
pub async fn wait_for(
    connection: &Connection,
    object: &ObjectRef,
    condition: &str,
    bound: Duration,
    holds: impl Fn(Option<&DynamicObject>) -> bool,
) -> Result<Option<DynamicObject>, Error> {
    let waiting = async {
        let api = object.locate(connection).await?.api(connection);
        let found = await_condition(api, &object.name, holds).await;
        found.map_err(|kube::runtime::wait::Error::ProbeFailed(error)| of_watch(error, object, connection))
    };
    tokio::time::timeout(bound, waiting).await.unwrap_or_else(|_| {
        Err(Error::Timeout {
            object: object.to_string(),
            server: connection.server.clone(),
            condition: condition.to_owned(),
            bound,
        })
    })
}

fn of_watch(error: watcher::Error, object: &ObjectRef, connection: &Connection) -> Error {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Error::of(error, object, connection),
        watcher::Error::WatchError(status) => Error::of_status(*status, object, connection),
        watcher::Error::NoResourceVersion => Error::Answer {
            object: object.to_string(),
            server: connection.server.clone(),
            reason: "a list without resourceVersion".to_owned(),
        },
    }
}

//! Applying and deleting objects.

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::client::Body;
use kube::core::{Request, Status};
use serde_json::Value;

use crate::kube::{Connection, Error, FIELD_MANAGER, ObjectRef};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer that is read, in bytes: an object has at most 3 MiB on its way in.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How an object is applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Take over fields that others own.
    pub force: bool,
    /// Have everything checked and nothing changed.
    pub dry_run: bool,
}

/// What applying did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The object was not there.
    Created,
    /// The object was changed.
    Configured,
    /// The object was as it should be.
    Unchanged,
}

/// An object that was applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// What it did.
    pub outcome: Outcome,
    /// What the server had to say about it.
    pub warnings: Vec<String>,
    /// The object as it is now.
    pub object: Value,
}

/// What deleting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The object was there, and is going.
    Deleted,
    /// The object was not there.
    Absent,
}

/// Applies an object by server-side apply.
pub async fn apply(connection: &Connection, value: &Value, options: ApplyOptions) -> Result<Applied, Error> {
    let object = ObjectRef::of(value)?;
    let location = object.locate(connection).await?;
    let before = match location.api(connection).get(&object.name).await {
        Ok(before) => Some(before),
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(error) => return Err(Error::of(error, &object, connection)),
    };
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        force: options.force,
        dry_run: options.dry_run,
        field_validation: Some(kube::api::ValidationDirective::Strict),
    };
    let request = Request::new(location.path()).patch(&object.name, &parameters, &Patch::Apply(value));
    let request = request.map_err(|error| Error::of(kube::Error::BuildRequest(error), &object, connection))?;
    let answer = send(connection, &object, request).await?;
    let version = answer.body.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    let outcome = match before {
        None => Outcome::Created,
        // A rehearsal leaves the version as it was, whatever it would change.
        Some(before) if options.dry_run => {
            let before = serde_json::to_value(before).unwrap_or_default();
            if said(before) == said(answer.body.clone()) { Outcome::Unchanged } else { Outcome::Configured }
        }
        Some(before) if before.metadata.resource_version.as_deref() == version => Outcome::Unchanged,
        Some(_) => Outcome::Configured,
    };
    Ok(Applied { outcome, warnings: answer.warnings, object: answer.body })
}

/// An object without what the server counts and remembers about it.
fn said(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !matches!(field.as_str(), "managedFields" | "resourceVersion" | "generation"));
    }
    object
}

/// Deletes an object, and what it owns. Does not wait until it is gone: that is [`wait_for`](crate::kube::wait_for)'s.
pub async fn delete(connection: &Connection, object: &ObjectRef) -> Result<Deleted, Error> {
    let location = object.locate(connection).await?;
    match location.api(connection).delete(&object.name, &DeleteParams::background()).await {
        Ok(_) => Ok(Deleted::Deleted),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Deleted::Absent),
        Err(error) => Err(Error::of(error, object, connection)),
    }
}

struct Answer {
    body: Value,
    warnings: Vec<String>,
}

/// Sends a request whose answer's headers matter, which the client library's own calls do not hand out.
async fn send(connection: &Connection, object: &ObjectRef, request: http::Request<Vec<u8>>) -> Result<Answer, Error> {
    let unusable =
        |reason: String| Error::Answer { object: object.to_string(), server: connection.server.clone(), reason };
    let exchange = async {
        let response = connection.client.send(request.map(Body::from)).await;
        let response = response.map_err(|error| Error::of(error, object, connection))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        Ok((head, body.map_err(|error| unusable(error.to_string()))?.to_bytes()))
    };
    let (head, body) = tokio::time::timeout(REQUEST_TIMEOUT, exchange).await.map_err(|_| Error::Unreachable {
        server: connection.server.clone(),
        reason: format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
    })??;
    if !head.status.is_success() {
        let status = serde_json::from_slice::<Status>(&body).unwrap_or_else(|_| Status {
            message: String::from_utf8_lossy(&body).trim().chars().take(200).collect(),
            ..Status::default()
        });
        let status = Status { code: head.status.as_u16(), ..status };
        return Err(Error::of_status(status, object, connection));
    }
    let body = serde_json::from_slice(&body).map_err(|error| unusable(error.to_string()))?;
    let lines = head.headers.get_all("warning").iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    Ok(Answer { body, warnings: lines.filter_map(|line| warning_text(&line)).collect() })
}

/// The text of a `Warning` header: `299 - "text"`, with `\` before a quoted character (RFC 7234 section 5.5).
fn warning_text(line: &str) -> Option<String> {
    let (_, quoted) = line.split_once('"')?;
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;

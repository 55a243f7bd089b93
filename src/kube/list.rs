//! Reading the objects of a kind.

use std::time::Duration;

use kube::Api;
use kube::api::ListParams;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::kube::{Connection, Error, ObjectRef};

/// How many objects one answer holds at most.
const PAGE: u32 = 500;

/// The most objects that are read of one kind: more would be a server that never ends.
const MAX_OBJECTS: usize = 1_000_000;

/// How long one page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Which objects are meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'s> {
    /// Those of one namespace; `None` for all.
    pub namespace: Option<&'s str>,
    /// Those with these labels, as kubectl's `-l` writes it; empty for all.
    pub labels: &'s str,
}

/// The objects of a kind; none where the server does not have the kind.
///
/// # Errors
/// The server does not answer or does not permit it.
pub async fn list(
    connection: &Connection,
    api_version: &str,
    kind: &str,
    selection: Selection<'_>,
) -> Result<Vec<Value>, Error> {
    let any = ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: selection.namespace.map(str::to_owned),
        name: "(all)".to_owned(),
    };
    let location = match any.locate(connection).await {
        Ok(location) => location,
        Err(Error::UnknownKind { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let api: Api<DynamicObject> = match selection.namespace {
        Some(_) => location.api(connection),
        None => location.everywhere(connection),
    };
    let mut parameters = ListParams::default().limit(PAGE);
    if !selection.labels.is_empty() {
        parameters = parameters.labels(selection.labels);
    }
    let mut found = Vec::new();
    loop {
        let page = tokio::time::timeout(PAGE_TIMEOUT, api.list(&parameters)).await.map_err(|_| Error::Unreachable {
            server: connection.server.clone(),
            reason: format!("no answer within {} s", PAGE_TIMEOUT.as_secs()),
        })?;
        let page = page.map_err(|error| Error::of(error, &any, connection))?;
        for object in page.items {
            let mut value = serde_json::to_value(object).unwrap_or_default();
            // Items of a list do not say what they are.
            if let Some(object) = value.as_object_mut() {
                object.insert("apiVersion".to_owned(), api_version.into());
                object.insert("kind".to_owned(), kind.into());
            }
            found.push(value);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) if found.len() < MAX_OBJECTS => parameters.continue_token = Some(token),
            _ => return Ok(found),
        }
    }
}

//! What the server shows of objects: the columns that it prints for kubectl as well, and answers outside of its resources.

use std::time::Duration;

use futures_util::{AsyncBufReadExt, Stream};
use http::header::ACCEPT;
use kube::core::Request;
use serde::Deserialize;
use serde_json::Value;

use crate::kube::object::Location;
use crate::kube::{Connection, Error, ObjectRef, Selection};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A server that makes no tables answers with the objects.
const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// A table as the server makes it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ServerTable {
    /// Columns.
    #[serde(default, rename = "columnDefinitions")]
    pub columns: Vec<Column>,
    /// Rows.
    #[serde(default)]
    pub rows: Vec<Row>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Column {
    /// Title.
    pub name: String,
    /// Above 0: only for those who want to see more.
    #[serde(default)]
    pub priority: i64,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// A cell per column.
    pub cells: Vec<Value>,
    /// The object, or its metadata.
    #[serde(default)]
    pub object: Value,
}

/// The table of the objects of a kind, or of one of them.
///
/// # Errors
/// The server has no such kind or object, or does not answer.
pub async fn table(
    connection: &Connection,
    api_version: &str,
    kind: &str,
    name: Option<&str>,
    selection: Selection<'_>,
) -> Result<ServerTable, Error> {
    let object = ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: selection.namespace.map(str::to_owned),
        name: name.unwrap_or("(all)").to_owned(),
    };
    let location = object.locate(connection).await?;
    let path = match (name, selection.namespace) {
        (None, None) => location.path_everywhere(),
        _ => location.path(),
    };
    let request = match name {
        Some(name) => Request::new(path).get(name, &kube::api::GetParams::default()),
        None => {
            let parameters = kube::api::ListParams::default();
            let labelled = !selection.labels.is_empty();
            let parameters = if labelled { parameters.labels(selection.labels) } else { parameters };
            Request::new(path).list(&parameters)
        }
    };
    let mut request = request.map_err(|error| Error::of(kube::Error::BuildRequest(error), &object, connection))?;
    request.headers_mut().insert(ACCEPT, http::HeaderValue::from_static(AS_TABLE));
    bounded(connection, connection.client.request(request))
        .await?
        .map_err(|error| Error::of(error, &object, connection))
}

/// What the server answers at a path that is no resource.
///
/// # Errors
/// It does not answer, or has nothing there.
pub async fn read_path(connection: &Connection, path: &str) -> Result<Value, Error> {
    let failed = |error| Error::of(error, &path, connection);
    let request = http::Request::get(path).body(Vec::new());
    let request = request.map_err(|error| failed(kube::Error::HttpError(error)))?;
    bounded(connection, connection.client.request(request)).await?.map_err(failed)
}

async fn bounded<T>(connection: &Connection, answer: impl Future<Output = T>) -> Result<T, Error> {
    tokio::time::timeout(TIMEOUT, answer).await.map_err(|_| Error::Unreachable {
        server: connection.server.clone(),
        reason: format!("no answer within {} s", TIMEOUT.as_secs()),
    })
}

/// The last lines of what a container printed.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// The container; the pod's only one, or its default one, if not said.
    pub container: Option<String>,
    /// How many lines; all if not said.
    pub tail: Option<i64>,
    /// Of the run before this one.
    pub previous: bool,
}

/// What a container printed.
///
/// # Errors
/// There is no such pod or container, or the server does not answer.
pub async fn logs(connection: &Connection, pod: &ObjectRef, options: &LogOptions) -> Result<String, Error> {
    let (pods, parameters) = log_request(connection, pod, options);
    bounded(connection, pods.logs(&pod.name, &parameters)).await?.map_err(|error| Error::of(error, pod, connection))
}

/// What a container printed and prints, line by line, until it ends or the connection does.
///
/// # Errors
/// There is no such pod or container, or the server does not answer.
pub async fn follow_logs(
    connection: &Connection,
    pod: &ObjectRef,
    options: &LogOptions,
) -> Result<impl Stream<Item = std::io::Result<String>> + use<>, Error> {
    let (pods, parameters) = log_request(connection, pod, options);
    let parameters = kube::api::LogParams { follow: true, ..parameters };
    let stream = bounded(connection, pods.log_stream(&pod.name, &parameters)).await?;
    Ok(stream.map_err(|error| Error::of(error, pod, connection))?.lines())
}

fn log_request(
    connection: &Connection,
    pod: &ObjectRef,
    options: &LogOptions,
) -> (kube::Api<k8s_openapi::api::core::v1::Pod>, kube::api::LogParams) {
    let namespace = pod.namespace.as_deref().unwrap_or(&connection.namespace);
    let parameters = kube::api::LogParams {
        container: options.container.clone(),
        tail_lines: options.tail,
        previous: options.previous,
        ..kube::api::LogParams::default()
    };
    (kube::Api::namespaced(connection.client.clone(), namespace), parameters)
}

impl Location {
    /// Path of the objects of the kind in every namespace.
    fn path_everywhere(&self) -> String {
        Self { resource: self.resource.clone(), namespace: None }.path()
    }
}

//! What a server is.

use std::time::Duration;

use jiff::Timestamp;
use kube::client::Body;

use crate::kube::{Connection, Error};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the built-in runtime's API server adds to its version.
const BUILT_IN: &str = "+mesh";

/// A server's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// As the server says it: `v1.36.0`.
    pub version: String,
    /// Whether it is the built-in runtime's.
    pub built_in: bool,
}

/// What time the server says that it is, to the second; `None` where it says none.
///
/// # Errors
/// It does not answer.
pub async fn server_time(connection: &Connection) -> Result<Option<Timestamp>, Error> {
    let failed = |error| Error::of(error, &"its time", connection);
    let request = http::Request::get("/version").body(Body::empty());
    let request = request.map_err(|error| failed(kube::Error::HttpError(error)))?;
    let asked = tokio::time::timeout(TIMEOUT, connection.client.send(request)).await;
    let answer = asked.map_err(|_| Error::Unreachable {
        server: connection.server.clone(),
        reason: format!("no answer within {} s", TIMEOUT.as_secs()),
    })?;
    let answer = answer.map_err(failed)?;
    let said = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    Ok(said.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|time| time.timestamp()))
}

/// Asks the server what it is.
///
/// # Errors
/// It does not answer, or with something else.
pub async fn server_version(connection: &Connection) -> Result<ServerVersion, Error> {
    let version = connection.client.apiserver_version().await;
    let version = version.map_err(|error| Error::of(error, &"its version", connection))?.git_version;
    Ok(ServerVersion { built_in: version.ends_with(BUILT_IN), version })
}

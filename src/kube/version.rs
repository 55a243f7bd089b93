//! What a server is.

use crate::kube::{Connection, Error};

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

/// Asks the server what it is.
///
/// # Errors
/// It does not answer, or with something else.
pub async fn server_version(connection: &Connection) -> Result<ServerVersion, Error> {
    let version = connection.client.apiserver_version().await;
    let version = version.map_err(|error| Error::of(error, &"its version", connection))?.git_version;
    Ok(ServerVersion { built_in: version.ends_with(BUILT_IN), version })
}

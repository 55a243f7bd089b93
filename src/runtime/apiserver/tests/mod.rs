//! What clients see: through `kube::Client` in memory, over a socket, and through kubectl where it is installed.

mod access;
mod apply;
mod custom;
mod kubectl;
mod objects;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Admission, AdmissionRequest, ApiServer, Denied, Options};

/// A server on a directory of its own.
fn start() -> (ApiServer, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (ApiServer::open(options(dir.path())).unwrap(), dir)
}

fn options(dir: &std::path::Path) -> Options {
    Options { admission: vec![Arc::new(NoEvil)], ..Options::new(dir) }
}

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// The `Status` of a refused request.
fn status(error: kube::Error) -> kube::core::Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("{other}"),
    }
}

/// Refuses what is called evil, warns of what is called odd, marks what is called marked.
struct NoEvil;

impl Admission for NoEvil {
    fn name(&self) -> &str {
        "no-evil"
    }

    fn mutate(&self, request: &AdmissionRequest<'_>) -> Result<Option<Value>, Denied> {
        if request.name != "marked" {
            return Ok(None);
        }
        let mut object = request.object.clone();
        object["metadata"]["labels"]["mark"] = request.namespace_labels["kubernetes.io/metadata.name"].as_str().into();
        Ok(Some(object))
    }

    fn validate(&self, request: &AdmissionRequest<'_>) -> Result<Vec<String>, Denied> {
        match request.name {
            "evil" => Err(Denied::invalid("evil is not admitted: choose another name", Vec::new())),
            "odd" => Ok(vec!["that is \"odd\"".to_owned()]),
            _ => Ok(Vec::new()),
        }
    }
}

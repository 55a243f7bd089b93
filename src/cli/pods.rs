//! Words on the command line that mean pods.

use serde_json::Value;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::objects;
use crate::kube::{self, Connection, ObjectRef, Selection};

/// The pods that a word means: `NAME`, or `KIND/NAME` of what selects pods; `.NAMESPACE` may follow, as istioctl has it.
///
/// # Errors
/// There is no such object, or it has no pods.
pub async fn named(connection: &Connection, word: &str, namespace: &str) -> CliResult<Vec<ObjectRef>> {
    let (kind, name) = word.split_once('/').unwrap_or(("pod", word));
    let kind = objects::kind(kind)?;
    let object = objects::located(connection, objects::named(kind, name, Some(namespace))).await?;
    if object.kind == "Pod" {
        return Ok(vec![object]);
    }
    let missing = || CliError::message(Kind::Failed, format!("{object} is not on {}", connection.server));
    let found = kube::get(connection, &object).await?.ok_or_else(missing)?;
    let namespace = object.namespace.as_deref().unwrap_or(namespace);
    let selector = found.pointer("/spec/selector/matchLabels").or_else(|| found.pointer("/spec/selector"));
    let labels = selector.and_then(Value::as_object).into_iter().flatten();
    let labels: Vec<String> = labels.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    if labels.is_empty() {
        return Err(CliError::message(Kind::Usage, format!("{object} selects no pods")));
    }
    let selection = Selection { namespace: Some(namespace), labels: &labels.join(",") };
    let pods = kube::list(connection, "v1", "Pod", selection).await?;
    let pods = pods.iter().map(ObjectRef::of).collect::<Result<Vec<_>, _>>()?;
    if pods.is_empty() {
        return Err(CliError::message(Kind::Failed, format!("{object} has no pods")));
    }
    Ok(pods)
}

/// The first of the pods that a word means: what asks one pod asks this one.
///
/// # Errors
/// As [`named`].
pub async fn one(connection: &Connection, word: &str, namespace: &str) -> CliResult<ObjectRef> {
    let pods = named(connection, word, namespace).await?;
    pods.into_iter().next().ok_or_else(|| CliError::message(Kind::Failed, format!("{word} has no pods")))
}

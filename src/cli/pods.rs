//! Words on the command line that mean pods.

use serde_json::Value;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::objects;
use crate::kube::{self, Connection, ObjectRef, Selection};

/// How many pods that may be meant are named.
const MEANT: usize = 4;

/// The pods that a word means: `NAME`, or `KIND/NAME` of what selects pods; `.NAMESPACE` may follow, as istioctl has it.
///
/// # Errors
/// There is no such object, or it has no pods.
pub async fn named(connection: &Connection, word: &str, namespace: &str) -> CliResult<Vec<ObjectRef>> {
    let (kind, name) = word.split_once('/').unwrap_or(("pod", word));
    let kind = objects::kind(kind)?;
    let object = objects::located(connection, objects::named(kind, name, Some(namespace))).await?;
    if object.kind == "Pod" {
        return match exists(connection, &object).await? {
            true => Ok(vec![object]),
            false => Err(no_such(connection, &object).await),
        };
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

/// Whether a pod is there, as far as the user may know: who may not read pods learns from the next question.
async fn exists(connection: &Connection, pod: &ObjectRef) -> CliResult<bool> {
    match kube::get(connection, pod).await {
        Ok(found) => Ok(found.is_some()),
        Err(kube::Error::Forbidden { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// That there is no such pod, with those that may be meant: pods get the names of what made them, and some more letters.
async fn no_such(connection: &Connection, pod: &ObjectRef) -> CliError {
    let error = CliError::message(Kind::Failed, format!("{pod} is not on {}", connection.server));
    let selection = Selection { namespace: pod.namespace.as_deref(), labels: "" };
    let pods = kube::list(connection, "v1", "Pod", selection).await.unwrap_or_default();
    let names = pods.iter().filter_map(|pod| pod.pointer("/metadata/name").and_then(Value::as_str));
    let mut meant: Vec<&str> = names.filter(|name| name.starts_with(&pod.name)).collect();
    meant.sort_unstable();
    match meant.as_slice() {
        [] => error,
        [one] => error.hint(format!("did you mean {one}?")),
        [..] if meant.len() <= MEANT => error.hint(format!("did you mean one of {}?", meant.join(", "))),
        [one, ..] => error.hint(format!("{} pods begin so, {one} among them", meant.len())),
    }
}

/// The first of the pods that a word means: what asks one pod asks this one.
///
/// # Errors
/// As [`named`].
pub async fn one(connection: &Connection, word: &str, namespace: &str) -> CliResult<ObjectRef> {
    let pods = named(connection, word, namespace).await?;
    pods.into_iter().next().ok_or_else(|| CliError::message(Kind::Failed, format!("{word} has no pods")))
}

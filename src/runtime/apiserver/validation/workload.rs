//! What makes pods: Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and CronJobs.

use serde_json::Value;

use super::super::columns::{list, string};
use super::super::failure::Cause;
use super::rules::{self, Field, Rule};
use super::{label_keys, pod};
use crate::runtime::controllers::schedule::Schedule;

const SET: &[Field] = &[
    ("minReadySeconds", Rule::Natural),
    ("revisionHistoryLimit", Rule::Natural),
    ("progressDeadlineSeconds", Rule::Natural),
];

const JOB: &[Field] = &[
    ("parallelism", Rule::Natural),
    ("completions", Rule::Natural),
    ("activeDeadlineSeconds", Rule::Natural),
    ("backoffLimit", Rule::Natural),
    ("ttlSecondsAfterFinished", Rule::Natural),
    ("completionMode", Rule::OneOf(&["NonIndexed", "Indexed"])),
];

const CRON: &[Field] =
    &[("startingDeadlineSeconds", Rule::Natural), ("concurrencyPolicy", Rule::OneOf(&["Allow", "Forbid", "Replace"]))];

const CRON_LAST: &[Field] = &[("successfulJobsHistoryLimit", Rule::Natural), ("failedJobsHistoryLimit", Rule::Natural)];

/// A CronJob's name, to which a Job's adds a time.
const CRON_NAME: usize = 52;

/// A kind that keeps pods running.
pub(super) fn set(kind: &str, object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if kind == "StatefulSet" {
        stateful(spec, causes);
    }
    rules::check(spec, "spec", &[("replicas", Rule::Natural)], causes);
    let fits = selector(kind, &spec["selector"], causes);
    let template = &spec["template"];
    if let Some(expressions) = fits
        && !expressions.iter().all(|expression| expression.selects(&template["metadata"]["labels"]))
    {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", &template["metadata"]["labels"], why));
    }
    template_metadata(&template["metadata"], "spec.template.metadata", causes);
    let claims = list(spec, "/volumeClaimTemplates");
    pod::spec_with(claims, &template["spec"], "spec.template.spec", causes);
    if pod::RESTARTS.contains(&string(template, "/spec/restartPolicy")) {
        pod::restart(&template["spec"], "spec.template.spec", &["Always"], causes);
    }
    match kind {
        "Deployment" => strategy(spec, causes),
        "DaemonSet" => update_strategy(spec, causes),
        _ => {}
    }
    rules::check(spec, "spec", SET, causes);
    let (deadline, ready) = (spec["progressDeadlineSeconds"].as_i64(), spec["minReadySeconds"].as_i64().unwrap_or(0));
    if kind == "Deployment" && deadline.is_some_and(|deadline| deadline <= ready) {
        let why = "must be greater than minReadySeconds";
        causes.push(Cause::invalid("spec.progressDeadlineSeconds", &spec["progressDeadlineSeconds"], why));
    }
    let Some(old) = old else { return };
    if kind == "StatefulSet" {
        causes.extend(stateful_change(&old["spec"], spec));
    } else if old["spec"]["selector"] != spec["selector"] {
        causes.push(Cause::invalid("spec.selector", &spec["selector"], "field is immutable"));
    }
}

fn template_metadata(metadata: &Value, path: &str, causes: &mut Vec<Cause>) {
    label_keys(&metadata["labels"], &format!("{path}.labels"), causes);
}

/// One condition of a selector.
enum Condition<'a> {
    In(&'a str, Vec<&'a Value>),
    NotIn(&'a str, Vec<&'a Value>),
    Exists(&'a str),
    Missing(&'a str),
    /// What is not said selects nothing.
    Nothing,
}

impl Condition<'_> {
    fn selects(&self, labels: &Value) -> bool {
        let value = |key: &str| labels.get(key);
        match self {
            Self::In(key, values) => value(key).is_some_and(|value| values.contains(&value)),
            Self::NotIn(key, values) => value(key).is_none_or(|value| !values.contains(&value)),
            Self::Exists(key) => value(key).is_some(),
            Self::Missing(key) => value(key).is_none(),
            Self::Nothing => false,
        }
    }
}

/// The conditions of a selector; `None` where it is wrong itself.
fn selector<'a>(kind: &str, selector: &'a Value, causes: &mut Vec<Cause>) -> Option<Vec<Condition<'a>>> {
    if selector.is_null() {
        // A DaemonSet's is told about its labels alone.
        if kind != "DaemonSet" {
            causes.push(Cause::required("spec.selector", ""));
        }
        return Some(vec![Condition::Nothing]);
    }
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut conditions: Vec<Condition<'_>> =
        labels.map(|(key, value)| Condition::In(key.as_str(), vec![value])).collect();
    let mut wrong = false;
    for (index, expression) in list(selector, "/matchExpressions").iter().enumerate() {
        let key = string(expression, "/key");
        let values: Vec<&Value> = list(expression, "/values").iter().collect();
        let here = format!("spec.selector.matchExpressions[{index}]");
        conditions.push(match string(expression, "/operator") {
            "In" | "NotIn" if values.is_empty() => {
                let why = "must be specified when `operator` is 'In' or 'NotIn'";
                causes.push(Cause::required(format!("{here}.values"), why));
                wrong = true;
                continue;
            }
            "In" => Condition::In(key, values),
            "NotIn" => Condition::NotIn(key, values),
            "Exists" => Condition::Exists(key),
            "DoesNotExist" => Condition::Missing(key),
            other => {
                let why = "not a valid selector operator";
                causes.push(Cause::invalid(format!("{here}.operator"), &other.into(), why));
                wrong = true;
                continue;
            }
        });
    }
    if wrong {
        causes.push(Cause::invalid("spec.selector", selector, "invalid label selector"));
        return None;
    }
    if conditions.is_empty() {
        // A ReplicaSet is called a deployment in it.
        let named = match kind {
            "StatefulSet" => "statefulset",
            "DaemonSet" => "daemonset",
            _ => "deployment",
        };
        causes.push(Cause::invalid("spec.selector", selector, format!("empty selector is invalid for {named}")));
        return None;
    }
    Some(conditions)
}

/// A strategy as Kubernetes shows it in refusals.
fn shown(strategy: &Value) -> String {
    format!("{{\"Type\":{},\"RollingUpdate\":null}}", strategy["type"])
}

fn strategy(spec: &Value, causes: &mut Vec<Cause>) {
    let strategy = &spec["strategy"];
    let rolling = &strategy["rollingUpdate"];
    match string(strategy, "/type") {
        "Recreate" if !rolling.is_null() => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            causes.push(Cause::forbidden("spec.strategy.rollingUpdate", why));
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let none = |field: &str| rolling[field] == 0 || rolling[field] == "0%";
            if none("maxSurge") && none("maxUnavailable") {
                let field = "spec.strategy.rollingUpdate.maxUnavailable";
                causes.push(Cause::invalid(field, &rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0"));
            }
        }
        _ => {
            let known = ["Recreate", "RollingUpdate"].map(str::to_owned);
            causes.push(Cause::unsupported("spec.strategy", &Value::Null, &known).of_structure(&shown(strategy)));
        }
    }
}

fn update_strategy(spec: &Value, causes: &mut Vec<Cause>) {
    if !["RollingUpdate", "OnDelete"].contains(&string(spec, "/updateStrategy/type")) {
        let known = ["RollingUpdate", "OnDelete"].map(str::to_owned);
        let cause = Cause::unsupported("spec.updateStrategy", &Value::Null, &known);
        causes.push(cause.of_structure(&shown(&spec["updateStrategy"])));
    }
}

fn stateful(spec: &Value, causes: &mut Vec<Cause>) {
    let policy = &spec["podManagementPolicy"];
    if policy != "OrderedReady" && policy != "Parallel" {
        causes.push(Cause::invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"));
    }
    if !["RollingUpdate", "OnDelete"].contains(&string(spec, "/updateStrategy/type")) {
        let why = "must be 'RollingUpdate' or 'OnDelete'";
        let cause = Cause::invalid("spec.updateStrategy", &Value::Null, why);
        causes.push(cause.of_structure(&shown(&spec["updateStrategy"])));
    }
}

/// What of a StatefulSet may be changed.
const CHANGEABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

fn stateful_change(old: &Value, new: &Value) -> Option<Cause> {
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|field, _| !CHANGEABLE.contains(&field.as_str()));
        }
        spec
    };
    let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
               'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
    (fixed(old) != fixed(new)).then(|| Cause::forbidden("spec", why))
}

/// A Job at `path`: `spec`, or that of a CronJob's template.
fn job_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    rules::check(spec, path, JOB, causes);
    let path = format!("{path}.template.spec");
    let spec = &spec["template"]["spec"];
    pod::spec(spec, &path, causes);
    match string(spec, "/restartPolicy") {
        "OnFailure" | "Never" => {}
        // What was not said defaults to it, and a Job's pods must end.
        "" | "Always" => {
            causes.push(Cause::required(format!("{path}.restartPolicy"), "valid values: \"OnFailure\", \"Never\""));
        }
        _ => pod::restart(spec, &path, &["OnFailure", "Never"], causes),
    }
}

/// A Job.
pub(super) fn job(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let own = &spec["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"];
    if spec["manualSelector"] != true
        && (*own != object["metadata"]["uid"]
            || spec["selector"]["matchLabels"].as_object().is_none_or(|labels| labels.len() > 1))
    {
        causes.push(Cause::invalid("spec.selector", &spec["selector"], "`selector` not auto-generated"));
    }
    job_spec(spec, "spec", causes);
    let Some(old) = old.map(|old| &old["spec"]) else { return };
    let indexed = spec["completionMode"] == "Indexed" && spec["completions"] == spec["parallelism"];
    for field in ["completions", "selector", "completionMode"] {
        if old[field] != spec[field] && !(field == "completions" && indexed) {
            causes.push(Cause::invalid(format!("spec.{field}"), &spec[field], "field is immutable"));
        }
    }
    let (before, after) = (&old["template"], &spec["template"]);
    if before["spec"] != after["spec"] {
        causes.push(Cause::invalid("spec.template.spec", &after["spec"], "field is immutable"));
    } else if before != after && old["suspend"] != true {
        causes.push(Cause::invalid("spec.template", after, "field is immutable"));
    }
}

/// A CronJob.
pub(super) fn cron(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let text = string(spec, "/schedule");
    if text.is_empty() {
        causes.push(Cause::required("spec.schedule", ""));
    } else if let Err(why) = Schedule::parse(text) {
        causes.push(Cause::invalid("spec.schedule", &text.into(), why));
    }
    let zone = string(spec, "/timeZone");
    if !zone.is_empty() && jiff::tz::TimeZone::get(zone).is_err() {
        causes.push(Cause::invalid("spec.timeZone", &zone.into(), format!("unknown time zone {zone}")));
    }
    rules::check(spec, "spec", CRON, causes);
    job_spec(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", causes);
    rules::check(spec, "spec", CRON_LAST, causes);
    let name = string(object, "/metadata/name");
    if name.len() > CRON_NAME {
        let why = format!("must be no more than {CRON_NAME} characters");
        causes.push(Cause::invalid("metadata.name", &name.into(), why));
    }
}

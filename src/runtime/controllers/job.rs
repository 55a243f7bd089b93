//! Jobs: pods that run to their end, as often and as many at a time as wanted.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::{EnvVar, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::events;
use super::key::{Key, owner_reference};
use super::pods::{self, Pods, count, finished_at, is_ending, is_finished, phase};
use super::queue::{Next, Outcome};

/// The pause before the pod after a failed one; it doubles with each further failure.
const BACKOFF_FIRST: i64 = 10;
const BACKOFF_LIMIT: i64 = 360;
/// Annotation and label with a pod's number in an indexed job.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

pub(super) fn start(client: &Client, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    pods::start::<Job, Pod, _, _>("Job", client, stop, tasks, reconcile);
}

fn is_true(status: &JobStatus, kind: &str) -> bool {
    status.conditions.iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True")
}

async fn reconcile(client: Client, key: Key) -> Outcome {
    let jobs = Api::<Job>::namespaced(client.clone(), &key.namespace);
    let Some(job) = jobs.get_opt(&key.name).await? else { return Ok(Next::Change) };
    let Some(spec) = &job.spec else { return Ok(Next::Change) };
    if job.metadata.deletion_timestamp.is_some() {
        return Ok(Next::Change);
    }
    let before = job.status.clone().unwrap_or_default();
    if is_true(&before, "Complete") || is_true(&before, "Failed") {
        return outlive(&jobs, &key, spec, &before).await;
    }
    let about = owner_reference("batch/v1", "Job", &job.metadata);
    let pods = Pods::new(client.clone(), &key.namespace, about.clone());
    let own = pods.list().await?;
    let now = Timestamp::now();
    let started = before.start_time.as_ref().map_or(now, |time| time.0);
    let succeeded = count(own.iter().filter(|pod| phase(pod) == "Succeeded"));
    let failed = count(own.iter().filter(|pod| phase(pod) == "Failed"));
    let mut active: Vec<&Pod> = own.iter().filter(|pod| !is_finished(pod) && !is_ending(pod)).collect();
    let mut status = JobStatus {
        start_time: Some(Time(started)),
        succeeded: Some(succeeded).filter(|count| *count > 0),
        failed: Some(failed).filter(|count| *count > 0),
        conditions: before.conditions.clone(),
        ..JobStatus::default()
    };

    let late = spec.active_deadline_seconds.map(|limit| started.as_second() + limit - now.as_second());
    let verdict = verdict(spec, succeeded, failed, active.is_empty(), late);
    let suspended = spec.suspend == Some(true);
    if let Some((reason, message)) = suspend(&mut status, suspended, now) {
        events::tell(&client, &key.namespace, &about, reason, message.to_owned()).await;
    }
    let mut next = Next::Change;
    if verdict.is_some() || suspended {
        for pod in active.drain(..) {
            pods.delete(pod).await?;
        }
    } else {
        if let Some(late) = late {
            next = Next::After(Duration::from_secs(u64::try_from(late).unwrap_or(0)));
        }
        let wait = backoff(&own, failed, now);
        let parallelism = spec.parallelism.unwrap_or(1);
        let missing =
            spec.completions.map_or(parallelism, |all| (all - succeeded).min(parallelism)) - count(active.iter());
        if missing > 0 && wait > 0 {
            next = Next::After(Duration::from_secs(u64::try_from(wait).unwrap_or(1)));
        } else if spec.completions.is_some() || succeeded == 0 {
            let taken = |index: i32| own.iter().any(|pod| phase(pod) != "Failed" && index_of(pod) == Some(index));
            let mut indexes = (0..spec.completions.unwrap_or(0)).filter(|index| !taken(*index));
            for _ in 0..missing.max(0) {
                let index = indexes.next().filter(|_| spec.completion_mode.as_deref() == Some("Indexed"));
                let name = index.map_or_else(|| format!("{}-", key.name), |index| format!("{}-{index}-", key.name));
                pods.create(&name, &spec.template, BTreeMap::new(), |pod| number(pod, index)).await?;
            }
            if missing > 0 {
                // The watch shows them.
                return Ok(next);
            }
        }
    }
    status.active = Some(count(active.iter())).filter(|count| *count > 0);
    status.ready = Some(count(active.iter().filter(|pod| pods::is_ready(pod))));
    if let Some((kind, reason, message)) = verdict {
        status.conditions.get_or_insert_default().push(JobCondition {
            type_: kind.to_owned(),
            status: "True".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.clone()),
            last_probe_time: Some(Time(now)),
            last_transition_time: Some(Time(now)),
        });
        let (told, message) = match kind {
            "Complete" => ("Completed", "Job completed".to_owned()),
            _ => (reason, message),
        };
        events::tell(&client, &key.namespace, &about, told, message).await;
        if kind == "Complete" {
            status.completion_time = Some(Time(own.iter().filter_map(finished_at).max().unwrap_or(now)));
        }
        next = Next::After(Duration::ZERO);
    }
    if before != status {
        let mut value = json!(status);
        for field in ["active", "succeeded", "failed", "startTime"] {
            // What is absent now is removed.
            if value.get(field).is_none() {
                value[field] = json!(null);
            }
        }
        jobs.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(json!({ "status": value }))).await?;
    }
    Ok(next)
}

/// Notes that a job is suspended, or is so no more; what there is to tell of it. A suspended job has not begun.
fn suspend(status: &mut JobStatus, suspended: bool, now: Timestamp) -> Option<(&'static str, &'static str)> {
    let conditions = status.conditions.get_or_insert_default();
    let known = conditions.iter().position(|condition| condition.type_ == "Suspended");
    let was = known.and_then(|place| conditions.get(place)).is_some_and(|condition| condition.status == "True");
    if suspended {
        status.start_time = None;
    }
    let told = match (was, suspended) {
        (false, true) => Some(("Suspended", "Job suspended")),
        (true, false) => Some(("Resumed", "Job resumed")),
        _ => None,
    };
    if let Some((reason, message)) = told {
        if let Some(place) = known {
            conditions.remove(place);
        }
        conditions.push(JobCondition {
            type_: "Suspended".to_owned(),
            status: if suspended { "True" } else { "False" }.to_owned(),
            reason: Some(format!("Job{reason}")),
            message: Some(message.to_owned()),
            last_probe_time: Some(Time(now)),
            last_transition_time: Some(Time(now)),
        });
    }
    if conditions.is_empty() {
        status.conditions = None;
    }
    told
}

type Verdict = (&'static str, &'static str, String);

/// How the job ended, if it did.
fn verdict(spec: &JobSpec, succeeded: i32, failed: i32, idle: bool, late: Option<i64>) -> Option<Verdict> {
    let limit = spec.backoff_limit.unwrap_or(6);
    let done = match spec.completions {
        Some(all) => succeeded >= all,
        None => succeeded > 0 && idle,
    };
    if done {
        Some(("Complete", "CompletionsReached", "Reached expected number of succeeded pods".to_owned()))
    } else if failed > limit {
        Some(("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned()))
    } else if late.is_some_and(|late| late <= 0) {
        Some(("Failed", "DeadlineExceeded", "Job was active longer than specified deadline".to_owned()))
    } else {
        None
    }
}

/// Seconds until a pod may follow the ones that failed.
fn backoff(own: &[Pod], failed: i32, now: Timestamp) -> i64 {
    let last = own.iter().filter(|pod| phase(pod) == "Failed").filter_map(finished_at).max();
    let Some(last) = last else { return 0 };
    let doublings = u32::try_from(failed.saturating_sub(1)).unwrap_or(0).min(16);
    let pause = (BACKOFF_FIRST << doublings).min(BACKOFF_LIMIT);
    last.as_second() + pause - now.as_second()
}

fn index_of(pod: &Pod) -> Option<i32> {
    pod.metadata.annotations.as_ref()?.get(INDEX)?.parse().ok()
}

/// Gives a pod of an indexed job its number.
fn number(pod: &mut Pod, index: Option<i32>) {
    let Some(index) = index.map(|index| index.to_string()) else { return };
    let metadata = &mut pod.metadata;
    metadata.annotations.get_or_insert_default().insert(INDEX.to_owned(), index.clone());
    metadata.labels.get_or_insert_default().insert(INDEX.to_owned(), index.clone());
    for container in pod.spec.iter_mut().flat_map(|spec| &mut spec.containers) {
        container.env.get_or_insert_default().push(EnvVar {
            name: INDEX_VARIABLE.to_owned(),
            value: Some(index.clone()),
            value_from: None,
        });
    }
}

/// A job that has ended goes when its time to live is over.
async fn outlive(jobs: &Api<Job>, key: &Key, spec: &JobSpec, status: &JobStatus) -> Outcome {
    let Some(ttl) = spec.ttl_seconds_after_finished else { return Ok(Next::Change) };
    let ends =
        status.conditions.iter().flatten().filter_map(|condition| Some(condition.last_transition_time.as_ref()?.0));
    let left = ends.max().map_or(0, |end| end.as_second() + i64::from(ttl) - Timestamp::now().as_second());
    if left > 0 {
        return Ok(Next::After(Duration::from_secs(u64::try_from(left).unwrap_or(1))));
    }
    match jobs.delete(&key.name, &DeleteParams::background()).await {
        Err(kube::Error::Api(answer)) if !answer.is_not_found() => Err(kube::Error::Api(answer).into()),
        Ok(_) | Err(kube::Error::Api(_)) => Ok(Next::Change),
        Err(error) => Err(error.into()),
    }
}

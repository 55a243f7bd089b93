//! CronJobs: a Job whenever the schedule says so.

use std::time::Duration;

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::tz::TimeZone;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::events;
use super::key::{Key, is_controlled_by, owner_reference};
use super::pods;
use super::queue::{Next, Outcome};
use super::schedule::Schedule;

pub(super) fn start(client: &Client, stop: &CancellationToken, tasks: &mut JoinSet<()>) {
    pods::start::<CronJob, Job, _, _>("CronJob", client, stop, tasks, reconcile);
}

fn has(job: &Job, kind: &str) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

async fn reconcile(client: Client, key: Key) -> Outcome {
    let crons = Api::<CronJob>::namespaced(client.clone(), &key.namespace);
    let Some(cron) = crons.get_opt(&key.name).await? else { return Ok(Next::Change) };
    let spec = &cron.spec;
    if cron.metadata.deletion_timestamp.is_some() {
        return Ok(Next::Change);
    }
    let jobs = Api::<Job>::namespaced(client.clone(), &key.namespace);
    let uid = cron.metadata.uid.as_deref().unwrap_or_default();
    let mut own = jobs.list(&ListParams::default()).await?.items;
    own.retain(|job| is_controlled_by(&job.metadata, uid));
    trim(&jobs, spec, &own).await?;
    let active: Vec<&Job> = own.iter().filter(|job| !has(job, "Complete") && !has(job, "Failed")).collect();

    let now = Timestamp::now();
    let mut status = cron.status.clone().unwrap_or_default();
    let mut next = Next::Change;
    let mut made = None;
    if spec.suspend != Some(true) {
        let zone = spec.time_zone.as_deref().map_or(Ok(TimeZone::UTC), TimeZone::get);
        let (schedule, zone) = match (Schedule::parse(&spec.schedule), zone) {
            (Ok(schedule), Ok(zone)) => (schedule, zone),
            (Err(error), _) => return unusable(&client, &cron, &key, error).await,
            (_, Err(error)) => return unusable(&client, &cron, &key, error.to_string()).await,
        };
        let created = cron.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
        let last = status.last_schedule_time.as_ref().map_or(created, |time| time.0.max(created));
        // Whatever was missed makes one Job, for the last time of all.
        let due = schedule.last(last, now, &zone);
        let late = |time: Timestamp| {
            spec.starting_deadline_seconds.is_some_and(|limit| now.as_second() - time.as_second() > limit)
        };
        let forbidden = spec.concurrency_policy.as_deref() == Some("Forbid") && !active.is_empty();
        if let Some(time) = due.filter(|time| !late(*time) && !forbidden) {
            if spec.concurrency_policy.as_deref() == Some("Replace") {
                for job in &active {
                    let name = job.metadata.name.as_deref().unwrap_or_default();
                    jobs.delete(name, &DeleteParams::background()).await?;
                }
            }
            made = create(&jobs, &cron, spec, time).await?;
            if let Some(job) = &made {
                let about = owner_reference("batch/v1", "CronJob", &cron.metadata);
                let message = format!("Created job {}", job.metadata.name.as_deref().unwrap_or_default());
                events::tell(&client, &key.namespace, &about, "SuccessfulCreate", message).await;
            }
            status.last_schedule_time = Some(Time(time));
        }
        if let Some(time) = schedule.after(due.unwrap_or(last), &zone) {
            let wait = time.as_millisecond() - now.as_millisecond();
            next = Next::After(Duration::from_millis(u64::try_from(wait).unwrap_or(0) + 1));
        }
    }
    let references = active.into_iter().chain(&made).map(|job| ObjectReference {
        api_version: Some("batch/v1".to_owned()),
        kind: Some("Job".to_owned()),
        name: job.metadata.name.clone(),
        namespace: job.metadata.namespace.clone(),
        uid: job.metadata.uid.clone(),
        resource_version: job.metadata.resource_version.clone(),
        field_path: None,
    });
    let mut references: Vec<_> = references.collect();
    references.iter_mut().for_each(|reference| reference.resource_version = None);
    status.active = Some(references).filter(|references| !references.is_empty());
    let done = own.iter().filter(|job| has(job, "Complete"));
    let ends = done.filter_map(|job| Some(job.status.as_ref()?.completion_time.as_ref()?.0));
    status.last_successful_time = ends.max().map(Time).or(status.last_successful_time);
    if cron.status.as_ref() != Some(&status) {
        let mut value = json!(status);
        if value.get("active").is_none() {
            value["active"] = json!(null);
        }
        crons.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(json!({ "status": value }))).await?;
    }
    Ok(next)
}

/// Nothing can be done until somebody changes the object.
async fn unusable(client: &Client, cron: &CronJob, key: &Key, why: String) -> Outcome {
    let about = owner_reference("batch/v1", "CronJob", &cron.metadata);
    events::tell(client, &key.namespace, &about, "UnparseableSchedule", format!("unparseable schedule: {why}")).await;
    Ok(Next::Change)
}

async fn create(
    jobs: &Api<Job>,
    cron: &CronJob,
    spec: &CronJobSpec,
    time: Timestamp,
) -> Result<Option<Job>, kube::Error> {
    let template = spec.job_template.metadata.clone().unwrap_or_default();
    let mut annotations = template.annotations.unwrap_or_default();
    annotations.insert("batch.kubernetes.io/cronjob-scheduled-timestamp".to_owned(), time.to_string());
    let name = cron.metadata.name.as_deref().unwrap_or_default();
    let job = Job {
        metadata: ObjectMeta {
            // The time in minutes: the same time never makes two jobs.
            name: Some(format!("{name}-{}", time.as_second() / 60)),
            labels: template.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![owner_reference("batch/v1", "CronJob", &cron.metadata)]),
            ..ObjectMeta::default()
        },
        spec: spec.job_template.spec.clone(),
        status: None,
    };
    match jobs.create(&PostParams::default(), &job).await {
        Ok(job) => Ok(Some(job)),
        Err(kube::Error::Api(answer)) if answer.is_already_exists() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the oldest of those that have ended, beyond the history that is kept.
async fn trim(jobs: &Api<Job>, spec: &CronJobSpec, own: &[Job]) -> Result<(), kube::Error> {
    let limits = [
        ("Complete", spec.successful_jobs_history_limit.unwrap_or(3)),
        ("Failed", spec.failed_jobs_history_limit.unwrap_or(1)),
    ];
    for (kind, limit) in limits {
        let mut ended: Vec<&Job> = own.iter().filter(|job| has(job, kind)).collect();
        ended.sort_by_key(|job| job.metadata.creation_timestamp.as_ref().map(|time| time.0));
        let surplus = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        for job in ended.iter().take(surplus) {
            jobs.delete(job.metadata.name.as_deref().unwrap_or_default(), &DeleteParams::background()).await?;
        }
    }
    Ok(())
}

//! Whether what was installed is still there, ready, and as it was installed.

use serde_json::Value;

use crate::install::apply::{RECORD, over_present, record_name};
use crate::install::compare::normalise;
use crate::install::plan::{Plan, Platform};
use crate::install::{COMPONENT, DEFAULT_REVISION, Error, Layers, MANAGED_BY, Settings, VERSION, render, revision_of};
use crate::kube::{self, ApplyOptions, Connection, ObjectRef, Selection, readiness};
use crate::resources::field::decode;
use crate::yaml;

/// What is wrong with one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Good,
    /// It is not there.
    Missing,
    /// It is not ready; why.
    NotReady(String),
    /// Somebody changed what was installed.
    Changed,
    /// It differs from what this program would install, which is of another version than the one that installed it.
    OtherVersion(String),
    /// Another revision that is installed has it now: gateways are shared by revisions.
    Shared(String),
}

/// An installation, as it was recorded.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) revision: String,
    pub(super) namespace: String,
    pub(super) version: String,
    pub(super) profile: String,
    pub(super) settings: String,
    files: String,
    set: String,
}

/// Every installation that was recorded.
pub(super) async fn records(connection: &Connection) -> Result<Vec<Record>, Error> {
    let labels = format!("{}={},{COMPONENT}={RECORD}", MANAGED_BY.0, MANAGED_BY.1);
    let found = kube::list(connection, "v1", "ConfigMap", Selection { namespace: None, labels: &labels }).await?;
    let text =
        |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut records: Vec<Record> = found
        .iter()
        .map(|object| Record {
            revision: revision_of(object).unwrap_or(DEFAULT_REVISION).to_owned(),
            namespace: text(object, "/metadata/namespace"),
            version: text(object, "/data/version"),
            profile: text(object, "/data/profile"),
            settings: text(object, "/data/settings"),
            files: text(object, "/data/files"),
            set: text(object, "/data/set"),
        })
        .collect();
    records.sort_by(|a, b| a.revision.cmp(&b.revision));
    Ok(records)
}

/// The revisions that are installed: name, version and profile of each.
///
/// # Errors
/// The server does not answer.
pub async fn installed_revisions(connection: &Connection) -> Result<Vec<(String, String, String)>, Error> {
    let records = records(connection).await?;
    Ok(records.into_iter().map(|record| (record.revision, record.version, record.profile)).collect())
}

/// What was said when a revision was installed; `None` where it is not.
///
/// # Errors
/// The server does not answer, or the record is damaged.
pub async fn recorded_layers(connection: &Connection, revision: &str) -> Result<Option<Layers>, Error> {
    let records = records(connection).await?;
    let Some(record) = records.iter().find(|record| record.revision == revision) else { return Ok(None) };
    let place = format!("ConfigMap {}/{}", record.namespace, record_name(revision));
    let set: Vec<String> = if record.set.is_empty() {
        Vec::new()
    } else {
        let damaged = |error: serde_json::Error| Error::File { place: place.clone(), reason: format!("set: {error}") };
        serde_json::from_str(&record.set).map_err(damaged)?
    };
    Layers::read(&place, &record.profile, &record.files, &set).map(Some)
}

/// Holds every object of an installation against what was installed.
///
/// # Errors
/// The revision is not installed, its record is damaged, or the server does not answer.
pub async fn verify(
    connection: &Connection,
    revision: &str,
    platform: Platform,
) -> Result<Vec<(ObjectRef, Verdict)>, Error> {
    let records = records(connection).await?;
    let Some(record) = records.iter().find(|record| record.revision == revision) else {
        let there: Vec<&str> = records.iter().map(|record| record.revision.as_str()).collect();
        let known = match there.as_slice() {
            [] => "nothing is installed".to_owned(),
            there => format!("there is {}", there.join(", ")),
        };
        return Err(Error::NotInstalled { server: connection.server.clone(), revision: revision.to_owned(), known });
    };
    let others: Vec<&str> =
        records.iter().map(|record| record.revision.as_str()).filter(|other| *other != revision).collect();
    let mut verdicts = Vec::new();
    for object in record.objects(platform)? {
        let reference = ObjectRef::of(&object)?;
        let verdict = match judge(connection, &reference, &object, &others).await? {
            Verdict::Missing | Verdict::Changed if record.version != VERSION => {
                Verdict::OtherVersion(record.version.clone())
            }
            verdict => verdict,
        };
        verdicts.push((reference, verdict));
    }
    Ok(verdicts)
}

impl Record {
    /// What the installation consists of.
    pub(super) fn objects(&self, platform: Platform) -> Result<Vec<Value>, Error> {
        let place = format!("ConfigMap {}/{}", self.namespace, record_name(&self.revision));
        let loaded = yaml::load(&place, self.settings.as_bytes());
        let damaged = |reason: String| Error::File {
            place: place.clone(),
            reason: format!("{reason}; install again to renew it"),
        };
        let tree = loaded.documents.into_iter().next().ok_or_else(|| damaged("holds no settings".to_owned()))?;
        let settings: Settings = decode(&tree.value).map_err(|findings| damaged(findings.to_string()))?;
        render(&Plan::new(settings, platform))
    }
}

async fn judge(
    connection: &Connection,
    reference: &ObjectRef,
    object: &Value,
    others: &[&str],
) -> Result<Verdict, Error> {
    let Some(present) = kube::get(connection, reference).await? else { return Ok(Verdict::Missing) };
    if let Some(reason) = readiness(&present).reason() {
        return Ok(Verdict::NotReady(reason.to_owned()));
    }
    if let Some(owner) = revision_of(&present).filter(|owner| others.contains(owner)) {
        return Ok(Verdict::Shared(owner.to_owned()));
    }
    // What applying again would change is what somebody else has changed.
    let object = over_present(connection, reference, object).await?;
    let applied = kube::apply(connection, &object, ApplyOptions { force: true, dry_run: true }).await?;
    let same = normalise(present) == normalise(applied.object);
    Ok(if same { Verdict::Good } else { Verdict::Changed })
}

//! Bringing a cluster to what a plan asks for: lock, apply stage by stage, wait, prune, record.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use crate::install::foreign::{self, is_ours, is_shared};
use crate::install::order::{KINDS, Stage, rank};
use crate::install::plan::{Plan, Platform};
use crate::install::{COMPONENT, Error, MANAGED_BY, REVISION, VERSION, render};
use crate::install::{tag, webhook};
use crate::kube::{self, ApplyOptions, Connection, Deleted, ObjectRef, Outcome, Selection};
use crate::yaml;

/// The component of the record of an installation.
pub(super) const RECORD: &str = "Record";

/// Questions to the server at one time.
const QUESTIONS: usize = 8;

/// The label of webhooks that are tags.
pub(super) const TAG: &str = "istio.io/tag";

/// How an installation is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Take over what another Istio's installer left.
    pub replace_istio: bool,
    /// Have the server check everything and change nothing.
    pub dry_run: bool,
    /// How long each stage may take to be ready.
    pub readiness_timeout: Duration,
    /// Who installs, for others who want to.
    pub holder: String,
}

/// What an installation tells while it works.
#[derive(Debug)]
pub enum Event<'e> {
    /// An object was applied.
    Applied {
        /// The object.
        object: &'e ObjectRef,
        /// What it did.
        outcome: Outcome,
        /// How many objects were applied, this one included.
        done: usize,
        /// Of how many.
        total: usize,
    },
    /// The server had something to say about an object.
    Warning {
        /// The object.
        object: &'e ObjectRef,
        /// What.
        text: &'e str,
    },
    /// These objects are waited for, each with why it is not ready.
    Waiting(&'e [(ObjectRef, String)]),
    /// An object is no longer wanted, and went.
    Pruned(&'e ObjectRef),
}

/// What an installation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Objects that were not there.
    pub created: usize,
    /// Objects that were changed.
    pub configured: usize,
    /// Objects that were as they should be.
    pub unchanged: usize,
    /// Objects that went.
    pub pruned: usize,
}

/// Brings the cluster to what the plan asks for. Interrupted at any point, it may be run again.
///
/// # Errors
/// A foreign Istio, a lock that is held, a refusal of the server, objects that are not ready in time.
pub async fn install(
    connection: &Connection,
    plan: &Plan,
    options: &Options,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<Summary, Error> {
    let objects = render(plan)?;
    permitted(connection, plan, &objects).await?;
    if plan.platform == Platform::Kubernetes && !options.replace_istio {
        let found = foreign::find(connection, plan, &objects).await?;
        if !found.is_empty() {
            return Err(Error::Foreign { server: connection.server.clone(), found });
        }
    }
    let mut work = Work { connection, plan, options, report, summary: Summary::default(), total: objects.len() };
    if options.dry_run {
        work.rehearse(&objects).await?;
        return Ok(work.summary);
    }
    work.namespaces(&objects).await?;
    let lease = lease(plan);
    let lock = kube::lock(connection, plan.namespace(), &lease.name, &options.holder, |error| {
        if let kube::Error::Held { holder, since, .. } = error {
            let reason = format!("is held by {holder} since {since}; if they have died, it is free within 15 s");
            (work.report)(Event::Waiting(&[(lease.clone(), reason)]));
        }
    });
    let mut lock = lock.await?;
    let outcome = tokio::select! {
        outcome = work.converge(&objects) => outcome,
        () = lock.lost() => Err(Error::Overtaken { lease, server: connection.server.clone() }),
    };
    lock.release().await;
    outcome?;
    Ok(work.summary)
}

/// Refuses, before anything is changed, what would be refused half-way: for each kind, and each namespace that it is in.
async fn permitted(connection: &Connection, plan: &Plan, objects: &[Value]) -> Result<(), Error> {
    let mut kinds: Vec<ObjectRef> = vec![lease(plan)];
    for object in objects {
        let object = ObjectRef::of(object)?;
        if !kinds.iter().any(|known| known.kind == object.kind && known.namespace == object.namespace) {
            kinds.push(object);
        }
    }
    let questions = kinds.iter().flat_map(|kind| verbs(&kind.kind).iter().map(move |verb| (kind, *verb)));
    let answers = stream::iter(questions).map(|(kind, verb)| kube::lacks(connection, kind, verb));
    let answers: Vec<Option<String>> = answers.buffered(QUESTIONS).try_collect().await?;
    let missing: Vec<String> = answers.into_iter().flatten().collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::NotPermitted { server: connection.server.clone(), missing })
}

/// What an installation does with objects of a kind: kinds that it removes have to be found first.
fn verbs(kind: &str) -> &'static [&'static str] {
    match KINDS.iter().find(|known| known.kind == kind) {
        Some(known) if known.pruned => &["get", "create", "patch", "list", "delete"],
        Some(_) => &["get", "create", "patch"],
        // The lock.
        None => &["get", "create", "update", "delete"],
    }
}

/// The Lease that keeps two installers of a revision apart.
fn lease(plan: &Plan) -> ObjectRef {
    ObjectRef {
        api_version: "coordination.k8s.io/v1".to_owned(),
        kind: "Lease".to_owned(),
        namespace: Some(plan.namespace().to_owned()),
        name: format!("mesh-install{}", plan.suffix()),
    }
}

struct Work<'w> {
    connection: &'w Connection,
    plan: &'w Plan,
    options: &'w Options,
    report: &'w mut dyn FnMut(Event<'_>),
    summary: Summary,
    total: usize,
}

impl Work<'_> {
    async fn converge(&mut self, objects: &[Value]) -> Result<(), Error> {
        for stage in [Stage::Ground, Stage::ControlPlane, Stage::Webhooks, Stage::Gateways] {
            let mut applied = Vec::new();
            for object in objects.iter().filter(|object| rank(object).0 == stage) {
                if self.apply(object, false).await? {
                    applied.push(ObjectRef::of(object)?);
                }
            }
            self.wait(&applied).await?;
        }
        self.prune(objects).await?;
        let record = record(self.plan);
        kube::apply(self.connection, &record, FORCED).await?;
        Ok(())
    }

    /// Applies one object; `false` when it was left alone.
    async fn apply(&mut self, object: &Value, dry_run: bool) -> Result<bool, Error> {
        let reference = ObjectRef::of(object)?;
        if is_shared(object) && !self.options.replace_istio {
            let present = kube::get(self.connection, &reference).await?;
            if present.is_some_and(|present| !is_ours(&present)) {
                let text = "is another Istio's and is left as it is; --replace-istio takes it over";
                (self.report)(Event::Warning { object: &reference, text });
                self.total -= 1;
                return Ok(false);
            }
        }
        let object = over_present(self.connection, &reference, object).await?;
        let applied = kube::apply(self.connection, &object, ApplyOptions { dry_run, ..FORCED }).await?;
        for text in &applied.warnings {
            (self.report)(Event::Warning { object: &reference, text });
        }
        self.count(&reference, applied.outcome);
        Ok(true)
    }

    fn count(&mut self, object: &ObjectRef, outcome: Outcome) {
        match outcome {
            Outcome::Created => self.summary.created += 1,
            Outcome::Configured => self.summary.configured += 1,
            Outcome::Unchanged => self.summary.unchanged += 1,
        }
        let done = self.summary.created + self.summary.configured + self.summary.unchanged;
        (self.report)(Event::Applied { object, outcome, done, total: self.total });
    }

    /// Has the server check every object. What is in a namespace that is not there yet cannot be checked and counts as created.
    async fn rehearse(&mut self, objects: &[Value]) -> Result<(), Error> {
        let missing = self.missing_namespaces(objects).await?;
        for object in objects {
            let reference = ObjectRef::of(object)?;
            match &reference.namespace {
                Some(namespace) if missing.contains(namespace) => self.count(&reference, Outcome::Created),
                _ => {
                    self.apply(object, true).await?;
                }
            }
        }
        for stale in self.stale(objects).await? {
            self.summary.pruned += 1;
            (self.report)(Event::Pruned(&stale));
        }
        Ok(())
    }

    async fn missing_namespaces(&self, objects: &[Value]) -> Result<Vec<String>, Error> {
        let mut names: Vec<String> = vec![self.plan.namespace().to_owned()];
        names.extend(objects.iter().filter_map(|object| ObjectRef::of(object).ok()?.namespace));
        names.sort();
        names.dedup();
        let mut missing = Vec::new();
        for name in names {
            if kube::get(self.connection, &ObjectRef::of(&namespace(&name))?).await?.is_none() {
                missing.push(name);
            }
        }
        Ok(missing)
    }

    /// Creates the namespaces that are missing. They stay when the mesh goes: others may have put something there.
    async fn namespaces(&self, objects: &[Value]) -> Result<(), Error> {
        for name in self.missing_namespaces(objects).await? {
            kube::apply(self.connection, &namespace(&name), FORCED).await?;
        }
        Ok(())
    }

    async fn wait(&mut self, objects: &[ObjectRef]) -> Result<(), Error> {
        let bound = self.options.readiness_timeout;
        let report = &mut self.report;
        let left = kube::wait_ready(self.connection, objects, bound, |waiting| {
            if !waiting.is_empty() {
                report(Event::Waiting(waiting));
            }
        });
        let left = left.await?;
        if left.is_empty() {
            return Ok(());
        }
        let waiting = left.into_iter().map(|(object, reason)| format!("{object} {reason}")).collect();
        Err(Error::NotReady { bound, waiting })
    }

    /// What this revision installed before and no longer wants.
    async fn stale(&self, objects: &[Value]) -> Result<Vec<ObjectRef>, Error> {
        let wanted: HashSet<ObjectRef> = objects.iter().filter_map(|object| ObjectRef::of(object).ok()).collect();
        let installed = installed(self.connection, self.plan.revision()).await?;
        Ok(installed
            .into_iter()
            .filter(|(object, tag)| !tag && !wanted.contains(object))
            .map(|(object, _)| object)
            .collect())
    }

    async fn prune(&mut self, objects: &[Value]) -> Result<(), Error> {
        for stale in self.stale(objects).await? {
            if kube::delete(self.connection, &stale).await? == Deleted::Deleted {
                self.summary.pruned += 1;
                (self.report)(Event::Pruned(&stale));
            }
        }
        Ok(())
    }
}

/// An object as it is to be applied, given what is there.
pub(super) async fn over_present(
    connection: &Connection,
    reference: &ObjectRef,
    object: &Value,
) -> Result<Value, Error> {
    if tag::is_superseded(connection, object).await? {
        return Ok(webhook::silenced(object.clone()));
    }
    let closes = reference.kind == "ValidatingWebhookConfiguration";
    let present = if closes { kube::get(connection, reference).await? } else { None };
    Ok(webhook::over_present(object, present.as_ref()))
}

/// An installation owns what it installs.
pub(super) const FORCED: ApplyOptions = ApplyOptions { force: true, dry_run: false };

/// What a revision consists of in the cluster, in the order in which it goes, and whether each is a tag. Its record, the
/// definitions and namespaces are not among them.
pub(super) async fn installed(connection: &Connection, revision: &str) -> Result<Vec<(ObjectRef, bool)>, Error> {
    let labels = format!("{}={},{REVISION}={revision},{COMPONENT}!={RECORD}", MANAGED_BY.0, MANAGED_BY.1);
    let mut found = Vec::new();
    for kind in KINDS.iter().rev().filter(|kind| kind.pruned) {
        let selection = Selection { namespace: None, labels: &labels };
        for object in kube::list(connection, kind.api_version, kind.kind, selection).await? {
            let tag = object.get("metadata").and_then(|metadata| metadata.get("labels")?.get(TAG)).is_some();
            found.push((ObjectRef::of(&object)?, tag));
        }
    }
    Ok(found)
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// Name of the record of a revision.
pub(super) fn record_name(revision: &str) -> String {
    format!("mesh-install{}", super::suffix(revision))
}

/// What was installed, for those who come later: `verify-install`, `upgrade`, `uninstall`.
pub fn record(plan: &Plan) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": record_name(plan.revision()),
            "namespace": plan.namespace(),
            "labels": {MANAGED_BY.0: MANAGED_BY.1, COMPONENT: RECORD, REVISION: plan.revision()},
        },
        "data": {
            "version": VERSION,
            "profile": plan.profile(),
            "settings": yaml::to_string(&Value::Object(plan.recorded())),
            "files": plan.said.0,
            "set": json!(plan.said.1).to_string(),
        },
    })
}

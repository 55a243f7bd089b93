//! delete and deletecollection.
//!
//! An object goes at once, unless something holds it back: finalizers, a pod's grace period, a namespace's content, or dependents
//! that are to go (foreground) or to be set free (orphan) first. Then it is marked, and goes when the last hold does.

use std::sync::Arc;

use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Call, read, write};
use crate::runtime::apiserver::admission::Operation;
use crate::runtime::apiserver::columns::{list, string};
use crate::runtime::apiserver::failure::{About, Cause, Failure};
use crate::runtime::apiserver::server::{Inner, SYSTEM_NAMESPACES};
use crate::runtime::apiserver::store::{Expect, Key, Object, WriteError};
use crate::runtime::apiserver::{collect, limits, response};
use crate::serve::Body;

/// How an object is to be deleted.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    /// Seconds a pod gets to end; none for its own.
    pub(crate) grace: Option<i64>,
    /// The finalizer that decides what becomes of dependents, if one does.
    pub(crate) finalizer: Option<&'static str>,
    /// Only if the object is this one.
    pub(crate) uid: Option<String>,
    /// Only if it is at this version.
    pub(crate) version: Option<u64>,
}

/// What became of the object.
pub(crate) enum Deletion {
    /// It is gone.
    Gone(Arc<Object>),
    /// It is marked, and goes when nothing holds it back.
    Marked(Arc<Object>),
}

impl DeleteOptions {
    fn parse(call: &Call) -> Result<(Self, bool), Failure> {
        let given = if call.body.is_empty() { json!({}) } else { call.decode()?.value };
        let propagation = match call.query.get("propagationPolicy") {
            Some(policy) => policy,
            None => string(&given, "/propagationPolicy"),
        };
        let orphan = given["orphanDependents"] == true || call.query.flag("orphanDependents");
        let finalizer = match propagation {
            "Foreground" => Some(collect::FOREGROUND),
            "Orphan" => Some(collect::ORPHAN),
            "" if orphan => Some(collect::ORPHAN),
            "" | "Background" => None,
            other => {
                let known = ["Foreground", "Background", "Orphan", "nil"].map(str::to_owned);
                let cause = Cause::unsupported("propagationPolicy", &other.into(), &known);
                return Err(Failure::invalid_option("DeleteOptions", cause));
            }
        };
        let grace = match call.query.number("gracePeriodSeconds")? {
            Some(seconds) => i64::try_from(seconds).ok(),
            None => given["gracePeriodSeconds"].as_i64(),
        };
        if grace.is_some_and(|seconds| seconds < 0) {
            return Err(Failure::bad_request("gracePeriodSeconds: must be 0 or more"));
        }
        let text = |path: &str| given.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let version = text("/preconditions/resourceVersion").map(|version| version.parse().unwrap_or_default());
        let dry_run = call.query.dry_run()? || given["dryRun"] == json!(["All"]);
        Ok((Self { grace, finalizer, uid: text("/preconditions/uid"), version }, dry_run))
    }
}

impl DeleteOptions {
    /// Refuses an object that is not the one that is meant.
    fn check(&self, call: &Call, object: &Object) -> Result<(), Failure> {
        let about = About::new(&call.resource.group, &call.resource.kind, &call.place.name);
        if let Some(uid) = self.uid.as_ref().filter(|uid| **uid != object.uid) {
            let why = format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
                 deleted and then recreated",
                object.uid
            );
            return Err(Failure::conflict_because(about, why));
        }
        if let Some(version) = self.version.filter(|version| *version != object.version) {
            let why = format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
                 The object might have been modified",
                object.version
            );
            return Err(Failure::conflict_because(about, why));
        }
        Ok(())
    }
}

/// Evicts a pod: deletes it as its own subresource asks, once nothing of it depends on it any more. There are no disruption budgets
/// here that could forbid it.
pub(crate) async fn evict(call: &mut Call) -> Result<Response<Body>, Failure> {
    let given = call.decode()?.value;
    call.body = match given.get("deleteOptions").filter(|options| options.is_object()) {
        Some(options) => options.to_string().into(),
        None => bytes::Bytes::new(),
    };
    call.content_type = "application/json".to_owned();
    call.place.subresource.clear();
    delete(call).await?;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(response::json(StatusCode::CREATED, &status))
}

/// Deletes the object.
pub(crate) async fn delete(call: &mut Call) -> Result<Response<Body>, Failure> {
    let (options, dry_run) = DeleteOptions::parse(call)?;
    let name = call.place.name.clone();
    if &*call.resource.key == "namespaces." && SYSTEM_NAMESPACES.contains(&name.as_str()) {
        return Err(Failure::forbidden(call.about(), "this namespace may not be deleted"));
    }
    let (object, shown) = call.current()?;
    call.review(Operation::Delete, &shown, Some(&shown))?;
    options.check(call, &object)?;
    let deleted = |call: &Call, object: &Object| {
        let mut details = json!({"name": name, "kind": call.resource.plural, "uid": object.uid});
        if !call.resource.group.is_empty() {
            details["group"] = call.resource.group.as_str().into();
        }
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
        });
        response::json(StatusCode::OK, &status)
    };
    if dry_run {
        return Ok(deleted(call, &object));
    }
    let (key, server) = (call.key(), Arc::clone(&call.server));
    match remove(&server, &key, &options).await {
        Ok(Some(Deletion::Gone(object))) => Ok(deleted(call, &object)),
        Ok(Some(Deletion::Marked(object))) => Ok(call.show(StatusCode::OK, &object)),
        Ok(None) => Err(Failure::not_found(call.about())),
        Err(WriteError::Conflict) => {
            // It changed just now.
            let (object, _) = call.current()?;
            options.check(call, &object)?;
            Err(Failure::conflict(call.about()))
        }
        Err(error) => Err(Failure::write(error, call.about())),
    }
}

/// Deletes every object that is selected, and answers with what they were.
pub(crate) async fn delete_collection(call: &mut Call) -> Result<Response<Body>, Failure> {
    let (options, dry_run) = DeleteOptions::parse(call)?;
    let page = read::page(call)?;
    let mut items = Vec::new();
    for (key, object) in page.objects {
        let shown = call.shown(&object);
        let own = &*key.resource == "namespaces." && SYSTEM_NAMESPACES.contains(&&*key.name);
        if own {
            continue;
        }
        call.review(Operation::Delete, &shown, Some(&shown))?;
        if !dry_run {
            let server = Arc::clone(&call.server);
            let done = remove(&server, &key, &options).await;
            if let Some(Deletion::Gone(_)) =
                done.map_err(|error| Failure::write(error, call.resource.about(&key.name)))?
            {}
        }
        items.push(shown);
    }
    let list = json!({
        "kind": call.resource.list_kind, "apiVersion": call.api_version(),
        "metadata": {"resourceVersion": call.server.store.version().to_string()}, "items": items,
    });
    Ok(response::json(StatusCode::OK, &list))
}

/// Deletes or marks the object at `key`; `None` when there is none.
pub(crate) async fn remove(server: &Inner, key: &Key, options: &DeleteOptions) -> Result<Option<Deletion>, WriteError> {
    for _ in 0..limits::RETRIES {
        let Some(object) = server.store.latest(key) else { return Ok(None) };
        if options.uid.as_ref().is_some_and(|uid| *uid != object.uid)
            || options.version.is_some_and(|version| version != object.version)
        {
            return Err(WriteError::Conflict);
        }
        let mut next = object.value();
        hold(server, key, &object, &mut next, options);
        let done = if write::released(key, &next) {
            collect::forget(server, key, &object).await.map(Deletion::Gone)
        } else if next == object.value() {
            return Ok(Some(Deletion::Marked(object)));
        } else {
            let expect = Expect::Version(object.version);
            server.store.put(key.clone(), expect, next).await.map(Deletion::Marked)
        };
        match done {
            Ok(done) => return Ok(Some(done)),
            Err(WriteError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Err(WriteError::Conflict)
}

/// Marks `next` for deletion, with what holds it back.
fn hold(server: &Inner, key: &Key, object: &Object, next: &mut Value, options: &DeleteOptions) {
    let grace = match &*key.resource {
        // A pod that no node has seen has nothing to end.
        "pods." if string(next, "/spec/nodeName").is_empty() => 0,
        "pods." => {
            let own = next.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30);
            let wanted = options.grace.unwrap_or(own);
            let already = next.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
            // A second deletion may shorten the time, never lengthen it.
            already.map_or(wanted, |already| already.min(wanted))
        }
        _ => 0,
    };
    if let Some(finalizer) = options.finalizer {
        let needed = finalizer == collect::FOREGROUND || !server.store.dependents(&object.uid).is_empty();
        let mut finalizers = list(next, "/metadata/finalizers").to_vec();
        if needed && !finalizers.iter().any(|known| known == finalizer) {
            finalizers.push(finalizer.into());
            next["metadata"]["finalizers"] = finalizers.into();
        }
    }
    let shortened = next.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64) != Some(grace);
    if !object.deleting || shortened {
        let end = Timestamp::now().saturating_add(SignedDuration::from_secs(grace)).unwrap_or(Timestamp::MAX);
        next["metadata"]["deletionTimestamp"] = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
        next["metadata"]["deletionGracePeriodSeconds"] = grace.into();
    }
    if &*key.resource == "namespaces." {
        next["status"]["phase"] = "Terminating".into();
    }
}

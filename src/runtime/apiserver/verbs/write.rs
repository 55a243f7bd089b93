//! update and patch: read, change, write, and again when somebody was faster.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::Value;

use super::{Call, Key, create, name_of};
use crate::runtime::apiserver::admission::Operation;
use crate::runtime::apiserver::columns::{list, string};
use crate::runtime::apiserver::failure::{Cause, Failure};
use crate::runtime::apiserver::patch::{self, Patch};
use crate::runtime::apiserver::store::{Expect, Object, WriteError};
use crate::runtime::apiserver::{collect, defaults, definitions, fields, limits, managed, validation};
use crate::serve::Body;

/// Metadata that no client changes.
const FIXED: [&str; 7] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
    "managedFields",
];

/// Replaces the object.
pub(crate) async fn update(call: &mut Call) -> Result<Response<Body>, Failure> {
    let parsed = call.decode()?;
    let mut object = parsed.value;
    call.check_kind(&mut object)?;
    create::check_place(call, &mut object)?;
    fields::check(call, &mut object, parsed.duplicates)?;
    check_name(call, &object)?;
    if call.resource.builtin.is_none() && string(&object, "/metadata/resourceVersion").is_empty() {
        // Kinds that Kubernetes itself defines allow an update of whatever there is; custom kinds do not.
        let cause = Cause::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update");
        return Err(Failure::invalid(&call.resource.group, &call.resource.plural, &call.place.name, vec![cause]));
    }
    let stored = modify(call, managed::Origin::Update, |_, _| Ok(object.clone())).await?;
    Ok(call.show(StatusCode::OK, &stored))
}

/// Changes part of the object; server-side apply also creates it.
pub(crate) async fn patch(call: &mut Call) -> Result<Response<Body>, Failure> {
    let patch = Patch::parse(call)?;
    if let Patch::Apply { config, force } = &patch {
        let origin = managed::Origin::Apply;
        for _ in 0..limits::RETRIES {
            if call.server.store.latest(&call.key()).is_none() {
                if !call.place.subresource.is_empty() {
                    return Err(Failure::not_found(call.about()));
                }
                match create::insert(call, config.clone(), origin).await {
                    Err(failure) if failure.reason == "AlreadyExists" => continue,
                    done => return Ok(call.show(StatusCode::CREATED, &*done?)),
                }
            }
            let (config, force) = (config.clone(), *force);
            let done = modify(call, origin, |call, live| managed::merge(call, live, &config, force)).await;
            match done {
                Err(failure) if failure.reason == "NotFound" => {}
                done => return Ok(call.show(StatusCode::OK, &*done?)),
            }
        }
        return Err(Failure::conflict(call.about()));
    }
    let stored = modify(call, managed::Origin::Update, |call, live| {
        let mut next = patch::apply(call, &patch, live)?;
        call.check_kind(&mut next)?;
        fields::check(call, &mut next, Vec::new())?;
        Ok(next)
    })
    .await?;
    Ok(call.show(StatusCode::OK, &stored))
}

/// Reads the object, lets `change` make the next one of it, and stores that. A change that names a resource version is made once
/// and on that version; any other is made again when somebody was faster.
pub(super) async fn modify(
    call: &mut Call,
    origin: managed::Origin,
    mut change: impl FnMut(&mut Call, &Value) -> Result<Value, Failure>,
) -> Result<Arc<Object>, Failure> {
    let about = call.about();
    for _ in 0..limits::RETRIES {
        let (object, old) = call.current()?;
        let mut next = change(call, &old)?;
        check_preconditions(call, &object, &next)?;
        settle(call, &old, &mut next)?;
        defaults::set(call, &mut next, Some(&old))?;
        call.mutate(Operation::Update, &mut next, Some(&old))?;
        defaults::set(call, &mut next, Some(&old))?;
        bump_generation(call, &old, &mut next);
        managed::record(call, Some(&old), &mut next, origin)?;
        let causes = validation::check(call, &next, Some(&old))?;
        if !causes.is_empty() {
            let (group, kind) = (&call.resource.group, &call.resource.kind);
            return Err(Failure::invalid(group, kind, &call.place.name, causes));
        }
        let taken = defaults::cluster_ip(call, &mut next, Some(&old))?;
        call.review(Operation::Update, &next, Some(&old))?;
        let given_up = gives_up_address(call, &old, &next);
        definitions::establish(call, &mut next);
        if same(&old, &next) {
            return Ok(object);
        }
        if call.query.dry_run()? {
            return Ok(Arc::new(Object::new(object.version, next)));
        }
        let done = if object.deleting && released(&call.key(), &next) {
            let gone = collect::forget(&call.server, &call.key(), &object).await;
            // It is shown as it was when nothing held it back any more.
            gone.map(|gone| Arc::new(Object::new(gone.version, next)))
        } else {
            call.server.store.put(call.key(), Expect::Version(object.version), next).await
        };
        match done {
            Ok(stored) => {
                if let Some(taken) = taken {
                    taken.keep();
                }
                if given_up {
                    call.server.ips.release(string(&old, "/spec/clusterIP"), &stored.uid);
                }
                definitions::changed(call, &stored);
                return Ok(stored);
            }
            Err(WriteError::Conflict) => {}
            Err(error) => return Err(Failure::write(error, about)),
        }
    }
    Err(Failure::conflict(about))
}

/// Whether a service leaves the address behind that it had.
fn gives_up_address(call: &Call, old: &Value, next: &Value) -> bool {
    &*call.resource.key == "services." && old["spec"]["clusterIP"] != next["spec"]["clusterIP"]
}

fn check_preconditions(call: &Call, object: &Object, next: &Value) -> Result<(), Failure> {
    let wanted = string(next, "/metadata/resourceVersion");
    if !wanted.is_empty() && wanted != "0" && wanted != object.version.to_string() {
        return Err(Failure::conflict(call.about()));
    }
    let uid = string(next, "/metadata/uid");
    if !uid.is_empty() && uid != object.uid {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: \
             UID in precondition: {uid}, UID in object meta: {}",
            call.registry_key(),
            object.uid
        );
        return Err(Failure::conflict_because(call.about(), why));
    }
    Ok(())
}

fn check_name(call: &Call, object: &Value) -> Result<(), Failure> {
    let (name, place) = (name_of(object), &call.place.name);
    if name == *place {
        return Ok(());
    }
    let message = format!("the name of the object ({name}) does not match the name on the URL ({place})");
    Err(Failure::bad_request(message))
}

/// Restores what this request may not change.
fn settle(call: &Call, old: &Value, next: &mut Value) -> Result<(), Failure> {
    check_name(call, next)?;
    if call.place.subresource == "status" {
        let mut kept = old.clone();
        match next.get_mut("status") {
            Some(status) => kept["status"] = status.take(),
            None => {
                if let Some(map) = kept.as_object_mut() {
                    map.remove("status");
                }
            }
        }
        *next = kept;
    } else if call.version()?.status
        && let Some(map) = next.as_object_mut()
    {
        match old.get("status") {
            Some(status) => map.insert("status".to_owned(), status.clone()),
            None => map.remove("status"),
        };
    }
    if &*call.resource.key == "namespaces." {
        settle_namespace(call, old, next);
    }
    if let Some(metadata) = next["metadata"].as_object_mut() {
        for field in FIXED {
            match old["metadata"].get(field) {
                Some(value) => metadata.insert(field.to_owned(), value.clone()),
                None => metadata.remove(field),
            };
        }
    }
    Ok(())
}

/// What holds a namespace's deletion back changes by `finalize`, and by nothing else: whoever writes the rest does not release it.
fn settle_namespace(call: &Call, old: &Value, next: &mut Value) {
    let finalizers = |value: &Value| value.pointer("/spec/finalizers").cloned();
    let (kept, finalizers) = match call.place.subresource.as_str() {
        "finalize" => (old.clone(), finalizers(next)),
        _ => (next.take(), finalizers(old)),
    };
    *next = kept;
    match finalizers {
        Some(finalizers) => next["spec"]["finalizers"] = finalizers,
        None => {
            if let Some(spec) = next.get_mut("spec").and_then(Value::as_object_mut) {
                spec.remove("finalizers");
            }
        }
    }
}

/// Counts a change of anything but metadata and status.
fn bump_generation(call: &Call, old: &Value, next: &mut Value) {
    if !call.resource.builtin.is_none_or(|builtin| builtin.generation) {
        return;
    }
    let status_apart = call.version().is_ok_and(|version| version.status);
    let differs = |a: &Value, b: &Value| {
        a.as_object().into_iter().flatten().any(|(field, value)| {
            let counts = field != "metadata" && !(status_apart && field == "status");
            counts && b.get(field) != Some(value)
        })
    };
    if differs(old, next) || differs(next, old) {
        let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
        next["metadata"]["generation"] = (generation + 1).into();
    }
}

/// Whether nothing but times of field managers differs.
fn same(old: &Value, next: &Value) -> bool {
    let plain = |value: &Value| {
        let mut value = value.clone();
        if let Some(metadata) = value["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            for entry in metadata.get_mut("managedFields").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(entry) = entry.as_object_mut() {
                    entry.remove("time");
                }
            }
        }
        value
    };
    plain(old) == plain(next)
}

/// Whether nothing holds back the deletion of an object any more.
pub(super) fn released(key: &Key, object: &Value) -> bool {
    list(object, "/metadata/finalizers").is_empty()
        && (&*key.resource != "namespaces." || list(object, "/spec/finalizers").is_empty())
        && object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or_default() == 0
}

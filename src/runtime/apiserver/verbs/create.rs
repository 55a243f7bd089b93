//! create.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Call, name_of};
use crate::runtime::apiserver::admission::Operation;
use crate::runtime::apiserver::columns::string;
use crate::runtime::apiserver::failure::{About, Cause, Failure};
use crate::runtime::apiserver::server::now;
use crate::runtime::apiserver::store::{Expect, Key, Object, WriteError};
use crate::runtime::apiserver::{defaults, definitions, fields, limits, managed, random, validation};
use crate::serve::Body;

/// Creates the object in the body.
pub(crate) async fn create(call: &mut Call) -> Result<Response<Body>, Failure> {
    let parsed = call.decode()?;
    let mut object = parsed.value;
    call.check_kind(&mut object)?;
    fields::check(call, &mut object, parsed.duplicates)?;
    let stored = insert(call, object, managed::Origin::Update).await?;
    Ok(call.show(StatusCode::CREATED, &stored))
}

/// Stores a new object; its fields are checked already.
pub(super) async fn insert(
    call: &mut Call,
    mut object: Value,
    origin: managed::Origin,
) -> Result<std::sync::Arc<Object>, Failure> {
    check_place(call, &mut object)?;
    let generated = string(&object, "/metadata/generateName").to_owned();
    let generate = name_of(&object).is_empty() && !generated.is_empty();
    if name_of(&object).is_empty() && !generate {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(Failure::invalid(&call.resource.group, &call.resource.kind, "", vec![cause]));
    }
    for _ in 0..limits::RETRIES {
        let mut object = object.clone();
        if generate {
            object["metadata"]["name"] = random::name(&generated)?.into();
        }
        match attempt(call, object, origin).await {
            Err(failure) if generate && failure.reason == "AlreadyExists" => {}
            done => return done,
        }
    }
    Err(Failure::internal("no free name could be generated"))
}

async fn attempt(
    call: &mut Call,
    mut object: Value,
    origin: managed::Origin,
) -> Result<std::sync::Arc<Object>, Failure> {
    let name = name_of(&object);
    let about = call.resource.about(&name);
    check_namespace(call, &name)?;
    let key = Key::new(&call.resource.key, &call.place.namespace, &name);
    if call.server.store.latest(&key).is_some() {
        call.server.store.settled(&key).await;
        return Err(Failure::already_exists(about));
    }
    prepare(call, &mut object)?;
    defaults::set(call, &mut object, None)?;
    call.mutate(Operation::Create, &mut object, None)?;
    defaults::set(call, &mut object, None)?;
    managed::record(call, None, &mut object, origin)?;
    let causes = validation::check(call, &object, None)?;
    if !causes.is_empty() {
        return Err(Failure::invalid(&call.resource.group, &call.resource.kind, &name, causes));
    }
    if call.resource.builtin.is_some_and(|builtin| builtin.kind == "Pod") {
        check_account(call, &name, &object)?;
    }
    let taken = defaults::cluster_ip(call, &mut object, None)?;
    call.review(Operation::Create, &object, None)?;
    definitions::establish(call, &mut object);
    if call.query.dry_run()? {
        return Ok(std::sync::Arc::new(Object::unstored(object)));
    }
    match call.server.store.put(key, Expect::Absent, object).await {
        Ok(stored) => {
            if let Some(taken) = taken {
                taken.keep();
            }
            definitions::changed(call, &stored);
            Ok(stored)
        }
        Err(WriteError::Conflict) => Err(Failure::already_exists(about)),
        Err(error) => Err(Failure::write(error, about)),
    }
}

/// Refuses a namespace that does not exist or is being deleted.
fn check_namespace(call: &Call, name: &str) -> Result<(), Failure> {
    if !call.resource.namespaced {
        return Ok(());
    }
    let namespace = &call.place.namespace;
    let key = Key::new(&std::sync::Arc::from("namespaces."), "", namespace);
    match call.server.store.latest(&key) {
        None => Err(Failure::not_found(About::new("", "namespaces", namespace))),
        Some(found) if found.deleting => {
            let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
            let cause = Cause {
                reason: "NamespaceTerminating".to_owned(),
                message: format!("namespace {namespace} is being terminated"),
                field: "metadata.namespace".to_owned(),
            };
            Err(Failure { causes: vec![cause], ..Failure::forbidden(call.resource.about(name), why) })
        }
        Some(_) => Ok(()),
    }
}

/// A pod runs as a service account that is there. `default` is there as soon as its controller has seen the namespace.
fn check_account(call: &Call, pod: &str, object: &Value) -> Result<(), Failure> {
    let (namespace, account) = (&call.place.namespace, string(object, "/spec/serviceAccountName"));
    let key = Key::new(&std::sync::Arc::from("serviceaccounts."), namespace, account);
    if account == "default" || call.server.store.latest(&key).is_some() {
        return Ok(());
    }
    let why = format!("error looking up service account {namespace}/{account}: serviceaccount {account:?} not found");
    Err(Failure::forbidden(call.resource.about(pod), why))
}

/// The namespace in the object must be the one in the path.
pub(super) fn check_place(call: &Call, object: &mut Value) -> Result<(), Failure> {
    let namespace = string(object, "/metadata/namespace");
    if !call.resource.namespaced {
        if !namespace.is_empty() {
            let message =
                format!("{} {:?} has no namespace: it is cluster-scoped", call.resource.kind, name_of(object));
            return Err(Failure::bad_request(message));
        }
        return Ok(());
    }
    if !namespace.is_empty() && namespace != call.place.namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    object["metadata"]["namespace"] = call.place.namespace.as_str().into();
    Ok(())
}

/// Metadata that the server alone sets.
fn prepare(call: &Call, object: &mut Value) -> Result<(), Failure> {
    if !string(object, "/metadata/resourceVersion").is_empty() {
        return Err(Failure::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let uid = random::uid()?;
    let generation = call.resource.builtin.is_none_or(|builtin| builtin.generation);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "managedFields"]
        {
            metadata.remove(field);
        }
        metadata.insert("uid".to_owned(), uid.into());
        metadata.insert("creationTimestamp".to_owned(), now().into());
        if generation {
            metadata.insert("generation".to_owned(), 1.into());
        } else {
            metadata.remove("generation");
        }
    }
    if call.version()?.status
        && call.resource.builtin.is_none_or(|builtin| builtin.kind != "Node")
        && let Some(map) = object.as_object_mut()
    {
        map.remove("status");
    }
    match call.resource.builtin.map(|builtin| builtin.kind) {
        Some("Namespace") => {
            let name = name_of(object);
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        Some("PersistentVolumeClaim") => object["status"] = json!({"phase": "Pending"}),
        Some("PersistentVolume") => object["status"] = json!({"phase": "Available"}),
        Some("Pod") => object["status"] = json!({"phase": "Pending", "qosClass": defaults::quality(&object["spec"])}),
        Some("Service") => object["status"] = json!({"loadBalancer": {}}),
        _ => {}
    }
    Ok(())
}

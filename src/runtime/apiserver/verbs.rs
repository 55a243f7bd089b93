//! What is done to objects.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::admission::{AdmissionRequest, Operation};
use super::auth::User;
use super::columns::{int, string};
use super::failure::{Cause, Failure};
use super::registry::{Resource, Version};
use super::request::{Place, Query, Verb};
use super::schema::{remove_unknown, unknown_fields};
use super::selector::Selector;
use super::server::Inner;
use super::store::{Expect, Key, Object, Page, WriteError};
use super::view::{self, View};
use super::{defaults, json as reader, limits, log, patch, random, response, table, watching};
use crate::serve::Body;

/// Most unknown fields that are named.
const NAMED: usize = 32;

/// One request for a kind that is served.
pub(super) struct Call {
    pub(super) server: Arc<Inner>,
    pub(super) user: User,
    pub(super) place: Place,
    pub(super) query: Query,
    pub(super) verb: Verb,
    pub(super) resource: Arc<Resource>,
    pub(super) view: View,
    pub(super) media: String,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) async fn answer(self) -> Result<Response<Body>, Failure> {
        let version = self.version()?;
        match (self.verb, self.place.subresource.as_str()) {
            (Verb::Get, "log") if &*self.resource.key == "pods." => log::answer(&self).await,
            (Verb::Get, "scale") if version.scale.is_some() => Ok(response::json(StatusCode::OK, &self.scale(&self.current()?.1)?)),
            (Verb::Get, "") | (Verb::Get, "status") if self.query.flag("watch") => watching::answer(&self),
            (Verb::Get, "") => self.shown(StatusCode::OK, &self.current()?.0),
            (Verb::Get, "status") if version.status => self.shown(StatusCode::OK, &self.current()?.0),
            (Verb::List, _) => self.list(),
            (Verb::Watch, _) => watching::answer(&self),
            (Verb::Create, "") => self.create().await,
            (Verb::Update | Verb::Patch, "") => self.change().await,
            (Verb::Update | Verb::Patch, "status") if version.status => self.change().await,
            (Verb::Update | Verb::Patch, "scale") if version.scale.is_some() => self.change().await,
            (Verb::Update, "finalize") if &*self.resource.key == "namespaces." => self.change().await,
            (Verb::Delete, "") => {
                let status = self.delete(&self.key(&self.place.name)).await?;
                Ok(response::json(StatusCode::OK, &status))
            }
            (Verb::DeleteCollection, _) => self.delete_collection().await,
            _ => Err(Failure::no_such_path()),
        }
    }

    fn version(&self) -> Result<&Version, Failure> {
        self.resource.version(&self.place.version).ok_or_else(Failure::no_such_path)
    }

    pub(super) fn selector(&self) -> Result<Selector, Failure> {
        Selector::parse(self.query.get("labelSelector"), self.query.get("fieldSelector"), &self.resource)
    }

    fn key(&self, name: &str) -> Key {
        Key::new(&self.resource.key, &self.place.namespace, name)
    }

    /// The object the request names.
    pub(super) fn current(&self) -> Result<(Arc<Object>, Value), Failure> {
        let object = self
            .server
            .store
            .get(&self.key(&self.place.name))
            .ok_or_else(|| Failure::not_found(self.resource.about(&self.place.name)))?;
        let value = object.value();
        Ok((object, value))
    }

    fn shown(&self, code: StatusCode, object: &Object) -> Result<Response<Body>, Failure> {
        let json = self.view.one(&self.resource, &self.place.version, object, true);
        Ok(response::bytes(code, "application/json", json))
    }

    /// The objects of the collection (or the one named) that are selected.
    pub(super) fn page(&self, selector: &Selector, from: Option<&Key>, limit: Option<usize>) -> Page {
        let namespace = Some(self.place.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let name = self.place.name.as_str();
        self.server.store.list(&self.resource.key, namespace, from, limit, |key, object| {
            (name.is_empty() || *key.name == *name) && selector.matches(key, object)
        })
    }

    fn list(&self) -> Result<Response<Body>, Failure> {
        let limit = self.query.number("limit")?.filter(|limit| *limit > 0);
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        // The version of the first page is said on all of them: who watches from it misses nothing.
        let from = match self.query.get("continue") {
            None => None,
            Some(token) => {
                let mut parts = token.splitn(3, '/');
                let (version, namespace, name) = (parts.next(), parts.next(), parts.next());
                match (version.and_then(|v| v.parse::<u64>().ok()), namespace, name) {
                    (Some(version), Some(namespace), Some(name)) => {
                        Some((version, Key::new(&self.resource.key, namespace, name)))
                    }
                    _ => return Err(Failure::expired_continue()),
                }
            }
        };
        let selector = self.selector()?;
        let page = self.page(&selector, from.as_ref().map(|(_, key)| key), limit);
        let version = from.as_ref().map_or(page.version, |(version, _)| *version);
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if let Some(next) = &page.next {
            metadata["continue"] = format!("{version}/{}/{}", next.namespace, next.name).into();
            if selector.is_empty() {
                metadata["remainingItemCount"] = page.remaining.into();
            }
        }
        let (resource, api) = (&*self.resource, self.place.version.as_str());
        if let View::Table(include) = self.view {
            let now = Timestamp::now();
            let rows = page.objects.iter().map(|(_, object)| view::row(resource, api, object, include, now)).collect();
            let mut table = table::table(resource, api, rows, true, &version.to_string());
            table["metadata"] = metadata;
            return Ok(response::json(StatusCode::OK, &table));
        }
        let (kind, list_api) = match self.view {
            View::Metadata => ("PartialObjectMetadataList", "meta.k8s.io/v1".to_owned()),
            _ => (resource.list_kind.as_str(), resource.api_version(api)),
        };
        let head = format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{list_api}\",\"metadata\":{metadata},\"items\":[");
        let mut out = head.into_bytes();
        for (index, (_, object)) in page.objects.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend(self.view.one(resource, api, object, false));
        }
        out.extend_from_slice(b"]}");
        Ok(response::bytes(StatusCode::OK, "application/json", out))
    }

    fn parsed(&self) -> Result<Value, Failure> {
        if !self.media.ends_with("json") {
            return Err(Failure::unsupported_media_type(&self.media, "application/json"));
        }
        let parsed = reader::parse(&self.body)
            .map_err(|error| Failure::bad_request(format!("the body is not JSON: {error}")))?;
        if let Some(field) = parsed.duplicates.first()
            && self.query.get("fieldValidation") == Some("Strict")
        {
            return Err(Failure::bad_request(format!("strict decoding error: duplicate field {field:?}")));
        }
        self.typed(&parsed.value, self.resource.kind.as_str())?;
        Ok(parsed.value)
    }

    /// Refuses an object of another kind.
    fn typed(&self, value: &Value, kind: &str) -> Result<(), Failure> {
        let given = string(value, "/kind");
        if !value.is_object() || !matches!(given, "" ) && given != kind {
            return Err(Failure::bad_request(format!("the object is a {given:?}, not a {kind:?}")));
        }
        Ok(())
    }

    async fn create(&self) -> Result<Response<Body>, Failure> {
        let value = self.parsed()?;
        self.make(value).await
    }

    async fn make(&self, mut value: Value) -> Result<Response<Body>, Failure> {
        if !value["metadata"].is_object() {
            value["metadata"] = json!({});
        }
        let namespace = string(&value, "/metadata/namespace");
        if !namespace.is_empty() && namespace != self.place.namespace {
            return Err(Failure::bad_request("the namespace of the provided object does not match the namespace sent on the request"));
        }
        let prefix = string(&value, "/metadata/generateName").to_owned();
        let given = string(&value, "/metadata/name").to_owned();
        let name = match (given.is_empty(), prefix.is_empty()) {
            (false, _) => given,
            (true, false) => random::name(&prefix)?,
            (true, true) => {
                let cause = Cause::required("metadata.name", "name or generateName is required");
                return Err(Failure::invalid(&self.resource.group, &self.resource.kind, "", vec![cause]));
            }
        };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if name.len() > 253 || !name.chars().all(fits) || name.starts_with(['-', '.']) || name.ends_with(['-', '.']) {
            let cause = Cause::invalid("metadata.name", &name.as_str().into(), "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character");
            return Err(Failure::invalid(&self.resource.group, &self.resource.kind, &name, vec![cause]));
        }
        self.namespace_open(&name)?;
        let uid = random::uid()?;
        if let Some(metadata) = value["metadata"].as_object_mut() {
            for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields", "selfLink"] {
                metadata.remove(field);
            }
            metadata.insert("name".to_owned(), name.as_str().into());
            metadata.insert("uid".to_owned(), uid.as_str().into());
            let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
            metadata.insert("creationTimestamp".to_owned(), now.to_string().into());
            if self.resource.namespaced {
                metadata.insert("namespace".to_owned(), self.place.namespace.as_str().into());
            }
            if self.resource.builtin.is_none_or(|builtin| builtin.generation) {
                metadata.insert("generation".to_owned(), 1.into());
            }
        }
        if self.version()?.status && let Some(map) = value.as_object_mut() {
            map.remove("status");
        }
        let (mut value, warnings) = self.prepared(value, None, &name)?;
        self.cluster_ip(&mut value, &uid)?;
        let key = self.key(&name);
        if self.server.store.latest(&key).is_some() {
            self.release_ip(&value);
            return Err(Failure::already_exists(self.resource.about(&name)));
        }
        if self.query.dry_run()? {
            self.release_ip(&value);
            return Ok(self.unstored(StatusCode::CREATED, value));
        }
        let object = match self.server.store.put(key, Expect::Absent, value.clone()).await {
            Ok(object) => object,
            Err(error) => {
                self.release_ip(&value);
                return Err(match error {
                    WriteError::Conflict => Failure::already_exists(self.resource.about(&name)),
                    error => Failure::write(error, self.resource.about(&name)),
                });
            }
        };
        self.defined(&object);
        let mut response = self.shown(StatusCode::CREATED, &object)?;
        response::warn(&mut response, &warnings);
        Ok(response)
    }

    fn namespace_open(&self, name: &str) -> Result<(), Failure> {
        if !self.resource.namespaced {
            return Ok(());
        }
        let namespace = &self.place.namespace;
        let about = super::failure::About::new("", "namespaces", namespace);
        match self.server.store.latest(&Key::new(&Arc::from("namespaces."), "", namespace)) {
            None => Err(Failure::not_found(about)),
            Some(found) if found.deleting => Err(Failure::forbidden(
                self.resource.about(name),
                format!("unable to create new content in namespace {namespace} because it is being terminated"),
            )),
            Some(_) => Ok(()),
        }
    }

    /// Field list, defaults, validation, plugins: the object as it may be stored, and warnings.
    fn prepared(&self, mut value: Value, old: Option<&Value>, name: &str) -> Result<(Value, Vec<String>), Failure> {
        let version = self.version()?;
        let mut warnings: Vec<String> = version.deprecation.iter().cloned().collect();
        value["apiVersion"] = self.resource.api_version(&version.name).into();
        value["kind"] = self.resource.kind.as_str().into();
        let unknown = self.shaped(&mut value, version)?;
        match self.query.get("fieldValidation") {
            Some("Ignore") => {}
            Some("Strict") if !unknown.is_empty() => {
                let all: Vec<String> = unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
                return Err(Failure::bad_request(format!("strict decoding error: {}", all.join(", "))));
            }
            _ => warnings.extend(unknown.iter().map(|field| format!("unknown field {field:?}"))),
        }
        let labels = match &*self.resource.key {
            "namespaces." => serde_json::from_value(value["metadata"]["labels"].clone()).unwrap_or_default(),
            _ => self.server.namespace_labels(&self.place.namespace),
        };
        let dry_run = self.query.dry_run()?;
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        for check in [false, true] {
            for plugin in &self.server.admission {
                let request = AdmissionRequest {
                    operation, user: &self.user.name, group: &self.place.group, version: &self.place.version,
                    kind: &self.resource.kind, resource: &self.resource.plural, subresource: &self.place.subresource,
                    namespace: &self.place.namespace, name, object: &value, old_object: old,
                    namespace_labels: &labels, dry_run,
                };
                let denied = |denied: super::Denied| {
                    let message = format!("admission plugin {:?} denied the request: {}", plugin.name(), denied.message);
                    Failure::denied(denied.code, message, self.resource.about(name), denied.causes)
                };
                if check {
                    warnings.extend(plugin.validate(&request).map_err(denied)?);
                } else if let Some(changed) = plugin.mutate(&request).map_err(denied)? {
                    value = changed;
                    self.shaped(&mut value, version)?;
                }
            }
        }
        Ok((value, warnings))
    }

    /// Gives the object its kind's shape; fields it does not have.
    fn shaped(&self, value: &mut Value, version: &Version) -> Result<Vec<String>, Failure> {
        let name = string(value, "/metadata/name").to_owned();
        let invalid = |causes| Failure::invalid(&self.resource.group, &self.resource.kind, &name, causes);
        if let Some(builtin) = self.resource.builtin {
            let fresh = value["status"].is_null();
            defaults::set(builtin.kind, value, fresh);
            if builtin.kind == "CustomResourceDefinition" {
                let resource = Resource::custom(value).map_err(invalid)?;
                value["status"] = accepted(value, &resource);
            }
            let known = (builtin.round_trip)(value).map_err(|error| {
                Failure::bad_request(format!(
                    "{} in version {:?} cannot be handled as a {}: {error}",
                    builtin.kind, builtin.version, builtin.kind
                ))
            })?;
            let unknown = unknown_fields(value, &known, NAMED);
            remove_unknown(value, &known);
            return Ok(unknown);
        }
        let Some(schema) = &version.schema else {
            return Ok(Vec::new());
        };
        schema.drop_nulls(value);
        let unknown = schema.prune(value, NAMED);
        schema.set_defaults(value);
        let causes = schema.validate(value);
        if causes.is_empty() { Ok(unknown) } else { Err(invalid(causes)) }
    }

    fn cluster_ip(&self, value: &mut Value, uid: &str) -> Result<(), Failure> {
        if &*self.resource.key != "services." || string(value, "/spec/type") == "ExternalName" {
            return Ok(());
        }
        let wanted = string(value, "/spec/clusterIP").to_owned();
        if wanted == "None" {
            value["spec"]["clusterIPs"] = json!(["None"]);
            return Ok(());
        }
        let ips = &self.server.ips;
        let taken = if wanted.is_empty() { ips.next(uid) } else { ips.take(&wanted, uid) };
        let address = taken.map_err(|error| {
            let cause = Cause::invalid("spec.clusterIPs", &json!([wanted]), error);
            Failure::invalid("", "Service", string(value, "/metadata/name"), vec![cause])
        })?;
        value["spec"]["clusterIP"] = address.to_string().into();
        value["spec"]["clusterIPs"] = json!([address.to_string()]);
        Ok(())
    }

    fn release_ip(&self, value: &Value) {
        if &*self.resource.key == "services." {
            self.server.ips.release(string(value, "/spec/clusterIP"), string(value, "/metadata/uid"));
        }
    }

    fn unstored(&self, code: StatusCode, mut value: Value) -> Response<Body> {
        value["apiVersion"] = self.resource.api_version(&self.place.version).into();
        value["kind"] = self.resource.kind.as_str().into();
        response::json(code, &value)
    }

    /// Serves what a stored definition defines.
    fn defined(&self, object: &Object) {
        if &*self.resource.key == "customresourcedefinitions.apiextensions.k8s.io" {
            let value = object.value();
            self.server.redefine(|registry| {
                if let Ok(resource) = Resource::custom(&value) {
                    registry.insert(resource);
                }
            });
        }
    }

    fn scale(&self, value: &Value) -> Result<Value, Failure> {
        let scale = self.version()?.scale.as_ref().ok_or_else(Failure::no_such_path)?;
        let metadata = &value["metadata"];
        let selector = match (&scale.selector, value.pointer("/spec/selector/matchLabels")) {
            (Some(path), _) => string(value, path).to_owned(),
            (None, Some(Value::Object(labels))) => {
                let all: Vec<String> =
                    labels.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
                all.join(",")
            }
            _ => String::new(),
        };
        Ok(json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {
                "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
            },
            "spec": {"replicas": int(value, &scale.spec)},
            "status": {"replicas": int(value, &scale.status), "selector": selector},
        }))
    }

    async fn change(&self) -> Result<Response<Body>, Failure> {
        let key = self.key(&self.place.name);
        let about = || self.resource.about(&self.place.name);
        for _ in 0..limits::RETRIES {
            let Some(found) = self.server.store.latest(&key) else {
                if self.media == "application/apply-patch+yaml" && self.place.subresource.is_empty() {
                    let schema = self.version()?.schema.as_deref();
                    let value = patch::patched(&self.media, &self.body, None, schema, self.resource.builtin.is_some())?;
                    self.typed(&value, &self.resource.kind)?;
                    return self.make(value).await;
                }
                return Err(Failure::not_found(about()));
            };
            let mut old = found.value();
            old["apiVersion"] = self.resource.api_version(&self.place.version).into();
            old["kind"] = self.resource.kind.as_str().into();
            let (new, bound) = self.changed(&old)?;
            if bound.is_some_and(|version| version != found.version.to_string()) {
                return Err(Failure::conflict(about()));
            }
            let (new, warnings) = self.prepared(new, Some(&old), &self.place.name)?;
            let mut response = if new == old {
                self.answered(&found, &old)?
            } else if self.query.dry_run()? {
                self.unstored(StatusCode::OK, new)
            } else {
                let expect = Expect::Version(found.version);
                let removed = finished(&self.resource.key, &new);
                let written = if removed {
                    self.server.store.delete(key.clone(), found.version).await
                } else {
                    self.server.store.put(key.clone(), expect, new).await
                };
                match written {
                    Ok(object) => {
                        if removed {
                            self.removed(&object);
                        } else {
                            self.defined(&object);
                        }
                        self.answered(&object, &object.value())?
                    }
                    Err(WriteError::Conflict) => continue,
                    Err(error) => return Err(Failure::write(error, about())),
                }
            };
            response::warn(&mut response, &warnings);
            return Ok(response);
        }
        Err(Failure::conflict(about()))
    }

    fn answered(&self, object: &Object, value: &Value) -> Result<Response<Body>, Failure> {
        if self.place.subresource == "scale" {
            return Ok(response::json(StatusCode::OK, &self.scale(value)?));
        }
        self.shown(StatusCode::OK, object)
    }

    /// `old` after what the request wants, and the version it wants it of.
    fn changed(&self, old: &Value) -> Result<(Value, Option<String>), Failure> {
        let scale = self.place.subresource == "scale";
        let base = if scale { self.scale(old)? } else { old.clone() };
        let given = if self.verb == Verb::Update {
            if scale { reader::parse(&self.body).map_err(|e| Failure::bad_request(e.to_string()))?.value } else { self.parsed()? }
        } else {
            let schema = self.version()?.schema.as_deref();
            patch::patched(&self.media, &self.body, Some(&base), schema, self.resource.builtin.is_some())?
        };
        if !given.is_object() {
            return Err(Failure::bad_request("the result is not an object"));
        }
        let name = self.place.name.as_str();
        let given_name = string(&given, "/metadata/name");
        if given_name != name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({given_name}) does not match the name on the URL ({name})"
            )));
        }
        let uid = string(&given, "/metadata/uid");
        if !uid.is_empty() && uid != string(old, "/metadata/uid") {
            return Err(Failure::conflict_because(
                self.resource.about(name),
                format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", string(old, "/metadata/uid")),
            ));
        }
        let asked = string(&given, "/metadata/resourceVersion");
        // A patch that names no version carries the current one, and is tried again on the next.
        let bound = (!asked.is_empty()).then(|| asked.to_owned());
        let mut new = match self.place.subresource.as_str() {
            "status" => with(old, &given, "status"),
            "finalize" => with(old, &given, "spec"),
            "scale" => {
                let path = self.version()?.scale.as_ref().map(|scale| scale.spec.clone()).unwrap_or_default();
                let mut new = old.clone();
                if let (Some((parent, field)), Some(replicas)) = (path.rsplit_once('/'), given.pointer("/spec/replicas"))
                    && let Some(parent) = new.pointer_mut(parent).and_then(Value::as_object_mut)
                {
                    parent.insert(field.to_owned(), replicas.clone());
                }
                new
            }
            _ if self.version()?.status => with(&given, old, "status"),
            _ => given,
        };
        for field in [
            "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "namespace",
            "resourceVersion", "managedFields", "selfLink",
        ] {
            let metadata = with(&new["metadata"], &old["metadata"], field);
            new["metadata"] = metadata;
        }
        if &*self.resource.key == "services." && new["spec"].is_object() {
            for field in ["clusterIP", "clusterIPs"] {
                if new["spec"][field].is_null() {
                    let spec = with(&new["spec"], &old["spec"], field);
                    new["spec"] = spec;
                }
            }
            if new["spec"]["clusterIP"] != old["spec"]["clusterIP"] && !old["spec"]["clusterIP"].is_null() {
                let cause = Cause::invalid("spec.clusterIPs[0]", &new["spec"]["clusterIP"], "may not change once set");
                return Err(Failure::invalid("", "Service", name, vec![cause]));
            }
        }
        if let Some(generation) = old["metadata"]["generation"].as_i64()
            && content(&new) != content(old)
        {
            new["metadata"]["generation"] = (generation + 1).into();
        }
        Ok((new, bound))
    }

    /// Deletes one object, or begins to; what the client is told.
    async fn delete(&self, key: &Key) -> Result<Value, Failure> {
        let about = || self.resource.about(&key.name);
        let options = if self.body.is_empty() { Value::Null } else {
            reader::parse(&self.body).map_err(|error| Failure::bad_request(error.to_string()))?.value
        };
        for _ in 0..limits::RETRIES {
            let found = self.server.store.latest(key).ok_or_else(|| Failure::not_found(about()))?;
            let mut value = found.value();
            for (field, is) in [("uid", found.uid.clone()), ("resourceVersion", found.version.to_string())] {
                let wanted = string(&options, &format!("/preconditions/{field}"));
                if !wanted.is_empty() && wanted != is {
                    let why = format!("Precondition failed: {field} in precondition: {wanted}, in object meta: {is}");
                    return Err(Failure::conflict_because(about(), why));
                }
            }
            for plugin in &self.server.admission {
                let labels = self.server.namespace_labels(&key.namespace);
                let request = AdmissionRequest {
                    operation: Operation::Delete, user: &self.user.name, group: &self.place.group,
                    version: &self.place.version, kind: &self.resource.kind, resource: &self.resource.plural,
                    subresource: "", namespace: &key.namespace, name: &key.name, object: &value, old_object: Some(&value),
                    namespace_labels: &labels, dry_run: self.query.dry_run()?,
                };
                plugin.validate(&request).map_err(|d| Failure::denied(d.code, d.message, about(), d.causes))?;
            }
            let asked = options["gracePeriodSeconds"].as_i64();
            let asked = match asked { Some(seconds) => Some(seconds), None => self.query.number("gracePeriodSeconds")?.and_then(|s| i64::try_from(s).ok()) };
            let policy = options["propagationPolicy"].as_str().or_else(|| self.query.get("propagationPolicy"));
            doom(&self.resource.key, &mut value, asked, policy);
            if self.query.dry_run()? {
                return Ok(value);
            }
            let gone = finished(&self.resource.key, &value);
            let written = if gone {
                self.server.store.delete(key.clone(), found.version).await
            } else if value == found.value() {
                Ok(Arc::clone(&found))
            } else {
                self.server.store.put(key.clone(), Expect::Version(found.version), value).await
            };
            match written {
                Ok(object) if gone => {
                    self.removed(&object);
                    self.undefined(key).await?;
                    return Ok(json!({
                        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                        "details": {"name": &*key.name, "group": self.resource.group, "kind": self.resource.plural, "uid": found.uid},
                    }));
                }
                Ok(object) => {
                    let mut value = object.value();
                    value["apiVersion"] = self.resource.api_version(&self.place.version).into();
                    value["kind"] = self.resource.kind.as_str().into();
                    return Ok(value);
                }
                Err(WriteError::Conflict) => {}
                Err(error) => return Err(Failure::write(error, about())),
            }
        }
        Err(Failure::conflict(about()))
    }

    /// What follows when an object is gone.
    fn removed(&self, object: &Object) {
        let value = object.value();
        self.release_ip(&value);
        if &*self.resource.key == "customresourcedefinitions.apiextensions.k8s.io" {
            let (group, plural) = (string(&value, "/spec/group"), string(&value, "/spec/names/plural"));
            self.server.redefine(|registry| registry.remove(group, plural));
        }
    }

    /// Removes the objects of a definition that is gone; nothing serves them any more, so their finalizers would hold them for ever.
    async fn undefined(&self, definition: &Key) -> Result<(), Failure> {
        if &*definition.resource != "customresourcedefinitions.apiextensions.k8s.io" {
            return Ok(());
        }
        let store = &self.server.store;
        for (key, object) in store.list(&definition.name, None, None, None, |_, _| true).objects {
            match store.delete(key, object.version).await {
                Ok(_) | Err(WriteError::Conflict) => {}
                Err(error) => return Err(Failure::write(error, self.resource.about(&definition.name))),
            }
        }
        Ok(())
    }

    async fn delete_collection(&self) -> Result<Response<Body>, Failure> {
        let selector = self.selector()?;
        for (key, _) in self.page(&selector, None, None).objects {
            match self.delete(&key).await {
                Err(failure) if failure.code != StatusCode::NOT_FOUND => return Err(failure),
                _ => {}
            }
        }
        Ok(response::json(StatusCode::OK, &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})))
    }
}

/// `base` with `field` as `other` has it.
fn with(base: &Value, other: &Value, field: &str) -> Value {
    let mut base = base.clone();
    if let Some(map) = base.as_object_mut() {
        match other.get(field) {
            Some(value) => map.insert(field.to_owned(), value.clone()),
            None => map.remove(field),
        };
    }
    base
}

/// What a generation counts changes of.
fn content(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status" | "apiVersion" | "kind")).collect()
}

/// Marks an object as being deleted.
fn doom(resource: &str, value: &mut Value, asked: Option<i64>, policy: Option<&str>) {
    let grace = match resource {
        // Nobody runs a pod that has no node, so nobody would end it.
        "pods." if string(value, "/spec/nodeName").is_empty() => 0,
        "pods." => asked.unwrap_or_else(|| {
            value.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30)
        }),
        _ => 0,
    };
    let grace = grace.max(0);
    let waits = value["metadata"]["deletionGracePeriodSeconds"].as_i64();
    if value["metadata"]["deletionTimestamp"].is_null() || waits.is_some_and(|waits| grace < waits) {
        let ends = Timestamp::now().checked_add(SignedDuration::from_secs(grace)).unwrap_or(Timestamp::MAX);
        let ends = Timestamp::from_second(ends.as_second()).unwrap_or(ends);
        value["metadata"]["deletionTimestamp"] = ends.to_string().into();
        value["metadata"]["deletionGracePeriodSeconds"] = grace.into();
    }
    let finalizer = match policy {
        Some("Foreground") => Some("foregroundDeletion"),
        Some("Orphan") => Some("orphan"),
        _ => None,
    };
    if let Some(finalizer) = finalizer {
        if !value["metadata"]["finalizers"].is_array() {
            value["metadata"]["finalizers"] = json!([]);
        }
        if let Some(all) = value["metadata"]["finalizers"].as_array_mut()
            && !all.iter().any(|name| name == finalizer)
        {
            all.push(finalizer.into());
        }
    }
    if resource == "namespaces." {
        value["status"]["phase"] = "Terminating".into();
    }
}

/// Whether nothing holds an object under deletion any more.
fn finished(resource: &str, value: &Value) -> bool {
    let none = |path: &str| value.pointer(path).and_then(Value::as_array).is_none_or(Vec::is_empty);
    !value["metadata"]["deletionTimestamp"].is_null()
        && none("/metadata/finalizers")
        && (resource != "namespaces." || none("/spec/finalizers"))
        && value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

/// The status of a definition that is served.
fn accepted(value: &Value, resource: &Resource) -> Value {
    let since = value.pointer("/metadata/creationTimestamp").cloned().unwrap_or_default();
    let condition = |kind: &str, reason: &str| json!({
        "type": kind, "status": "True", "reason": reason, "message": "the definition is served", "lastTransitionTime": since,
    });
    let stored: Vec<&Value> = value["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|version| version["storage"] == true)
        .map(|version| &version["name"])
        .collect();
    json!({
        "acceptedNames": {
            "plural": resource.plural, "singular": resource.singular, "kind": resource.kind,
            "listKind": resource.list_kind, "shortNames": resource.short, "categories": resource.categories,
        },
        "conditions": [condition("NamesAccepted", "NoConflicts"), condition("Established", "InitialNamesAccepted")],
        "storedVersions": stored,
    })
}

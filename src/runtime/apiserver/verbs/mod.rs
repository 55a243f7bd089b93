//! What a request does, verb by verb.

mod create;
mod delete;
mod read;
mod scale;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use super::admission::{AdmissionRequest, Operation};
use super::auth::User;
use super::failure::{About, Failure};
use super::registry::{Resource, Version};
use super::request::{Place, Query};
use super::server::Inner;
use super::store::{Key, Object};
use super::view::View;
use super::{json, limits, protobuf, response};
use crate::serve::Body;

pub(super) use self::create::create;
pub(super) use self::delete::{DeleteOptions, Deletion, delete, delete_collection, evict, remove};
pub(super) use self::read::{get, list};
pub(super) use self::scale::{get_scale, set_scale};
pub(super) use self::write::{patch, update};

/// One request for a resource, on its way.
pub(super) struct Call {
    pub(super) server: Arc<Inner>,
    pub(super) resource: Arc<Resource>,
    pub(super) place: Place,
    pub(super) query: Query,
    pub(super) user: User,
    pub(super) manager: String,
    pub(super) content_type: String,
    pub(super) view: View,
    pub(super) body: Bytes,
    pub(super) warnings: Vec<String>,
    /// What server-side apply was asked to apply.
    pub(super) applied: Option<serde_json::Value>,
}

/// An object as the request's version shows it.
pub(super) type Shown = (Arc<Object>, Value);

impl Call {
    pub(super) fn about(&self) -> About {
        self.resource.about(&self.place.name)
    }

    pub(super) fn key(&self) -> Key {
        Key::new(&self.resource.key, &self.place.namespace, &self.place.name)
    }

    /// Where etcd would hold the object; conflicts name it.
    pub(super) fn registry_key(&self) -> String {
        let Place { namespace, name, .. } = &self.place;
        let namespace = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        format!("/registry/{}/{namespace}{name}", self.resource.plural)
    }

    /// `group/version` of the request.
    pub(super) fn api_version(&self) -> String {
        self.resource.api_version(&self.place.version)
    }

    pub(super) fn version(&self) -> Result<&Version, Failure> {
        self.resource.version(&self.place.version).ok_or_else(Failure::no_such_path)
    }

    /// The object the next writer finds.
    pub(super) fn current(&self) -> Result<Shown, Failure> {
        let object = self.server.store.latest(&self.key()).ok_or_else(|| Failure::not_found(self.about()))?;
        let value = self.shown(&object);
        Ok((object, value))
    }

    /// An object in the request's version.
    pub(super) fn shown(&self, object: &Object) -> Value {
        let mut value = object.value();
        value["apiVersion"] = self.api_version().into();
        value["kind"] = self.resource.kind.as_str().into();
        value
    }

    /// The body as an object of the request's kind and version, and the keys that came twice in it.
    pub(super) fn decode(&self) -> Result<json::Parsed, Failure> {
        let parsed = parse_body(&self.content_type, &self.body)?;
        if !parsed.value.is_object() {
            return Err(Failure::bad_request("the body is not an object"));
        }
        Ok(parsed)
    }

    /// Refuses an object of another kind or version, and fills in what it leaves out.
    pub(super) fn check_kind(&self, value: &mut Value) -> Result<(), Failure> {
        let (api_version, kind) = (self.api_version(), self.resource.kind.as_str());
        for (field, wanted) in [("apiVersion", api_version.as_str()), ("kind", kind)] {
            match value.get(field).and_then(Value::as_str) {
                None | Some("") => value[field] = wanted.into(),
                Some(given) if given == wanted => {}
                Some(given) => {
                    let what = if field == "kind" { "kind" } else { "API version" };
                    return Err(Failure::bad_request(format!(
                        "the {what} in the data ({given}) does not match the expected {what} ({wanted})"
                    )));
                }
            }
        }
        if !value["metadata"].is_object() {
            value["metadata"] = serde_json::json!({});
        }
        Ok(())
    }

    /// Labels of the request's namespace.
    pub(super) fn namespace_labels(&self) -> BTreeMap<String, String> {
        let key = Key::new(&Arc::from("namespaces."), "", &self.place.namespace);
        self.server.store.latest(&key).map(|namespace| namespace.labels.clone()).unwrap_or_default()
    }

    /// Lets the plugins change `object`.
    pub(super) fn mutate(&self, operation: Operation, object: &mut Value, old: Option<&Value>) -> Result<(), Failure> {
        let labels = self.namespace_labels();
        for plugin in &self.server.admission {
            let changed = {
                let name = name_of(object);
                let request = self.admission(operation, &name, object, old, &labels)?;
                plugin.mutate(&request)
            };
            if let Some(changed) = changed.map_err(|denied| self.denied(plugin.name(), object, denied))? {
                *object = changed;
            }
        }
        Ok(())
    }

    /// Lets the plugins refuse `object`, and keeps what they warn of.
    pub(super) fn review(&mut self, operation: Operation, object: &Value, old: Option<&Value>) -> Result<(), Failure> {
        let labels = self.namespace_labels();
        let mut warnings = Vec::new();
        for plugin in &self.server.admission {
            let name = name_of(object);
            let request = self.admission(operation, &name, object, old, &labels)?;
            let said = plugin.validate(&request).map_err(|denied| self.denied(plugin.name(), object, denied))?;
            warnings.extend(said);
        }
        if operation == Operation::Create && self.place.subresource.is_empty() {
            let notice = self.resource.builtin.and_then(|builtin| builtin.notice);
            warnings.extend(notice.map(str::to_owned));
        }
        self.warn(warnings);
        Ok(())
    }

    /// Keeps warnings, each once: a write that is tried again would say them again.
    pub(super) fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        for warning in warnings {
            if self.warnings.len() < limits::WARNINGS && !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    fn admission<'a>(
        &'a self,
        operation: Operation,
        name: &'a str,
        object: &'a Value,
        old_object: Option<&'a Value>,
        namespace_labels: &'a BTreeMap<String, String>,
    ) -> Result<AdmissionRequest<'a>, Failure> {
        Ok(AdmissionRequest {
            operation,
            user: &self.user.name,
            group: &self.place.group,
            version: &self.place.version,
            kind: &self.resource.kind,
            resource: &self.place.plural,
            subresource: &self.place.subresource,
            namespace: &self.place.namespace,
            name,
            object,
            old_object,
            namespace_labels,
            dry_run: self.query.dry_run()?,
        })
    }

    fn denied(&self, plugin: &str, object: &Value, denied: super::admission::Denied) -> Failure {
        let about = About::new(&self.resource.group, &self.resource.kind, &name_of(object));
        let message = format!("admission plugin {plugin:?} denied the request: {}", denied.message);
        Failure::denied(denied.code, message, about, denied.causes)
    }

    /// The answer that shows `object`.
    pub(super) fn show(&self, code: StatusCode, object: &Object) -> Response<Body> {
        let shown = self.view.one(&self.resource, &self.place.version, object, true);
        response::bytes(code, "application/json", shown)
    }
}

/// `metadata.name`.
pub(super) fn name_of(object: &Value) -> String {
    super::columns::string(object, "/metadata/name").to_owned()
}

/// A body of any type that objects come in.
pub(super) fn parse_body(content_type: &str, body: &[u8]) -> Result<json::Parsed, Failure> {
    match content_type {
        "application/json" | "" => parse_json(body),
        "application/yaml" => parse_yaml(body),
        "application/vnd.kubernetes.protobuf" => {
            Ok(json::Parsed { value: protobuf::parse(body)?, duplicates: Vec::new() })
        }
        _ => Err(Failure::unsupported_media_type(
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

pub(super) fn parse_json(body: &[u8]) -> Result<json::Parsed, Failure> {
    json::parse(body).map_err(|error| Failure::bad_request(format!("the body is not JSON: {error}")))
}

pub(super) fn parse_yaml(body: &[u8]) -> Result<json::Parsed, Failure> {
    // Clients send JSON as YAML more often than not, and JSON tells duplicate keys.
    if body.first() == Some(&b'{') {
        return parse_json(body);
    }
    let loaded = crate::yaml::load("the body", body);
    if let Some(error) = loaded.errors.first() {
        return Err(Failure::bad_request(format!("the body is not YAML: {error}")));
    }
    let mut documents = loaded.documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) => Ok(json::Parsed { value: document.value, duplicates: Vec::new() }),
        _ => Err(Failure::bad_request("the body must be exactly one YAML document")),
    }
}

//! Objects that protect workloads and cannot be read: what holds in their place.
//!
//! It guarantees that an unsound AuthorizationPolicy, PeerAuthentication or RequestAuthentication is never as if it were not there: the
//! version before it stays in force, and where there was none, what it selects is closed. Another kind's unsound object is not in force.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use serde_json::{Map, Value, json};

use crate::resources::{Object, Resource};

/// What an unsound object's spec is taken for, without what it is attached to; `None` where the object protects nobody.
pub(super) type Closed = fn(&Value) -> Option<Value>;

/// Where a spec says what it is attached to.
const ATTACHMENTS: [&str; 3] = ["selector", "targetRef", "targetRefs"];

/// How many sound versions are remembered before those that are gone are forgotten.
const REMEMBERED: usize = 256;

/// Everything is refused; by a policy that only notes, is tried out, or refuses and names no requests, nothing.
pub(super) fn policy(object: &Value) -> Option<Value> {
    let action = object.pointer("/spec/action").and_then(Value::as_str);
    let dry_run = object.pointer("/metadata/annotations/istio.io~1dry-run").and_then(Value::as_str);
    let names_none = match object.pointer("/spec/rules") {
        None | Some(Value::Null) => true,
        Some(rules) => rules.as_array().is_some_and(Vec::is_empty),
    };
    let protects = match action {
        Some("AUDIT") => false,
        Some("DENY" | "CUSTOM") => !names_none,
        _ => true,
    };
    (protects && dry_run != Some("true")).then(|| json!({"action": "DENY", "rules": [{}]}))
}

/// No plaintext is taken.
pub(super) fn peers(_: &Value) -> Option<Value> {
    Some(json!({"mtls": {"mode": "STRICT"}}))
}

/// Nobody's tokens are believed, and a request that carries one is refused.
pub(super) fn tokens(_: &Value) -> Option<Value> {
    Some(json!({"jwtRules": [{"issuer": "unsound.invalid", "jwks": "{\"keys\": []}"}]}))
}

/// Reads the objects of one kind.
pub(super) struct Reader<T> {
    closed: Option<Closed>,
    /// By uid, the last sound version of what is in force somewhere.
    sound: HashMap<String, Weak<Object<T>>>,
}

impl<T: Resource> Reader<T> {
    pub(super) fn new(closed: Option<Closed>) -> Self {
        Self { closed, sound: HashMap::new() }
    }

    /// What an object puts in force. What is wrong with it is said.
    pub(super) fn read(&mut self, value: &Value) -> Option<Arc<Object<T>>> {
        let findings = match Object::<T>::from_value(value) {
            Ok(object) => {
                let object = Arc::new(object);
                if self.closed.is_some() {
                    self.remember(&object);
                }
                return Some(object);
            }
            Err(findings) => findings,
        };
        let text = |place: &str| value.pointer(place).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let before = self.sound.get(text("/metadata/uid")).and_then(Weak::upgrade);
        let instead = before.or_else(|| stand_in(value, self.closed?).map(Arc::new));
        let holds = match &instead {
            None => "nothing",
            Some(object) if object.meta.resource_version.as_deref() == Some(text("/metadata/resourceVersion")) => {
                "what refuses everything that it may be about"
            }
            Some(_) => "the version before it",
        };
        tracing::error!(kind = T::KIND, namespace, name, ?findings, holds, "an object is unsound and not in force");
        instead
    }

    fn remember(&mut self, object: &Arc<Object<T>>) {
        let Some(uid) = &object.meta.uid else { return };
        if self.sound.len() % REMEMBERED == REMEMBERED - 1 {
            self.sound.retain(|_, object| object.strong_count() > 0);
        }
        self.sound.insert(uid.clone(), Arc::downgrade(object));
    }
}

/// The closed form of an object: for what it is attached to, or for all that it may be about where that cannot be read either.
fn stand_in<T: Resource>(value: &Value, closed: Closed) -> Option<Object<T>> {
    let demands = closed(value)?;
    let api_version = Object::<T>::kind()?.api_version();
    let meta: Map<String, Value> = ["name", "namespace", "uid", "creationTimestamp", "resourceVersion"]
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), value.pointer("/metadata")?.get(field)?.clone())))
        .collect();
    let made = |places: &[&str]| {
        let mut spec = demands.as_object().cloned().unwrap_or_default();
        for place in places {
            if let Some(attached) = value.pointer("/spec").and_then(|spec| spec.get(place)) {
                spec.insert((*place).to_owned(), attached.clone());
            }
        }
        let object = json!({"apiVersion": api_version, "kind": T::KIND, "metadata": meta, "spec": spec});
        Object::<T>::from_value(&object).ok()
    };
    made(&ATTACHMENTS).or_else(|| made(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{AuthorizationPolicy, PeerAuthentication, RequestAuthentication};

    fn object(kind: &str, version: &str, spec: Value) -> Value {
        json!({"apiVersion": "security.istio.io/v1", "kind": kind, "spec": spec,
            "metadata": {"name": "a", "namespace": "shop", "uid": "u", "resourceVersion": version}})
    }

    fn spec<T: Resource>(object: Option<Arc<Object<T>>>) -> Option<Value> {
        object.map(|object| object.to_value()["spec"].take())
    }

    #[test]
    fn an_unsound_policy_refuses_what_it_selects_and_a_sound_version_before_it_stays() {
        let mut reader = Reader::<AuthorizationPolicy>::new(Some(policy));
        let newer = |action: &str| {
            json!({"selector": {"matchLabels": {"app": "web"}}, "action": action,
            "rules": [{"to": [{"operation": {"ofTheFuture": ["x"]}}]}]})
        };
        let everything = json!({"selector": {"matchLabels": {"app": "web"}}, "action": "DENY", "rules": [{}]});
        for action in ["DENY", "ALLOW", "CUSTOM"] {
            let read = reader.read(&object("AuthorizationPolicy", "1", newer(action)));
            assert_eq!(spec(read), Some(everything.clone()), "{action}");
        }
        assert!(reader.read(&object("AuthorizationPolicy", "1", newer("AUDIT"))).is_none());
        let mut tried = object("AuthorizationPolicy", "1", newer("DENY"));
        tried["metadata"]["annotations"] = json!({"istio.io/dry-run": "true"});
        assert!(reader.read(&tried).is_none());
        let none = json!({"action": "DENY", "rules": []});
        assert!(reader.read(&object("AuthorizationPolicy", "1", none)).is_none());
        // What cannot be told whom it is for is for all.
        let nobody = json!({"selector": {"matchExpressions": []}, "rules": []});
        let all = spec(reader.read(&object("AuthorizationPolicy", "1", nobody)));
        assert_eq!(all, Some(json!({"action": "DENY", "rules": [{}]})));
        let sound = reader.read(&object("AuthorizationPolicy", "2", json!({"action": "DENY", "rules": [{}]}))).unwrap();
        let kept = reader.read(&object("AuthorizationPolicy", "3", newer("DENY"))).unwrap();
        assert!(Arc::ptr_eq(&kept, &sound));
        // Nobody holds it any more: it was deleted.
        drop((sound, kept));
        assert_eq!(spec(reader.read(&object("AuthorizationPolicy", "4", newer("DENY")))), Some(everything));
    }

    #[test]
    fn what_says_who_is_believed_believes_nobody_while_it_is_unsound() {
        let mut peers_of = Reader::<PeerAuthentication>::new(Some(peers));
        let read = peers_of.read(&object("PeerAuthentication", "1", json!({"mtls": {"mode": "STRICT"}, "more": 1})));
        assert_eq!(spec(read), Some(json!({"mtls": {"mode": "STRICT"}})));
        let mut tokens_of = Reader::<RequestAuthentication>::new(Some(tokens));
        let unsound = json!({"jwtRules": [{"issuer": "me", "jwksUri": "https://me/keys", "more": 1}]});
        let read = tokens_of.read(&object("RequestAuthentication", "1", unsound)).unwrap();
        assert_eq!(read.spec.jwt_rules.len(), 1);
        assert_eq!(read.spec.jwt_rules[0].issuer.as_deref(), Some("unsound.invalid"));
    }

    #[test]
    fn an_unsound_object_that_protects_nobody_is_not_in_force() {
        let mut reader = Reader::<PeerAuthentication>::new(None);
        assert!(reader.read(&object("PeerAuthentication", "1", json!({"more": 1}))).is_none());
    }
}

//! MeshConfig and MeshNetworks: every field and its type, and what has to hold between them.
//!
//! They are no objects of a cluster but texts in a ConfigMap, or part of the settings of an installation; they are checked by
//! the same rules wherever they stand. What of them is in force, `compile/` says.
//!
//! Refused: fields that there are none of. Istio leaves them out and goes on, so that a slip of the pen is a setting that is
//! silently not applied.

mod fields;
mod providers;
mod proxy;
mod shape;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::Value;

use self::fields::{MESH_CONFIG, MESH_NETWORKS};
use self::shape::{Shape, check};
use crate::resources::field::Cx;
use crate::resources::finding::Findings;

/// The settings that a ConfigMap of the mesh may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// MeshConfig, the entry `mesh`.
    Mesh,
    /// MeshNetworks, the entry `meshNetworks`.
    Networks,
}

impl Settings {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Mesh, Self::Networks];

    /// The entry of the ConfigMap that holds them.
    pub fn entry(self) -> &'static str {
        match self {
            Self::Mesh => "mesh",
            Self::Networks => "meshNetworks",
        }
    }

    /// Everything that can be said about them without their surroundings.
    pub fn validate(self, value: &Value) -> Findings {
        let mut cx = Cx::default();
        self.check(value, &mut cx);
        cx.findings
    }

    fn check(self, value: &Value, cx: &mut Cx) {
        match self {
            Self::Mesh => {
                check(value, &Shape::Record(&MESH_CONFIG), cx);
                mesh_config(value, cx);
            }
            Self::Networks => {
                check(value, &Shape::Record(&MESH_NETWORKS), cx);
                mesh_networks(value, cx);
            }
        }
    }

    /// The same of settings that are a field of something else.
    pub(crate) fn check_field(self, field: &str, value: &Value, cx: &mut Cx) {
        cx.at(field, |cx| self.check(value, cx));
    }
}

/// Whether a ConfigMap holds settings of the mesh: Istio's names, with a revision or without.
pub fn is_settings(object: &Value) -> bool {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    let is_named = text("/metadata/name").is_some_and(|name| name == "istio" || name.starts_with("istio-"));
    let holds = Settings::ALL
        .iter()
        .any(|settings| object.pointer("/data").is_some_and(|data| data.get(settings.entry()).is_some()));
    text("/apiVersion") == Some("v1") && text("/kind") == Some("ConfigMap") && is_named && holds
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn port(owner: &Value, field: &str, least: i64, cx: &mut Cx) {
    if let Some(number) = owner.get(field).and_then(whole).filter(|number| !(least..=65_535).contains(number)) {
        cx.error_at(field, format!("has to be a port, from {least} to 65535, and is {number}"));
    }
}

fn items<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value.get(field).and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn mesh_config(value: &Value, cx: &mut Cx) {
    port(value, "proxyListenPort", 1, cx);
    port(value, "proxyInboundListenPort", 1, cx);
    port(value, "proxyHttpPort", 0, cx);
    if value.get("trustDomain").and_then(Value::as_str).is_some_and(str::is_empty) {
        cx.error_at("trustDomain", "is empty: write it out, or remove it");
    }
    let mut names = HashSet::new();
    cx.at("extensionProviders", |cx| {
        for (index, provider) in items(value, "extensionProviders").filter(|(_, provider)| provider.is_object()) {
            cx.at_index(index, |cx| extension_provider(provider, &mut names, cx));
        }
    });
}

fn extension_provider<'v>(provider: &'v Value, names: &mut HashSet<&'v str>, cx: &mut Cx) {
    match provider.get("name").and_then(Value::as_str) {
        None | Some("") => cx.error_at("name", "is required: add it"),
        Some(name) if !names.insert(name) => cx.error_at("name", format!("{name:?} is there twice: rename one")),
        Some(_) => {}
    }
    let kinds = providers::EXTENSION_PROVIDER.one_of;
    let Some(kind) = kinds.iter().find(|kind| provider.get(**kind).is_some()) else {
        cx.error(format!("says nothing of what provides: add one of {}", kinds.join(", ")));
        return;
    };
    let settings = provider.get(*kind).unwrap_or(&Value::Null);
    cx.at(kind, |cx| {
        port(settings, "port", 1, cx);
        if kind.starts_with("envoyExtAuthz") {
            for (field, given) in [
                ("service", settings.get("service").and_then(Value::as_str).is_some_and(|text| !text.is_empty())),
                ("port", settings.get("port").is_some()),
            ] {
                if !given {
                    cx.error_at(field, "is required: add it");
                }
            }
        }
    });
}

fn mesh_networks(value: &Value, cx: &mut Cx) {
    let Some(networks) = value.get("networks").and_then(Value::as_object) else { return };
    cx.at("networks", |cx| {
        for (name, network) in networks {
            cx.at(name, |cx| {
                for (index, gateway) in items(network, "gateways").filter(|(_, gateway)| gateway.is_object()) {
                    cx.at("gateways", |cx| {
                        cx.at_index(index, |cx| {
                            port(gateway, "port", 1, cx);
                            if gateway.get("registryServiceName").is_none() && gateway.get("address").is_none() {
                                cx.error("names no gateway: add `registryServiceName` or `address`");
                            }
                        });
                    });
                }
            });
        }
    });
}

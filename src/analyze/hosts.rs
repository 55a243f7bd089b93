//! Which hosts are known where: Services and ServiceEntries, as `exportTo` lets namespaces see them.

use std::collections::HashMap;

use serde_json::Value;

use super::object::{Object, items};
use super::snapshot::Snapshot;

/// The scope of what everybody sees.
pub const EVERYBODY: &str = "*";

/// A host that is known.
#[derive(Clone, Copy, Debug)]
pub struct Known<'s> {
    /// The Service or ServiceEntry.
    pub object: &'s Object,
}

impl<'s> Known<'s> {
    /// Its ports: number and name.
    pub fn ports(&self) -> Vec<(u64, &'s str)> {
        let field = if &*self.object.kind == "ServiceEntry" { "number" } else { "port" };
        let name = |port: &'s Value| port.get("name").and_then(Value::as_str).unwrap_or_default();
        items(self.object.value(), "/spec/ports")
            .iter()
            .filter_map(|port| Some((port.get(field)?.as_u64()?, name(port))))
            .collect()
    }
}

/// The hosts that are known.
#[derive(Debug)]
pub struct Hosts<'s> {
    /// By name, then by scope.
    exact: HashMap<String, HashMap<&'s str, Known<'s>>>,
    /// Scope, what is behind the `*`, and who says so.
    wildcards: Vec<(&'s str, String, Known<'s>)>,
}

impl<'s> Hosts<'s> {
    /// The hosts of a snapshot.
    pub fn new(snapshot: &'s Snapshot) -> Self {
        let mut hosts = Self { exact: HashMap::new(), wildcards: Vec::new() };
        for service in snapshot.all("Service") {
            let host = format!("{}.{}.svc.cluster.local", service.name, service.namespace);
            let exported = service.annotation("networking.istio.io/exportTo");
            let targets: Vec<&str> = exported.split(',').map(str::trim).filter(|target| !target.is_empty()).collect();
            for scope in scopes(&targets, &service.namespace) {
                hosts.exact.entry(host.clone()).or_default().insert(scope, Known { object: service });
            }
        }
        for entry in snapshot.all("ServiceEntry") {
            let targets = entry.texts("/spec/exportTo");
            for scope in scopes(&targets, &entry.namespace) {
                for host in entry.texts("/spec/hosts") {
                    if let Some(suffix) = host.strip_prefix('*') {
                        hosts.wildcards.push((scope, suffix.to_owned(), Known { object: entry }));
                    } else {
                        let named = hosts.exact.entry(qualified(host, &entry.namespace)).or_default();
                        named.insert(scope, Known { object: entry });
                    }
                }
            }
        }
        hosts
    }

    /// Who knows `host`, as an object in `namespace` that is exported to `exported` names it.
    pub fn find(&self, host: &str, namespace: &str, exported: &[&str]) -> Option<Known<'s>> {
        let host = qualified(host, namespace);
        let scoped = |scope: &str| self.exact.get(&host).and_then(|by_scope| by_scope.get(scope)).copied();
        if let Some(known) = scoped(EVERYBODY) {
            return Some(known);
        }
        let own = [namespace];
        let readers: Vec<&str> = match exported {
            [] => own.to_vec(),
            some => {
                some.iter().map(|target| if matches!(*target, "." | EVERYBODY) { namespace } else { target }).collect()
            }
        };
        for reader in &readers {
            if let Some(known) = scoped(reader) {
                return Some(known);
            }
        }
        self.wildcards
            .iter()
            .find(|(scope, suffix, _)| {
                (*scope == EVERYBODY || readers.contains(scope)) && host.ends_with(suffix.as_str())
            })
            .map(|(_, _, known)| *known)
    }
}

/// The scopes that an object of `namespace` with these targets is seen in.
pub fn scopes<'o>(targets: &[&'o str], namespace: &'o str) -> Vec<&'o str> {
    if targets.is_empty() || targets.contains(&EVERYBODY) {
        return vec![EVERYBODY];
    }
    targets
        .iter()
        .filter(|target| **target != "~")
        .map(|target| if *target == "." { namespace } else { target })
        .collect()
}

/// A host in full: a name without a dot is meant in `namespace`.
pub fn qualified(host: &str, namespace: &str) -> String {
    if host.contains('.') || host == "*" { host.to_owned() } else { format!("{host}.{namespace}.svc.cluster.local") }
}

/// Whether two hosts, each with or without a wildcard, have a name in common.
pub fn overlap(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (None, None) => a == b,
        (Some(suffix), None) => b.ends_with(suffix),
        (None, Some(suffix)) => a.ends_with(suffix),
        (Some(a), Some(b)) => a.ends_with(b) || b.ends_with(a),
    }
}

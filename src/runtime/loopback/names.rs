//! What a name means to a pod without a sidecar: a cluster's DNS and kube-proxy in one.
//!
//! One watch on Services and one on EndpointSlices serve every pod of a runtime. A name is read as a pod's resolver reads it (short,
//! with a namespace, in full, a headless service's pod); a service's port leads to its ready endpoints in turn.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Label that names an EndpointSlice's service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// `ExternalName` services that lead to each other are followed so far.
const ALIASES: usize = 4;

/// Why a name and port lead nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No service has that name, and it is no name of the world outside.
    #[error("{host}: no such service; Services are found as NAME, NAME.NAMESPACE or NAME.NAMESPACE.svc.{domain}")]
    Unknown {
        /// What was asked for.
        host: String,
        /// The cluster's domain.
        domain: String,
    },
    /// The service has other ports.
    #[error("service {service} has no port {port}; it has {known}")]
    NoPort {
        /// `name.namespace`.
        service: String,
        /// What was asked for.
        port: u16,
        /// Its ports.
        known: String,
    },
    /// Nobody is there to answer.
    #[error("service {service} has no ready endpoint for port {port}")]
    NoEndpoints {
        /// `name.namespace`.
        service: String,
        /// What was asked for.
        port: u16,
    },
}

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// To this address.
    Address(SocketAddr),
    /// Out of the cluster; the machine's resolver knows more.
    Outside {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
    },
}

type Key = (String, String);

#[derive(Debug, Default)]
struct Entry {
    alias: Option<String>,
    headless: bool,
    addresses: Vec<IpAddr>,
    /// (port, name)
    ports: Vec<(u16, String)>,
    /// Whose turn it is.
    turn: AtomicUsize,
}

/// The endpoints of one slice.
#[derive(Debug, Default)]
struct Slice {
    service: String,
    /// (port, name)
    ports: Vec<(u16, String)>,
    /// (address, host name)
    ready: Vec<(IpAddr, Option<String>)>,
}

#[derive(Debug, Default)]
struct Known {
    services: HashMap<Key, Arc<Entry>>,
    /// By namespace and service, and there by the slice's name, so that turns have an order.
    slices: HashMap<Key, BTreeMap<String, Slice>>,
}

/// The names of a cluster.
#[derive(Debug)]
pub struct Names {
    domain: String,
    known: RwLock<Known>,
}

impl Names {
    /// No names, of a cluster with this domain.
    pub fn new(domain: &str) -> Arc<Self> {
        Arc::new(Self { domain: domain.to_owned(), known: RwLock::default() })
    }

    /// Keeps the names as the API server's objects change, until `stop` is cancelled.
    pub fn follow(self: &Arc<Self>, client: &Client, stop: &CancellationToken) -> [JoinHandle<()>; 2] {
        let (services, slices) = (Arc::clone(self), Arc::clone(self));
        [
            tokio::spawn(follow::<Service>(client.clone(), stop.clone(), move |seen| services.service(seen))),
            tokio::spawn(follow::<EndpointSlice>(client.clone(), stop.clone(), move |seen| slices.slice(seen))),
        ]
    }

    /// Where `host` and `port` lead a pod of `namespace`.
    ///
    /// # Errors
    /// Nowhere, and why.
    pub fn resolve(&self, namespace: &str, host: &str, port: u16) -> Result<Place, NameError> {
        let mut host = host.trim_end_matches('.').to_ascii_lowercase();
        let mut namespace = namespace.to_owned();
        for _ in 0..ALIASES {
            if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
                return self.address(ip, port);
            }
            let known = self.known.read();
            let Some((key, pod)) = self.service_named(&known, &namespace, &host) else {
                return self.outside(host, port);
            };
            let Some(service) = known.services.get(&key) else { return self.outside(host, port) };
            match &service.alias {
                Some(alias) => {
                    let alias = alias.trim_end_matches('.').to_ascii_lowercase();
                    (host, namespace) = (alias, key.0);
                }
                None => return known.endpoint(&key, service, port, pod.as_deref()).map(Place::Address),
            }
        }
        Err(NameError::Unknown { host, domain: self.domain.clone() })
    }

    fn outside(&self, host: String, port: u16) -> Result<Place, NameError> {
        let inside = host.strip_suffix(&self.domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if inside || !host.contains('.') || host.ends_with(".svc") {
            return Err(NameError::Unknown { host, domain: self.domain.clone() });
        }
        Ok(Place::Outside { host, port })
    }

    /// An address: a service's, or one that is taken as it is.
    fn address(&self, ip: IpAddr, port: u16) -> Result<Place, NameError> {
        let known = self.known.read();
        let service = known.services.iter().find(|(_, service)| service.addresses.contains(&ip));
        match service {
            Some((key, service)) => known.endpoint(key, service, port, None).map(Place::Address),
            None => Ok(Place::Address(SocketAddr::new(ip, port))),
        }
    }

    /// The service that a name is of, and the host name of its pod where the name has one. Read in the order of a pod's search
    /// list (`ndots` 5: names inside the cluster first).
    fn service_named(&self, known: &Known, namespace: &str, host: &str) -> Option<(Key, Option<String>)> {
        let local = host.strip_suffix(&format!(".{}", self.domain)).unwrap_or(host);
        let (local, has_svc) = match local.strip_suffix(".svc") {
            Some(rest) => (rest, true),
            None => (local, false),
        };
        if local.len() != host.len() && !has_svc {
            return None;
        }
        let key = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        let labels: Vec<&str> = local.split('.').collect();
        let candidates: Vec<(Key, Option<String>)> = match labels.as_slice() {
            [name] if !has_svc => vec![(key(namespace, name), None)],
            [first, second] if !has_svc => {
                vec![(key(namespace, second), Some((*first).to_owned())), (key(second, first), None)]
            }
            [name, namespace] => vec![(key(namespace, name), None)],
            [pod, name, namespace] => vec![(key(namespace, name), Some((*pod).to_owned()))],
            _ => Vec::new(),
        };
        candidates.into_iter().find(|(key, pod)| {
            known.services.contains_key(key) && pod.as_ref().is_none_or(|pod| known.has_pod(key, pod))
        })
    }

    fn service(&self, seen: Seen<Service>) {
        let mut known = self.known.write();
        match seen {
            Seen::There(service) => {
                let entry = Entry::new(&service);
                known.services.insert(key_of(&service.metadata), Arc::new(entry));
            }
            Seen::Gone(key) => {
                known.services.remove(&key);
            }
            Seen::Only(present) => known.services.retain(|key, _| present.contains(key)),
        }
    }

    fn slice(&self, seen: Seen<EndpointSlice>) {
        let mut known = self.known.write();
        let remove = |known: &mut Known, (namespace, name): &Key| {
            for (_, slices) in known.slices.iter_mut().filter(|((of, _), _)| of == namespace) {
                slices.remove(name);
            }
            known.slices.retain(|_, slices| !slices.is_empty());
        };
        match seen {
            Seen::There(slice) => {
                let key = key_of(&slice.metadata);
                remove(&mut known, &key);
                let (namespace, name) = key;
                if let Some(slice) = Slice::new(slice) {
                    known.slices.entry((namespace, slice.service.clone())).or_default().insert(name, slice);
                }
            }
            Seen::Gone(key) => remove(&mut known, &key),
            Seen::Only(present) => {
                for ((namespace, _), slices) in &mut known.slices {
                    slices.retain(|name, _| present.contains(&(namespace.clone(), name.clone())));
                }
                known.slices.retain(|_, slices| !slices.is_empty());
            }
        }
    }
}

impl Known {
    fn has_pod(&self, key: &Key, pod: &str) -> bool {
        let slices = self.slices.get(key).into_iter().flat_map(BTreeMap::values);
        slices.flat_map(|slice| &slice.ready).any(|(_, host)| host.as_deref() == Some(pod))
    }

    fn endpoint(&self, key: &Key, service: &Entry, port: u16, pod: Option<&str>) -> Result<SocketAddr, NameError> {
        let (namespace, name) = key;
        let display = || format!("{name}.{namespace}");
        let wanted = service.ports.iter().find(|(number, _)| *number == port);
        // The name of a headless service is its pods' addresses: no port is translated.
        let direct = service.headless || pod.is_some();
        if wanted.is_none() && !direct {
            let known: Vec<_> = service.ports.iter().map(|(port, _)| port.to_string()).collect();
            return Err(NameError::NoPort { service: display(), port, known: known.join(", ") });
        }
        let mut found = Vec::new();
        for slice in self.slices.get(key).into_iter().flat_map(BTreeMap::values) {
            let target = match wanted {
                _ if direct => Some(port),
                Some((_, name)) => slice.ports.iter().find(|(_, of)| of == name).map(|(target, _)| *target),
                None => None,
            };
            let Some(target) = target else { continue };
            let ready = slice.ready.iter().filter(|(_, host)| pod.is_none() || host.as_deref() == pod);
            found.extend(ready.map(|(ip, _)| SocketAddr::new(*ip, target)));
        }
        let turn = service.turn.fetch_add(1, Ordering::Relaxed);
        let chosen = turn.checked_rem(found.len()).and_then(|index| found.get(index).copied());
        chosen.ok_or_else(|| NameError::NoEndpoints { service: display(), port })
    }
}

impl Entry {
    fn new(service: &Service) -> Self {
        let Some(spec) = &service.spec else { return Self::default() };
        let addresses = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
        let ports = spec.ports.iter().flatten();
        Self {
            alias: spec.external_name.clone().filter(|_| spec.type_.as_deref() == Some("ExternalName")),
            headless: spec.cluster_ip.as_deref() == Some("None"),
            addresses: addresses.filter_map(|address| address.parse().ok()).collect(),
            ports: ports
                .filter_map(|port| Some((u16::try_from(port.port).ok()?, port.name.clone().unwrap_or_default())))
                .collect(),
            turn: AtomicUsize::new(0),
        }
    }
}

impl Slice {
    fn new(slice: EndpointSlice) -> Option<Self> {
        let service = slice.metadata.labels?.remove(SERVICE_NAME)?;
        let ports = slice.ports.into_iter().flatten();
        let ports = ports.filter_map(|port| Some((u16::try_from(port.port?).ok()?, port.name.unwrap_or_default())));
        let mut ready = Vec::new();
        for endpoint in slice.endpoints.into_iter().flatten() {
            // Unknown readiness counts as ready, as the API says.
            if endpoint.conditions.and_then(|conditions| conditions.ready) == Some(false) {
                continue;
            }
            let addresses = endpoint.addresses.iter().filter_map(|address| address.parse().ok());
            ready.extend(addresses.map(|address| (address, endpoint.hostname.clone())));
        }
        Some(Self { service, ports: ports.collect(), ready })
    }
}

fn key_of(metadata: &ObjectMeta) -> Key {
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

enum Seen<K> {
    There(K),
    Gone(Key),
    /// Everything that is there has been seen; these are all.
    Only(Vec<Key>),
}

async fn follow<K>(client: Client, stop: CancellationToken, tell: impl Fn(Seen<K>))
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let events = watcher(Api::<K>::all(client), watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events.take_until(stop.cancelled_owned()));
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                listed.push(key_of(object.meta()));
                tell(Seen::There(object));
            }
            Ok(watcher::Event::InitDone) => tell(Seen::Only(std::mem::take(&mut listed))),
            Ok(watcher::Event::Apply(object)) => tell(Seen::There(object)),
            Ok(watcher::Event::Delete(object)) => tell(Seen::Gone(key_of(object.meta()))),
            Err(error) => tracing::warn!(%error, "the watch behind the pods' names broke; it is started again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Arc<Names> {
        let names = Names::new("cluster.local");
        let service = |namespace: &str, name: &str, spec: serde_json::Value| {
            let service = json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec});
            names.service(Seen::There(serde_json::from_value(service).unwrap()));
        };
        let slice = |namespace: &str, name: &str, port: u16, endpoints: serde_json::Value| {
            let slice = json!({
                "metadata": {"namespace": namespace, "name": format!("{name}-1"), "labels": {SERVICE_NAME: name}},
                "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": port}],
            });
            names.slice(Seen::There(serde_json::from_value(slice).unwrap()));
        };
        let http = json!([{"name": "http", "port": 80}]);
        service("shop", "web", json!({"clusterIP": "10.96.0.7", "ports": http}));
        service("shop", "db", json!({"clusterIP": "None", "ports": http}));
        service("shop", "empty", json!({"clusterIP": "10.96.0.8", "ports": http}));
        service("shop", "far", json!({"type": "ExternalName", "externalName": "example.com"}));
        service("shop", "near", json!({"type": "ExternalName", "externalName": "web.shop.svc.cluster.local"}));
        slice(
            "shop",
            "web",
            8080,
            json!([{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]},
            {"addresses": ["10.0.0.3"], "conditions": {"ready": false}}]),
        );
        slice("shop", "db", 5432, json!([{"addresses": ["10.0.1.1"], "hostname": "db-0"}]));
        names
    }

    fn address(text: &str) -> Result<Place, NameError> {
        Ok(Place::Address(text.parse().unwrap()))
    }

    #[test]
    fn a_name_is_read_as_a_pods_resolver_reads_it() {
        let names = names();
        for (namespace, host) in [
            ("shop", "web"),
            ("other", "web.shop"),
            ("other", "web.shop.svc"),
            ("other", "WEB.shop.svc.cluster.local."),
            ("other", "10.96.0.7"),
            ("shop", "near"),
        ] {
            let place = names.resolve(namespace, host, 80).unwrap();
            assert!(matches!(place, Place::Address(address) if address.port() == 8080), "{host}: {place:?}");
        }
        for (namespace, host) in
            [("other", "web"), ("shop", "nobody"), ("shop", "x.cluster.local"), ("shop", "a.b.svc")]
        {
            assert!(matches!(names.resolve(namespace, host, 80), Err(NameError::Unknown { .. })), "{host}");
        }
        let outside = |host: &str| Ok(Place::Outside { host: host.to_owned(), port: 443 });
        assert_eq!(names.resolve("shop", "www.example.com", 443), outside("www.example.com"));
        assert_eq!(names.resolve("shop", "far", 443), outside("example.com"));
        assert_eq!(names.resolve("shop", "192.0.2.1", 443), address("192.0.2.1:443"));
    }

    #[test]
    fn ready_endpoints_take_turns() {
        let names = names();
        let all: Vec<_> = (0..4).map(|_| names.resolve("shop", "web", 80)).collect();
        let (first, second) = (address("10.0.0.1:8080"), address("10.0.0.2:8080"));
        assert_eq!(all, [first.clone(), second.clone(), first, second]);
    }

    #[test]
    fn a_headless_service_is_its_pods() {
        let names = names();
        assert_eq!(names.resolve("shop", "db", 9999), address("10.0.1.1:9999"));
        assert_eq!(names.resolve("shop", "db-0.db", 5432), address("10.0.1.1:5432"));
        assert_eq!(names.resolve("other", "db-0.db.shop.svc.cluster.local", 5432), address("10.0.1.1:5432"));
        assert!(names.resolve("shop", "db-1.db", 5432).is_ok_and(|place| matches!(place, Place::Outside { .. })));
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        let names = names();
        let said = |host: &str, port| names.resolve("shop", host, port).unwrap_err().to_string();
        assert_eq!(said("web", 81), "service web.shop has no port 81; it has 80");
        assert_eq!(said("empty", 80), "service empty.shop has no ready endpoint for port 80");
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let names = names();
        names.slice(Seen::Gone(("shop".to_owned(), "web-1".to_owned())));
        assert!(matches!(names.resolve("shop", "web", 80), Err(NameError::NoEndpoints { .. })));
        names.service(Seen::Only(vec![("shop".to_owned(), "db".to_owned())]));
        assert!(matches!(names.resolve("shop", "web", 80), Err(NameError::Unknown { .. })));
    }
}

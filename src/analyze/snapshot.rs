//! All that is looked at in one analysis: objects by kind, and the mesh's settings.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::object::{Labels, Object, selects, text};
use crate::yaml::{self, Document};

/// What an analysis is told besides its objects.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespace of objects from files that name none.
    pub default_namespace: String,
    /// The namespace that the control plane is in.
    pub istio_namespace: String,
    /// The control plane's revision.
    pub revision: String,
    /// Whether workloads stand for the pods that they will have, as they do in files that nothing runs yet.
    pub workloads_have_pods: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_namespace: "default".to_owned(),
            istio_namespace: "istio-system".to_owned(),
            revision: "default".to_owned(),
            workloads_have_pods: false,
        }
    }
}

/// All that is looked at.
#[derive(Debug)]
pub struct Snapshot {
    /// What was said.
    pub options: Options,
    /// Objects by kind, in the order in which they came; those of groups that are not known by kind and group.
    kinds: HashMap<Arc<str>, Vec<Object>>,
    /// The mesh's settings; null if there are none.
    pub mesh_config: Value,
    /// The object that the networks are part of, and the networks.
    pub mesh_networks: Option<Value>,
    namespaces_with_ambient: HashSet<String>,
    /// Pods, and those that workloads will have.
    pods: Vec<Object>,
    pods_by_namespace: HashMap<Arc<str>, Vec<usize>>,
    /// By key, then by value.
    pods_by_label: HashMap<String, HashMap<String, Vec<usize>>>,
    /// By kind, namespace and name.
    names: HashMap<Arc<str>, Names>,
}

/// Kinds whose objects have pods, by a template.
const WORKLOADS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"];

/// Places of a kind's objects by namespace and name.
type Names = HashMap<Arc<str>, HashMap<Arc<str>, usize>>;

/// A name that no other object of a cluster has: kind, group, namespace, name.
type Identity = (Arc<str>, Arc<str>, Arc<str>, Arc<str>);

/// Whether a kind of this group can be one that analyzers know. Others may have its name: there are Services of many groups.
fn is_known_group(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io") || is_of_the_mesh(group)
}

/// Whether objects of this group are the mesh's configuration, of which all clusters together have one.
fn is_of_the_mesh(group: &str) -> bool {
    group.ends_with(".istio.io") || group == "gateway.networking.k8s.io"
}

impl Snapshot {
    /// A snapshot of these objects, those of files behind those of clusters; of several of one cluster that have one name, the last
    /// wins, so that files can be laid over a cluster.
    pub fn new(options: Options, objects: impl IntoIterator<Item = Object>) -> Self {
        let mut places: HashMap<Identity, Vec<usize>> = HashMap::new();
        let mut all: Vec<Object> = Vec::new();
        for object in objects {
            let key = (
                Arc::clone(&object.kind),
                Arc::clone(&object.group),
                Arc::clone(&object.namespace),
                Arc::clone(&object.name),
            );
            let held = places.entry(key).or_default();
            let same = held.iter().copied().find(|at| all.get(*at).is_some_and(|held| held.cluster == object.cluster));
            // A file is meant for the first cluster; of the mesh's configuration, what the first cluster has holds.
            let place = match (&object.cluster, same) {
                (_, Some(at)) => Some(at),
                (None, None) => held.first().copied(),
                (Some(_), None) if is_of_the_mesh(&object.group) && !held.is_empty() => continue,
                (Some(_), None) => None,
            };
            match place.and_then(|at| all.get_mut(at)) {
                Some(held) => *held = object,
                None => {
                    held.push(all.len());
                    all.push(object);
                }
            }
        }
        let mut kinds: HashMap<Arc<str>, Vec<Object>> = HashMap::new();
        for object in all {
            let name = if is_known_group(&object.group) {
                Arc::clone(&object.kind)
            } else {
                format!("{}.{}", object.kind, object.group).into()
            };
            kinds.entry(name).or_default().push(object);
        }
        let mut names: HashMap<Arc<str>, Names> = HashMap::new();
        for (kind, objects) in &kinds {
            let of_kind = names.entry(Arc::clone(kind)).or_default();
            for (index, object) in objects.iter().enumerate() {
                let in_namespace = of_kind.entry(Arc::clone(&object.namespace)).or_default();
                // Of several clusters' objects, or of several groups', the first.
                in_namespace.entry(Arc::clone(&object.name)).or_insert(index);
            }
        }
        let mut snapshot = Self {
            options,
            kinds,
            mesh_config: Value::Null,
            mesh_networks: None,
            namespaces_with_ambient: HashSet::new(),
            pods: Vec::new(),
            pods_by_namespace: HashMap::new(),
            pods_by_label: HashMap::new(),
            names,
        };
        let map = if snapshot.options.revision == "default" {
            "istio".to_owned()
        } else {
            format!("istio-{}", snapshot.options.revision)
        };
        if let Some(settings) = snapshot.find("ConfigMap", &snapshot.options.istio_namespace, &map) {
            let mesh = embedded(settings, "mesh");
            let networks = embedded(settings, "meshNetworks");
            snapshot.mesh_config = mesh.unwrap_or_default();
            snapshot.mesh_networks = networks;
        }
        snapshot.namespaces_with_ambient = snapshot
            .all("Namespace")
            .iter()
            .filter(|namespace| {
                namespace.label("istio.io/dataplane-mode") == "ambient"
                    && namespace.label("istio-injection") != "enabled"
                    && namespace.label("istio.io/rev").is_empty()
            })
            .map(|namespace| namespace.name.to_string())
            .collect();
        // What has ended gets no traffic any more.
        let runs = |pod: &&Object| !matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
        let mut pods: Vec<Object> = snapshot.all("Pod").iter().filter(runs).cloned().collect();
        if snapshot.options.workloads_have_pods {
            pods.extend(WORKLOADS.iter().flat_map(|kind| snapshot.all(kind)).filter_map(Object::pod_of));
        }
        for (index, pod) in pods.iter().enumerate() {
            snapshot.pods_by_namespace.entry(Arc::clone(&pod.namespace)).or_default().push(index);
            for (key, value) in pod.labels() {
                let values = snapshot.pods_by_label.entry(key.to_owned()).or_default();
                values.entry(value.to_owned()).or_default().push(index);
            }
        }
        snapshot.pods = pods;
        snapshot
    }

    /// The same with these settings of the mesh, instead of those of the cluster.
    #[must_use]
    pub fn with_mesh_config(self, mesh_config: Value) -> Self {
        Self { mesh_config, ..self }
    }

    /// The same with these networks.
    #[must_use]
    pub fn with_mesh_networks(self, networks: Value) -> Self {
        Self { mesh_networks: Some(networks), ..self }
    }

    /// The objects of a kind, whatever its group.
    pub fn all(&self, kind: &str) -> &[Object] {
        self.kinds.get(kind).map_or(&[], Vec::as_slice)
    }

    /// The objects of a kind of a group.
    pub fn of<'s>(&'s self, group: &'s str, kind: &str) -> impl Iterator<Item = &'s Object> {
        self.all(kind).iter().filter(move |object| &*object.group == group)
    }

    /// Istio's own Gateways.
    pub fn gateways(&self) -> impl Iterator<Item = &Object> {
        self.of("networking.istio.io", "Gateway")
    }

    /// The Gateway API's Gateways.
    pub fn kubernetes_gateways(&self) -> impl Iterator<Item = &Object> {
        self.of("gateway.networking.k8s.io", "Gateway")
    }

    /// One object.
    pub fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        let index = self.names.get(kind)?.get(namespace)?.get(name)?;
        self.all(kind).get(*index)
    }

    /// Every object.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.kinds.values().flatten()
    }

    /// Every pod, and those that workloads will have.
    pub fn pods(&self) -> &[Object] {
        &self.pods
    }

    /// The same of a namespace.
    pub fn pods_in<'s>(&'s self, namespace: &str) -> impl Iterator<Item = &'s Object> {
        let pods = self.pods();
        let indexes = self.pods_by_namespace.get(namespace).map_or(&[][..], Vec::as_slice);
        indexes.iter().filter_map(move |index| pods.get(*index))
    }

    /// The pods that have these labels, in `namespace`, or anywhere.
    pub fn selected<'s>(&'s self, selector: &Labels<'_>, namespace: Option<&str>) -> Vec<&'s Object> {
        // The label that the fewest pods have leads to them.
        let lists = selector.iter().map(|(key, value)| {
            self.pods_by_label.get(*key).and_then(|values| values.get(*value)).map_or(&[][..], Vec::as_slice)
        });
        let candidates: Vec<&Object> = match lists.min_by_key(|list| list.len()) {
            Some(list) => list.iter().filter_map(|index| self.pods.get(*index)).collect(),
            None => self.pods.iter().collect(),
        };
        candidates
            .into_iter()
            .filter(|pod| namespace.is_none_or(|namespace| *pod.namespace == *namespace))
            .filter(|pod| selector.len() < 2 || selects(selector, &pod.labels()))
            .collect()
    }

    /// The namespace whose objects hold for the whole mesh.
    pub fn root_namespace(&self) -> &str {
        match text(&self.mesh_config, "/rootNamespace") {
            "" => &self.options.istio_namespace,
            named => named,
        }
    }

    /// Whether a namespace takes part in ambient mode; one that is injected does not.
    pub fn is_ambient_namespace(&self, namespace: &str) -> bool {
        self.namespaces_with_ambient.contains(namespace)
    }

    /// Whether a pod has a sidecar, or is to have one.
    pub fn is_in_mesh(&self, pod: &Object) -> bool {
        self.template_in_mesh(pod.value(), "", &pod.namespace)
    }

    /// The same of a pod's template, `pointer` leading to it.
    pub fn template_in_mesh(&self, value: &Value, pointer: &str, namespace: &str) -> bool {
        let containers = |list: &str| super::object::items(value, &format!("{pointer}/spec/{list}"));
        if containers("containers")
            .iter()
            .chain(containers("initContainers"))
            .any(|c| text(c, "/name") == "istio-proxy")
        {
            return true;
        }
        let labels = super::object::map(value, &format!("{pointer}/metadata/labels"));
        let annotations = super::object::map(value, &format!("{pointer}/metadata/annotations"));
        let chosen = [labels.get("sidecar.istio.io/inject"), annotations.get("sidecar.istio.io/inject")];
        if let Some(chosen) = chosen.into_iter().flatten().next() {
            return chosen.eq_ignore_ascii_case("true");
        }
        self.find("Namespace", "", namespace).is_some_and(|namespace| match namespace.label("istio-injection") {
            "" => !namespace.label("istio.io/rev").is_empty(),
            chosen => chosen == "enabled",
        })
    }

    /// Whether a pod takes part in ambient mode.
    pub fn is_ambient(&self, pod: &Object) -> bool {
        pod.annotation("ambient.istio.io/redirection") == "enabled"
            || self.is_ambient_namespace(&pod.namespace) && pod.label("istio.io/dataplane-mode") != "none"
    }
}

/// YAML that a ConfigMap holds as text.
pub fn embedded(map: &Object, key: &str) -> Option<Value> {
    let text = map.at("/data")?.get(key)?.as_str()?;
    parsed(text)
}

/// A value that is written as text.
pub fn parsed(text: &str) -> Option<Value> {
    yaml::load("embedded", text.as_bytes()).documents.into_iter().next().map(|document: Document| document.value)
}

/// Objects by namespace, in the order of the names.
pub fn by_namespace<'s>(objects: impl IntoIterator<Item = &'s Object>) -> BTreeMap<&'s str, Vec<&'s Object>> {
    let mut map: BTreeMap<&str, Vec<&Object>> = BTreeMap::new();
    for object in objects {
        map.entry(&object.namespace).or_default().push(object);
    }
    map
}

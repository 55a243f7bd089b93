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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_namespace: "default".to_owned(),
            istio_namespace: "istio-system".to_owned(),
            revision: "default".to_owned(),
        }
    }
}

/// All that is looked at.
#[derive(Debug)]
pub struct Snapshot {
    /// What was said.
    pub options: Options,
    /// Objects by kind, API group aside; in the order in which they came.
    kinds: HashMap<Arc<str>, Vec<Object>>,
    /// The mesh's settings; null if there are none.
    pub mesh_config: Value,
    /// The object that the networks are part of, and the networks.
    pub mesh_networks: Option<Value>,
    namespaces_with_ambient: HashSet<String>,
    pods_by_namespace: HashMap<Arc<str>, Vec<usize>>,
}

/// A name that no other object of a cluster has: cluster, kind, group, namespace, name.
type Identity = (Option<Arc<str>>, Arc<str>, Arc<str>, Arc<str>, Arc<str>);

impl Snapshot {
    /// A snapshot of these objects; of several that have one name, the last wins, so that files can be laid over a cluster.
    pub fn new(options: Options, objects: impl IntoIterator<Item = Object>) -> Self {
        let mut places: HashMap<Identity, usize> = HashMap::new();
        let mut all: Vec<Object> = Vec::new();
        for object in objects {
            let key = (
                object.cluster.clone(),
                Arc::clone(&object.kind),
                Arc::clone(&object.group),
                Arc::clone(&object.namespace),
                Arc::clone(&object.name),
            );
            match places.get(&key).and_then(|at| all.get_mut(*at)) {
                Some(held) => *held = object,
                None => {
                    places.insert(key, all.len());
                    all.push(object);
                }
            }
        }
        let mut kinds: HashMap<Arc<str>, Vec<Object>> = HashMap::new();
        for object in all {
            kinds.entry(Arc::clone(&object.kind)).or_default().push(object);
        }
        let mut snapshot = Self {
            options,
            kinds,
            mesh_config: Value::Null,
            mesh_networks: None,
            namespaces_with_ambient: HashSet::new(),
            pods_by_namespace: HashMap::new(),
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
        let mut pods: HashMap<Arc<str>, Vec<usize>> = HashMap::new();
        for (index, pod) in snapshot.all("Pod").iter().enumerate() {
            pods.entry(Arc::clone(&pod.namespace)).or_default().push(index);
        }
        snapshot.pods_by_namespace = pods;
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
        self.all(kind).iter().find(|object| &*object.namespace == namespace && &*object.name == name)
    }

    /// Every object.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.kinds.values().flatten()
    }

    /// The pods of a namespace.
    pub fn pods_in<'s>(&'s self, namespace: &str) -> impl Iterator<Item = &'s Object> {
        let pods = self.all("Pod");
        let indexes = self.pods_by_namespace.get(namespace).map_or(&[][..], Vec::as_slice);
        indexes.iter().filter_map(move |index| pods.get(*index))
    }

    /// The pods that have these labels, in `namespace`, or anywhere.
    pub fn selected<'s>(&'s self, selector: &'s Labels<'s>, namespace: Option<&'s str>) -> Vec<&'s Object> {
        let fits = |pod: &&Object| selects(selector, &pod.labels());
        match namespace {
            Some(namespace) => self.pods_in(namespace).filter(fits).collect(),
            None => self.all("Pod").iter().filter(fits).collect(),
        }
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
        for chosen in [labels.get("sidecar.istio.io/inject"), annotations.get("sidecar.istio.io/inject")] {
            if let Some(chosen) = chosen {
                return chosen.eq_ignore_ascii_case("true");
            }
        }
        self.find("Namespace", "", namespace).is_some_and(|namespace| namespace.label("istio-injection") == "enabled")
    }

    /// Whether a pod takes part in ambient mode.
    pub fn is_ambient(&self, pod: &Object) -> bool {
        pod.annotation("ambient.istio.io/redirection") == "enabled"
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

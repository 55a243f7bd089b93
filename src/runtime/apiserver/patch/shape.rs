//! How the parts of an object merge: which lists merge by which keys, and which parts are replaced as a whole.

use crate::runtime::apiserver::schema::{ListType, Schema};

/// How a list merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListRule {
    /// As a whole.
    Atomic,
    /// By value.
    Set,
    /// By the values of keys; a key that is missing has the default that stands beside it.
    Map(Vec<(String, Option<&'static str>)>),
}

/// One list of a built-in kind.
struct Row {
    /// Its path, `*` for any field; pods' paths hold below `spec.template` of the kinds that have one.
    path: &'static str,
    /// The key of strategic merge; `=` merges by value, empty replaces.
    patch_key: &'static str,
    /// The keys of server-side apply; `=` merges by value, empty replaces.
    apply_keys: &'static [&'static str],
}

const fn row(path: &'static str, patch_key: &'static str, apply_keys: &'static [&'static str]) -> Row {
    Row { path, patch_key, apply_keys }
}

/// Lists that every kind has.
static ANY: &[Row] = &[row("metadata.ownerReferences", "uid", &["uid"]), row("metadata.finalizers", "=", &["="])];

/// Lists of pods.
static POD: &[Row] = &[
    row("spec.containers", "name", &["name"]),
    row("spec.initContainers", "name", &["name"]),
    row("spec.ephemeralContainers", "name", &["name"]),
    row("spec.*.env", "name", &["name"]),
    row("spec.*.ports", "containerPort", &["containerPort", "protocol"]),
    row("spec.*.volumeMounts", "mountPath", &["mountPath"]),
    row("spec.*.volumeDevices", "devicePath", &["devicePath"]),
    row("spec.volumes", "name", &["name"]),
    row("spec.imagePullSecrets", "name", &["name"]),
    row("spec.hostAliases", "ip", &["ip"]),
    row("spec.schedulingGates", "name", &["name"]),
    row("spec.topologySpreadConstraints", "topologyKey", &["topologyKey", "whenUnsatisfiable"]),
    row("spec.resourceClaims", "name", &["name"]),
    row("status.conditions", "type", &["type"]),
    row("status.podIPs", "ip", &["ip"]),
    row("status.hostIPs", "ip", &[]),
];

/// Lists of the kinds that register webhooks.
static WEBHOOKS: &[Row] = &[row("webhooks", "name", &["name"]), row("webhooks.matchConditions", "name", &["name"])];

/// Lists of the other kinds.
static KINDS: &[(&str, &[Row])] = &[
    ("Service", &[row("spec.ports", "port", &["port", "protocol"]), row("status.conditions", "type", &["type"])]),
    ("ServiceAccount", &[row("secrets", "name", &["name"])]),
    ("Deployment", &[row("status.conditions", "type", &["type"])]),
    ("ReplicaSet", &[row("status.conditions", "type", &["type"])]),
    ("StatefulSet", &[row("status.conditions", "type", &["type"])]),
    ("DaemonSet", &[row("status.conditions", "type", &["type"])]),
    ("Namespace", &[row("status.conditions", "type", &["type"])]),
    (
        "Node",
        &[
            row("status.conditions", "type", &["type"]),
            row("status.addresses", "type", &["type"]),
            row("spec.podCIDRs", "=", &["="]),
        ],
    ),
    ("MutatingWebhookConfiguration", WEBHOOKS),
    ("ValidatingWebhookConfiguration", WEBHOOKS),
    ("PodDisruptionBudget", &[row("status.conditions", "type", &["type"])]),
    ("HorizontalPodAutoscaler", &[row("status.conditions", "type", &["type"])]),
    ("CustomResourceDefinition", &[row("status.conditions", "", &["type"])]),
];

/// Of every kind: a reference to an owner is one thing.
const OWNERS: &str = "metadata.ownerReferences";

/// Maps that are replaced as a whole by server-side apply.
static ATOMIC_MAPS: &[(&str, &str)] = &[
    ("Service", "spec.selector"),
    ("MutatingWebhookConfiguration", "webhooks.namespaceSelector"),
    ("MutatingWebhookConfiguration", "webhooks.objectSelector"),
    ("ValidatingWebhookConfiguration", "webhooks.namespaceSelector"),
    ("ValidatingWebhookConfiguration", "webhooks.objectSelector"),
    ("PodDisruptionBudget", "spec.selector"),
    ("RoleBinding", "roleRef"),
    ("ClusterRoleBinding", "roleRef"),
    ("HorizontalPodAutoscaler", "spec.scaleTargetRef"),
    ("Deployment", "spec.selector"),
    ("ReplicaSet", "spec.selector"),
    ("StatefulSet", "spec.selector"),
    ("DaemonSet", "spec.selector"),
    ("Job", "spec.selector"),
    ("Pod", "spec.nodeSelector"),
    ("Pod", "spec.*.resources.claims"),
    ("Event", "involvedObject"),
];

/// Fields of the built-in kinds that are objects and no pointers to objects.
static ALWAYS_THERE: &[&str] = &[
    "metadata",
    "spec",
    "status",
    "strategy",
    "updateStrategy",
    "template",
    "jobTemplate",
    "resources",
    "loadBalancer",
    "names",
];

/// Keys of server-side apply that have a default.
static KEY_DEFAULTS: &[(&str, &str)] = &[("protocol", "TCP")];

/// A place in an object, and how it merges.
#[derive(Clone)]
pub(crate) enum Shape<'a> {
    /// In a built-in kind, at a path.
    Builtin {
        /// The kind; `Pod` below a template.
        kind: &'a str,
        /// The path.
        path: String,
    },
    /// In a custom kind.
    Custom(&'a Schema),
    /// Nothing is known: fields merge, lists are replaced.
    Unknown,
}

impl<'a> Shape<'a> {
    /// The root of a built-in kind.
    pub(crate) fn builtin(kind: &'a str) -> Self {
        Self::Builtin { kind, path: String::new() }
    }

    /// The shape of a field.
    pub(crate) fn field(&self, name: &str) -> Self {
        match self {
            Self::Builtin { kind, path } => {
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                if path == "spec.template"
                    && matches!(*kind, "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job")
                {
                    return Self::Builtin { kind: "Pod", path: String::new() };
                }
                if path == "spec.jobTemplate" && *kind == "CronJob" {
                    return Self::Builtin { kind: "Job", path: String::new() };
                }
                Self::Builtin { kind, path }
            }
            Self::Custom(_) if name == "metadata" => Self::Builtin { kind: "", path: "metadata".to_owned() },
            Self::Custom(schema) => {
                let child = schema.properties.get(name).or(schema.additional.as_deref());
                child.map_or(Self::Unknown, Self::Custom)
            }
            Self::Unknown => Self::Unknown,
        }
    }

    /// The shape of a list's items.
    pub(crate) fn item(&self) -> Self {
        match self {
            Self::Custom(schema) => schema.items.as_deref().map_or(Self::Unknown, Self::Custom),
            other => other.clone(),
        }
    }

    /// Whether an object of this kind holds the place even where nothing is in it: a field of Kubernetes' own types that is no
    /// pointer.
    pub(crate) fn always_there(&self) -> bool {
        match self {
            Self::Builtin { path, .. } => {
                path.is_empty() || ALWAYS_THERE.contains(&path.rsplit('.').next().unwrap_or_default())
            }
            Self::Custom(_) | Self::Unknown => false,
        }
    }

    fn row(&self) -> Option<&'static Row> {
        let Self::Builtin { kind, path } = self else { return None };
        let own = if *kind == "Pod" {
            POD
        } else {
            KINDS.iter().find(|(name, _)| name == kind).map_or(&[][..], |(_, rows)| rows)
        };
        own.iter().chain(ANY).find(|row| fits(row.path, path))
    }

    /// How server-side apply merges a list here.
    pub(crate) fn list(&self) -> ListRule {
        if let Self::Custom(schema) = self {
            return match &schema.list_type {
                ListType::Atomic => ListRule::Atomic,
                ListType::Set => ListRule::Set,
                ListType::Map(keys) => ListRule::Map(keys.iter().map(|key| (key.clone(), None)).collect()),
            };
        }
        match self.row().map(|row| row.apply_keys) {
            None | Some([]) => ListRule::Atomic,
            Some(["="]) => ListRule::Set,
            Some(keys) => ListRule::Map(
                keys.iter()
                    .map(|key| {
                        let default = KEY_DEFAULTS.iter().find(|(name, _)| name == key);
                        ((*key).to_owned(), default.map(|(_, value)| *value))
                    })
                    .collect(),
            ),
        }
    }

    /// The key by which strategic merge merges a list here: `=` by value, `None` as a whole.
    pub(crate) fn patch_key(&self) -> Option<&'static str> {
        self.row().map(|row| row.patch_key).filter(|key| !key.is_empty())
    }

    /// Whether server-side apply replaces a map here as a whole.
    pub(crate) fn atomic_map(&self) -> bool {
        match self {
            Self::Builtin { kind, path } => {
                path == OWNERS || ATOMIC_MAPS.iter().any(|(name, pattern)| name == kind && fits(pattern, path))
            }
            Self::Custom(schema) => schema.atomic_map,
            Self::Unknown => false,
        }
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('.'), path.split('.'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == "*" || wanted == given => {}
            _ => return false,
        }
    }
}

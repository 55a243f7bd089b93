//! The built-in kinds, in one table.
//!
//! A kind that is not in [`BUILTINS`] and that no CustomResourceDefinition defines does not exist here.

use super::columns::{self, Printer};
use super::types::{self, Type};

/// One built-in kind.
pub struct Builtin {
    /// API group; empty for the core.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Plural, as in paths.
    pub plural: &'static str,
    /// Singular, as on kubectl's command line.
    pub singular: &'static str,
    /// Short names.
    pub short: &'static [&'static str],
    /// kubectl's categories.
    pub categories: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Has `/status`.
    pub status: bool,
    /// Has `/scale`.
    pub scale: bool,
    /// Counts changes of its specification in `metadata.generation`.
    pub generation: bool,
    /// Fields that field selectors may name, beside `metadata.name` and `metadata.namespace`.
    pub selectable: &'static [&'static str],
    /// Its columns in tables.
    pub printer: Printer,
    /// Said to everybody who asks for it: what has taken its place.
    pub deprecation: Option<&'static str>,
    /// What the runtime does not do with its objects, said to whoever writes one.
    pub notice: Option<&'static str>,
}

impl Builtin {
    /// The type of its objects.
    pub(super) fn fields(&self) -> Option<&'static Type> {
        types::of_kind(self.group, self.version, self.kind)
    }
}

const BASE: Builtin = Builtin {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short: &[],
    categories: &[],
    namespaced: true,
    status: false,
    scale: false,
    generation: false,
    selectable: &[],
    printer: columns::PLAIN,
    deprecation: None,
    notice: None,
};

const NO_WEBHOOKS: Option<&str> =
    Some("stored, but the built-in runtime calls no webhooks: what it registers is not asked");

const WEBHOOKS: Builtin = Builtin {
    group: "admissionregistration.k8s.io",
    categories: &["api-extensions"],
    namespaced: false,
    generation: true,
    printer: columns::WEBHOOKS,
    notice: NO_WEBHOOKS,
    ..BASE
};

const RIGHTS: Builtin = Builtin { group: "rbac.authorization.k8s.io", printer: columns::CREATED_AT, ..BASE };

/// The table. CustomResourceDefinition and the review kinds get their meaning elsewhere; here they get their names.
pub static BUILTINS: &[Builtin] = &[
    Builtin {
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short: &["ns"],
        namespaced: false,
        status: true,
        selectable: &["status.phase"],
        printer: columns::NAMESPACE,
        ..BASE
    },
    Builtin {
        kind: "Pod",
        plural: "pods",
        singular: "pod",
        short: &["po"],
        categories: &["all"],
        status: true,
        generation: true,
        selectable: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        printer: columns::POD,
        ..BASE
    },
    Builtin {
        kind: "Service",
        plural: "services",
        singular: "service",
        short: &["svc"],
        categories: &["all"],
        status: true,
        selectable: &["spec.clusterIP", "spec.type"],
        printer: columns::SERVICE,
        ..BASE
    },
    Builtin {
        kind: "Endpoints",
        plural: "endpoints",
        singular: "endpoints",
        short: &["ep"],
        printer: columns::ENDPOINTS,
        deprecation: Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
        ..BASE
    },
    Builtin {
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short: &["cm"],
        printer: columns::CONFIG_MAP,
        ..BASE
    },
    Builtin {
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        selectable: &["type"],
        printer: columns::SECRET,
        ..BASE
    },
    Builtin {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short: &["sa"],
        printer: columns::PLAIN,
        ..BASE
    },
    Builtin {
        kind: "Node",
        plural: "nodes",
        singular: "node",
        short: &["no"],
        namespaced: false,
        status: true,
        selectable: &["spec.unschedulable"],
        printer: columns::NODE,
        ..BASE
    },
    Builtin {
        kind: "Event",
        plural: "events",
        singular: "event",
        short: &["ev"],
        selectable: &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        printer: columns::EVENT,
        ..BASE
    },
    Builtin {
        group: "apps",
        kind: "Deployment",
        plural: "deployments",
        singular: "deployment",
        short: &["deploy"],
        categories: &["all"],
        status: true,
        scale: true,
        generation: true,
        printer: columns::DEPLOYMENT,
        ..BASE
    },
    Builtin {
        group: "apps",
        kind: "ReplicaSet",
        plural: "replicasets",
        singular: "replicaset",
        short: &["rs"],
        categories: &["all"],
        status: true,
        scale: true,
        generation: true,
        selectable: &["status.replicas"],
        printer: columns::REPLICA_SET,
        ..BASE
    },
    Builtin {
        group: "apps",
        kind: "StatefulSet",
        plural: "statefulsets",
        singular: "statefulset",
        short: &["sts"],
        categories: &["all"],
        status: true,
        scale: true,
        generation: true,
        printer: columns::STATEFUL_SET,
        ..BASE
    },
    Builtin {
        group: "apps",
        kind: "DaemonSet",
        plural: "daemonsets",
        singular: "daemonset",
        short: &["ds"],
        categories: &["all"],
        status: true,
        generation: true,
        printer: columns::DAEMON_SET,
        ..BASE
    },
    Builtin {
        group: "apps",
        kind: "ControllerRevision",
        plural: "controllerrevisions",
        singular: "controllerrevision",
        printer: columns::CONTROLLER_REVISION,
        ..BASE
    },
    Builtin {
        group: "batch",
        kind: "Job",
        plural: "jobs",
        singular: "job",
        categories: &["all"],
        status: true,
        generation: true,
        selectable: &["status.successful"],
        printer: columns::JOB,
        ..BASE
    },
    Builtin {
        group: "batch",
        kind: "CronJob",
        plural: "cronjobs",
        singular: "cronjob",
        short: &["cj"],
        categories: &["all"],
        status: true,
        generation: true,
        printer: columns::CRON_JOB,
        ..BASE
    },
    Builtin {
        group: "networking.k8s.io",
        kind: "Ingress",
        plural: "ingresses",
        singular: "ingress",
        short: &["ing"],
        status: true,
        generation: true,
        printer: columns::INGRESS,
        ..BASE
    },
    Builtin {
        group: "networking.k8s.io",
        kind: "IngressClass",
        plural: "ingressclasses",
        singular: "ingressclass",
        namespaced: false,
        generation: true,
        printer: columns::INGRESS_CLASS,
        ..BASE
    },
    Builtin {
        group: "networking.k8s.io",
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        singular: "networkpolicy",
        short: &["netpol"],
        generation: true,
        printer: columns::NETWORK_POLICY,
        ..BASE
    },
    Builtin {
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        short: &["pvc"],
        status: true,
        printer: columns::CLAIM,
        ..BASE
    },
    Builtin {
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        singular: "persistentvolume",
        short: &["pv"],
        namespaced: false,
        status: true,
        printer: columns::VOLUME,
        ..BASE
    },
    Builtin {
        group: "storage.k8s.io",
        kind: "StorageClass",
        plural: "storageclasses",
        singular: "storageclass",
        short: &["sc"],
        namespaced: false,
        printer: columns::STORAGE_CLASS,
        ..BASE
    },
    Builtin {
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        plural: "priorityclasses",
        singular: "priorityclass",
        short: &["pc"],
        namespaced: false,
        generation: true,
        printer: columns::PRIORITY_CLASS,
        ..BASE
    },
    Builtin {
        group: "node.k8s.io",
        kind: "RuntimeClass",
        plural: "runtimeclasses",
        singular: "runtimeclass",
        namespaced: false,
        printer: columns::RUNTIME_CLASS,
        ..BASE
    },
    Builtin {
        kind: "ReplicationController",
        plural: "replicationcontrollers",
        singular: "replicationcontroller",
        short: &["rc"],
        categories: &["all"],
        status: true,
        scale: true,
        generation: true,
        printer: columns::REPLICATION_CONTROLLER,
        ..BASE
    },
    Builtin {
        kind: "PodTemplate",
        plural: "podtemplates",
        singular: "podtemplate",
        generation: true,
        printer: columns::POD_TEMPLATE,
        ..BASE
    },
    Builtin {
        kind: "ResourceQuota",
        plural: "resourcequotas",
        singular: "resourcequota",
        short: &["quota"],
        status: true,
        printer: columns::RESOURCE_QUOTA,
        ..BASE
    },
    Builtin {
        kind: "LimitRange",
        plural: "limitranges",
        singular: "limitrange",
        short: &["limits"],
        printer: columns::CREATED_AT,
        ..BASE
    },
    Builtin {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        plural: "endpointslices",
        singular: "endpointslice",
        generation: true,
        printer: columns::ENDPOINT_SLICE,
        ..BASE
    },
    Builtin {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        singular: "lease",
        printer: columns::LEASE,
        ..BASE
    },
    Builtin {
        group: "autoscaling",
        version: "v2",
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
        singular: "horizontalpodautoscaler",
        short: &["hpa"],
        categories: &["all"],
        status: true,
        printer: columns::AUTOSCALER,
        ..BASE
    },
    Builtin {
        group: "policy",
        kind: "PodDisruptionBudget",
        plural: "poddisruptionbudgets",
        singular: "poddisruptionbudget",
        short: &["pdb"],
        status: true,
        generation: true,
        printer: columns::DISRUPTION_BUDGET,
        ..BASE
    },
    Builtin { kind: "Role", plural: "roles", singular: "role", ..RIGHTS },
    Builtin {
        kind: "RoleBinding",
        plural: "rolebindings",
        singular: "rolebinding",
        printer: columns::BINDING,
        ..RIGHTS
    },
    Builtin { kind: "ClusterRole", plural: "clusterroles", singular: "clusterrole", namespaced: false, ..RIGHTS },
    Builtin {
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        namespaced: false,
        printer: columns::BINDING,
        ..RIGHTS
    },
    Builtin {
        kind: "MutatingWebhookConfiguration",
        plural: "mutatingwebhookconfigurations",
        singular: "mutatingwebhookconfiguration",
        ..WEBHOOKS
    },
    Builtin {
        kind: "ValidatingWebhookConfiguration",
        plural: "validatingwebhookconfigurations",
        singular: "validatingwebhookconfiguration",
        ..WEBHOOKS
    },
    Builtin {
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        singular: "customresourcedefinition",
        short: &["crd", "crds"],
        categories: &["api-extensions"],
        namespaced: false,
        status: true,
        generation: true,
        printer: columns::CREATED_AT,
        ..BASE
    },
];

/// A kind that is answered at once and never stored.
pub struct Review {
    /// API group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Plural, as in paths.
    pub plural: &'static str,
}

/// The review kinds.
pub static REVIEWS: &[Review] = &[
    Review { group: "authentication.k8s.io", version: "v1", kind: "TokenReview", plural: "tokenreviews" },
    Review { group: "authentication.k8s.io", version: "v1", kind: "SelfSubjectReview", plural: "selfsubjectreviews" },
    Review {
        group: "authorization.k8s.io",
        version: "v1",
        kind: "SelfSubjectAccessReview",
        plural: "selfsubjectaccessreviews",
    },
    Review {
        group: "authorization.k8s.io",
        version: "v1",
        kind: "SelfSubjectRulesReview",
        plural: "selfsubjectrulesreviews",
    },
    Review {
        group: "authorization.k8s.io",
        version: "v1",
        kind: "SubjectAccessReview",
        plural: "subjectaccessreviews",
    },
];

/// Groups in the order discovery lists them; CRD groups follow by name.
pub static GROUP_ORDER: &[&str] = &[
    "",
    "apps",
    "autoscaling",
    "batch",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "admissionregistration.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "node.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "apiextensions.k8s.io",
];

//! The built-in kinds, in one table.
//!
//! A kind that is not in [`BUILTINS`] and that no CustomResourceDefinition defines does not exist here.

use k8s_openapi::api::admissionregistration::v1 as admissionregistration;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1 as rbac;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::columns::{self, Printer};

/// Reads an object as its Rust type and writes it back: what does not survive is not a field of the kind.
pub type RoundTrip = fn(&Value) -> Result<Value, serde_json::Error>;

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
    /// Its field list.
    pub round_trip: RoundTrip,
    /// Fields that field selectors may name, beside `metadata.name` and `metadata.namespace`.
    pub selectable: &'static [&'static str],
    /// Its columns in tables.
    pub printer: Printer,
    /// What the runtime does not do with its objects, said to whoever writes one.
    pub notice: Option<&'static str>,
}

fn round_trip<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(T::deserialize(value)?)
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
    round_trip: |value| Ok(value.clone()),
    selectable: &[],
    printer: columns::PLAIN,
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
        round_trip: round_trip::<core::Namespace>,
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
        round_trip: round_trip::<core::Pod>,
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
        round_trip: round_trip::<core::Service>,
        selectable: &["spec.clusterIP", "spec.type"],
        printer: columns::SERVICE,
        ..BASE
    },
    Builtin {
        kind: "Endpoints",
        plural: "endpoints",
        singular: "endpoints",
        short: &["ep"],
        round_trip: round_trip::<core::Endpoints>,
        printer: columns::ENDPOINTS,
        ..BASE
    },
    Builtin {
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short: &["cm"],
        round_trip: round_trip::<core::ConfigMap>,
        printer: columns::CONFIG_MAP,
        ..BASE
    },
    Builtin {
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        round_trip: round_trip::<core::Secret>,
        selectable: &["type"],
        printer: columns::SECRET,
        ..BASE
    },
    Builtin {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short: &["sa"],
        round_trip: round_trip::<core::ServiceAccount>,
        printer: columns::SERVICE_ACCOUNT,
        ..BASE
    },
    Builtin {
        kind: "Node",
        plural: "nodes",
        singular: "node",
        short: &["no"],
        namespaced: false,
        status: true,
        round_trip: round_trip::<core::Node>,
        selectable: &["spec.unschedulable"],
        printer: columns::NODE,
        ..BASE
    },
    Builtin {
        kind: "Event",
        plural: "events",
        singular: "event",
        short: &["ev"],
        round_trip: round_trip::<core::Event>,
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
        round_trip: round_trip::<Deployment>,
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
        round_trip: round_trip::<ReplicaSet>,
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
        round_trip: round_trip::<StatefulSet>,
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
        round_trip: round_trip::<DaemonSet>,
        printer: columns::DAEMON_SET,
        ..BASE
    },
    Builtin {
        group: "apps",
        kind: "ControllerRevision",
        plural: "controllerrevisions",
        singular: "controllerrevision",
        round_trip: round_trip::<ControllerRevision>,
        printer: columns::PLAIN,
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
        round_trip: round_trip::<Job>,
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
        round_trip: round_trip::<CronJob>,
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
        round_trip: round_trip::<networking::Ingress>,
        printer: columns::PLAIN,
        ..BASE
    },
    Builtin {
        group: "networking.k8s.io",
        kind: "IngressClass",
        plural: "ingressclasses",
        singular: "ingressclass",
        namespaced: false,
        generation: true,
        round_trip: round_trip::<networking::IngressClass>,
        printer: columns::PLAIN,
        ..BASE
    },
    Builtin {
        group: "networking.k8s.io",
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        singular: "networkpolicy",
        short: &["netpol"],
        generation: true,
        round_trip: round_trip::<networking::NetworkPolicy>,
        printer: columns::PLAIN,
        ..BASE
    },
    Builtin {
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        short: &["pvc"],
        status: true,
        round_trip: round_trip::<core::PersistentVolumeClaim>,
        printer: columns::PLAIN,
        ..BASE
    },
    Builtin {
        kind: "ResourceQuota",
        plural: "resourcequotas",
        singular: "resourcequota",
        short: &["quota"],
        status: true,
        round_trip: round_trip::<core::ResourceQuota>,
        printer: columns::PLAIN,
        ..BASE
    },
    Builtin {
        kind: "LimitRange",
        plural: "limitranges",
        singular: "limitrange",
        short: &["limits"],
        round_trip: round_trip::<core::LimitRange>,
        printer: columns::PLAIN,
        ..BASE
    },
    Builtin {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        plural: "endpointslices",
        singular: "endpointslice",
        generation: true,
        round_trip: round_trip::<EndpointSlice>,
        printer: columns::ENDPOINT_SLICE,
        ..BASE
    },
    Builtin {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        singular: "lease",
        round_trip: round_trip::<Lease>,
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
        round_trip: round_trip::<HorizontalPodAutoscaler>,
        printer: columns::AUTOSCALER,
        notice: Some("stored, but the built-in runtime measures no load and scales nothing"),
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
        round_trip: round_trip::<PodDisruptionBudget>,
        printer: columns::DISRUPTION_BUDGET,
        ..BASE
    },
    Builtin { kind: "Role", plural: "roles", singular: "role", round_trip: round_trip::<rbac::Role>, ..RIGHTS },
    Builtin {
        kind: "RoleBinding",
        plural: "rolebindings",
        singular: "rolebinding",
        round_trip: round_trip::<rbac::RoleBinding>,
        printer: columns::BINDING,
        ..RIGHTS
    },
    Builtin {
        kind: "ClusterRole",
        plural: "clusterroles",
        singular: "clusterrole",
        namespaced: false,
        round_trip: round_trip::<rbac::ClusterRole>,
        ..RIGHTS
    },
    Builtin {
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        namespaced: false,
        round_trip: round_trip::<rbac::ClusterRoleBinding>,
        printer: columns::BINDING,
        ..RIGHTS
    },
    Builtin {
        kind: "MutatingWebhookConfiguration",
        plural: "mutatingwebhookconfigurations",
        singular: "mutatingwebhookconfiguration",
        round_trip: round_trip::<admissionregistration::MutatingWebhookConfiguration>,
        ..WEBHOOKS
    },
    Builtin {
        kind: "ValidatingWebhookConfiguration",
        plural: "validatingwebhookconfigurations",
        singular: "validatingwebhookconfiguration",
        round_trip: round_trip::<admissionregistration::ValidatingWebhookConfiguration>,
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
        round_trip: round_trip::<CustomResourceDefinition>,
        printer: columns::CRD,
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
    "apiextensions.k8s.io",
];

//! Whether a pod gets a sidecar.
//!
//! The rules are those of Istio's webhook selectors and of the injector behind them
//! (<https://istio.io/latest/docs/ops/common-problems/injection/>): the namespace says whether its pods are looked at,
//! the pod says yes or no within that, and a pod's yes cannot outvote its namespace's `disabled`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::DEFAULT_REVISION;

type Labels = BTreeMap<String, String>;

/// Namespaces that are never injected.
const IGNORED_NAMESPACES: &[&str] = &["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
const NAMESPACE_INJECTION: &str = "istio-injection";
const REVISION: &str = "istio.io/rev";
const POD_INJECT: &str = "sidecar.istio.io/inject";

/// The answer, with what decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The pod gets a sidecar.
    pub inject: bool,
    /// What decided.
    pub reason: Reason,
}

/// What decided about an injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// One of the cluster's own namespaces.
    IgnoredNamespace,
    /// `hostNetwork: true`.
    HostNetwork,
    /// The pod's label `sidecar.istio.io/inject`.
    PodLabel,
    /// The pod's annotation `sidecar.istio.io/inject`.
    PodAnnotation,
    /// The namespace's label `istio-injection`.
    NamespaceLabel,
    /// `istio.io/rev`, on the namespace or the pod, names this revision.
    Revision,
    /// `istio.io/rev` names another revision.
    OtherRevision,
    /// Nothing is said, and pods of which nothing is said are injected.
    Everywhere,
    /// Nothing asks for a sidecar.
    NotAsked,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IgnoredNamespace => "the namespace belongs to the cluster itself",
            Self::HostNetwork => "the pod uses the host's network",
            Self::PodLabel => "label sidecar.istio.io/inject of the pod",
            Self::PodAnnotation => "annotation sidecar.istio.io/inject of the pod",
            Self::NamespaceLabel => "label istio-injection of the namespace",
            Self::Revision => "label istio.io/rev",
            Self::OtherRevision => "label istio.io/rev names another revision",
            Self::Everywhere => "enableNamespacesByDefault: namespaces that say nothing are injected",
            Self::NotAsked => {
                "neither the namespace nor the pod asks for a sidecar; label the namespace istio-injection=enabled"
            }
        })
    }
}

/// Whether a namespace keeps the cluster itself running, so that its pods are never injected.
pub fn is_ignored(namespace: &str) -> bool {
    IGNORED_NAMESPACES.contains(&namespace)
}

const fn yes(reason: Reason) -> Decision {
    Decision { inject: true, reason }
}

const fn no(reason: Reason) -> Decision {
    Decision { inject: false, reason }
}

/// Who would inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injector<'a> {
    /// The name by which namespaces and pods ask for it: its revision, or a tag.
    pub asked_as: &'a str,
    /// As the default one it injects namespaces that say nothing, too (`enableNamespacesByDefault`).
    pub everywhere: bool,
}

impl<'a> Injector<'a> {
    /// One that injects who asks for it.
    pub fn asked_as(name: &'a str) -> Self {
        Self { asked_as: name, everywhere: false }
    }
}

/// [`decide_for`] the revision `default`.
pub fn decide(namespace: &Labels, pod: &Labels, annotations: &Labels, host_network: bool) -> Decision {
    decide_for(Injector::asked_as(DEFAULT_REVISION), namespace, pod, annotations, host_network)
}

/// Whether `injector` adds a sidecar to a pod with these labels and annotations, in a namespace with
/// these labels. The namespace's name is read from its label `kubernetes.io/metadata.name`.
pub fn decide_for(
    injector: Injector<'_>,
    namespace: &Labels,
    pod: &Labels,
    annotations: &Labels,
    host_network: bool,
) -> Decision {
    let own_name = namespace.get(NAMESPACE_NAME).map_or("", String::as_str);
    decide_within(own_name, pod, annotations, host_network, |label| namespace_rule(injector, namespace, pod, label))
}

/// What is left to decide about a pod that a webhook was asked about: the API server has matched the namespace's labels, with
/// the webhook's selectors, before.
pub fn decide_selected(namespace: &str, pod: &Value) -> Decision {
    let host_network = pod.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true);
    let (labels, annotations) = (texts(pod, "labels"), texts(pod, "annotations"));
    decide_within(namespace, &labels, &annotations, host_network, |_| yes(Reason::NamespaceLabel))
}

/// Labels or annotations of an object.
pub(super) fn texts(object: &Value, field: &str) -> Labels {
    let found = object.get("metadata").and_then(|metadata| metadata.get(field)?.as_object());
    let pairs = found.into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn decide_within(
    namespace: &str,
    pod: &Labels,
    annotations: &Labels,
    host_network: bool,
    asks: impl FnOnce(Option<&str>) -> Decision,
) -> Decision {
    let get = |labels: &Labels, name: &str| labels.get(name).map(|value| value.to_ascii_lowercase());
    if is_ignored(namespace) {
        return no(Reason::IgnoredNamespace);
    }
    if host_network {
        return no(Reason::HostNetwork);
    }
    let pod_label = get(pod, POD_INJECT);
    if pod_label.as_deref() == Some("false") {
        return no(Reason::PodLabel);
    }
    let asked = match asks(pod_label.as_deref()) {
        Decision { inject: true, reason } => reason,
        refusal => return refusal,
    };
    // The pod is looked at. Its label wins over its annotation, and what is neither yes nor no changes nothing.
    match (parse_bool(pod_label.as_deref()), parse_bool(get(annotations, POD_INJECT).as_deref())) {
        (Some(true), _) => yes(Reason::PodLabel),
        (Some(false), _) => no(Reason::PodLabel),
        (None, Some(false)) => no(Reason::PodAnnotation),
        (None, _) => yes(asked),
    }
}

/// Whether the namespace's labels (and the labels by which a pod joins on its own) make the injector look at the pod.
fn namespace_rule(injector: Injector<'_>, namespace: &Labels, pod: &Labels, pod_label: Option<&str>) -> Decision {
    let revision = injector.asked_as;
    match (namespace.get(NAMESPACE_INJECTION).map(String::as_str), namespace.get(REVISION)) {
        // istio-injection wins over istio.io/rev where a namespace carries both.
        (Some("enabled"), _) if revision == DEFAULT_REVISION => yes(Reason::NamespaceLabel),
        (Some("enabled"), _) => no(Reason::OtherRevision),
        (Some(_), _) => no(Reason::NamespaceLabel),
        (None, Some(wanted)) if wanted == revision => yes(Reason::Revision),
        (None, Some(_)) => no(Reason::OtherRevision),
        (None, None) => match pod.get(REVISION) {
            Some(wanted) if wanted == revision => yes(Reason::Revision),
            Some(_) => no(Reason::OtherRevision),
            None if pod_label == Some("true") && revision == DEFAULT_REVISION => yes(Reason::PodLabel),
            None if injector.everywhere && revision == DEFAULT_REVISION => yes(Reason::Everywhere),
            None => no(Reason::NotAsked),
        },
    }
}

fn parse_bool(text: Option<&str>) -> Option<bool> {
    match text? {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

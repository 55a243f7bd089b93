//! What the mesh's own service accounts may do, in one table, and how a refusal reads.

use super::{Power, User};
use crate::runtime::apiserver::failure::{About, Failure};
use crate::runtime::apiserver::request::Verb;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The verb's name.
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// Plural.
    pub resource: &'a str,
    /// Subresource; empty for the object itself.
    pub subresource: &'a str,
    /// Namespace; empty for all.
    pub namespace: &'a str,
    /// Name; empty for a collection.
    pub name: &'a str,
}

/// One grant. `*` stands for anything.
struct Grant {
    /// `namespace/name` of the service account; `*` for everybody who is known.
    account: &'static str,
    verbs: &'static [&'static str],
    groups: &'static [&'static str],
    /// `resource` or `resource/subresource`.
    resources: &'static [&'static str],
    /// The namespace it is limited to; empty for all.
    namespace: &'static str,
}

const READ: &[&str] = &["get", "list", "watch"];
const ISTIOD: &str = "istio-system/istiod";

static GRANTS: &[Grant] = &[
    Grant {
        account: ISTIOD,
        verbs: READ,
        groups: &[
            "networking.istio.io",
            "security.istio.io",
            "telemetry.istio.io",
            "extensions.istio.io",
            "gateway.networking.k8s.io",
            "discovery.k8s.io",
            "apiextensions.k8s.io",
        ],
        resources: &["*"],
        namespace: "",
    },
    Grant {
        account: ISTIOD,
        verbs: READ,
        groups: &[""],
        resources: &["namespaces", "nodes", "pods", "services", "endpoints", "configmaps", "serviceaccounts"],
        namespace: "",
    },
    Grant { account: ISTIOD, verbs: READ, groups: &[""], resources: &["secrets"], namespace: "istio-system" },
    Grant {
        account: ISTIOD,
        verbs: &["update", "patch"],
        groups: &["networking.istio.io", "security.istio.io", "telemetry.istio.io", "gateway.networking.k8s.io"],
        resources: &["*/status"],
        namespace: "",
    },
    // What it deploys for Gateways.
    Grant {
        account: ISTIOD,
        verbs: &["get", "create", "update", "patch"],
        groups: &["", "apps", "gateway.networking.k8s.io"],
        resources: &["deployments", "services", "serviceaccounts", "gatewayclasses"],
        namespace: "",
    },
    Grant {
        account: ISTIOD,
        verbs: &["create"],
        groups: &["authentication.k8s.io"],
        resources: &["tokenreviews"],
        namespace: "",
    },
    Grant {
        account: ISTIOD,
        verbs: &["*"],
        groups: &["", "coordination.k8s.io"],
        resources: &["configmaps", "leases"],
        namespace: "istio-system",
    },
    Grant {
        account: ISTIOD,
        verbs: &["create", "update", "patch"],
        groups: &[""],
        resources: &["configmaps", "events"],
        namespace: "",
    },
    Grant {
        account: "*",
        verbs: &["create"],
        groups: &["authorization.k8s.io", "authentication.k8s.io"],
        resources: &["selfsubjectaccessreviews", "selfsubjectreviews", "selfsubjectrulesreviews"],
        namespace: "",
    },
];

fn covers(list: &[&str], wanted: &str) -> bool {
    list.iter().any(|entry| *entry == "*" || *entry == wanted)
}

impl Grant {
    fn covers(&self, account: &str, question: &Question<'_>) -> bool {
        let resource = |entry: &&str| match entry.split_once('/') {
            Some((resource, subresource)) => {
                (resource == "*" || resource == question.resource) && subresource == question.subresource
            }
            None => question.subresource.is_empty() && (*entry == "*" || *entry == question.resource),
        };
        (self.account == "*" || self.account == account)
            && covers(self.verbs, question.verb)
            && covers(self.groups, question.group)
            && self.resources.iter().any(resource)
            && (self.namespace.is_empty() || self.namespace == question.namespace)
    }
}

/// Whether the table grants it to `user`.
#[must_use]
pub fn allowed(user: &User, question: &Question<'_>) -> bool {
    match &user.power {
        Power::All => true,
        Power::Bound => GRANTS.iter().any(|grant| grant.account == "*" && grant.covers("", question)),
        Power::ServiceAccount { namespace, name } => {
            let account = format!("{namespace}/{name}");
            GRANTS.iter().any(|grant| grant.covers(&account, question))
        }
    }
}

/// The 403 for what `user` may not, in Kubernetes' words.
pub fn refusal(user: &User, verb: Verb, question: &Question<'_>) -> Failure {
    let resource = if question.subresource.is_empty() {
        question.resource.to_owned()
    } else {
        format!("{}/{}", question.resource, question.subresource)
    };
    let scope = if question.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", question.namespace)
    };
    let why = format!(
        "User {:?} cannot {} resource {resource:?} in API group {:?} {scope}",
        user.name,
        verb.name(),
        question.group
    );
    let about = About::new(question.group, question.resource, question.name);
    Failure::forbidden(about, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_what_the_table_says_and_nothing_else() {
        let istiod = User::service_account("istio-system", "istiod");
        let other = User::service_account("default", "default");
        let ask = |verb, group, resource, subresource, namespace| Question {
            verb,
            group,
            resource,
            subresource,
            namespace,
            name: "",
        };
        for (question, expected) in [
            (ask("list", "", "pods", "", ""), true),
            (ask("delete", "", "pods", "", "default"), false),
            (ask("list", "", "secrets", "", ""), false),
            (ask("get", "", "secrets", "", "istio-system"), true),
            (ask("watch", "networking.istio.io", "virtualservices", "", ""), true),
            (ask("patch", "networking.istio.io", "virtualservices", "status", "a"), true),
            (ask("patch", "networking.istio.io", "virtualservices", "", "a"), false),
            (ask("delete", "coordination.k8s.io", "leases", "", "istio-system"), true),
            (ask("delete", "coordination.k8s.io", "leases", "", "default"), false),
            (ask("create", "authentication.k8s.io", "tokenreviews", "", ""), true),
        ] {
            assert_eq!(allowed(&istiod, &question), expected, "{question:?}");
            assert!(!allowed(&other, &question), "{question:?}");
            assert!(allowed(&User::trusted("admin"), &question));
        }
        let refused = refusal(&other, Verb::List, &ask("list", "", "pods", "", "default"));
        assert_eq!(
            refused.message,
            "pods is forbidden: User \"system:serviceaccount:default:default\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
        );
    }
}

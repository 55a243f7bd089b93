//! Who asks, and what they may.

mod policy;
mod rbac;
mod token;

use std::sync::Arc;

pub(super) use self::policy::Question;
pub(super) use self::token::{Claims, Tokens};
use super::failure::Failure;
use super::request::Verb;
use super::store::Store;

/// Whether `user` may: by the mesh's own table, or by roles that are bound to them.
pub(super) fn allowed(store: &Store, user: &User, question: &Question<'_>) -> bool {
    policy::allowed(user, question) || rbac::grants(store, user, question)
}

/// Refuses what `user` may not.
pub(super) fn authorize(store: &Store, user: &User, verb: Verb, question: &Question<'_>) -> Result<(), Failure> {
    if allowed(store, user, question) { Ok(()) } else { Err(policy::refusal(user, verb, question)) }
}

/// What `user` may in a namespace, as rules; for the administrator, everything.
pub(super) fn rules(store: &Store, user: &User, namespace: &str) -> Vec<serde_json::Value> {
    match user.power {
        Power::All => vec![serde_json::json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})],
        Power::Bound | Power::ServiceAccount { .. } => rbac::rules(store, user, namespace),
    }
}

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name that refusals and managed fields show.
    pub name: Arc<str>,
    /// The groups.
    pub groups: Vec<String>,
    /// What the user may do.
    pub power: Power,
    /// `extra` of a token's user: the pod a token is bound to.
    pub pod: Option<(String, String)>,
    /// The uid of the service account.
    pub uid: String,
}

/// What a user may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Power {
    /// Everything: the admin token, and the parts of this process.
    All,
    /// What roles grant to a user of this name and these groups.
    Bound,
    /// What the policy table and roles grant to this service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl User {
    /// A user who may do everything: the administrator, or a part of this process.
    #[must_use]
    pub fn trusted(name: &str) -> Self {
        Self {
            name: Arc::from(name),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            power: Power::All,
            pod: None,
            uid: String::new(),
        }
    }

    /// Somebody whom the administrator speaks for (`kubectl --as`): a service account by its name, or a user who has what roles
    /// grant to the name and the groups.
    #[must_use]
    pub fn impersonated(name: &str, groups: Vec<String>) -> Self {
        let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        if let Some((namespace, name)) = account {
            return Self::service_account(namespace, name);
        }
        let masters = groups.iter().any(|group| group == "system:masters");
        let mut groups = groups;
        groups.push("system:authenticated".to_owned());
        Self {
            name: Arc::from(name),
            groups,
            power: if masters { Power::All } else { Power::Bound },
            pod: None,
            uid: String::new(),
        }
    }

    /// A service account.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            name: Arc::from(format!("system:serviceaccount:{namespace}:{name}")),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
            power: Power::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() },
            pod: None,
            uid: String::new(),
        }
    }
}

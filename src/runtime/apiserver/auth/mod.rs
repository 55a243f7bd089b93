//! Who asks, and what they may.

mod policy;
mod token;

use std::sync::Arc;

pub(super) use self::policy::{Question, allowed, authorize};
pub(super) use self::token::{Claims, Tokens};

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
    /// What the policy table grants to this service account.
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

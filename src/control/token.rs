//! Service account tokens: what the API server says about one is what it proves, and nothing else is looked at.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::Status;

use crate::identity::{SpiffeId, TrustDomain};

/// Who a token must be meant for (`docs/wire.md` section 11).
const AUDIENCE: &str = "istio-ca";

/// How long one review may take, waiting for a turn included.
const REVIEW: Duration = Duration::from_secs(5);

/// Reviews under way at one time; more wait for their turn.
const REVIEWS: usize = 32;

/// Longest token that is looked at, in bytes; Kubernetes' own have about 1 KiB.
const MAX_TOKEN: usize = 16 << 10;

/// How the API server calls a service account: this, then namespace and name with a colon between them.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Names the pod that a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";

/// Somebody who has proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The workload's identity.
    pub(super) identity: SpiffeId,
    /// The one pod that it may speak for, where its proof is bound to one.
    pub(super) pod: Option<Arc<str>>,
    /// Until when its certificate proves it, where one does.
    pub(super) until: Option<SystemTime>,
}

/// Has tokens reviewed by the API server.
#[derive(Clone)]
pub(super) struct TokenReviewer {
    client: Client,
    trust_domain: TrustDomain,
    turns: Arc<Semaphore>,
}

impl std::fmt::Debug for TokenReviewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenReviewer").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}

impl TokenReviewer {
    pub(super) fn new(client: Client, trust_domain: TrustDomain) -> Self {
        Self { client, trust_domain, turns: Arc::new(Semaphore::new(REVIEWS)) }
    }

    /// Whose token it is. An API server that does not answer proves nothing.
    pub(super) async fn review(&self, token: &str) -> Result<Caller, Status> {
        if token.len() > MAX_TOKEN {
            return Err(Status::unauthenticated("the token is longer than 16 KiB"));
        }
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = timeout(REVIEW, async {
            let _turn = self.turns.acquire().await;
            Api::<TokenReview>::all(self.client.clone()).create(&PostParams::default(), &review).await
        });
        let unavailable = |reason: String| {
            Status::unavailable(format!("the API server did not review the token: {reason}; it is tried again"))
        };
        let reviewed = answer
            .await
            .map_err(|_| unavailable(format!("no answer within {} s", REVIEW.as_secs())))?
            .map_err(|error| unavailable(error.to_string()))?;
        let status = reviewed.status.unwrap_or_default();
        if status.authenticated != Some(true) {
            let reason = status.error.unwrap_or_else(|| "it is not valid".to_owned());
            return Err(Status::unauthenticated(format!("the service account token is refused: {reason}")));
        }
        // An API server that does not know audiences leaves them out, and has not looked at them.
        if !status.audiences.iter().flatten().any(|audience| audience == AUDIENCE) {
            return Err(Status::unauthenticated(format!("the service account token is not meant for {AUDIENCE}")));
        }
        caller(&self.trust_domain, &status.user.unwrap_or_default())
    }
}

fn caller(trust_domain: &TrustDomain, user: &UserInfo) -> Result<Caller, Status> {
    let name = user.username.as_deref().unwrap_or_default();
    let account = name.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':'));
    let Some((namespace, account)) = account else {
        return Err(Status::permission_denied(format!("{name} is no service account, and only these have workloads")));
    };
    let identity = SpiffeId::new(trust_domain, namespace, account)
        .map_err(|error| Status::permission_denied(error.to_string()))?;
    let bound = user.extra.as_ref().and_then(|extra| extra.get(POD_NAME)).and_then(|names| names.first());
    Ok(Caller { identity, pod: bound.map(|pod| pod.as_str().into()), until: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserInfo {
        UserInfo { username: Some(name.to_owned()), ..UserInfo::default() }
    }

    #[test]
    fn a_service_account_is_its_identity_and_nobody_else_has_one() {
        let domain = TrustDomain::new("cluster.local").unwrap();
        let found = caller(&domain, &user("system:serviceaccount:shop:web")).unwrap();
        assert_eq!(found.identity.as_str(), "spiffe://cluster.local/ns/shop/sa/web");
        assert_eq!(found.pod, None);
        for name in ["", "system:admin", "system:serviceaccount:shop", "system:serviceaccount:shop:a/b", "shop:web"] {
            assert!(caller(&domain, &user(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn a_token_that_is_bound_to_a_pod_speaks_for_that_pod() {
        let domain = TrustDomain::new("cluster.local").unwrap();
        let extra = [(POD_NAME.to_owned(), vec!["web-1".to_owned()])].into();
        let bound = UserInfo { extra: Some(extra), ..user("system:serviceaccount:shop:web") };
        assert_eq!(caller(&domain, &bound).unwrap().pod.as_deref(), Some("web-1"));
    }
}

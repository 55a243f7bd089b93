//! PeerAuthentication.

use crate::resources::field::Cx;
use crate::resources::peer_authentication::PeerAuthentication;
use crate::resources::policy_target::selects_something;

/// Modes of single ports belong to selected workloads only.
pub(in crate::resources) fn peer_authentication(policy: &PeerAuthentication, cx: &mut Cx) {
    selects_something(policy.selector.as_ref(), "selector", cx);
    let selects = policy.selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty());
    if !policy.port_level_mtls.0.is_empty() && !selects {
        cx.error_at(
            "portLevelMtls",
            "needs a selector: ports are those of single workloads, so name the workloads in selector.matchLabels",
        );
    }
}

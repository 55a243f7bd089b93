//! PeerAuthentication.

use crate::resources::field::Cx;
use crate::resources::peer_authentication::PeerAuthentication;

/// Modes of single ports belong to selected workloads only.
pub(in crate::resources) fn peer_authentication(policy: &PeerAuthentication, cx: &mut Cx) {
    let selects = policy.selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty());
    if !policy.port_level_mtls.0.is_empty() && !selects {
        cx.error_at(
            "portLevelMtls",
            "needs a selector: ports are those of single workloads, so name the workloads in selector.matchLabels",
        );
    }
}

//! EnvoyFilter. The values are Envoy's messages and are not looked into.

use crate::resources::envoy_filter::{
    ApplyTo, ConfigPatch, EnvoyFilter, Operation, Patch, PatchContext, PatchMatch, ProxyMatch,
};
use crate::resources::field::Cx;
use crate::resources::suggest;

pub(in crate::resources) fn envoy_filter(filter: &EnvoyFilter, cx: &mut Cx) {
    if filter.workload_selector.is_some() && !filter.target_refs.is_empty() {
        cx.error("has both `workloadSelector` and `targetRefs`, and only one of them can be: remove one");
    }
}

pub(in crate::resources) fn config_patch(patch: &ConfigPatch, cx: &mut Cx) {
    let apply_to = patch.apply_to.unwrap_or(ApplyTo::Invalid);
    if apply_to == ApplyTo::Invalid {
        cx.error_at("applyTo", "is required: say what is changed");
    }
    let operation = match &patch.patch {
        None => {
            cx.error_at("patch", "is required: say how it is changed");
            return;
        }
        Some(patch) => patch.operation.unwrap_or(Operation::Invalid),
    };
    if operation == Operation::Invalid {
        cx.at("patch", |cx| cx.error_at("operation", "is required: add it"));
    }
    let inserts = matches!(operation, Operation::InsertBefore | Operation::InsertAfter | Operation::InsertFirst);
    let filters = matches!(
        apply_to,
        ApplyTo::NetworkFilter
            | ApplyTo::HttpFilter
            | ApplyTo::ListenerFilter
            | ApplyTo::HttpRoute
            | ApplyTo::VirtualHost
    );
    if inserts && !filters {
        cx.at("patch", |cx| {
            cx.error_at(
                "operation",
                format!("cannot be {operation} on {apply_to}, which has no order: use ADD or MERGE"),
            );
        });
    }
    let Some(matches) = &patch.matches else { return };
    let fitting = match apply_to {
        ApplyTo::Listener
        | ApplyTo::FilterChain
        | ApplyTo::NetworkFilter
        | ApplyTo::HttpFilter
        | ApplyTo::ListenerFilter => matches.route_configuration.is_none() && matches.cluster.is_none(),
        ApplyTo::RouteConfiguration | ApplyTo::VirtualHost | ApplyTo::HttpRoute => {
            matches.listener.is_none() && matches.cluster.is_none()
        }
        ApplyTo::Cluster => matches.listener.is_none() && matches.route_configuration.is_none(),
        _ => true,
    };
    if !fitting {
        cx.error_at("match", format!("does not look at what {apply_to} changes: match that instead"));
    }
    let chain = matches.listener.as_ref().and_then(|listener| listener.filter_chain.as_ref());
    let sub = chain.and_then(|chain| chain.filter.as_ref()).is_some_and(|filter| filter.sub_filter.is_some());
    if sub && apply_to != ApplyTo::HttpFilter {
        cx.error_at(
            "match",
            format!("has a subFilter, which only HTTP_FILTER looks at, and not {apply_to}: remove it"),
        );
    }
}

pub(in crate::resources) fn patch_match(matches: &PatchMatch, cx: &mut Cx) {
    let waypoint = matches.context == Some(PatchContext::Waypoint);
    if waypoint != matches.waypoint.is_some() {
        cx.error(if waypoint {
            "has the context WAYPOINT and no waypoint: set waypoint, and no other match"
        } else {
            "has waypoint without the context WAYPOINT: set context to WAYPOINT"
        });
    }
}

pub(in crate::resources) fn proxy_match(matches: &ProxyMatch, cx: &mut Cx) {
    let Some(version) = &matches.proxy_version else { return };
    if regex::RegexBuilder::new(version).size_limit(1 << 20).build().is_err() {
        cx.error_at("proxyVersion", format!("is no regular expression: {:?}", suggest::shortened(version)));
    }
}

pub(in crate::resources) fn patch(patch: &Patch, cx: &mut Cx) {
    let removes = patch.operation == Some(Operation::Remove);
    if removes && patch.value.is_some() {
        cx.error_at("value", "has no use with REMOVE: remove it");
    } else if !removes
        && patch.value.is_none()
        && patch.operation.is_some_and(|operation| operation != Operation::Invalid)
    {
        cx.error_at("value", "is required: say what is put there");
    }
}

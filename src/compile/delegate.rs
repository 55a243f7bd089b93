//! Rules that a VirtualService leaves to another one.
//!
//! What both ask of a request has to hold. The delegate says what becomes of it; what it says nothing about (a timeout, retries,
//! headers, …) is as the rule that delegates has it. A delegate's rule that asks for something that the other one excludes takes no
//! request at all, as one of Istio's does; so does a rule whose delegate is not there, or may not be seen from there.
//!
//! There is one level: what a delegate delegates itself is left out.

use std::sync::Arc;

use crate::compile::names::qualify;
use crate::compile::world::{World, is_visible};
use crate::model::{RequestMatch, StringMatch};
use crate::resources::values::Host;
use crate::resources::virtual_service::{Delegate, Destination, HttpRoute};
use crate::resources::{Object, VirtualService};

/// The VirtualServices that leave rules to this one, were it there or not.
pub fn delegators<'w>(
    world: &'w World,
    delegate: &'w Object<VirtualService>,
) -> impl Iterator<Item = &'w Arc<Object<VirtualService>>> {
    // One that claims hosts decides for nobody else.
    let decides = delegate.spec.hosts.is_empty();
    world.virtual_services.iter().filter(move |root| {
        let mut asked = root.spec.http.iter().filter_map(|rule| rule.delegate.as_ref());
        let own = (delegate.meta.namespace.as_str(), delegate.meta.name.as_str());
        decides && asked.any(|asked| asked_for(&root.meta.namespace, asked) == Some(own))
    })
}

/// Namespace and name of the one that an object of `namespace` leaves a rule to.
fn asked_for<'d>(namespace: &'d str, delegate: &'d Delegate) -> Option<(&'d str, &'d str)> {
    let of = delegate.namespace.as_deref().filter(|named| !named.is_empty()).unwrap_or(namespace);
    Some((of, delegate.name.as_deref()?))
}

/// The VirtualService that decides in the place of one of `namespace`: one without hosts.
pub(super) fn find<'w>(world: &'w World, namespace: &str, delegate: &Delegate) -> Option<&'w Object<VirtualService>> {
    let (of, name) = asked_for(namespace, delegate)?;
    let mut candidates = world.virtual_services.iter();
    let found = candidates.find(|object| object.meta.name == name && object.meta.namespace == of)?;
    (found.spec.hosts.is_empty() && is_visible(found, namespace)).then_some(&**found)
}

/// The delegate's rule, with what it leaves open from the rule that delegates, an object of `namespace`.
pub(super) fn completed(leaf: &HttpRoute, root: &HttpRoute, namespace: &str, domain: &str) -> HttpRoute {
    let mut whole = leaf.clone();
    whole.name = match (&root.name, &leaf.name) {
        (Some(root), Some(leaf)) if !root.is_empty() && !leaf.is_empty() => Some(format!("{root}-{leaf}")),
        (root, leaf) => leaf.clone().filter(|name| !name.is_empty()).or_else(|| root.clone()),
    };
    // A short host means a service beside the object that names it.
    let qualified = |destination: &Destination| {
        let host = qualify(destination.host.as_str(), namespace, domain);
        let host: Host = host.parse().unwrap_or_else(|_| destination.host.clone());
        Destination { host, ..destination.clone() }
    };
    whole.rewrite = whole.rewrite.or_else(|| root.rewrite.clone());
    whole.timeout = whole.timeout.or(root.timeout);
    whole.retries = whole.retries.or_else(|| root.retries.clone());
    whole.fault = whole.fault.or_else(|| root.fault.clone());
    whole.cors_policy = whole.cors_policy.or_else(|| root.cors_policy.clone());
    whole.headers = whole.headers.or_else(|| root.headers.clone());
    whole.mirror = whole.mirror.or_else(|| root.mirror.as_ref().map(qualified));
    whole.mirror_percent = whole.mirror_percent.or(root.mirror_percent);
    whole.mirror_percent_old = whole.mirror_percent_old.or(root.mirror_percent_old);
    whole.mirror_percentage = whole.mirror_percentage.or_else(|| root.mirror_percentage.clone());
    if whole.mirrors.is_empty() {
        whole.mirrors.clone_from(&root.mirrors);
        for mirror in &mut whole.mirrors {
            mirror.destination = qualified(&mirror.destination);
        }
    }
    whole
}

/// Alternatives of a delegate's rule that hold where one of the delegating rule's does; none at all stand for every request.
/// `None`: one of the delegate's lies outside of all of them.
pub(super) fn narrowed(root: &[RequestMatch], leaf: &[RequestMatch]) -> Option<Vec<RequestMatch>> {
    if root.is_empty() {
        return Some(leaf.to_vec());
    }
    if leaf.is_empty() {
        return Some(root.to_vec());
    }
    let mut both = Vec::new();
    for leaf in leaf {
        let before = both.len();
        both.extend(root.iter().filter_map(|root| both_of(root, leaf)));
        if both.len() == before {
            return None;
        }
    }
    Some(both)
}

fn both_of(root: &RequestMatch, leaf: &RequestMatch) -> Option<RequestMatch> {
    let labels_agree = root
        .source_labels
        .iter()
        .all(|(name, value)| leaf.source_labels.iter().all(|(other, wanted)| other != name || wanted == value));
    if !labels_agree {
        return None;
    }
    let mut source_labels = leaf.source_labels.clone();
    source_labels.extend(root.source_labels.iter().filter(|label| !leaf.source_labels.contains(label)).cloned());
    // What must not be there must not be there for either of them.
    let without_headers = [&*leaf.without_headers, &*root.without_headers].concat();
    let without_claims = [&*leaf.without_claims, &*root.without_claims].concat();
    Some(RequestMatch {
        path: narrower(root.path.as_ref(), leaf.path.as_ref())?,
        method: narrower(root.method.as_ref(), leaf.method.as_ref())?,
        scheme: narrower(root.scheme.as_ref(), leaf.scheme.as_ref())?,
        authority: narrower(root.authority.as_ref(), leaf.authority.as_ref())?,
        query: named(&root.query, &leaf.query)?,
        headers: named(&root.headers, &leaf.headers)?,
        without_headers,
        claims: named(&root.claims, &leaf.claims)?,
        without_claims,
        port: same(root.port.as_ref(), leaf.port.as_ref())?,
        source_labels,
        source_namespace: same(root.source_namespace.as_ref(), leaf.source_namespace.as_ref())?,
        unsupported: [&*root.unsupported, &*leaf.unsupported].concat(),
    })
}

/// The one that is asked for; `None` where two are, and differ.
fn same<T: Clone + PartialEq>(root: Option<&T>, leaf: Option<&T>) -> Option<Option<T>> {
    match (root, leaf) {
        (Some(root), Some(leaf)) => (root == leaf).then(|| Some(leaf.clone())),
        (one, other) => Some(one.or(other).cloned()),
    }
}

fn named<K: Clone + PartialEq>(root: &[(K, StringMatch)], leaf: &[(K, StringMatch)]) -> Option<Vec<(K, StringMatch)>> {
    let mut both = leaf.to_vec();
    for (name, condition) in root {
        match both.iter_mut().find(|(known, _)| known == name) {
            Some((_, held)) => *held = narrower(Some(condition), Some(held))??,
            None => both.push((name.clone(), condition.clone())),
        }
    }
    Some(both)
}

/// The condition that holds where both do, which is one of them; `None` where the delegate's reaches beyond the other, or it can't be
/// told, as with regular expressions.
fn narrower(root: Option<&StringMatch>, leaf: Option<&StringMatch>) -> Option<Option<StringMatch>> {
    use StringMatch::{Exact, ExactIgnoringCase, Prefix, PrefixIgnoringCase, Present};
    let (Some(root), Some(leaf)) = (root, leaf) else { return Some(root.or(leaf).cloned()) };
    let starts =
        |text: &[u8], prefix: &[u8]| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let within = match (root, leaf) {
        (Present, _) => true,
        (_, Present) => return Some(Some(root.clone())),
        (Exact(root), Exact(leaf)) => root == leaf,
        (Prefix(root), Exact(leaf) | Prefix(leaf)) => leaf.starts_with(root),
        (ExactIgnoringCase(root), ExactIgnoringCase(leaf)) => root.eq_ignore_ascii_case(leaf),
        (PrefixIgnoringCase(root), ExactIgnoringCase(leaf) | PrefixIgnoringCase(leaf)) => starts(leaf, root),
        _ => false,
    };
    within.then(|| Some(leaf.clone()))
}

//! The routes of a service, from the VirtualService that wins its host.
//!
//! Labels and namespace of a caller, and the port, are conditions of a rule like others, and yet they decide more: a VirtualService
//! none of whose rules is for a caller on a port is, for that caller, not there (Istio makes each proxy's routes of what its labels
//! and its ports leave of an object, and none of nothing). So what comes after it follows in a tier of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compile::gateway_api;
use crate::compile::names::{qualify, service_of};
use crate::compile::sidecar::Egress;
use crate::compile::world::{Scope, World, is_visible};
use crate::compile::{delegate, handling, streams};
use crate::model::matching::WholeMatch;
use crate::model::route::ClaimWay;
use crate::model::{
    Action, ClusterName, Handling, HttpRule, InvalidRegex, RequestMatch, Routes, Service, StringMatch, WeightedCluster,
};
use crate::resources::authorization_values::routed_claim;
use crate::resources::values::{self, GatewayRef};
use crate::resources::virtual_service::{Destination, HttpDestination, HttpMatch, HttpRoute};
use crate::resources::{Object, VirtualService};
use crate::yaml::Path;

/// The port of a destination that names none and whose service is not known.
const HTTP_PORT: u16 = 80;

/// Through what requests come that a set of rules is compiled for.
#[derive(Clone, Copy)]
pub(super) enum Entry<'a> {
    /// From sidecars.
    Mesh,
    /// Through a Gateway.
    Gateway { namespace: &'a str, name: &'a str },
}

impl Entry<'_> {
    /// Whether a reference in an object of `namespace` means this entry.
    pub(super) fn is(self, reference: &GatewayRef, own_namespace: &str) -> bool {
        match (self, reference) {
            (Self::Mesh, GatewayRef::Mesh) => true,
            (Self::Gateway { namespace, name }, GatewayRef::Named { namespace: named_in, name: named }) => {
                named == name && named_in.as_deref().unwrap_or(own_namespace) == namespace
            }
            _ => false,
        }
    }

    /// Whether a VirtualService holds for this entry: one that names no gateway holds for sidecars.
    pub(super) fn admits(self, object: &Object<VirtualService>) -> bool {
        let gateways = &object.spec.gateways;
        match self {
            Self::Mesh if gateways.is_empty() => true,
            _ => gateways.iter().any(|reference| self.is(reference, &object.meta.namespace)),
        }
    }
}

/// The routes of `service`, as sidecars of `scope` see them.
///
/// For requests the VirtualService with the most specific host that covers the service wins, the oldest among equals, of those that
/// have a rule for the client; the others have no say. For connections all of them are asked, in that order (Istio). A service
/// without one has the rules of the HTTPRoutes and GRPCRoutes that name it; ports that none of them is attached to are routed to
/// themselves.
pub fn routes(world: &World, scope: &Scope, service: &Service) -> Routes {
    let covering = covering(world, scope, service);
    let http = tiers(world, scope, &covering, service);
    let streams = streams::of_service(world, scope, &covering, service);
    Routes { name: format!("{}/{}", scope.namespace, service.host).into(), http, streams }
}

/// The rules for requests to a service: of each VirtualService in turn, as long as there are clients on some port that none of the
/// rules before is for, and then of the service itself.
fn tiers(world: &World, scope: &Scope, covering: &[&Object<VirtualService>], service: &Service) -> Vec<HttpRule> {
    let ports: Vec<u16> = service.ports.iter().map(|port| port.number).collect();
    let mut open = ports.clone();
    let mut found = Vec::new();
    let mut tier = 0;
    for object in covering {
        let rules = rules(world, object, Entry::Mesh, &ports);
        // One that has no rules for requests claims none.
        if rules.is_empty() {
            continue;
        }
        let left = |port: &u16| !rules.iter().any(|rule| is_for_everybody_at(rule, *port));
        let still_open = open.iter().copied().filter(left).collect();
        found.extend(in_tier(rules, tier, &ports, &open));
        open = still_open;
        tier += 1;
        if open.is_empty() {
            return found;
        }
    }
    let (mut rules, attached) = gateway_api::service_rules(world, scope, service);
    let free = ports.iter().filter(|port| !attached.contains(port));
    rules.extend(free.map(|port| to_itself(service, *port)));
    found.extend(in_tier(rules, tier, &ports, &open));
    found
}

/// Whether every client that sends a request to `port` is one that the rule is for.
fn is_for_everybody_at(rule: &HttpRule, port: u16) -> bool {
    let everybody = |found: &RequestMatch| {
        found.source_labels.is_empty()
            && found.source_namespace.is_none()
            && found.port.is_none_or(|wanted| wanted == port)
    };
    rule.matches.is_empty() || rule.matches.iter().any(everybody)
}

/// The rules as those of a tier, for those of the service's ports that are open.
fn in_tier<'r>(
    rules: Vec<HttpRule>,
    tier: u32,
    ports: &'r [u16],
    open: &'r [u16],
) -> impl Iterator<Item = HttpRule> + use<'r> {
    rules.into_iter().filter_map(move |rule| {
        let rule = HttpRule { tier, ..rule };
        if open == ports {
            return Some(rule);
        }
        let matches: Vec<RequestMatch> = open.iter().flat_map(|port| at_port(&rule.matches, *port)).collect();
        (!matches.is_empty()).then_some(HttpRule { matches, ..rule })
    })
}

/// The VirtualServices that clients know whose hosts cover a service's host, the most specific first, the oldest first among equals.
fn covering<'w>(world: &'w World, scope: &Scope, service: &Service) -> Vec<&'w Object<VirtualService>> {
    let mut found: Vec<&Object<VirtualService>> = Vec::new();
    for object in world.virtual_services.covering(&service.host).flatten() {
        let imports = |egress: &Arc<Egress>| {
            let mut hosts = world.virtual_services.hosts(object).into_iter();
            hosts.any(|host| egress.names(&object.meta.namespace, &host))
        };
        let holds = Entry::Mesh.admits(object)
            && is_visible(object, &scope.namespace)
            && scope.egress.as_ref().is_none_or(imports);
        // One may claim the host under several patterns.
        if holds && !found.iter().any(|known| std::ptr::eq(*known, &**object)) {
            found.push(object);
        }
    }
    found
}

fn to_itself(service: &Service, port: u16) -> HttpRule {
    let cluster = ClusterName { host: service.host.clone(), port, subset: None };
    HttpRule {
        provenance: service.provenance.clone(),
        name: "default".into(),
        matches: vec![RequestMatch { port: Some(port), ..RequestMatch::default() }],
        action: Action::Forward(vec![WeightedCluster::new(cluster, 1)]),
        handling: Handling::default(),
        tier: 0,
    }
}

/// The HTTP rules of a VirtualService that hold for `entry`, in order. `ports` are those that requests may be sent to: they stand in
/// for those that destinations do not name.
pub(super) fn rules(world: &World, object: &Object<VirtualService>, entry: Entry<'_>, ports: &[u16]) -> Vec<HttpRule> {
    let mut rules = Vec::new();
    for (index, route) in object.spec.http.iter().enumerate() {
        let path = Path::root().key("spec").key("http").index(index);
        let Some(matches) = matches(object, route, entry, &path) else { continue };
        match &route.delegate {
            None => rules.extend(rule(world, object, (index, route), matches, ports)),
            Some(to) => {
                let Some(delegate) = delegate::find(world, &object.meta.namespace, to) else { continue };
                rules.extend(delegated(world, (object, route, &matches), delegate, entry, ports));
            }
        }
    }
    rules
}

/// The rules of a delegate in the place of a rule that delegates: its object, itself, and what it asks of requests.
fn delegated(
    world: &World,
    (root, root_route, root_matches): (&Object<VirtualService>, &HttpRoute, &[RequestMatch]),
    object: &Object<VirtualService>,
    entry: Entry<'_>,
    ports: &[u16],
) -> Vec<HttpRule> {
    let mut rules = Vec::new();
    for (index, route) in object.spec.http.iter().enumerate().filter(|(_, route)| route.delegate.is_none()) {
        let path = Path::root().key("spec").key("http").index(index);
        let Some(matches) = matches(object, route, entry, &path) else { continue };
        let Some(matches) = delegate::narrowed(root_matches, &matches) else { continue };
        let whole = delegate::completed(route, root_route, &root.meta.namespace, &world.domain);
        rules.extend(rule(world, object, (index, &whole), matches, ports));
    }
    rules
}

fn rule(
    world: &World,
    object: &Object<VirtualService>,
    (index, route): (usize, &HttpRoute),
    matches: Vec<RequestMatch>,
    ports: &[u16],
) -> Vec<HttpRule> {
    let rule = HttpRule {
        provenance: object.provenance().with_rule(format!("http[{index}]")),
        name: route.name.as_deref().unwrap_or("default").into(),
        matches,
        action: Action::Forward(Vec::new()),
        handling: handling::handling(route),
        tier: 0,
    };
    with_clusters(world, object, route, ports, rule)
}

/// The alternatives of a rule that hold for `entry`; `None` when it had some and none of them does.
fn matches(
    object: &Object<VirtualService>,
    route: &HttpRoute,
    entry: Entry<'_>,
    path: &Path,
) -> Option<Vec<RequestMatch>> {
    // What is not in force about the rule itself, rather than about one of its matches, keeps it from ever matching.
    let in_matches = path.key("match");
    let dead: Vec<Arc<str>> = object
        .never_matching(path)
        .filter(|hit| !in_matches.contains(&hit.path))
        .map(|hit| hit.path.to_string().into())
        .collect();
    if !dead.is_empty() {
        return Some(vec![RequestMatch { unsupported: dead, ..RequestMatch::default() }]);
    }
    if route.matches.is_empty() {
        return Some(Vec::new());
    }
    let mut found = Vec::new();
    for (index, conditions) in route.matches.iter().enumerate() {
        let here = conditions.gateways.is_empty()
            || conditions.gateways.iter().any(|reference| entry.is(reference, &object.meta.namespace));
        if here {
            found.push(request_match(object, conditions, entry, &in_matches.index(index)));
        }
    }
    (!found.is_empty()).then_some(found)
}

fn request_match(
    object: &Object<VirtualService>,
    conditions: &HttpMatch,
    entry: Entry<'_>,
    path: &Path,
) -> RequestMatch {
    let mut unsupported: Vec<Arc<str>> = object.never_matching(path).map(|hit| hit.path.to_string().into()).collect();
    // Validation refuses a key that names no claim; should it come in another way, the match must not hold.
    let named = conditions.headers.keys().chain(conditions.without_headers.keys());
    let nameless = named.filter(|key| matches!(routed_claim(key), Some(Err(_))));
    unsupported.extend(nameless.map(|key| path.key("headers").key(key.as_str()).to_string().into()));
    let mut convert = |field: &str, value: &values::StringMatch, ignoring_case: bool| {
        string_match(value, ignoring_case).unwrap_or_else(|_| {
            // Validation refuses what does not compile; should it come in another way, the match must not hold.
            unsupported.push(path.key(field).to_string().into());
            StringMatch::Present
        })
    };
    let ignoring_case = conditions.ignore_uri_case == Some(true);
    let uri = conditions.uri.as_ref().map(|value| convert("uri", value, ignoring_case));
    let method = conditions.method.as_ref().map(|value| convert("method", value, false));
    let scheme = conditions.scheme.as_ref().map(|value| convert("scheme", value, false));
    let authority = conditions.authority.as_ref().map(|value| convert("authority", value, false));
    let parameters = conditions.query_params.iter();
    let query = parameters.map(|(name, value)| (name.as_str().into(), convert("queryParams", value, false))).collect();
    let mut named = |field: &str, wanted: &BTreeMap<String, values::StringMatch>| {
        let (mut headers, mut claims): (Vec<(Box<str>, _)>, Vec<(ClaimWay, _)>) = Default::default();
        for (name, value) in wanted {
            let value = convert(field, value, false);
            match routed_claim(name) {
                None | Some(Err(_)) => headers.push((name.to_ascii_lowercase().into(), value)),
                Some(Ok(way)) => claims.push((way.into_iter().map(String::into_boxed_str).collect(), value)),
            }
        }
        (headers, claims)
    };
    let (headers, claims) = named("headers", &conditions.headers);
    let (without_headers, without_claims) = named("withoutHeaders", &conditions.without_headers);
    // At a gateway that a match names, what it says of callers in the mesh means nothing (Istio).
    let names_callers = matches!(entry, Entry::Mesh) || conditions.gateways.is_empty();
    let labels = conditions.source_labels.iter().filter(|_| names_callers);
    let namespace = conditions.source_namespace.as_deref().filter(|named| names_callers && !named.is_empty());
    RequestMatch {
        path: uri,
        method,
        scheme,
        authority,
        query,
        headers,
        without_headers,
        claims,
        without_claims,
        port: conditions.port.map(|port| port.get()),
        source_labels: labels.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect(),
        source_namespace: namespace.map(Into::into),
        unsupported,
    }
}

pub(super) fn string_match(value: &values::StringMatch, ignoring_case: bool) -> Result<StringMatch, InvalidRegex> {
    Ok(match value {
        values::StringMatch::Exact(text) if ignoring_case => StringMatch::ExactIgnoringCase(text.as_bytes().into()),
        values::StringMatch::Exact(text) => StringMatch::Exact(text.as_bytes().into()),
        values::StringMatch::Prefix(text) if ignoring_case => StringMatch::PrefixIgnoringCase(text.as_bytes().into()),
        values::StringMatch::Prefix(text) => StringMatch::Prefix(text.as_bytes().into()),
        values::StringMatch::Regex(pattern) => StringMatch::Regex(WholeMatch::new(pattern.as_str())?),
        values::StringMatch::Present => StringMatch::Present,
    })
}

/// The rule with its destinations. Where one of them names no port and has several, requests keep the port that they were sent
/// to: then there is one rule for each of `ports`.
fn with_clusters(
    world: &World,
    object: &Object<VirtualService>,
    route: &HttpRoute,
    ports: &[u16],
    rule: HttpRule,
) -> Vec<HttpRule> {
    if let Some(redirect) = &route.redirect {
        return vec![HttpRule { action: Action::Redirect(handling::redirect(redirect)), ..rule }];
    }
    if let Some(response) = &route.direct_response {
        return vec![HttpRule { action: Action::Respond(handling::direct_response(response)), ..rule }];
    }
    let destinations = sharing(&route.route, |destination: &HttpDestination| destination.weight.0);
    if destinations.is_empty() {
        // Nothing that is in force: there is nowhere to send requests to, so the rule takes none. Kept without destinations, it
        // would be refused by every proxy, and its siblings with it.
        return Vec::new();
    }
    let mirrors = handling::mirrors(route);
    let port_of = |destination: &Destination| own_port(world, object, destination);
    let cluster = |destination: &Destination, request_port: u16| {
        let port = port_of(destination).unwrap_or(request_port);
        handling::cluster(destination, &object.meta.namespace, &world.domain, port)
    };
    let for_request_port = |rule: HttpRule, port: u16| {
        let clusters = destinations.iter().map(|(destination, weight)| WeightedCluster {
            cluster: cluster(&destination.destination, port),
            weight: *weight,
            authority: handling::authority_of(destination.headers.as_ref()),
            headers: handling::header_edits(destination.headers.as_ref()),
        });
        let copies = mirrors.iter().map(|(destination, share)| handling::mirror(cluster(destination, port), *share));
        let handling = Handling { mirrors: copies.collect(), ..rule.handling };
        HttpRule { action: Action::Forward(clusters.collect()), handling, ..rule }
    };
    let mut named = destinations.iter().map(|(destination, _)| &destination.destination);
    let every_port_is_known = named.all(|destination| port_of(destination).is_some())
        && mirrors.iter().all(|(destination, _)| port_of(destination).is_some());
    if every_port_is_known || ports.len() < 2 {
        let port = ports.first().copied().unwrap_or(HTTP_PORT);
        return vec![for_request_port(rule, port)];
    }
    let bound = ports
        .iter()
        .map(|port| for_request_port(HttpRule { matches: at_port(&rule.matches, *port), ..rule.clone() }, *port));
    bound.filter(|rule| !rule.matches.is_empty()).collect()
}

/// The alternatives that can hold for requests to `port`, bound to it.
fn at_port(matches: &[RequestMatch], port: u16) -> Vec<RequestMatch> {
    let bound = |conditions: &RequestMatch| RequestMatch { port: Some(port), ..conditions.clone() };
    match matches {
        [] => vec![bound(&RequestMatch::default())],
        _ => matches.iter().filter(|m| m.port.is_none_or(|wanted| wanted == port)).map(bound).collect(),
    }
}

/// Destinations that take part, with their weights: of several, those with a weight; one alone takes everything.
pub(super) fn sharing<T>(destinations: &[T], weight: impl Fn(&T) -> u32) -> Vec<(&T, u32)> {
    match destinations {
        [only] => vec![(only, 1)],
        several => {
            let weighted = several.iter().map(|candidate| (candidate, weight(candidate)));
            weighted.filter(|(_, weight)| *weight > 0).collect()
        }
    }
}

/// The port that a destination names, or that its service has as the only one.
pub(super) fn own_port(world: &World, object: &Object<VirtualService>, destination: &Destination) -> Option<u16> {
    let named = destination.port.as_ref().and_then(|port| port.number).map(|port| port.get());
    named.or_else(|| {
        let host = qualify(destination.host.as_str(), &object.meta.namespace, &world.domain);
        let scope = Scope::of_namespace(object.meta.namespace.as_str());
        match service_of(world, &scope, &host)?.ports.as_slice() {
            [only] => Some(only.number),
            _ => None,
        }
    })
}

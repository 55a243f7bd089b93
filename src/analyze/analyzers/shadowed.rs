//! Rules that earlier rules leave nothing for, found by asking the proxies' own decision.
//!
//! For each match there is a request that holds what the match asks for and nothing else that anybody could have meant. If an
//! earlier rule takes it, the match never gets one. Regular expressions have no such request, and are left out.
//!
//! So are found matches that no request holds, whatever the other rules.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::analyze::Found;
use crate::analyze::codes::ROUTE_NEVER_MATCHES;
use crate::analyze::hosts::qualified;
use crate::analyze::message::place;
use crate::analyze::shadow::{Shadow, shadows};
use crate::analyze::snapshot::Snapshot;
use crate::compile::{Scope, World, routes};
use crate::model::authz::Claims;
use crate::model::matching::{HeaderLookup, StringMatch};
use crate::model::route::{Decision, HttpRule, RequestFacts, RequestMatch, Routes, decide};
use crate::model::{AppProtocol, Resolution, Service, ServicePort, TrafficDistribution};
use crate::resources::values::{GatewayRef, StringMatch as Written};
use crate::resources::virtual_service::{HttpMatch, HttpRoute};
use crate::resources::{Object, Provenance, VirtualService};

/// A word that nobody writes.
const ANYTHING: &str = "~anything~";

/// The port of requests where no match says another.
const PORT: u16 = 80;

/// The most matches of one VirtualService that are looked at.
const MOST: usize = 500;

/// All of them that Istio's own codes do not name.
pub fn run(snapshot: &Snapshot, found: &mut Found) {
    for object in snapshot.all("VirtualService") {
        let Ok(parsed) = Object::<VirtualService>::from_value(object.value()) else { continue };
        let known: BTreeSet<_> = shadows(&parsed.spec)
            .into_iter()
            .map(|shadow| match shadow {
                Shadow::Rule { place, .. } | Shadow::Match { place, .. } => place,
            })
            .collect();
        for (index, rule) in parsed.spec.http.iter().enumerate() {
            for (at, conditions) in rule.matches.iter().enumerate() {
                if let Some((field, text)) = impossible(conditions).or_else(|| unbound(&parsed, conditions)) {
                    found.at(ROUTE_NEVER_MATCHES, object, &place!["spec", "http", index, "match", at, field], text);
                }
            }
        }
        for (index, earlier) in shadowed_everywhere(&parsed) {
            let rule = place!["spec", "http", index];
            let matches = parsed.spec.http.get(index).map_or(0, |rule| rule.matches.len());
            let said = known.contains(&rule)
                || (0..matches).all(|at| known.contains(&place!["spec", "http", index, "match", at]));
            if !said {
                let text =
                    format!("The rule http[{index}] never gets a request: {earlier} takes all that it could match.");
                found.at(ROUTE_NEVER_MATCHES, object, &rule, text);
            }
        }
    }
}

/// A Gateway as an object of `namespace` names it: namespace and name; `None` for the sidecars.
fn gateway<'o>(named: &'o GatewayRef, namespace: &'o str) -> Option<(&'o str, &'o str)> {
    match named {
        GatewayRef::Mesh => None,
        GatewayRef::Named { namespace: of, name } => Some((of.as_deref().unwrap_or(namespace), name)),
    }
}

/// Where a VirtualService holds.
fn bound(object: &Object<VirtualService>) -> Vec<Option<(&str, &str)>> {
    let named = object.spec.gateways.iter().map(|named| gateway(named, &object.meta.namespace));
    let mut bound: Vec<_> = named.collect();
    if bound.is_empty() {
        bound.push(None);
    }
    bound
}

/// Gateways of a match to none of which the VirtualService is bound.
fn unbound(object: &Object<VirtualService>, conditions: &HttpMatch) -> Option<(&'static str, String)> {
    let bound = bound(object);
    let mut named = conditions.gateways.iter().map(|named| gateway(named, &object.meta.namespace));
    (!conditions.gateways.is_empty() && named.all(|named| !bound.contains(&named))).then(|| {
        let text = "The match holds at gateways that the VirtualService is not bound to, and so never: add one to spec.gateways.";
        ("gateways", text.to_owned())
    })
}

/// The rules that get no request wherever they hold, and who gets it instead.
fn shadowed_everywhere(object: &Object<VirtualService>) -> BTreeMap<usize, String> {
    let mut found: BTreeMap<usize, Option<String>> = BTreeMap::new();
    for at in bound(object) {
        let holds = |conditions: &HttpMatch| {
            let mut named = conditions.gateways.iter().map(|named| gateway(named, &object.meta.namespace));
            conditions.gateways.is_empty() || named.any(|named| named == at)
        };
        let mut there = object.clone();
        let mut kept = Vec::new();
        let mut rules = Vec::new();
        for (index, rule) in object.spec.http.iter().enumerate() {
            let matches: Vec<HttpMatch> = rule.matches.iter().filter(|matched| holds(matched)).cloned().collect();
            if matches.is_empty() != rule.matches.is_empty() {
                continue;
            }
            kept.push(index);
            rules.push(HttpRoute { matches, ..rule.clone() });
        }
        there.spec.http = rules;
        let Some(routes) = compiled(&there) else { continue };
        let mut never = shadowed(&routes);
        for (place, index) in kept.iter().enumerate() {
            let taker = never.remove(&place).map(|taker| written(&taker, &kept));
            let known = found.entry(*index).or_insert_with(|| taker.clone());
            if taker.is_none() {
                *known = None;
            }
        }
    }
    found.into_iter().filter_map(|(index, taker)| Some((index, taker?))).collect()
}

/// `http[0] and http[1]` with the places that the rules have where they were written.
fn written(takers: &str, kept: &[usize]) -> String {
    let place = |taker: &str| {
        let at: usize = taker.strip_prefix("http[")?.strip_suffix(']')?.parse().ok()?;
        Some(format!("http[{}]", kept.get(at)?))
    };
    let takers = takers.split(" and ").map(|taker| place(taker).unwrap_or_else(|| taker.to_owned()));
    takers.collect::<Vec<_>>().join(" and ")
}

/// The field of a match that no request holds, and why.
fn impossible(conditions: &HttpMatch) -> Option<(&'static str, String)> {
    // Case counts: `get` is another method than `GET`, and none that anybody uses (RFC 9110, section 9.1).
    const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"];

    if let Some(Written::Exact(text) | Written::Prefix(text)) = &conditions.uri
        && !text.is_empty()
        && !text.starts_with('/')
        && text != "*"
    {
        let text = format!("No request is for {text:?}, since paths begin with `/`: write {:?}.", format!("/{text}"));
        return Some(("uri", text));
    }
    if let Some(Written::Exact(text)) = &conditions.method
        && let Some(method) = METHODS.iter().find(|method| method.eq_ignore_ascii_case(text) && *method != text)
    {
        return Some(("method", format!("No request has the method {text:?}, since case counts: write {method:?}.")));
    }
    None
}

/// The rules of a VirtualService for one of its hosts, as if it held for sidecars, wherever it does.
fn compiled(object: &Object<VirtualService>) -> Option<Routes> {
    let mut object = object.clone();
    object.spec.gateways.clear();
    object.spec.export_to.clear();
    for conditions in object.spec.http.iter_mut().flat_map(|rule| &mut rule.matches) {
        conditions.gateways.clear();
    }
    let host = qualified(object.spec.hosts.first()?.as_str(), &object.meta.namespace).replace('*', "any");
    let namespace: Arc<str> = object.meta.namespace.as_str().into();
    let service = Service {
        host: host.as_str().into(),
        name: "any".into(),
        namespace: Arc::clone(&namespace),
        addresses: Vec::new(),
        ports: vec![ServicePort { number: PORT, name: "http".into(), protocol: AppProtocol::Http }],
        resolution: Resolution::Endpoints,
        distribution: TrafficDistribution::Any,
        provenance: Provenance::new("Service", Arc::clone(&namespace), "any"),
    };
    let mut world = World::new("cluster.local", "istio-system");
    world.virtual_services.insert(Arc::new(object));
    Some(routes(&world, &Scope::of_namespace(namespace), &service))
}

/// The rules that never get a request, by their place in the VirtualService, and who gets it instead.
fn shadowed(routes: &Routes) -> BTreeMap<usize, String> {
    let matches: usize = routes.http.iter().map(|rule| rule.matches.len()).sum();
    if matches > MOST {
        return BTreeMap::new();
    }
    let mut found = BTreeMap::new();
    for rule in &routes.http {
        let Some(index) = index(rule) else { continue };
        let takers: Option<Vec<String>> =
            rule.matches.iter().map(|conditions| taker(routes, rule, conditions)).collect();
        if let Some(first) = takers.and_then(|takers| takers.into_iter().next()) {
            found.entry(index).or_insert(first);
        }
    }
    found
}

/// `http[3]` as a number.
fn index(rule: &HttpRule) -> Option<usize> {
    rule.provenance.rule.as_deref()?.strip_prefix("http[")?.strip_suffix(']')?.parse().ok()
}

/// The rule that takes every request that `conditions` of `rule` ask for; none if it is the rule itself.
fn taker(routes: &Routes, rule: &HttpRule, conditions: &RequestMatch) -> Option<String> {
    let mut takers: BTreeSet<String> = BTreeSet::new();
    for request in requests(routes, conditions)? {
        let facts = RequestFacts {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            scheme: request.scheme,
            authority: &request.authority,
            headers: &request.headers,
            claims: Some(&request.claims),
            port: request.port,
            source_labels: &request.labels,
            source_namespace: &request.namespace,
        };
        let (Decision::Forward { rule: taken, matched, .. } | Decision::Answer { rule: taken, matched }) =
            decide(routes, &facts, 0)
        else {
            return None;
        };
        if taken.provenance.rule == rule.provenance.rule {
            return None;
        }
        // That a header is not there is true of this request, and need not be of all that the conditions take.
        let absent = matched.is_some_and(|matched| {
            matched.without_headers.iter().any(|header| !conditions.without_headers.contains(header))
                || matched.without_claims.iter().any(|claim| !conditions.without_claims.contains(claim))
        });
        if absent {
            return None;
        }
        takers.extend(taken.provenance.rule.as_deref().map(str::to_owned));
    }
    let takers: Vec<String> = takers.into_iter().collect();
    (!takers.is_empty()).then(|| takers.join(" and "))
}

/// A request that conditions ask for.
struct Request {
    port: u16,
    method: Vec<u8>,
    path: Vec<u8>,
    query: Vec<u8>,
    scheme: &'static str,
    authority: Vec<u8>,
    headers: Headers,
    claims: Claims,
    labels: BTreeMap<Arc<str>, Arc<str>>,
    namespace: String,
}

struct Headers(BTreeMap<String, Vec<u8>>);

impl HeaderLookup for Headers {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.0.get(name).map(|value| Cow::Borrowed(value.as_slice()))
    }
}

/// Requests that together stand for all that the conditions take; none where that can't be told.
fn requests(routes: &Routes, conditions: &RequestMatch) -> Option<Vec<Request>> {
    if !conditions.unsupported.is_empty() {
        return None;
    }
    let text = |wanted: &Option<StringMatch>, start: &str| match wanted {
        Some(wanted) => example(wanted),
        None => Some(format!("{start}{ANYTHING}").into_bytes()),
    };
    let mut headers = BTreeMap::new();
    for (name, wanted) in &conditions.headers {
        headers.insert(name.to_string(), example(wanted)?);
    }
    let claims = claims(conditions)?;
    let mut query: Vec<Vec<u8>> = Vec::new();
    for (name, wanted) in &conditions.query {
        query.push([name.as_bytes(), b"=", &example(wanted)?].concat());
    }
    // What others look at and these conditions do not may be there, or not.
    let mut more_headers = headers.clone();
    let mut more_query = query.clone();
    for other in routes.http.iter().flat_map(|rule| &rule.matches) {
        for (name, _) in other.headers.iter().chain(&other.without_headers) {
            let excluded = conditions.without_headers.iter().any(|(excluded, _)| excluded == name);
            if !excluded {
                more_headers.entry(name.to_string()).or_insert_with(|| ANYTHING.into());
            }
        }
        for (name, _) in &other.query {
            if !conditions.query.iter().any(|(known, _)| known == name) {
                more_query.push([name.as_bytes(), b"=", ANYTHING.as_bytes()].concat());
            }
        }
    }
    let schemes: &[&'static str] = match &conditions.scheme {
        None => &["http", "https"],
        Some(wanted) if wanted.matches(b"https") => &["https"],
        Some(wanted) if wanted.matches(b"http") => &["http"],
        Some(_) => return None,
    };
    // A rule for no port in particular is for those that others name, and for one that none does.
    let named = routes.http.iter().flat_map(|rule| &rule.matches).filter_map(|other| other.port);
    let mut ports: BTreeSet<u16> = named.collect();
    ports.extend((PORT..).find(|port| !ports.contains(port)));
    let ports = conditions.port.map_or(ports, |port| BTreeSet::from([port]));
    let mut found = Vec::new();
    for (scheme, port) in schemes.iter().flat_map(|scheme| ports.iter().map(move |port| (scheme, *port))) {
        for (headers, query) in [(&headers, &query), (&more_headers, &more_query)] {
            found.push(Request {
                port,
                method: text(&conditions.method, "")?,
                path: text(&conditions.path, "/")?,
                query: query.join(&b'&'),
                scheme,
                authority: text(&conditions.authority, "")?,
                headers: Headers(headers.clone()),
                claims: claims.clone(),
                labels: conditions.source_labels.iter().cloned().collect(),
                namespace: conditions.source_namespace.as_deref().unwrap_or(ANYTHING).to_owned(),
            });
        }
    }
    Some(found)
}

/// A token with the claims that are asked for.
fn claims(conditions: &RequestMatch) -> Option<Claims> {
    let mut all = serde_json::Map::new();
    for (way, wanted) in &conditions.claims {
        let (last, before) = way.split_last()?;
        let mut place = &mut all;
        for name in before {
            let inner = place.entry(name.to_string()).or_insert_with(|| serde_json::Map::new().into());
            // What is asked to be a text as well leads nowhere.
            place = inner.as_object_mut()?;
        }
        place.insert(last.to_string(), String::from_utf8(example(wanted)?).ok()?.into());
    }
    Some(Claims { all, space_delimited: Vec::new() })
}

/// A value that the match takes, and that stands for all of them; none where there is no such value.
fn example(wanted: &StringMatch) -> Option<Vec<u8>> {
    match wanted {
        StringMatch::Exact(text) => Some(text.to_vec()),
        StringMatch::Prefix(text) => Some([text, ANYTHING.as_bytes()].concat()),
        StringMatch::Segments(path) => Some([path, &b"/"[..], ANYTHING.as_bytes()].concat()),
        StringMatch::Present => Some(ANYTHING.into()),
        // A value in one spelling does not stand for the others, and an expression's values for nothing.
        StringMatch::ExactIgnoringCase(_) | StringMatch::PrefixIgnoringCase(_) | StringMatch::Regex(_) => None,
    }
}

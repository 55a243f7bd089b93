//! Which rules and matches of a VirtualService earlier ones leave nothing for, as Istio counts them.

use std::collections::HashMap;
use std::fmt;

use super::message::place;
use crate::resources::field::Field;
use crate::resources::values::StringMatch;
use crate::resources::virtual_service::{HttpMatch, VirtualService};
use crate::yaml::Path;

/// A rule or a match that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shadow {
    /// A rule that nothing reaches.
    Rule {
        /// Where it stands.
        place: Path,
        /// Why.
        why: String,
    },
    /// A match of a rule that another covers.
    Match {
        /// Where it stands.
        place: Path,
        /// The rule that covers it.
        by: Path,
        /// Whether the two are the same.
        same: bool,
    },
}

impl fmt::Display for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { place, why } => write!(f, "The rule {place} is never reached: {why}."),
            Self::Match { place, by, same: true } => write!(f, "The match {place} has no effect: {by} is the same."),
            Self::Match { place, by, same: false } => {
                write!(f, "The match {place} has no effect: {by} takes all that it would.")
            }
        }
    }
}

/// All of them, in order.
pub fn shadows(service: &VirtualService) -> Vec<Shadow> {
    let mut found = Vec::new();
    list("http", service.http.iter().map(|rule| rule.matches.iter().map(http_key).collect()).collect(), &mut found);
    overlaps(service, &mut found);
    list("tls", service.tls.iter().map(|rule| rule.matches.iter().map(key).collect()).collect(), &mut found);
    list("tcp", service.tcp.iter().map(|rule| rule.matches.iter().map(key).collect()).collect(), &mut found);
    found
}

fn key(conditions: &impl Field) -> String {
    conditions.encode().map(|value| value.to_string()).unwrap_or_default()
}

/// Names do not make a difference.
fn http_key(conditions: &HttpMatch) -> String {
    key(&HttpMatch { name: None, ..conditions.clone() })
}

/// Rules by the keys of their matches; a rule without one takes everything.
fn list(field: &str, rules: Vec<Vec<String>>, found: &mut Vec<Shadow>) {
    let mut catch_all: Option<usize> = None;
    let mut seen: HashMap<String, (usize, usize)> = HashMap::new();
    for (rule, keys) in rules.into_iter().enumerate() {
        let place = place!["spec", field, rule];
        if let Some(earlier) = catch_all {
            let why = format!("{} takes everything", place!["spec", field, earlier]);
            found.push(Shadow::Rule { place, why });
            continue;
        }
        if keys.is_empty() {
            catch_all = Some(rule);
            continue;
        }
        let count = keys.len();
        let mut repeated = 0;
        for (index, key) in keys.into_iter().enumerate() {
            if let Some((earlier, at)) = seen.get(&key) {
                repeated += 1;
                let place = place!["spec", field, rule, "match", index];
                found.push(Shadow::Match { place, by: place!["spec", field, *earlier, "match", *at], same: true });
            } else {
                seen.insert(key, (rule, index));
            }
        }
        if repeated == count {
            found.push(Shadow::Rule { place, why: "earlier rules have all of its matches".to_owned() });
        }
    }
}

/// Matches on a prefix of the path that an earlier match has a shorter prefix of, under conditions that are no stricter.
fn overlaps(service: &VirtualService, found: &mut Vec<Shadow>) {
    /// An earlier match: its prefix, where it stands, and what else it asks for.
    struct Earlier<'v> {
        prefix: &'v str,
        place: Path,
        conditions: &'v HttpMatch,
        key: String,
    }

    // Enough for what people write; beyond it, each with each would take too long.
    const COMPARED: usize = 500;

    let mut earlier: Vec<Earlier<'_>> = Vec::new();
    for (rule, route) in service.http.iter().enumerate() {
        for (index, conditions) in route.matches.iter().enumerate() {
            let Some(StringMatch::Prefix(prefix)) = &conditions.uri else { continue };
            let place = place!["spec", "http", rule, "match", index];
            let key = http_key(conditions);
            let covering = earlier.iter().find(|other| {
                other.key != key && prefix.starts_with(other.prefix) && is_no_stricter(other.conditions, conditions)
            });
            let repeated = earlier.iter().any(|other| other.key == key);
            if let (Some(other), false) = (covering, repeated) {
                found.push(Shadow::Match { place: place.clone(), by: other.place.clone(), same: false });
            }
            if earlier.len() < COMPARED {
                earlier.push(Earlier { prefix, place, conditions, key });
            }
        }
    }
}

/// Whether what `a` asks for beside the path, `b` asks for too.
fn is_no_stricter(a: &HttpMatch, b: &HttpMatch) -> bool {
    fn optional<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
        a.is_none() || a == b
    }
    let case = |conditions: &HttpMatch| conditions.ignore_uri_case == Some(true);
    optional(&a.method, &b.method)
        && optional(&a.scheme, &b.scheme)
        && optional(&a.authority, &b.authority)
        && optional(&a.port, &b.port)
        && optional(&a.source_namespace, &b.source_namespace)
        && (case(a) || !case(b))
        && a.headers.iter().all(|(name, value)| b.headers.get(name) == Some(value))
        && a.without_headers.iter().all(|(name, value)| b.without_headers.get(name) == Some(value))
        && a.query_params.iter().all(|(name, value)| b.query_params.get(name) == Some(value))
        && a.source_labels.iter().all(|(name, value)| b.source_labels.get(name) == Some(value))
        && (a.gateways.is_empty() || a.gateways == b.gateways)
}

//! Objects that claim hosts, found by the host: which of a thousand VirtualServices decide for one service is a question that a
//! change asks once for each resource that it touches.
//!
//! The objects are kept with [`oldest_first`](super::oldest_first)'s order, as a whole and for each host. Copies share everything
//! until one of them is changed.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::compile::names::qualify;
use crate::compile::world::{put_in_order, take_out};
use crate::model::HostPattern;
use crate::resources::{DestinationRule, Object, VirtualService};

/// A kind whose objects claim hosts.
pub trait Claimant: Sized {
    /// The hosts that an object claims, fully qualified.
    fn hosts(object: &Object<Self>, domain: &str) -> Vec<HostPattern>;
}

impl Claimant for VirtualService {
    fn hosts(object: &Object<Self>, domain: &str) -> Vec<HostPattern> {
        let mut hosts: Vec<HostPattern> = Vec::with_capacity(object.spec.hosts.len());
        for host in &object.spec.hosts {
            let host = HostPattern::parse(&qualify(host.as_str(), &object.meta.namespace, domain));
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    }
}

impl Claimant for DestinationRule {
    fn hosts(object: &Object<Self>, domain: &str) -> Vec<HostPattern> {
        vec![HostPattern::parse(&qualify(object.spec.host.as_str(), &object.meta.namespace, domain))]
    }
}

type Objects<T> = Vec<Arc<Object<T>>>;

/// Objects of one kind, oldest first; a slice of them, and a way from hosts to those that claim them.
#[derive(Debug, Clone)]
pub struct Claims<T> {
    domain: Arc<str>,
    objects: Arc<Objects<T>>,
    exact: Arc<HashMap<HostPattern, Objects<T>>>,
    /// The most specific first.
    wildcards: Arc<Vec<(HostPattern, Objects<T>)>>,
}

impl<T: Claimant> Claims<T> {
    /// No objects. `domain` is the cluster's, which qualifies short names.
    pub fn new(domain: &str) -> Self {
        Self { domain: domain.into(), objects: Arc::default(), exact: Arc::default(), wildcards: Arc::default() }
    }

    /// Takes in an object; the one of its name that was there before is answered.
    pub fn insert(&mut self, object: Arc<Object<T>>) -> Option<Arc<Object<T>>> {
        let before = self.remove(&object.meta.namespace, &object.meta.name);
        for host in self.hosts(&object) {
            match host {
                HostPattern::Exact(_) => {
                    put_in_order(Arc::make_mut(&mut self.exact).entry(host).or_default(), object.clone());
                }
                HostPattern::Suffix(_) | HostPattern::Any => {
                    let wildcards = Arc::make_mut(&mut self.wildcards);
                    let place = wildcards.partition_point(|(known, _)| order(known) < order(&host));
                    match wildcards.get_mut(place) {
                        Some((known, objects)) if *known == host => put_in_order(objects, object.clone()),
                        _ => wildcards.insert(place, (host, vec![object.clone()])),
                    }
                }
            }
        }
        put_in_order(Arc::make_mut(&mut self.objects), object);
        before
    }

    /// Takes out the object of a name, and answers it.
    pub fn remove(&mut self, namespace: &str, name: &str) -> Option<Arc<Object<T>>> {
        if !self.objects.iter().any(|known| known.meta.name == name && known.meta.namespace == namespace) {
            return None;
        }
        let gone = take_out(Arc::make_mut(&mut self.objects), namespace, name)?;
        for host in self.hosts(&gone) {
            if matches!(host, HostPattern::Exact(_)) {
                let exact = Arc::make_mut(&mut self.exact);
                if let Some(objects) = exact.get_mut(&host) {
                    let _same = take_out(objects, namespace, name);
                    if objects.is_empty() {
                        exact.remove(&host);
                    }
                }
            } else {
                Arc::make_mut(&mut self.wildcards).retain_mut(|(known, objects)| {
                    if *known == host {
                        let _same = take_out(objects, namespace, name);
                    }
                    !objects.is_empty()
                });
            }
        }
        Some(gone)
    }

    /// The hosts that an object claims.
    pub fn hosts(&self, object: &Object<T>) -> Vec<HostPattern> {
        T::hosts(object, &self.domain)
    }

    /// The objects that claim `host` (fully qualified, lower case), by pattern: the most specific pattern first, and under each
    /// the oldest object.
    pub fn covering(&self, host: &str) -> impl Iterator<Item = &[Arc<Object<T>>]> {
        let exact = self.exact.get(&HostPattern::Exact(host.into())).map(Vec::as_slice);
        let wildcards = self.wildcards.iter().filter(move |(pattern, _)| pattern.matches(host));
        exact.into_iter().chain(wildcards.map(|(_, objects)| objects.as_slice()))
    }
}

/// What comes first has the highest precedence.
fn order(pattern: &HostPattern) -> impl Ord + '_ {
    (std::cmp::Reverse(pattern.precedence()), pattern)
}

impl<T> Deref for Claims<T> {
    type Target = [Arc<Object<T>>];

    fn deref(&self) -> &Self::Target {
        &self.objects
    }
}

impl<'c, T> IntoIterator for &'c Claims<T> {
    type Item = &'c Arc<Object<T>>;
    type IntoIter = std::slice::Iter<'c, Arc<Object<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.objects.iter()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, hosts: &[&str]) -> Arc<Object<VirtualService>> {
        // Sidecars are not told what to do with every host there is.
        let gateways = if hosts == ["*"] { ["edge"] } else { ["mesh"] };
        let value = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"hosts": hosts, "gateways": gateways, "http": [{"route": [{"destination": {"host": "web"}}]}]}});
        Arc::new(Object::from_value(&value).unwrap())
    }

    fn covering(claims: &Claims<VirtualService>, host: &str) -> Vec<Vec<String>> {
        let names = |objects: &[Arc<Object<VirtualService>>]| objects.iter().map(|it| it.meta.name.clone()).collect();
        claims.covering(host).map(names).collect()
    }

    #[test]
    fn the_most_specific_claim_comes_first_whatever_came_first() {
        let hosts: [(&str, &[&str]); 5] = [
            ("any", &["*"]),
            ("exact", &["web", "web.shop.svc.cluster.local"]),
            ("short", &["*.cluster.local"]),
            ("long", &["*.shop.svc.cluster.local"]),
            ("again", &["web"]),
        ];
        let expected = vec![
            vec!["again".to_owned(), "exact".into()],
            vec!["long".into()],
            vec!["short".into()],
            vec!["any".into()],
        ];
        for turn in 0..hosts.len() {
            let mut claims = Claims::new("cluster.local");
            for at in 0..hosts.len() {
                let (name, hosts) = hosts[(at + turn) % hosts.len()];
                assert!(claims.insert(object(name, hosts)).is_none());
            }
            assert_eq!(covering(&claims, "web.shop.svc.cluster.local"), expected);
            assert_eq!(covering(&claims, "web.bank.svc.cluster.local"), expected[2..]);
            assert_eq!(covering(&claims, "example.com"), expected[3..]);
        }
    }

    #[test]
    fn a_changed_object_claims_what_it_says_now_and_a_copy_keeps_what_it_had() {
        let mut claims = Claims::new("cluster.local");
        claims.insert(object("web", &["web", "*.example.com"]));
        let copy = claims.clone();
        assert!(claims.insert(object("web", &["*.example.org"])).is_some());
        assert_eq!(covering(&claims, "web.shop.svc.cluster.local"), Vec::<Vec<String>>::new());
        assert_eq!(covering(&claims, "a.example.com"), Vec::<Vec<String>>::new());
        assert_eq!(covering(&claims, "a.example.org"), [["web"]]);
        assert!(claims.remove("shop", "web").is_some() && claims.is_empty());
        assert!(claims.remove("shop", "web").is_none());
        assert_eq!(covering(&claims, "a.example.org"), Vec::<Vec<String>>::new());
        assert_eq!(covering(&copy, "web.shop.svc.cluster.local"), [["web"]]);
        assert_eq!(covering(&copy, "a.example.com"), [["web"]]);
    }
}

//! Which hosts of a list cover others, in time that the list's length bounds: a list may have as many as an object has room
//! for, and admission must not be held up by comparing each with each.

use std::collections::HashMap;

use super::values::Host;

/// The hosts of a list, by what they cover.
pub(super) struct HostSet<'h> {
    names: HashMap<&'h str, usize>,
    /// By what is behind the `*`.
    wildcards: HashMap<&'h str, usize>,
}

impl<'h> HostSet<'h> {
    /// Of equal hosts, the first one stands for all.
    pub(super) fn new(hosts: &'h [Host]) -> Self {
        let mut set = Self { names: HashMap::new(), wildcards: HashMap::new() };
        for (index, host) in hosts.iter().enumerate() {
            match host.as_str().strip_prefix('*') {
                Some(suffix) => set.wildcards.entry(suffix).or_insert(index),
                None => set.names.entry(host.as_str()).or_insert(index),
            };
        }
        set
    }

    /// The places in the list of the hosts that cover every name that `host` covers.
    pub(super) fn covering(&self, host: &Host) -> impl Iterator<Item = usize> {
        let suffix = host.as_str().strip_prefix('*');
        let name = if suffix.is_none() { self.names.get(host.as_str()) } else { None };
        let rest = suffix.unwrap_or(host.as_str());
        let ends = (0..=rest.len()).filter_map(|at| self.wildcards.get(rest.get(at..)?));
        name.into_iter().chain(ends).copied()
    }
}

/// The hosts that are too many: the place of each, and the place of the host before it that covers it, or that it covers.
pub(super) fn overlaps(hosts: &[Host]) -> Vec<(usize, usize)> {
    let set = HostSet::new(hosts);
    let mut found: Vec<Option<usize>> = vec![None; hosts.len()];
    for (index, host) in hosts.iter().enumerate() {
        for other in set.covering(host).filter(|other| *other != index) {
            if let Some(later) = found.get_mut(index.max(other)) {
                let earlier = index.min(other);
                *later = Some(later.map_or(earlier, |known| known.min(earlier)));
            }
        }
    }
    found.into_iter().enumerate().filter_map(|(later, earlier)| Some((later, earlier?))).collect()
}

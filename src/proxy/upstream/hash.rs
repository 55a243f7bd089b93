//! Tables that map a key to the same endpoint every time, as Envoy builds them: equal endpoints and keys give what Envoy gives.
//!
//! Keys and endpoints are hashed with xxHash64. When an endpoint comes or goes, most keys keep theirs.

use std::fmt;

use twox_hash::XxHash64;

use crate::model::HashTable;
use crate::model::pool::MAX_HASH_TABLE;

/// A table of endpoints, by their place in the cluster.
pub enum Table {
    /// Points on a ring, in order: (hash, endpoint).
    Ring(Box<[(u64, u32)]>),
    /// Maglev's table.
    Maglev(Box<[u32]>),
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring(points) => write!(f, "Ring({} points)", points.len()),
            Self::Maglev(entries) => write!(f, "Maglev({} entries)", entries.len()),
        }
    }
}

/// The hash of a key.
pub fn hash(key: &[u8]) -> u64 {
    XxHash64::oneshot(0, key)
}

impl Table {
    /// Builds a table of endpoints: (name, weight) of each.
    pub fn build(kind: HashTable, endpoints: &[(String, u32)]) -> Self {
        match kind {
            HashTable::Ring(least) => Self::Ring(ring(least, endpoints)),
            HashTable::Maglev(size) => Self::Maglev(maglev(size, endpoints)),
        }
    }

    /// The endpoint of a key's hash; `None` where there is none at all.
    pub fn find(&self, hash: u64) -> Option<usize> {
        let place = match self {
            Self::Ring(points) => {
                let next = points.partition_point(|(point, _)| *point < hash);
                points.get(next).or_else(|| points.first()).map(|(_, endpoint)| *endpoint)
            }
            Self::Maglev(entries) => {
                let place = hash.checked_rem(entries.len() as u64)?;
                entries.get(usize::try_from(place).ok()?).copied()
            }
        };
        place.map(|place| place as usize)
    }
}

/// Points in proportion to the weights: as many for the lightest endpoint as make its share of the least size whole.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by MAX_HASH_TABLE")]
fn ring(least: u64, endpoints: &[(String, u32)]) -> Box<[(u64, u32)]> {
    let total: f64 = endpoints.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let lightest = endpoints.iter().map(|(_, weight)| f64::from(*weight) / total).fold(1.0, f64::min);
    let scale = ((lightest * least as f64).ceil() / lightest).min(MAX_HASH_TABLE as f64);
    let mut points = Vec::with_capacity(scale.ceil() as usize);
    let (mut wanted, mut so_far) = (0.0, 0.0);
    for (place, (name, weight)) in endpoints.iter().enumerate() {
        wanted += scale * f64::from(*weight) / total;
        let mut number = 0;
        while so_far < wanted {
            points.push((hash(format!("{name}_{number}").as_bytes()), place as u32));
            number += 1;
            so_far += 1.0;
        }
    }
    points.sort_unstable();
    points.into()
}

/// Every endpoint claims entries in an order of its own, taking turns in proportion to the weights (the paper's algorithm, with
/// Envoy's weights).
#[expect(clippy::cast_possible_truncation, reason = "bounded by MAX_HASH_TABLE")]
fn maglev(size: u64, endpoints: &[(String, u32)]) -> Box<[u32]> {
    const FREE: u32 = u32::MAX;
    let heaviest = endpoints.iter().map(|(_, weight)| f64::from(*weight)).fold(0.0, f64::max);
    if endpoints.is_empty() || size == 0 {
        return Box::default();
    }
    struct Claim {
        offset: u64,
        skip: u64,
        next: u64,
        weight: f64,
        wanted: f64,
    }
    let mut claims: Vec<Claim> = endpoints
        .iter()
        .map(|(name, weight)| Claim {
            offset: hash(name.as_bytes()) % size,
            skip: XxHash64::oneshot(1, name.as_bytes()) % (size - 1).max(1) + 1,
            next: 0,
            weight: f64::from(*weight),
            wanted: 0.0,
        })
        .collect();
    let mut entries = vec![FREE; size as usize];
    let mut filled = 0;
    let mut turn = 1.0;
    while filled < size {
        for (place, claim) in claims.iter_mut().enumerate() {
            if filled == size {
                break;
            }
            if turn * claim.weight < claim.wanted {
                continue;
            }
            claim.wanted += heaviest;
            // A prime size makes every endpoint's order meet every entry, so a free one is found.
            for _ in 0..size {
                let entry = (claim.offset + claim.skip * claim.next) % size;
                claim.next += 1;
                if let Some(free) = entries.get_mut(entry as usize).filter(|entry| **entry == FREE) {
                    *free = place as u32;
                    filled += 1;
                    break;
                }
            }
        }
        turn += 1.0;
    }
    entries.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(count: usize) -> Vec<(String, u32)> {
        (0..count).map(|number| (format!("10.0.0.{number}:80"), 1)).collect()
    }

    fn shares(table: &Table, count: usize) -> Vec<usize> {
        let mut shares = vec![0; count];
        for key in 0..10_000 {
            shares[table.find(hash(format!("key-{key}").as_bytes())).unwrap()] += 1;
        }
        shares
    }

    #[test]
    fn keys_spread_over_all_endpoints_in_proportion_to_weights() {
        for kind in [HashTable::Ring(4096), HashTable::Maglev(65_537)] {
            for share in shares(&Table::build(kind, &endpoints(5)), 5) {
                assert!((1500..2500).contains(&share), "{kind:?}: {share}");
            }
            let weighted = [("a:1".to_owned(), 1), ("b:1".to_owned(), 3)];
            let shares = shares(&Table::build(kind, &weighted), 2);
            assert!((6_500..8_500).contains(&shares[1]), "{kind:?}: {shares:?}");
        }
    }

    #[test]
    fn most_keys_keep_their_endpoint_when_another_goes() {
        for kind in [HashTable::Ring(1024), HashTable::Maglev(65_537)] {
            let all = endpoints(5);
            let (before, after) = (Table::build(kind, &all), Table::build(kind, &all[..4]));
            let moved = (0..10_000)
                .map(|key| hash(format!("key-{key}").as_bytes()))
                .filter(|hash| before.find(*hash) != Some(4) && before.find(*hash) != after.find(*hash))
                .count();
            // A table without memory moves three of four.
            assert!(moved < 1_500, "{kind:?}: {moved}");
        }
    }

    #[test]
    fn an_empty_cluster_has_no_endpoint_for_any_key() {
        for kind in [HashTable::Ring(1024), HashTable::Maglev(65_537)] {
            assert_eq!(Table::build(kind, &[]).find(7), None);
        }
    }
}

//! An immutable map that is cheap to change: replacing one value copies one shard, a sixteenth of the map's pointers.
//!
//! A snapshot is a value of this type behind an `arc-swap`; readers look a name up without a lock, and the owner derives the
//! next snapshot from the one before it, sharing every shard that the change does not touch.

use std::collections::HashMap;
use std::sync::Arc;

const SHARDS: usize = 16;

type Shard<V> = HashMap<Arc<str>, Arc<V>>;

/// A map from names to shared values.
pub(super) struct Shards<V> {
    shards: [Arc<Shard<V>>; SHARDS],
}

impl<V> Clone for Shards<V> {
    fn clone(&self) -> Self {
        Self { shards: self.shards.clone() }
    }
}

impl<V> Default for Shards<V> {
    fn default() -> Self {
        let empty = Arc::new(Shard::new());
        Self { shards: std::array::from_fn(|_| empty.clone()) }
    }
}

impl<V> Shards<V> {
    /// The value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<V>> {
        self.shards.get(shard_of(name))?.get(name)
    }

    /// Sets the value of a name in this map; maps cloned from it before keep what they had.
    pub(super) fn insert(&mut self, name: Arc<str>, value: Arc<V>) {
        if let Some(shard) = self.shards.get_mut(shard_of(&name)) {
            Arc::make_mut(shard).insert(name, value);
        }
    }

    /// Takes a name out of this map.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(shard) = self.shards.get_mut(shard_of(name))
            && shard.contains_key(name)
        {
            Arc::make_mut(shard).remove(name);
        }
    }

    /// Every name and its value, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<V>)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }
}

impl<V> FromIterator<(Arc<str>, Arc<V>)> for Shards<V> {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<V>)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (name, value) in entries {
            map.insert(name, value);
        }
        map
    }
}

/// FNV-1a, folded: it only has to spread names evenly; the maps inside the shards are the ones that withstand chosen keys.
fn shard_of(name: &str) -> usize {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 16)) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_earlier_snapshots_and_other_shards_as_they_were() {
        let before: Shards<u32> = (0..100).map(|n| (Arc::from(format!("name-{n}")), Arc::new(n))).collect();
        let mut after = before.clone();
        after.insert("name-7".into(), Arc::new(700));
        after.remove("name-8");

        assert_eq!(before.get("name-7").map(|v| **v), Some(7));
        assert_eq!(after.get("name-7").map(|v| **v), Some(700));
        assert!(before.get("name-8").is_some() && after.get("name-8").is_none());
        let copied = before.shards.iter().zip(&after.shards).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert!(copied <= 2, "{copied} shards were copied for two names");
    }

    #[test]
    fn removing_an_absent_name_copies_nothing() {
        let before: Shards<u32> = (0..100).map(|n| (Arc::from(format!("name-{n}")), Arc::new(n))).collect();
        let mut after = before.clone();
        after.remove("absent");
        assert!(before.shards.iter().zip(&after.shards).all(|(a, b)| Arc::ptr_eq(a, b)));
    }

    #[test]
    fn names_spread_over_the_shards() {
        let map: Shards<()> =
            (0..1600).map(|n| (Arc::from(format!("svc-{n}.default.svc.cluster.local")), Arc::new(()))).collect();
        let fullest = map.shards.iter().map(|shard| shard.len()).max();
        assert!(fullest < Some(200), "{fullest:?} of 1600 names are in one of {SHARDS} shards");
    }
}

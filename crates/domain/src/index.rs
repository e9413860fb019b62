//! Finds values by a key that usually has one value, sometimes several. Values are positions of what has the key, so an
//! index keeps a part of the hash of each key instead of the key itself.

use std::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
};

use hashbrown::hash_table::{Entry, HashTable};
use rustc_hash::FxBuildHasher;

use super::hash::HashMap;

#[derive(Debug)]
pub(super) struct Index<K, V> {
    first: HashTable<Slot<V>>,
    /// All values of the keys with more than one.
    several: HashMap<K, Vec<V>>,
}

#[derive(Debug)]
struct Slot<V> {
    hash: u32,
    value: V,
}

impl<V> Slot<V> {
    /// The hash in the table, whose upper bits have to differ as well.
    fn spread(hash: u32) -> u64 {
        u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn hash(&self) -> u64 {
        Self::spread(self.hash)
    }
}

fn hash_of<Q: Hash + ?Sized>(key: &Q) -> u32 {
    let [.., a, b, c, d] = FxBuildHasher.hash_one(key).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self {
            first: HashTable::new(),
            several: HashMap::default(),
        }
    }
}

impl<K: Clone + Hash + Eq, V: Copy + PartialEq> Index<K, V> {
    pub(super) fn with_capacity(keys: usize) -> Self {
        Self {
            first: HashTable::with_capacity(keys),
            several: HashMap::default(),
        }
    }

    /// `has` tells whether a value has the key. All keys of one value must be added before those of the next, so that
    /// each value is stored once under a key.
    pub(super) fn add(&mut self, key: &K, value: V, has: impl Fn(V) -> bool) {
        let hash = hash_of(key);
        let is_it = |slot: &Slot<V>| slot.hash == hash && has(slot.value);
        match self.first.entry(Slot::<V>::spread(hash), is_it, Slot::hash) {
            Entry::Vacant(vacant) => {
                vacant.insert(Slot { hash, value });
            }
            Entry::Occupied(occupied) => {
                let first = occupied.get().value;
                if first == value {
                    return;
                }
                let values = self
                    .several
                    .entry(key.clone())
                    .or_insert_with(|| vec![first]);
                if values.last() != Some(&value) {
                    values.push(value);
                }
            }
        }
    }

    /// The values of a key that has more than one, otherwise an empty slice. A correct tenant has few such keys.
    pub(super) fn several<Q>(&self, key: &Q) -> &[V]
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.several.get(key).map_or(&[], Vec::as_slice)
    }

    /// In the order in which they were added. `has` as in [`Self::add`].
    pub(super) fn get<Q>(&self, key: &Q, has: impl Fn(V) -> bool) -> &[V]
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(values) = self.several.get(key) {
            return values;
        }
        let hash = hash_of(key);
        let is_it = |slot: &Slot<V>| slot.hash == hash && has(slot.value);
        let slot = self.first.find(Slot::<V>::spread(hash), is_it);
        slot.map_or(&[], |slot| std::slice::from_ref(&slot.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&[&str]; 3] = [&["a", "b"], &["a"], &["a"]];

    fn has(key: &str) -> impl Fn(usize) -> bool {
        move |value| KEYS[value].contains(&key)
    }

    #[test]
    fn a_value_is_under_each_of_its_keys_once() {
        let mut index = Index::<&str, usize>::with_capacity(2);
        for (key, value) in [("a", 0), ("b", 0), ("a", 0), ("a", 1), ("a", 1), ("a", 2)] {
            index.add(&key, value, has(key));
        }
        assert_eq!(index.get("a", has("a")), [0, 1, 2]);
        assert_eq!(index.get("b", has("b")), [0]);
        assert!(index.get("c", has("c")).is_empty());
        assert_eq!(index.several("a"), [0, 1, 2]);
        assert!(index.several("b").is_empty());
    }

    #[test]
    fn keys_with_equal_hashes_are_different_keys() {
        let mut index = Index::<&str, usize>::default();
        index.add(&"a", 0, |_| false);
        index.add(&"a", 1, |_| false);
        assert_eq!(index.get("a", |value| value == 1), [1]);
        assert!(index.get("a", |_| false).is_empty());
    }
}

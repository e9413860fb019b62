//! Finds values by a key that usually has one value, sometimes several. Values are positions, so an index is small.

use std::{borrow::Borrow, collections::hash_map::Entry, hash::Hash};

use super::hash::HashMap;

#[derive(Debug)]
pub(super) struct Index<K, V> {
    first: HashMap<K, V>,
    /// All values of the keys with more than one.
    several: HashMap<K, Vec<V>>,
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self {
            first: HashMap::default(),
            several: HashMap::default(),
        }
    }
}

impl<K: Clone + Hash + Eq, V: Copy + PartialEq> Index<K, V> {
    pub(super) fn with_capacity(keys: usize) -> Self {
        let mut index = Self::default();
        index.first.reserve(keys);
        index
    }

    /// All keys of one value must be added before those of the next, so that each value is stored once under a key.
    pub(super) fn add(&mut self, key: K, value: V) {
        match self.first.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(value);
            }
            Entry::Occupied(occupied) => {
                let first = *occupied.get();
                if first == value {
                    return;
                }
                let values = self
                    .several
                    .entry(occupied.key().clone())
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

    /// In the order in which they were added.
    pub(super) fn get<Q>(&self, key: &Q) -> &[V]
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(values) = self.several.get(key) {
            return values;
        }
        self.first.get(key).map_or(&[], std::slice::from_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_under_a_key_once() {
        let mut index = Index::<&str, u32>::with_capacity(2);
        for (key, value) in [("a", 1), ("b", 1), ("a", 1), ("a", 2), ("a", 2), ("a", 3)] {
            index.add(key, value);
        }
        assert_eq!(index.get("a"), [1, 2, 3]);
        assert_eq!(index.get("b"), [1]);
        assert!(index.get("c").is_empty());
        assert_eq!(index.several("a"), [1, 2, 3]);
        assert!(index.several("b").is_empty());
    }
}

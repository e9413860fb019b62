//! Who is found under a key: mostly one, now and then several. Values are positions, so an index is small.

use std::{borrow::Borrow, hash::Hash};

use super::hash::HashMap;

#[derive(Debug)]
pub(super) struct Index<K, V> {
    found: HashMap<K, Found<V>>,
}

#[derive(Debug)]
enum Found<V> {
    One(V),
    Several(Box<[V]>),
}

impl<V> Found<V> {
    fn as_slice(&self) -> &[V] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Several(values) => values,
        }
    }
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self {
            found: HashMap::default(),
        }
    }
}

impl<K: Hash + Eq, V: Copy + PartialEq> Index<K, V> {
    pub(super) fn with_capacity(keys: usize) -> Self {
        let mut index = Self::default();
        index.found.reserve(keys);
        index
    }

    /// All keys of one value must be added before those of the next: then each value is once under a key.
    pub(super) fn add(&mut self, key: K, value: V) {
        use std::collections::hash_map::Entry;
        match self.found.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(Found::One(value));
            }
            Entry::Occupied(mut occupied) => {
                let values = occupied.get().as_slice();
                if values.last() != Some(&value) {
                    let values = values.iter().copied().chain([value]).collect();
                    occupied.insert(Found::Several(values));
                }
            }
        }
    }

    /// In the order in which they were added.
    pub(super) fn get<Q>(&self, key: &Q) -> &[V]
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.found.get(key).map_or(&[], Found::as_slice)
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
    }
}

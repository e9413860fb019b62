//! Values of the product that are part of the model's state. They are equal if their JSON is, or do not count for
//! equality.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use serde::Serialize;

/// A document of the product's state.
#[derive(Debug)]
pub(crate) struct Document<T> {
    value: Arc<T>,
    /// Hash of its JSON.
    print: u64,
}

impl<T: Serialize> Document<T> {
    pub(crate) fn new(value: T) -> Self {
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(&value).unwrap().hash(&mut hasher);
        Self {
            value: Arc::new(value),
            print: hasher.finish(),
        }
    }
}

impl<T: Serialize + Clone> Document<T> {
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut T)) {
        let mut value = (*self.value).clone();
        change(&mut value);
        *self = Self::new(value);
    }
}

impl<T: Serialize + Default> Default for Document<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Document<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            print: self.print,
        }
    }
}

impl<T> Deref for Document<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> PartialEq for Document<T> {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl<T> Hash for Document<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.print.hash(hasher);
    }
}

/// A value that follows from the rest of a state, so it does not count for equality.
pub(crate) struct Derived<T>(Arc<T>);

impl<T> Derived<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Clone for Derived<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Derived<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> PartialEq for Derived<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Hash for Derived<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl<T> fmt::Debug for Derived<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

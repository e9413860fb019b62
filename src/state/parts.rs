//! Append-only sequences of objects.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::StateError,
    objects::{Created, Objects},
};

/// A sequence of documents `<folder>/00000001`, `<folder>/00000002`, … with one writer.
pub struct Parts<T> {
    objects: Objects,
    folder: String,
    kind: &'static str,
    /// Number of the newest known part; `None` before the first listing.
    newest: Option<u32>,
    payload: PhantomData<fn(T) -> T>,
}

impl<T> fmt::Debug for Parts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("folder", &self.folder)
            .field("newest", &self.newest)
            .finish_non_exhaustive()
    }
}

impl<T> Parts<T> {
    pub(super) fn new(objects: Objects, folder: String, kind: &'static str) -> Self {
        Self {
            objects,
            folder,
            kind,
            newest: None,
            payload: PhantomData,
        }
    }

    fn name(&self, number: u32) -> String {
        format!("{}/{number:08}", self.folder)
    }

    async fn numbers(&self) -> Result<impl Iterator<Item = u32>, StateError> {
        let entries = self.objects.list(&self.folder).await?;
        let numbers = entries.into_iter();
        Ok(numbers.filter_map(|entry| entry.name.parse().ok()))
    }

    /// The number of the newest part, also if earlier ones are missing; 0 without parts.
    pub async fn newest(&self) -> Result<u32, StateError> {
        Ok(self.numbers().await?.max().unwrap_or(0))
    }

    /// The same parts; the next one gets the number after `newest`.
    #[must_use]
    pub fn after(self, newest: u32) -> Self {
        Self {
            newest: Some(newest),
            ..self
        }
    }

    /// The error for a part that other documents name.
    pub fn missing(&self, number: u32) -> StateError {
        let name = self.name(number);
        self.objects
            .unreadable(&name, "it is missing though later ones exist")
    }

    /// The number of parts. Fails if one is missing.
    async fn count(&self) -> Result<u32, StateError> {
        let mut count = 0;
        for number in self.numbers().await? {
            count += 1;
            if number != count {
                return Err(self.missing(count));
            }
        }
        Ok(count)
    }
}

impl<T: Serialize> Parts<T> {
    /// Appends `part`, also after a damaged or missing one. After an error it may have been stored anyway, so repeating can store it twice. Fails with
    /// [`StateError::Conflict`] if another process appends too: then one of the two has lost its lock.
    pub async fn append(&mut self, part: &T) -> Result<(), StateError> {
        let mut newest = match self.newest {
            Some(newest) => newest,
            None => self.newest().await?,
        };
        let bytes = self.objects.encode(&self.folder, self.kind, part)?;
        loop {
            newest += 1;
            let name = self.name(newest);
            if self.objects.create(&name, bytes.clone()).await? == Created::Ours {
                self.newest = Some(newest);
                return Ok(());
            }
            let there = self.objects.read(&name).await?;
            if !there.is_some_and(|there| self.objects.is_ours(&there.bytes)) {
                return Err(self.objects.conflict(&name));
            }
        }
    }
}

impl<T: DeserializeOwned> Parts<T> {
    /// All parts in order.
    pub async fn read(&self) -> Result<Vec<T>, StateError> {
        let names: Vec<String> = (1..=self.count().await?)
            .map(|number| self.name(number))
            .collect();
        let parts = self.objects.load_each(names.clone(), self.kind).await;
        let vanished = |name: &String| {
            self.objects
                .unreadable(name, "it vanished while it was read")
        };
        names
            .iter()
            .zip(parts)
            .map(|(name, part)| part?.ok_or_else(|| vanished(name)))
            .collect()
    }
}

//! Rows that a projector holds in memory: read once, folded often, written once a batch.
//!
//! What is here is either committed or about to be; after a failed transaction everything is forgotten
//! and read again.

use std::{collections::HashMap, hash::Hash};

/// Most rows kept from one batch to the next.
const KEPT: usize = 4096;

/// Rows by key; `None` is a row that is known to be absent.
pub(crate) struct Rows<K, V> {
    held: HashMap<K, Held<V>>,
}

struct Held<V> {
    row: Option<V>,
    changed: bool,
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self {
            held: HashMap::new(),
        }
    }
}

impl<K: Hash + Eq + Copy, V> Rows<K, V> {
    /// Those of `keys` that must be read; until [`Self::loaded`] says otherwise they are absent.
    pub(crate) fn missing(&mut self, keys: impl IntoIterator<Item = K>) -> Vec<K> {
        let mut missing = vec![];
        for key in keys {
            self.held.entry(key).or_insert_with(|| {
                missing.push(key);
                Held {
                    row: None,
                    changed: false,
                }
            });
        }
        missing
    }

    /// A row as it was read.
    pub(crate) fn loaded(&mut self, key: K, row: V) {
        self.held.insert(
            key,
            Held {
                row: Some(row),
                changed: false,
            },
        );
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.held.get(key)?.row.as_ref()
    }

    /// The row, to be changed.
    pub(crate) fn change(&mut self, key: &K) -> Option<&mut V> {
        let held = self.held.get_mut(key)?;
        held.changed |= held.row.is_some();
        held.row.as_mut()
    }

    /// The row, to be changed; an empty one if it is absent.
    pub(crate) fn change_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let held = self.held.entry(key).or_insert(Held {
            row: None,
            changed: false,
        });
        held.changed = true;
        held.row.get_or_insert_default()
    }

    /// Sets the row, or removes it.
    pub(crate) fn set(&mut self, key: K, row: Option<V>) {
        self.held.insert(key, Held { row, changed: true });
    }

    /// Forgets the rows that `gone` names, changed or not: they are deleted by other means.
    pub(crate) fn forget(&mut self, gone: impl Fn(&K) -> bool) {
        self.held.retain(|key, _| !gone(key));
    }

    /// The rows that were set or changed, and the keys of those that were removed.
    pub(crate) fn changes(&self) -> (Vec<(&K, &V)>, Vec<&K>) {
        let mut set = vec![];
        let mut removed = vec![];
        for (key, held) in &self.held {
            match &held.row {
                Some(row) if held.changed => set.push((key, row)),
                None if held.changed => removed.push(key),
                Some(_) | None => {}
            }
        }
        (set, removed)
    }

    /// The changes are committed; most rows stay for the next batch.
    pub(crate) fn committed(&mut self) {
        if self.held.len() > KEPT {
            self.held.clear();
        }
        for held in self.held.values_mut() {
            held.changed = false;
        }
    }
}

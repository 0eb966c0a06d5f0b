//! The sandbox's JSON, as it travels. Written by [`super::world`], read by the connector.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One item of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// `itm_000001`, ….
    pub id: String,
    /// A line.
    pub title: String,
    /// Text.
    pub body: String,
    /// A number with a fraction.
    pub amount: f64,
    /// Words.
    pub tags: Vec<String>,
    /// Counts the changes of the item, from 1.
    pub version: u64,
    /// When it came.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// Answer of `GET /items`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemsPage {
    /// In the order of their ids.
    pub items: Vec<Item>,
    /// How many they are; a client that sees fewer has lost some.
    pub count: usize,
    /// For the next page; none on the last.
    pub next_page_token: Option<String>,
    /// The account's change sequence now: where `GET /changes` goes on.
    pub change_seq: u64,
}

/// One change of the feed; of an item that changed often, the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Change {
    /// It came or changed.
    Upsert {
        /// Of the change.
        seq: u64,
        /// As it is now.
        item: Item,
    },
    /// It is gone.
    Delete {
        /// Of the change.
        seq: u64,
        /// The item's.
        id: String,
    },
}

/// Answer of `GET /changes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangesPage {
    /// In the order they happened.
    pub changes: Vec<Change>,
    /// How many they are.
    pub count: usize,
    /// Where to go on.
    pub next_since: u64,
    /// There are more.
    pub has_more: bool,
}

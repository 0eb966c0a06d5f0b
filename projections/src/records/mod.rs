//! Records: the last version of every item of an integration.
//!
//! - [`Row`]: one record, its body as the connector wrote it.
//! - [`list`]: in the order in which they arrived. A reader that asks again after the last
//!   [`Cursor`] it saw misses nothing and repeats nothing, except records that arrived anew: they move
//!   to the end.
//! - [`seen_before`]: what a full run has not seen again, so what is to be deleted.

mod projector;
mod query;
#[cfg(test)]
mod tests;

pub(crate) use projector::Projector;
pub use query::{count, counts_by_model, list, seen_before};
use serde::Serialize;
use serde_json::value::RawValue;
use wharf_domain::{
    kernel::{Position, Timestamp},
    syncs::RecordKey,
};

/// Bits of a row's `seq` that count records within their commit.
const ORDINAL_BITS: u32 = 20;

/// A record.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Names it within its integration.
    pub key: RecordKey,
    /// The unified model of its data.
    pub model: String,
    /// Position of the page that brought this version.
    pub position: Position,
    /// Its number in that commit.
    pub ordinal: u32,
    /// It is a tombstone.
    pub deleted: bool,
    /// The record whole: a JSON object that reads as [`wharf_domain::syncs::Record`].
    pub body: Box<RawValue>,
}

impl Row {
    /// Where a reader goes on after this row.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        Cursor {
            position: self.position,
            ordinal: self.ordinal,
        }
    }
}

/// Where a reader is in the records of an integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// See [`Row::position`].
    pub position: Position,
    /// See [`Row::ordinal`].
    pub ordinal: u32,
}

impl Cursor {
    /// After every record of the commit at `position`.
    #[must_use]
    pub const fn after(position: Position) -> Self {
        Self {
            position,
            ordinal: (1 << ORDINAL_BITS) - 1,
        }
    }
}

/// Which records a list shows; all of what is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this model.
    pub model: Option<String>,
    /// That begin at or after this.
    pub start_from: Option<Timestamp>,
    /// That begin before this.
    pub start_to: Option<Timestamp>,
    /// Tombstones too.
    pub include_deleted: bool,
}

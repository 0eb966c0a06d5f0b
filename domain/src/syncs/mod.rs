//! Syncs: how records arrive. A run is granted by the integration (its lease); what it does is written
//! into the integration's journal, one stream of [`SyncRunEvent`]s.
//!
//! - [`SyncRunEvent`]: started, page recorded, completed, failed.
//! - [`RunState`]: the fold of one run. It decides which journal events are kept and which are copies.
//! - [`Record`], [`Page`]: what a connector makes of a platform's answer.
//! - [`react`](process::react): what follows from a run's end.
//!
//! The cursor moves only in the event that records the page (invariant 8).

mod event;
mod page;
pub mod process;
mod record;
mod run;
pub mod sealed;
#[cfg(test)]
mod tests;

pub use event::{
    Completed, Failed, Failure, FailureClass, PageRecorded, Started, SyncRunEvent, SyncType,
};
pub use page::{Page, PageBuilder, SEALED_PAGE_BYTES, page_context};
pub use record::{Granularity, Record, RecordKey, Recording, Source, TimeQuality};
pub use run::RunState;

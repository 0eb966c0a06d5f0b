//! Integrations: a project's use of one platform account.
//!
//! - [`Integration`]: the aggregate. It also grants the sync lease: one open run at a time, each with
//!   a fence one higher than the last, so that a late page of an older run is dropped in the fold.
//! - `created → (sync_requested → sync_settled)* → deleted`; in between `updated`, `status_changed`,
//!   `sync_scheduled`.
//! - The run's steps are not here but in the integration's journal ([`crate::syncs`]).

mod command;
mod event;
mod integration;
mod schedule;
#[cfg(test)]
mod tests;

pub use command::{Change, Create, IntegrationCommand, RequestSync};
pub use event::{
    Created, Deleted, Fence, IntegrationEvent, Outcome, StatusChanged, SyncRequested,
    SyncScheduled, SyncSettled, Trigger, Updated, UploadRef,
};
pub use integration::{Integration, Live, OpenRun, Refusal, Status};
pub use schedule::{InvalidInterval, SyncSettings};

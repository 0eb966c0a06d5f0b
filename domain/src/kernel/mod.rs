//! The kernel: what every capability is made of. Ids, streams, commits, events, deciders.
//!
//! Pure: no IO, no clock, no dice.

mod causes;
mod commit;
mod decider;
mod event;
mod hash;
mod ids;
mod secret;
mod stream;
#[cfg(test)]
mod tests;

pub use causes::with_causes;
pub use commit::{
    Commit, Expected, Head, InvalidCommit, MAX_BODY_BYTES, MAX_EVENTS, MAX_HEADER_BYTES, Metadata,
    NewCommit, Position, RawEvent, Revision, StoredCommit,
};
pub use decider::{Decider, Loaded};
pub use event::{DecodeError, EventSet, NewEvent, Recorded, Upcaster, decode_all, upcast};
pub use hash::Hash;
pub use ids::{
    CommitId, IntegrationId, InvalidId, InvalidProjectId, MessageId, ProjectId, RunId, UploadId,
    WebhookId, derive,
};
/// An instant, UTC. Microseconds are what we keep of it.
pub use jiff::Timestamp;
pub use secret::Secret;
pub use stream::{Category, InvalidStreamId, Kind, StreamId};

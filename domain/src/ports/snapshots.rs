//! Snapshots: how far a long stream was folded once, so that loading it does not begin at its first event.
//!
//! The runtime asks for one before it folds, and now and then offers what it has folded. They are advice:
//! whoever keeps them may lose any of them at any time, which costs a fold, and whoever takes one compares
//! it with the log first. Nothing is decided by a snapshot that the log does not bear out.

use async_trait::async_trait;

use crate::kernel::{Head, StreamId};

/// A stream, folded up to one of its commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// That commit: the stream's last, then.
    pub head: Head,
    /// The aggregate's state after it, as JSON.
    pub state: Vec<u8>,
}

/// Where snapshots are kept, at most one a stream. `version` is that of the state's shape
/// ([`Decider::STATE_VERSION`](crate::kernel::Decider::STATE_VERSION)): one of another version is none.
#[async_trait]
pub trait Snapshots: Send + Sync + 'static {
    /// The snapshot of `stream`. `None` at once for a stream that never had one; `None` as well if it
    /// cannot be read.
    async fn load(&self, stream: &StreamId, version: u32) -> Option<Snapshot>;

    /// Keeps `snapshot` in place of the stream's last one: soon, or never. Does not wait.
    fn save(&self, stream: &StreamId, version: u32, snapshot: Snapshot);

    /// Drops the snapshot of `stream`, which turned out to be of no use. Does not wait.
    fn forget(&self, stream: &StreamId);
}

/// Keeps nothing: every stream is folded from its first event.
#[derive(Clone, Copy, Debug)]
pub struct NoSnapshots;

#[async_trait]
impl Snapshots for NoSnapshots {
    async fn load(&self, _stream: &StreamId, _version: u32) -> Option<Snapshot> {
        None
    }

    fn save(&self, _stream: &StreamId, _version: u32, _snapshot: Snapshot) {}

    fn forget(&self, _stream: &StreamId) {}
}

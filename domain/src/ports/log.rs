//! The event log: the one source of truth. Memory, `SQLite` and `JetStream` implement it; one
//! conformance suite (`tests/it/conformance`) holds them to what is written here.

use std::time::Duration;

use async_trait::async_trait;

use crate::kernel::{
    Category, Commit, CommitId, Head, InvalidCommit, Position, StoredCommit, StreamId,
};

/// An answer of a read ends with the commit whose body makes it reach so many bytes.
pub const READ_BYTES: usize = 2 * 1024 * 1024;

/// Answer of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Append {
    /// It is in the log, durably.
    Committed(Committed),
    /// The stream does not end where the commit expected; nothing was written. Reload, decide again.
    Conflict {
        /// Position of the stream's last commit; `None` if there is no stream.
        actual: Option<Position>,
    },
    /// It may be in the log or not, and the deadline has passed. Asking again with the same commit
    /// id resolves it.
    InDoubt {
        /// The commit to ask about.
        commit: CommitId,
    },
    /// It can never be committed as it is; nothing was written.
    Refused(Refusal),
}

/// Where a commit ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its position.
    pub position: Position,
    /// The same commit id was already there; `position` is that of the first.
    pub duplicate: bool,
}

/// Why a commit can never be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It breaks a limit or a rule.
    #[error(transparent)]
    Invalid(#[from] InvalidCommit),
    /// The log is closing or its disk is full; what was accepted before is safe.
    #[error("the log takes no commits: {0}")]
    Closed(&'static str),
}

/// The log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The storage failed; worth another try.
    #[error("the event log cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored contradicts itself. Someone must act.
    #[error("the event log is damaged at position {position}: {what}")]
    Damaged {
        /// Where.
        position: Position,
        /// How.
        what: String,
    },
    /// A durable consumer's state is gone although it was there before; it must not restart from 0.
    #[error("the checkpoint of consumer {0} is lost; restore the log's consumers from a backup")]
    CheckpointLost(String),
}

/// What an acknowledged commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut.
    Durable,
    /// A crash of the process; a power cut takes what is younger than this.
    Bounded(Duration),
    /// A crash of the process, not of the machine.
    ProcessCrash,
    /// A crash of this process; what its servers survive could not be found out.
    Unverified,
    /// Nothing: the memory log of tests.
    Volatile,
}

/// From where a consumer that does not exist yet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// The first commit.
    First,
    /// The first commit after its creation.
    Now,
}

/// A durable consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSpec {
    /// Names its checkpoint for ever.
    pub name: &'static str,
    /// Where it begins if it is new.
    pub from: StartAt,
    /// Only commits of these categories; the others count as acknowledged.
    pub categories: &'static [Category],
    /// Most commits handed out and not yet acknowledged; `fetch` waits at the limit.
    pub max_in_flight: usize,
}

/// The append-only log of commits.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Appends `commit` whole, or nothing. Answers after it is as durable as [`Self::durability`]
    /// says. Not cancelled by dropping the future: a commit handed over may still be written.
    async fn append(&self, commit: Commit) -> Append;

    /// Commits of `stream` after `after`, in order: at most `limit`, and until their bodies reach
    /// [`READ_BYTES`]. Fewer only at the stream's end.
    ///
    /// Where several nodes share the log, this and every other read may lack what another node wrote just
    /// now, until this node has asked for the [`Self::tail`].
    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, LogError>;

    /// Commits after `after`, in order: at most `limit`, and until their bodies reach [`READ_BYTES`].
    /// Empty only at the tail.
    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError>;

    /// Like [`Self::read_all`], but waits at the tail until there is something. Calling it again with
    /// the last position it gave follows the log without missing or repeating. Cancel-safe.
    async fn follow(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError>;

    /// Position of the last commit; every append answered before this call is at or below it.
    async fn tail(&self) -> Result<Position, LogError>;

    /// Where the commit with this id lies.
    async fn find(&self, id: CommitId) -> Result<Option<StoredCommit>, LogError>;

    /// Where `stream` ends.
    async fn head(&self, stream: &StreamId) -> Result<Option<Head>, LogError>;

    /// Opens the durable consumer `spec.name`, creating it at `spec.from` if it is new. One opener at
    /// a time; commits that an earlier opener did not acknowledge come again.
    async fn consumer(&self, spec: ConsumerSpec) -> Result<Box<dyn Consumer>, LogError>;

    /// What an acknowledged commit survives.
    fn durability(&self) -> Durability;
}

/// A durable consumer: at-least-once, in order but for what was put back.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// At least one commit, at most `max`; waits for the first. Cancel-safe.
    async fn fetch(&self, max: usize) -> Result<Vec<StoredCommit>, LogError>;

    /// These are done for ever. Made durable soon, not at once: after a crash a few may come again.
    async fn ack(&self, positions: &[Position]) -> Result<(), LogError>;

    /// Gives one back; it comes again after `delay`, behind later ones.
    async fn nak(&self, position: Position, delay: Duration) -> Result<(), LogError>;

    /// Everything at or below this is acknowledged.
    fn floor(&self) -> Position;

    /// Whether the commit at `position`, which [`Self::fetch`] gave, may have been given before: to an earlier
    /// opener, or to another node. Whatever came of it then is in the log by now.
    fn comes_again(&self, position: Position) -> bool;

    /// How many commits are still to be acknowledged, here and on other nodes: 0 once there is nothing left to
    /// do. What was not looked at yet counts, whatever its category.
    async fn backlog(&self) -> Result<u64, LogError>;

    /// Makes the acknowledgements so far durable now.
    async fn flush(&self) -> Result<(), LogError>;
}

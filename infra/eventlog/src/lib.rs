//! The event log: [`EventLog`](wharf_domain::ports::EventLog) in memory for tests, on `SQLite` for
//! everyone who runs one node, and on NATS `JetStream` for who runs several.
//!
//! Dramatis personae: a [`SqliteLog`] owns one *writer* (a thread, the only one that changes the
//! file) and a few *readers*; a *group* is what the writer commits with one fsync; a *tracker* knows
//! what one durable consumer has acknowledged. [`MemoryLog`] is the oracle: the same promises in the
//! fewest lines. A [`JetStreamLog`] appends to a stream of the servers and reads from its *mirror*, the
//! same stream in a file of this node. One conformance suite, `tests/it/conformance`, holds all three
//! to the promises.
//!
//! Used by the runtime (through the port) and by the command line. It never decides what happens: it
//! looks into a commit only to check that its bytes are whole.

mod category;
mod chain;
mod consumer;
mod error;
mod jetstream;
mod locks;
mod measure;
mod memory;
mod sqlite;
mod transfer;
mod verdict;
mod verify;

pub use error::Error;
pub use jetstream::{
    Fault, JetStreamLog, JetStreamOptions, RepairError, RepairStep, Repaired, ServerCopy,
    ServersReport, Strangers, Wrong, next_prefix, repair, verify_servers,
};
pub use memory::MemoryLog;
pub use sqlite::{
    BackupError, ConsumerStats, Options, SqliteImporter, SqliteLog, Stats, WriteLock, backup, lock,
    snapshots,
};
pub use transfer::{ConsumerCheckpoint, Destination, Moved, Origin, Step, TransferError, transfer};
pub use verify::{Progress, Report, verify};

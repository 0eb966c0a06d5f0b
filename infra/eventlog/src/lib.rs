//! The event log: [`EventLog`](wharf_domain::ports::EventLog) in memory for tests and on `SQLite`
//! for everyone who runs one node.
//!
//! Dramatis personae: a [`SqliteLog`] owns one *writer* (a thread, the only one that changes the
//! file) and a few *readers*; a *group* is what the writer commits with one fsync; a *tracker* knows
//! what one durable consumer has acknowledged. [`MemoryLog`] is the oracle: the same promises in the
//! fewest lines. One conformance suite, `tests/it/conformance`, holds both to them.
//!
//! Used by the runtime (through the port) and by the command line. It never decides what happens: it
//! looks into a commit only to check that its bytes are whole.

mod category;
mod chain;
mod consumer;
mod error;
mod locks;
mod measure;
mod memory;
mod sqlite;
mod verdict;
mod verify;

pub use error::Error;
pub use memory::MemoryLog;
pub use sqlite::{ConsumerStats, Options, SqliteLog, Stats};
pub use verify::{Progress, Report, verify};

/// One answer of a read ends with the commit whose body makes it reach so many bytes.
const READ_BYTES: usize = 4 * 1024 * 1024;

//! The log on `SQLite`: one file, one writer, an fsync before every answer.
//!
//! Who is who: [`SqliteLog`] is the port and belongs to everyone. The `writer` is a thread that owns
//! the only connection that writes; it takes what waits in its queue as one `group`, gives every
//! commit its own verdict, commits once and only then answers. `readers` are read-only connections,
//! used on the blocking threads of the runtime. The `index` finds a stream's commits and is written
//! late. `schema` is the file's shape, `rows` is how a commit comes out of it.

mod backup;
mod checkpoints;
mod group;
mod import;
mod index;
mod ledger;
mod log;
mod options;
mod readers;
mod recent;
mod rows;
pub(crate) mod schema;
mod snapshots;
mod stats;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use backup::{BackupError, backup};
pub(crate) use group::Unwritten;
pub use import::SqliteImporter;
pub(crate) use index::Unindexed;
pub(crate) use ledger::Ledger;
pub use log::SqliteLog;
pub use options::Options;
pub(crate) use readers::Readers;

pub use schema::{WriteLock, lock};
pub use snapshots::snapshots;
pub use stats::{ConsumerStats, Stats};

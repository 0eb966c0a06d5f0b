//! Why a log does not open.

use std::path::PathBuf;

/// The log could not be opened, or not be looked at as a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process writes it.
    #[error(
        "the event log in {dir} is in use by another wharf process; stop that one first \
         (`wharf log` can read while it runs)"
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// Nothing to read there.
    #[error("there is no event log in {dir}; start `wharf serve` once, or name another directory")]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory or the lock file could not be made.
    #[error("the event log's directory {dir} cannot be used; check its owner and its disk")]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is somebody else's.
    #[error("{dir}/log.db is not an event log; move it away or name another directory")]
    Foreign {
        /// The directory.
        dir: PathBuf,
    },
    /// The file is newer than the program.
    #[error(
        "{dir}/log.db has format {found}, this version of wharf reads {known}; use a newer wharf"
    )]
    Format {
        /// The directory.
        dir: PathBuf,
        /// What the file says.
        found: i64,
        /// What we know.
        known: i64,
    },
    /// Positions are missing.
    #[error(
        "the event log in {dir} is damaged: {commits} commits, but the last has position {last}; \
         restore log.db from a backup"
    )]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// How many there are.
        commits: u64,
        /// What should be the same number.
        last: u64,
    },
    /// `SQLite` says no.
    #[error("{dir}/log.db cannot be opened")]
    Storage {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

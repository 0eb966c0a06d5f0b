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
    /// No server answers.
    #[error(
        "no NATS server answers at {servers}; check the addresses, the password and the network"
    )]
    Unreachable {
        /// Hosts and ports.
        servers: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It can lose or double commits.
    #[error(
        "the NATS server has version {found}, which does not keep what the event log promises; \
         use {needed} or newer"
    )]
    ServerTooOld {
        /// Its version.
        found: String,
        /// The oldest that is accepted.
        needed: &'static str,
    },
    /// A setting cannot be what it is.
    #[error("{0}")]
    Setting(&'static str),
    /// The stream could not be made or asked about.
    #[error("the stream {stream} cannot be used; check that JetStream is enabled for the account")]
    Stream {
        /// Its name.
        stream: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The stream is there, but not as the log needs it.
    #[error(
        "the stream {stream} is not as the event log needs it: {what}; change it \
         (`nats stream edit`), or set another prefix"
    )]
    StreamDiffers {
        /// Its name.
        stream: String,
        /// What is different.
        what: String,
    },
    /// Messages are missing.
    #[error(
        "the stream {stream} is damaged: {messages} messages, but positions {first} to {last}; \
         `wharf log verify` names them, `wharf log repair` restores them from a node's mirror"
    )]
    StreamHoles {
        /// Its name.
        stream: String,
        /// How many there are.
        messages: u64,
        /// The first position.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// The stream has less than a mirror of it.
    #[error(
        "the stream {stream} ends at {last}, but this node's mirror has it up to {mirrored}: the \
         servers lost commits; restore the stream from the mirror (`wharf log repair`)"
    )]
    StreamLost {
        /// Its name.
        stream: String,
        /// Where it ends.
        last: u64,
        /// Where the mirror ends.
        mirrored: u64,
    },
    /// The stream and the mirror of it contradict each other.
    #[error(
        "the stream {stream} is not what {dir} mirrors: {what}; if the servers lost commits, restore \
         them from this mirror (`wharf log repair`); if the log was begun anew on purpose, move {dir} \
         away, and it is made again"
    )]
    Diverged {
        /// The stream's name.
        stream: String,
        /// The mirror's directory.
        dir: PathBuf,
        /// In what they differ.
        what: String,
    },
    /// The directory holds a mirror of a stream, which only its node writes.
    #[error(
        "{dir} mirrors a JetStream stream and takes no commits of its own; name another directory \
         (`wharf log copy` makes a log of it)"
    )]
    IsMirror {
        /// The directory.
        dir: PathBuf,
    },
    /// The mirror is not one of this stream.
    #[error("{dir} is no mirror of this stream: {what}; move it away, and it is made again")]
    Mirror {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        what: String,
    },
}

//! What an operator may set.

use std::{fmt, path::PathBuf, time::Duration};

/// How a [`JetStreamLog`](super::JetStreamLog) finds its servers and what it asks of them.
#[derive(Clone, PartialEq, Eq)]
pub struct JetStreamOptions {
    /// URLs of servers of one cluster: `nats://user:password@host:4222`, or `tls://…`. One that answers
    /// is enough; it names the others.
    pub servers: Vec<String>,
    /// Certificates (PEM) that sign the servers' besides those of the machine.
    pub roots: Option<PathBuf>,
    /// Put before the names of streams and subjects, so that several logs share one account: letters,
    /// digits, `-`. Empty: the stream is `WHARF`, its subjects begin with `evt.`.
    pub prefix: String,
    /// Servers that keep a copy of each commit: 1, 3 or 5.
    pub replicas: usize,
    /// The directory of this node's mirror. One node, one mirror.
    pub mirror: PathBuf,
    /// Monitoring addresses, `host:8222`, one for each server: the only way to learn how often it syncs.
    pub monitoring: Vec<String>,
    /// How long the servers recognise a commit id that comes again. At least two minutes.
    pub duplicate_window: Duration,
    /// The longest that one try of an append waits for its answer.
    pub attempt: Duration,
    /// The longest that an append, or a read that must wait for the mirror, takes.
    pub deadline: Duration,
    /// Most reads of the mirror at the same time.
    pub readers: usize,
}

impl Default for JetStreamOptions {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            roots: None,
            prefix: String::new(),
            replicas: 1,
            mirror: PathBuf::from("mirror"),
            monitoring: Vec::new(),
            duplicate_window: Duration::from_mins(5),
            attempt: Duration::from_secs(2),
            deadline: Duration::from_secs(10),
            readers: 4,
        }
    }
}

impl fmt::Debug for JetStreamOptions {
    /// Without the servers: their URLs may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamOptions")
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .field("mirror", &self.mirror)
            .field("monitoring", &self.monitoring)
            .finish_non_exhaustive()
    }
}

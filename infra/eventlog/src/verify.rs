//! Proves that a log is what was appended: positions without holes, every commit's bytes as they were
//! hashed, every stream's commits linked.
//!
//! For auditors (`wharf log verify`). It reads and never repairs.

use std::collections::HashMap;

use serde::Serialize;
use wharf_domain::{
    kernel::{Hash, Kind, Position, Revision, StoredCommit, StreamId},
    ports::{EventLog, LogError},
};

use crate::{chain, verdict::head_of};

/// Commits that are read at a time.
const BATCH: usize = 4096;

/// What was proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Commits, all intact.
    pub commits: u64,
    /// Events in them.
    pub events: u64,
    /// Streams they belong to.
    pub streams: u64,
    /// Position of the last one.
    pub tail: Position,
    /// One hash for all of it, in order. Two logs with the same tail and chain are the same.
    pub chain: Hash,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Proven up to here.
    pub done: Position,
    /// Where it ends.
    pub tail: Position,
}

/// Reads all of `log`, up to its tail when this is called, and checks every commit.
///
/// # Errors
/// [`LogError::Damaged`] names the first position at which something is wrong.
pub async fn verify(
    log: &dyn EventLog,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report, LogError> {
    let tail = log.tail().await?;
    let mut verifier = Verifier::default();
    while verifier.done() < tail {
        let mut batch = log.read_all(verifier.done(), BATCH).await?;
        batch.retain(|commit| commit.position <= tail);
        if batch.is_empty() {
            return Err(verifier.damaged("the log ends before its tail"));
        }
        verifier = check(verifier, batch).await?;
        progress(Progress {
            done: verifier.done(),
            tail,
        });
    }
    Ok(verifier.report())
}

/// Hashing and parsing some MiB takes too long for the runtime's threads.
pub(crate) async fn check(
    mut verifier: Verifier,
    batch: Vec<StoredCommit>,
) -> Result<Verifier, LogError> {
    let checked = tokio::task::spawn_blocking(move || {
        for commit in &batch {
            verifier.check(commit)?;
        }
        Ok(verifier)
    });
    checked
        .await
        .map_err(|stopped| LogError::Unavailable(stopped.into()))?
}

/// Checks commits in order of their positions.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    tail: Position,
    chain: Hash,
    events: u64,
    /// Where each stream ends; journals have neither.
    ends: HashMap<StreamId, (Revision, Hash)>,
}

impl Verifier {
    /// Proven up to here.
    pub(crate) const fn done(&self) -> Position {
        self.tail
    }

    /// What was proven so far.
    pub(crate) fn report(&self) -> Report {
        Report {
            commits: self.tail.0,
            events: self.events,
            streams: self.ends.len() as u64,
            tail: self.tail,
            chain: self.chain,
        }
    }

    /// Checks the next commit; the chain at its position.
    pub(crate) fn check(&mut self, commit: &StoredCommit) -> Result<Hash, LogError> {
        if commit.position != self.tail.next() {
            return Err(self.damaged("there is no commit"));
        }
        if !commit.is_intact() {
            return Err(self.damaged("its bytes are not those that were hashed"));
        }
        match commit.raw_events() {
            Ok(events) if events.len() == commit.events as usize => {}
            Ok(_) | Err(_) => return Err(self.damaged("its body does not hold its events")),
        }
        let (revision, hash) = self.ends.get(&commit.stream).copied().unwrap_or_default();
        let follows = match commit.stream.category.kind() {
            Kind::Decision => commit.revision.0 == revision.0 + 1 && commit.prev == hash,
            Kind::Journal => commit.revision.0 == 0 && commit.prev == Hash::ZERO,
        };
        if !follows {
            return Err(self.damaged("it does not follow the commit before it in its stream"));
        }
        let end = head_of(commit);
        self.ends
            .insert(commit.stream.clone(), (end.revision, end.hash));
        self.tail = commit.position;
        self.events += u64::from(commit.events);
        self.chain = chain::next(self.chain, commit.position, commit.events, commit.hash);
        Ok(self.chain)
    }

    /// The commit after those that were proven is wrong.
    pub(crate) fn damaged(&self, what: &str) -> LogError {
        LogError::Damaged {
            position: self.tail.next(),
            what: what.to_owned(),
        }
    }
}

//! Appending: the rule by which an append whose answer was lost is neither lost nor doubled.
//!
//! Every try of a commit carries the same id and the same expectation. An acknowledgement decides, and
//! so does a duplicate's. Silence means another try. "Wrong last sequence" decides nothing by itself,
//! because a server that stored the first try says so to the second: what the stream's leader has
//! behind the expectation does. Only one commit can ever follow what this one expects, so that is right
//! however late it is asked. When the deadline passes the answer is in doubt, and asking again with the
//! same id resolves it.
//!
//! Servers that come back may have lost what they had acknowledged, and would give its positions to others.
//! So after each time that the connection was made, nothing is sent, and no acknowledgement believed, before
//! the leader was seen to have the mirror's last commit.
//!
//! Called by the log's port only. It never gives a commit another id.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;
use wharf_domain::{
    kernel::{
        Commit, CommitId, Expected, Hash, Head, InvalidCommit, Position, Revision, Timestamp,
    },
    ports::{Append, Clock, Committed, LogError, Refusal},
};

use super::{
    api::{Answer, Api, unavailable},
    ends::Ends,
    message::{encode, is_one_line},
    mirror::Mirror,
};
use crate::{
    measure,
    verdict::{head, head_of},
};

/// What lies between two tries, at first and at last.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What an append needs.
pub(super) struct Appender {
    pub(super) api: Api,
    pub(super) ends: Ends,
    pub(super) deadline: Duration,
    pub(super) duplicate_window: Duration,
    /// The connection on which the servers were seen to have what the mirror has.
    pub(super) trusted: AtomicU64,
}

/// The answer once they had not.
const LOST: Append = Append::Refused(Refusal::Closed(
    "its servers lost commits; stop every node and run wharf log verify",
));

impl Appender {
    /// Appends a commit that was admitted.
    pub(super) async fn append(
        &self,
        commit: &Commit,
        mirror: &Mirror,
        clock: &dyn Clock,
    ) -> Append {
        let doubt = Append::InDoubt { commit: commit.id };
        let known = mirror.known();
        let deadline = Instant::now() + self.deadline;
        let decided = tokio::time::timeout_at(deadline, self.decide(commit, mirror, clock)).await;
        let answer = decided.unwrap_or(doubt);
        if let Append::Committed(committed) = &answer
            && !committed.duplicate
        {
            // What is new lies behind everything that there was.
            if committed.position <= known {
                mirror.lose();
                return LOST;
            }
            match self.trusts(mirror).await {
                Ok(true) => {}
                Ok(false) => return LOST,
                Err(_) => return Append::InDoubt { commit: commit.id },
            }
        }
        match &answer {
            Append::Committed(committed) => {
                if committed.duplicate {
                    mirror.tell(committed.position);
                } else {
                    // Before anybody may think that it is there to be read.
                    let head = head(
                        commit.stream.category.kind(),
                        committed.position,
                        commit.revision,
                        commit.events,
                        commit.hash,
                    );
                    self.ends.note(&commit.stream, head);
                    mirror.wrote(committed.position);
                }
            }
            Append::Conflict {
                actual: Some(actual),
            } => mirror.tell(*actual),
            Append::Conflict { actual: None } | Append::InDoubt { .. } | Append::Refused(_) => {}
        }
        answer
    }

    async fn decide(&self, commit: &Commit, mirror: &Mirror, clock: &dyn Clock) -> Append {
        if !is_one_line(&commit.headers) {
            return Append::Refused(Refusal::Closed("headers are one line of JSON"));
        }
        let mut pause = PAUSE;
        let mut checked = false;
        loop {
            let tried = if checked {
                self.send(commit, mirror).await
            } else {
                self.check(commit, mirror, clock).await
            };
            match tried {
                Ok(Some(answer)) => return answer,
                Ok(None) if !checked => {
                    checked = true;
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "an append could not be decided yet"),
            }
            measure::append_retried();
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// What the server does not see; `None`: the commit may be sent.
    async fn check(
        &self,
        commit: &Commit,
        mirror: &Mirror,
        clock: &dyn Clock,
    ) -> Result<Option<Append>, LogError> {
        if commit.expected == Expected::Any
            && may_be_old(commit.id, clock.now(), self.duplicate_window)
        {
            if !mirror.is_fresh() {
                mirror.tell(self.api.last(self.api.patience).await?);
            }
            if let Some(earlier) = mirror.find(commit.id).await? {
                return Ok(Some(duplicate(earlier.position)));
            }
        }
        if self.continues(commit, mirror).await? {
            Ok(None)
        } else {
            self.why_not(commit).await.map(Some)
        }
    }

    /// One try; `None`: nothing is known yet.
    async fn send(&self, commit: &Commit, mirror: &Mirror) -> Result<Option<Append>, LogError> {
        if !self.trusts(mirror).await? {
            return Ok(Some(LOST));
        }
        match self.api.publish(encode(commit, &self.api.names)).await {
            Answer::Stored {
                position,
                duplicate,
            } => Ok(Some(Append::Committed(Committed {
                position,
                duplicate,
            }))),
            Answer::Refused(refusal) => Ok(Some(Append::Refused(refusal))),
            Answer::Unexpected => self.settle(commit).await,
            Answer::Unknown => Ok(None),
        }
    }

    /// Whether the servers have what the mirror has; asked once a connection.
    async fn trusts(&self, mirror: &Mirror) -> Result<bool, LogError> {
        let connection = self.api.connection()?;
        if self.trusted.load(Ordering::Acquire) == connection {
            return Ok(true);
        }
        if let Some(ours) = mirror.at(mirror.position()).await? {
            match self.api.at(ours.position).await? {
                Some(there) if (there.id, there.hash) == (ours.id, ours.hash) => {}
                Some(_) => {
                    mirror.lose();
                    return Ok(false);
                }
                // A leader that was just elected may be behind for a moment; if it stays so, the mirror says
                // that the log is damaged.
                None => return Err(unavailable("the servers do not have the mirror's end yet")),
            }
        }
        self.trusted.store(connection, Ordering::Release);
        Ok(true)
    }

    /// The stream did not end where `commit` expects: is it there itself, or somebody else's commit?
    async fn settle(&self, commit: &Commit) -> Result<Option<Append>, LogError> {
        let expected = match commit.expected {
            Expected::At(head) => head.position,
            Expected::NoStream | Expected::Any => Position::START,
        };
        let last = self.api.last_of(&commit.stream).await?;
        Ok(match last {
            // Another write was under way, and came to nothing.
            None if expected == Position::START => None,
            None => Some(Append::Conflict { actual: None }),
            Some(last) if last.id == commit.id => Some(duplicate(last.position)),
            Some(last) if last.position == expected => None,
            Some(last) => {
                let next = self.api.next_of(&commit.stream, expected.next()).await?;
                match next {
                    Some(next) if next.id == commit.id => Some(duplicate(next.position)),
                    Some(_) | None => Some(Append::Conflict {
                        actual: Some(last.position),
                    }),
                }
            }
        })
    }

    /// Whether the commit's chain is that of the commit it expects. The server checks only where that
    /// lies, and a broken chain in the log is for ever.
    async fn continues(&self, commit: &Commit, mirror: &Mirror) -> Result<bool, LogError> {
        let (hash, revision) = match commit.expected {
            Expected::Any => return Ok(true),
            Expected::NoStream => (Hash::ZERO, Revision(0)),
            Expected::At(expected) => {
                let known = match self.ends.at(&commit.stream, expected.position) {
                    Some(head) => Some(head),
                    None => self.look_up(commit, expected, mirror).await?,
                };
                match known {
                    Some(head) => (head.hash, head.revision),
                    // Nothing of this stream lies there: the server says so.
                    None => return Ok(true),
                }
            }
        };
        Ok(commit.prev == hash && commit.revision.0 == revision.0 + 1)
    }

    async fn look_up(
        &self,
        commit: &Commit,
        expected: Head,
        mirror: &Mirror,
    ) -> Result<Option<Head>, LogError> {
        let mirrored = mirror.at(expected.position).await?;
        let found = match mirrored {
            Some(found) => Some(found),
            None => self.api.at(expected.position).await?,
        };
        Ok(found
            .filter(|found| found.stream == commit.stream)
            .map(|found| head_of(&found)))
    }

    /// Why a commit that does not continue its stream's chain is not taken: what every log says first.
    async fn why_not(&self, commit: &Commit) -> Result<Append, LogError> {
        const BROKEN: Append = Append::Refused(Refusal::Invalid(InvalidCommit::BrokenChain));
        let expected = match commit.expected {
            Expected::At(head) => Some(head.position),
            Expected::NoStream | Expected::Any => None,
        };
        let last = self.api.last_of(&commit.stream).await?;
        if last.map(|last| last.position) == expected {
            return Ok(BROKEN);
        }
        Ok(self.settle(commit).await?.unwrap_or(BROKEN))
    }
}

/// Whether this id may have been used so long ago that the servers have forgotten it. An id that tells
/// when it was made, and was made just now, was not.
fn may_be_old(id: CommitId, now: Timestamp, window: Duration) -> bool {
    let Some(made) = id.0.get_timestamp() else {
        return true;
    };
    let (made, _) = made.to_unix();
    let made = i64::try_from(made).unwrap_or(i64::MAX);
    // Half of the window is for clocks that differ.
    let young = (window / 2).as_secs();
    now.as_second().saturating_sub(made).unsigned_abs() > young
}

const fn duplicate(position: Position) -> Append {
    Append::Committed(Committed {
        position,
        duplicate: true,
    })
}

#[cfg(test)]
mod tests;

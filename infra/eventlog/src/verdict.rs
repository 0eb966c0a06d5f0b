//! What the log says to a commit: the rules that every implementation shares. Pure.

use wharf_domain::kernel::{
    Commit, Expected, Hash, Head, InvalidCommit, Kind, MAX_BODY_BYTES, MAX_EVENTS,
    MAX_HEADER_BYTES, Position, Revision, StoredCommit,
};

/// A commit against the end of its stream. A repeat of a commit that is already there is no concern
/// of it: look for the id first, unless it extends the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may follow.
    Extends,
    /// The stream ends somewhere else.
    Conflict(Option<Position>),
    /// The position is right, the revision or the hash is not.
    Broken,
}

/// Checks what needs no look at the log: limits, and the expectation that the kind of stream takes.
pub(crate) fn admit(commit: &Commit) -> Result<(), InvalidCommit> {
    if commit.events == 0 || commit.body.is_empty() {
        return Err(InvalidCommit::Empty);
    }
    if commit.events as usize > MAX_EVENTS {
        return Err(InvalidCommit::TooManyEvents(commit.events as usize));
    }
    if commit.body.len() > MAX_BODY_BYTES || commit.headers.len() > MAX_HEADER_BYTES {
        return Err(InvalidCommit::TooLarge(
            commit.body.len().max(commit.headers.len()),
        ));
    }
    match (commit.stream.category.kind(), commit.expected) {
        (Kind::Decision, Expected::At(_) | Expected::NoStream) => Ok(()),
        (Kind::Journal, Expected::Any) if commit.prev == Hash::ZERO && commit.revision.0 == 0 => {
            Ok(())
        }
        (Kind::Journal, Expected::Any) => Err(InvalidCommit::BrokenChain),
        (Kind::Decision, Expected::Any) | (Kind::Journal, Expected::At(_) | Expected::NoStream) => {
            Err(InvalidCommit::WrongExpectation)
        }
    }
}

/// Whether `commit` may follow a stream that ends at `head`.
pub(crate) fn judge(commit: &Commit, head: Option<Head>) -> Verdict {
    match (commit.expected, head) {
        (Expected::Any, _) => return Verdict::Extends,
        (Expected::NoStream, None) => {}
        (Expected::At(expected), Some(head)) if expected.position == head.position => {}
        (Expected::NoStream | Expected::At(_), head) => {
            return Verdict::Conflict(head.map(|head| head.position));
        }
    }
    if follows(Kind::Decision, (commit.revision, commit.prev), head) {
        Verdict::Extends
    } else {
        Verdict::Broken
    }
}

/// Whether a commit of this revision and this hash before it continues a stream that ends at `head`.
pub(crate) fn follows(kind: Kind, commit: (Revision, Hash), head: Option<Head>) -> bool {
    let (revision, hash) = match (kind, head) {
        (Kind::Journal, _) => return commit == (Revision(0), Hash::ZERO),
        (Kind::Decision, Some(head)) => (head.revision, head.hash),
        (Kind::Decision, None) => (Revision(0), Hash::ZERO),
    };
    commit == (Revision(revision.0 + 1), hash)
}

/// Where a stream ends whose last commit is this one; a journal has no revision.
pub(crate) fn head(
    kind: Kind,
    position: Position,
    revision: Revision,
    events: u32,
    hash: Hash,
) -> Head {
    let revision = match kind {
        Kind::Decision => Revision((revision.0 + u64::from(events)).saturating_sub(1)),
        Kind::Journal => Revision(0),
    };
    Head {
        position,
        revision,
        hash,
    }
}

/// [`head`] of a commit that is there.
pub(crate) fn head_of(commit: &StoredCommit) -> Head {
    head(
        commit.stream.category.kind(),
        commit.position,
        commit.revision,
        commit.events,
        commit.hash,
    )
}

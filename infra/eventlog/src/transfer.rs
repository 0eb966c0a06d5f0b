//! From one log to another: every commit at its position, compared by hash, and the checkpoints with it.
//!
//! Called by `wharf log copy`. It can be cut off anywhere and begun again: what is there already is
//! compared, not copied, and the checkpoints come last. It never changes the log that it reads.

use async_trait::async_trait;
use wharf_domain::{
    kernel::{Position, StoredCommit},
    ports::{EventLog, LogError},
};

use crate::verify::{Report, Verifier, check};

/// Commits that are read, checked and written at a time.
const BATCH: usize = 1024;

/// Where a durable consumer is, in any log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerCheckpoint {
    /// Its name.
    pub name: String,
    /// Everything at or below is acknowledged.
    pub floor: Position,
    /// Everything at or below was handed out.
    pub upto: Position,
    /// What of that is not acknowledged, in order. A log that keeps only a floor may forget it: those
    /// after the floor come again then, which every consumer bears.
    pub outstanding: Vec<Position>,
}

/// A log that is copied.
#[async_trait]
pub trait Origin: Send + Sync {
    /// Its commits.
    fn log(&self) -> &dyn EventLog;

    /// Its durable consumers, as last saved, by name.
    async fn checkpoints(&self) -> Result<Vec<ConsumerCheckpoint>, LogError>;
}

/// A log that takes a copy. Nobody else writes it meanwhile.
#[async_trait]
pub trait Destination: Send + Sync {
    /// What is there, to be read back.
    fn log(&self) -> &dyn EventLog;

    /// Position of the last commit that is there.
    async fn tail(&self) -> Result<Position, LogError>;

    /// Adds `commits`, which follow what is there without a hole, each at its own position, and returns
    /// once they are durable. On an error some of them may be there.
    ///
    /// # Errors
    /// [`LogError::Damaged`] if one of them cannot lie there.
    async fn import(&self, commits: Vec<StoredCommit>) -> Result<(), LogError>;

    /// All commits are there: takes the checkpoints over. A consumer that is further already stays where
    /// it is.
    async fn finish(&self, checkpoints: Vec<ConsumerCheckpoint>) -> Result<(), LogError>;
}

/// What a copy is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Comparing what is there already with the original.
    Compare,
    /// Copying what is missing.
    Copy,
    /// Reading back what was copied.
    ReadBack,
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What it is doing.
    pub step: Step,
    /// Done up to here.
    pub done: Position,
    /// Where this step ends.
    pub tail: Position,
}

/// Why a copy is none.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The original cannot be read, or is damaged.
    #[error("the log that is copied cannot be read")]
    Origin(#[source] LogError),
    /// The copy cannot be written or read.
    #[error("the log that takes the copy failed")]
    Destination(#[source] LogError),
    /// There are commits that the original does not have.
    #[error(
        "the copy ends at position {there}, the original at {here}; copy into an empty log, or from \
         the longer one"
    )]
    Longer {
        /// Where the copy ends.
        there: Position,
        /// Where the original ends.
        here: Position,
    },
    /// They are different logs.
    #[error("up to position {upto} the two logs are not the same; copy into an empty log")]
    Differs {
        /// They differ at or before this.
        upto: Position,
    },
}

/// Copies what `to` lacks of `from`, up to where `from` ends when this begins, and proves by hash that
/// both are the same up to there. Answers what was proven.
///
/// # Errors
/// [`TransferError`]. Begun again it goes on.
pub async fn transfer(
    from: &dyn Origin,
    to: &dyn Destination,
    progress: &mut (dyn FnMut(Moved) + Send),
) -> Result<Report, TransferError> {
    use TransferError::{Destination as There, Origin as Here};
    // In this order: no checkpoint lies beyond the tail.
    let checkpoints = from.checkpoints().await.map_err(Here)?;
    let tail = from.log().tail().await.map_err(Here)?;
    let there = to.tail().await.map_err(There)?;
    if there > tail {
        return Err(TransferError::Longer { there, here: tail });
    }
    let mut tell = |step, done, tail| progress(Moved { step, done, tail });

    let mut original = Verifier::default();
    let mut copy = Verifier::default();
    while copy.done() < there {
        copy = advance(to.log(), copy, there).await.map_err(There)?.0;
        while original.done() < copy.done() {
            let upto = copy.done();
            original = advance(from.log(), original, upto).await.map_err(Here)?.0;
        }
        tell(Step::Compare, copy.done(), there);
    }
    same(&original, &copy)?;

    while original.done() < tail {
        let (checked, commits) = advance(from.log(), original, tail).await.map_err(Here)?;
        original = checked;
        to.import(commits).await.map_err(There)?;
        tell(Step::Copy, original.done(), tail);
    }
    while copy.done() < tail {
        copy = advance(to.log(), copy, tail).await.map_err(There)?.0;
        tell(Step::ReadBack, copy.done(), tail);
    }
    same(&original, &copy)?;
    to.finish(checkpoints).await.map_err(There)?;
    Ok(copy.report())
}

/// Reads and checks commits after what `verifier` has proven, at most up to `upto`.
async fn advance(
    log: &dyn EventLog,
    verifier: Verifier,
    upto: Position,
) -> Result<(Verifier, Vec<StoredCommit>), LogError> {
    let from = verifier.done();
    let wanted = usize::try_from(upto.0.saturating_sub(from.0)).unwrap_or(BATCH);
    if wanted == 0 {
        return Ok((verifier, Vec::new()));
    }
    let commits = log.read_all(from, wanted.min(BATCH)).await?;
    if commits.is_empty() {
        return Err(verifier.damaged("the log ends before its tail"));
    }
    let verifier = check(verifier, commits.clone()).await?;
    Ok((verifier, commits))
}

/// Equal chains at equal positions are equal logs.
fn same(original: &Verifier, copy: &Verifier) -> Result<(), TransferError> {
    let (here, there) = (original.report(), copy.report());
    if here.tail == there.tail && here.chain == there.chain {
        Ok(())
    } else {
        Err(TransferError::Differs { upto: there.tail })
    }
}

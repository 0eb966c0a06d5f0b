//! The writer of one generation: folds commits, writes rows and checkpoint in one transaction.
//!
//! Called by `runtime`'s project loop, and by a rebuild. It never asks the log, never decides, never
//! skips a commit in silence.

use std::sync::Arc;

use wharf_domain::{
    integrations::IntegrationEvent,
    kernel::{Category, Position, StoredCommit},
    ports::Vault,
    webhooks::WebhookEvent,
};

use crate::{
    Error,
    bulk::Bulk,
    db::{Conn, Writer, query},
    decode::{Decoded, Fact, Opened, Origin, decode},
    generation::RETIRED,
    integrations, messages, records, syncs, timers,
    views::Shared,
    webhooks,
};

/// Of the tables and of what the projectors write. Raise it with any change to either: a start with
/// another version begins a new generation.
pub const VERSION: u32 = 4;

/// Most commits in one transaction.
const BATCH_COMMITS: usize = 8192;
/// Most bytes of bodies in one transaction, unless one commit alone has more. Large transactions are
/// what makes a replay fast: keys are random, so a small one rewrites as many pages of the data base.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// What a byte of a journal of pages weighs: it unpacks to about ten, and two batches are in memory
/// at once.
const PAGE_WEIGHT: usize = 10;

/// Why an event about another project's id is parked.
const FOREIGN: &str = "the id belongs to another project";

static PARK: Bulk = Bulk::new(
    "insert into parked (position, idx, stream, reason) ",
    4,
    " on conflict (position, idx) do nothing",
);

/// The writer of one generation of the views.
pub struct Projection {
    number: u64,
    writer: Writer,
    checkpoint: Position,
    /// Of the lease under which it writes.
    fence: u64,
    shared: Arc<Shared>,
    projectors: Projectors,
    /// A batch was begun and not known to be committed: what is in memory cannot be trusted.
    torn: bool,
}

/// Every projector. Each owns its tables.
#[derive(Default)]
struct Projectors {
    integrations: integrations::Projector,
    syncs: syncs::Projector,
    records: records::Projector,
    webhooks: webhooks::Projector,
    messages: messages::Projector,
    timers: timers::Projector,
    parked: Vec<Parked>,
}

/// An event that no projector can fold.
struct Parked {
    position: Position,
    index: Option<u32>,
    stream: String,
    reason: String,
}

impl std::fmt::Debug for Projection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projection")
            .field("generation", &self.number)
            .field("checkpoint", &self.checkpoint)
            .finish_non_exhaustive()
    }
}

impl Projection {
    pub(crate) fn new(
        number: u64,
        (writer, checkpoint): (Writer, Position),
        fence: u64,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            number,
            writer,
            checkpoint,
            fence,
            shared,
            projectors: Projectors::default(),
            torn: false,
        }
    }

    /// The last commit whose rows are written.
    #[must_use]
    pub const fn checkpoint(&self) -> Position {
        self.checkpoint
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Folds `commits`, in order and without gaps from the checkpoint on; those at or below it are
    /// skipped. Answers the new checkpoint, which is published if this generation is live.
    ///
    /// Large slices are written in several transactions, each with its own checkpoint; the next one is
    /// decoded while one is written. Cancel-safe: what is not committed is rolled back.
    ///
    /// # Errors
    /// [`Error::Gap`] before anything of `commits` is folded; otherwise the checkpoint says how far it
    /// came, and the same call again goes on from there.
    pub async fn apply(&mut self, commits: &[StoredCommit]) -> Result<Position, Error> {
        if self.shared.live_generation() > self.number {
            return Err(Error::Superseded);
        }
        self.recover().await?;
        let fresh = self.fresh(commits)?;
        let vault: Arc<dyn Vault> = Arc::clone(&self.shared.vault);
        let mut batches = batches(fresh);
        let Some(first) = batches.next() else {
            return Ok(self.checkpoint);
        };
        let mut ready = decode(vault.as_ref(), first.to_vec()).await?;
        for next in batches {
            let ahead = decode(vault.as_ref(), next.to_vec());
            let (written, decoded) = tokio::join!(self.write(ready), ahead);
            written?;
            ready = decoded?;
        }
        self.write(ready).await?;
        Ok(self.checkpoint)
    }

    /// Closes the writer in order, at shutdown: the next start has nothing to recover.
    ///
    /// # Errors
    /// The data base failed; nothing is lost by it.
    pub async fn close(self) -> Result<(), Error> {
        Ok(self.writer.close().await?)
    }

    /// The commits after the checkpoint, if none is missing.
    fn fresh<'a>(&self, commits: &'a [StoredCommit]) -> Result<&'a [StoredCommit], Error> {
        let known = commits.partition_point(|commit| commit.position <= self.checkpoint);
        let fresh = commits.get(known..).unwrap_or_default();
        let mut expected = self.checkpoint.next();
        for commit in fresh {
            if commit.position != expected {
                return Err(Error::Gap {
                    expected,
                    got: commit.position,
                });
            }
            expected = expected.next();
        }
        Ok(fresh)
    }

    /// After a batch that failed or was cancelled: forgets what is in memory, and reads how far the
    /// data base came.
    async fn recover(&mut self) -> Result<(), Error> {
        if !self.torn {
            return Ok(());
        }
        self.projectors = Projectors::default();
        self.writer.revive().await?;
        let row = query("select position from checkpoint where id = 1")
            .fetch_one(self.writer.conn())
            .await?;
        self.checkpoint = Position(row.count("position")?);
        self.torn = false;
        Ok(())
    }

    /// Folds and commits one batch.
    async fn write(&mut self, batch: Vec<Decoded>) -> Result<(), Error> {
        let Some((last, hash)) = batch.last().map(|commit| (commit.at.position, commit.hash))
        else {
            return Ok(());
        };
        self.torn = true;
        self.projectors
            .load(&mut self.writer.conn(), &batch)
            .await?;
        for commit in batch {
            self.projectors.fold(commit);
        }
        let mut tx = self.writer.begin().await?;
        let moved = query(
            "update checkpoint set position = $1, hash = $2, fence = $3
             where id = 1 and position = $4 and fence <= $3",
        )
        .bind(last.0.cast_signed())
        .bind(&hash.0[..])
        .bind(self.fence.cast_signed())
        .bind(self.checkpoint.0.cast_signed())
        .execute(tx.conn())
        .await?;
        if moved != 1 {
            drop(tx);
            return Err(self.refusal().await);
        }
        self.projectors.write(&mut tx.conn()).await?;
        tx.commit().await?;
        self.checkpoint = last;
        self.projectors.committed();
        self.torn = false;
        self.shared.publish(self.number, last);
        Ok(())
    }

    /// Why the checkpoint did not move.
    async fn refusal(&mut self) -> Error {
        let read = query("select fence from checkpoint where id = 1")
            .fetch_one(self.writer.conn())
            .await;
        let by = match read.map_err(Error::from).and_then(|row| row.count("fence")) {
            Ok(by) => by,
            Err(error) => return error,
        };
        if by == RETIRED {
            Error::Superseded
        } else if by > self.fence {
            Error::Fenced {
                ours: self.fence,
                by,
            }
        } else {
            Error::Moved
        }
    }
}

impl Projectors {
    /// Reads the rows that `batch` folds upon.
    async fn load(&mut self, from: &mut Conn<'_>, batch: &[Decoded]) -> Result<(), Error> {
        self.integrations.load(from, batch).await?;
        self.syncs.load(from, batch).await?;
        self.webhooks.load(from, batch).await
    }

    fn fold(&mut self, commit: Decoded) {
        let at = commit.at;
        if let Some(reason) = commit.unreadable {
            self.park(&at, None, reason);
        }
        for (index, fact) in commit.facts {
            match fact {
                Ok(fact) => self.fold_fact(&at, index, fact),
                Err(reason) => self.park(&at, Some(index), reason),
            }
        }
    }

    fn fold_fact(&mut self, at: &Origin, index: u32, fact: Fact) {
        match fact {
            Fact::Integration(id, _) if self.integrations.is_foreign(&at.project, id) => {
                self.park(at, Some(index), FOREIGN.to_owned());
            }
            Fact::Webhook(id, _) if self.webhooks.is_foreign(&at.project, id) => {
                self.park(at, Some(index), FOREIGN.to_owned());
            }
            Fact::Integration(id, event) => {
                if let IntegrationEvent::Deleted(_) = event
                    && let Some(row) = self.integrations.get(&at.project, id)
                {
                    self.records.erase(row.number);
                }
                self.syncs.fold(at, id, &event);
                self.timers.fold(at, index, id, &event);
                self.integrations.fold(at, id, &event);
            }
            Fact::Credential(id, event) => self.integrations.fold_credential(at, id, &event),
            Fact::SyncRun(id, event) => {
                if let Some(row) = self.integrations.get(&at.project, id) {
                    self.syncs.keep(at, index, id, &event, row.live.fence);
                }
            }
            Fact::Page(id, event, opened) => {
                let Some(row) = self.integrations.get(&at.project, id) else {
                    return;
                };
                if !self.syncs.keep(at, index, id, &event, row.live.fence) {
                    return;
                }
                let folded = match opened {
                    Opened::Records(records) => self.records.fold(at.position, row.number, records),
                    Opened::Shredded => Ok(()),
                    Opened::Unreadable(reason) => return self.park(at, Some(index), reason),
                };
                if let Err(reason) = folded {
                    self.park(at, Some(index), reason.to_owned());
                }
            }
            Fact::Webhook(id, event) => {
                if let WebhookEvent::Deleted(_) = event {
                    self.timers.erase_retries(id);
                }
                self.webhooks.fold(at, id, &event);
            }
            Fact::Delivery(id, event) => {
                self.webhooks
                    .fold_delivery(at, index, id, event, &mut self.timers);
            }
            Fact::Message(event) => self.messages.fold(at, index, event),
        }
    }

    fn park(&mut self, at: &Origin, index: Option<u32>, reason: String) {
        self.parked.push(Parked {
            position: at.position,
            index,
            stream: at.stream.to_string(),
            reason,
        });
    }

    /// Writes what was folded. What is erased goes first: nothing of it comes back.
    async fn write(&self, to: &mut Conn<'_>) -> Result<(), Error> {
        self.records.write(to).await?;
        self.syncs.write(to).await?;
        self.integrations.write(to).await?;
        self.webhooks.write(to).await?;
        self.messages.write(to).await?;
        self.timers.write(to).await?;
        PARK.execute(to, &self.parked, |parked, to| {
            to.count(parked.position.0);
            to.int(parked.index.map_or(-1, i64::from));
            to.text(&parked.stream);
            to.text(&parked.reason);
        })
        .await?;
        Ok(())
    }

    fn committed(&mut self) {
        for parked in self.parked.drain(..) {
            metrics::counter!("wharf_views_parked_total").increment(1);
            tracing::error!(
                position = parked.position.0,
                index = parked.index,
                stream = parked.stream,
                reason = parked.reason,
                "an event cannot be folded and was parked; the views lack what it says"
            );
        }
        self.integrations.committed();
        self.syncs.committed();
        self.records.committed();
        self.webhooks.committed();
        self.messages.committed();
        self.timers.committed();
    }
}

/// Cuts `commits` into what one transaction takes.
fn batches(mut commits: &[StoredCommit]) -> impl Iterator<Item = &[StoredCommit]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = commits
            .iter()
            .take(BATCH_COMMITS)
            .take_while(|commit| {
                bytes += match commit.stream.category {
                    Category::SyncRun => commit.body.len() * PAGE_WEIGHT,
                    Category::Integration
                    | Category::Credential
                    | Category::Webhook
                    | Category::Delivery
                    | Category::Message => commit.body.len(),
                };
                bytes <= BATCH_BYTES
            })
            .count();
        let (batch, rest) = commits.split_at_checked(fitting.max(1))?;
        commits = rest;
        Some(batch)
    })
}

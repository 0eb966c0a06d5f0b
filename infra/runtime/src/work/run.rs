//! One run: from its lease to its end, page by page, each durable before the next is asked for.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use wharf_domain::{
    credentials::AUTH_FIELD,
    integrations::{IntegrationEvent, Live, Outcome, SyncRequested, Trigger},
    kernel::{
        Category, DecodeError, IntegrationId, Position, ProjectId, Recorded, Secret, StreamId,
        decode_all, derive,
    },
    ports::{
        Clock, Connector, Connectors, Context, DataKey, EventLog, Http, Ids, LogError, Pull, Scope,
        SecretRef, Spool, Vault, VaultError,
    },
    syncs::{
        Completed, Failed, Failure, FailureClass, Page, PageBuilder, PageRecorded, Record,
        RunState, Started, SyncRunEvent, SyncType, page_context, process,
        sealed::{self, SealedPageError},
    },
};
use wharf_projections::{Views, records, syncs as views};

use super::{progress::Progress, seal::Sealer};
use crate::{
    dispatch::Dispatcher,
    journal::{Journal, JournalError, commit_at, rest},
    project::caught_up,
    trace,
};

/// How long a full run waits for the views before it looks for what is gone.
const PATIENCE: Duration = Duration::from_mins(10);
/// Tombstones a page.
const SWEEP: u32 = 1000;

/// Everything a run needs.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) views: Views,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) http: Arc<dyn Http>,
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) connectors: Connectors,
    pub(crate) dispatch: Arc<Dispatcher>,
    pub(crate) journal: Journal,
    pub(crate) progress: Progress,
}

/// Why a run has to be taken up again later. What the platform or the file does wrong is no error but
/// the run's outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("the hub is stopping")]
    Stopping,
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("a page cannot be sealed or opened")]
    Page(#[from] SealedPageError),
    #[error("the views cannot be read")]
    Views(#[from] wharf_projections::Error),
    #[error("the views are far behind the log")]
    Lagging,
    #[error("the integration cannot be loaded")]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the cursor is no JSON")]
    Cursor(#[from] serde_json::Error),
    #[error("reading the file was cut off")]
    Cut,
}

/// A run that is being worked on.
pub(super) struct Lease<'a> {
    pub(super) project: &'a ProjectId,
    pub(super) integration: IntegrationId,
    pub(super) request: &'a SyncRequested,
    /// Position of the commit that granted it.
    pub(super) granted: Position,
    pub(super) context: Context,
    pub(super) key: Arc<dyn DataKey>,
    /// The fold of what is in the journal, and of what we add.
    pub(super) state: RunState,
    pub(super) stop: &'a CancellationToken,
}

impl Lease<'_> {
    /// What seals the run's next pages.
    pub(super) fn sealer(&self) -> Sealer {
        Sealer {
            run_id: self.request.run_id,
            fence: self.request.fence,
            key: self.key.clone(),
            number: self.state.pages,
        }
    }
}

impl Runner {
    /// Works on the run that `request` granted until it has ended, unless it has already; then its file
    /// goes.
    pub(crate) async fn work(
        &self,
        project: &ProjectId,
        integration: IntegrationId,
        request: &SyncRequested,
        recorded: &Recorded<IntegrationEvent>,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        self.to_its_end(project, integration, request, recorded, stop)
            .await?;
        if let Some(upload) = &request.upload
            && let Err(error) = self.spool.remove(upload.upload_id).await
        {
            tracing::warn!(upload = %upload.upload_id, %error, "an imported file stays in the spool");
        }
        Ok(())
    }

    async fn to_its_end(
        &self,
        project: &ProjectId,
        integration: IntegrationId,
        request: &SyncRequested,
        recorded: &Recorded<IntegrationEvent>,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let loaded = self
            .dispatch
            .load_integration(project, integration, recorded.position)
            .await
            .map_err(|error| RunError::Load(error.into()))?;
        let Some(live) = loaded.state.live() else {
            return Ok(());
        };
        if live
            .open_run
            .is_none_or(|open| open.run_id != request.run_id)
        {
            return Ok(());
        }
        let scope = Scope::Integration(project.clone(), integration);
        let key = match self.vault.data_key(&scope).await {
            Ok(key) => key,
            // Deleted while the run waited.
            Err(VaultError::Shredded) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let (state, cursor) = self
            .resume(project, integration, request, recorded, &*key)
            .await?;
        if state.ended.is_some() {
            return Ok(());
        }
        let lease = Lease {
            project,
            integration,
            request,
            granted: recorded.position,
            context: Context::system("sync", &recorded.meta.correlation, &recorded.key()),
            key,
            state,
            stop,
        };
        let run = trace::run(&recorded.meta.correlation);
        self.carry_out(lease, live, cursor).instrument(run).await
    }

    /// From its first event to its last; `cursor` is that after its last page, if it has some already.
    async fn carry_out(
        &self,
        mut lease: Lease<'_>,
        live: &Live,
        cursor: Option<Value>,
    ) -> Result<(), RunError> {
        let request = lease.request;
        let started = Started {
            run_id: request.run_id,
            fence: request.fence,
        };
        self.note(&mut lease, "started", SyncRunEvent::Started(started))
            .await?;
        let connector = self.connectors.get(&live.integration_type);
        let end = match (connector, &request.upload) {
            (None, _) => failed(
                FailureClass::Permanent,
                "this hub does not know the platform",
            ),
            (Some(connector), Some(upload)) if request.trigger == Trigger::Import => {
                let resumed = cursor.unwrap_or_default();
                self.import(&mut lease, connector.clone(), upload, resumed)
                    .await?
            }
            (Some(connector), _) => {
                self.pull(&mut lease, &**connector, &live.configuration, cursor)
                    .await?
            }
        };
        self.end(&mut lease, end).await
    }

    /// What the journal says of the run: its state, and the cursor after its last kept page.
    async fn resume(
        &self,
        project: &ProjectId,
        integration: IntegrationId,
        request: &SyncRequested,
        recorded: &Recorded<IntegrationEvent>,
        key: &dyn DataKey,
    ) -> Result<(RunState, Option<Value>), RunError> {
        let stream = StreamId::sync_runs(project, integration);
        let mut state = RunState::leased(request.fence);
        let mut after = recorded.position;
        let mut last = None;
        loop {
            let commits = self.log.read_stream(&stream, after, 64).await?;
            let Some(end) = commits.last().map(|commit| commit.position) else {
                break;
            };
            for event in commits
                .iter()
                .flat_map(|c| decode_all::<SyncRunEvent>(c).into_iter().flatten())
            {
                let run = match &event.event {
                    SyncRunEvent::Started(e) => e.run_id,
                    SyncRunEvent::PageRecorded(e) => e.run_id,
                    SyncRunEvent::Completed(e) => e.run_id,
                    SyncRunEvent::Failed(e) => e.run_id,
                };
                if run == request.run_id
                    && state.keep(&event.event, request.fence)
                    && let SyncRunEvent::PageRecorded(page) = event.event
                {
                    last = Some(page);
                }
            }
            after = end;
        }
        let cursor = match last {
            Some(page) => Some(open_page(&page, key)?.cursor()?).filter(|cursor| !cursor.is_null()),
            None => None,
        };
        Ok((state, cursor))
    }

    /// Asks the platform page by page.
    async fn pull(
        &self,
        lease: &mut Lease<'_>,
        connector: &dyn Connector,
        configuration: &Value,
        resumed: Option<Value>,
    ) -> Result<End, RunError> {
        let credential = self.credential(lease).await?;
        let mut cursor = match (resumed, lease.request.sync_type) {
            (Some(cursor), _) => Some(cursor),
            (None, SyncType::Full) => None,
            (None, SyncType::Incremental | SyncType::Delta) => self.last_cursor(lease).await?,
        };
        let mut tries = 0;
        loop {
            let pull = Pull {
                configuration,
                credential: credential.as_ref(),
                sync_type: lease.request.sync_type,
                cursor: cursor.as_ref(),
                now: self.clock.now(),
            };
            let pulled = tokio::select! {
                () = lease.stop.cancelled() => return Err(RunError::Stopping),
                pulled = connector.pull(&*self.http, pull) => pulled,
            };
            let pulled = match pulled {
                Ok(pulled) => pulled,
                Err(error) => {
                    tries += 1;
                    match process::after_refusal(tries, &error, self.roll()) {
                        process::Next::Wait(pause) => {
                            tokio::select! {
                                () = lease.stop.cancelled() => return Err(RunError::Stopping),
                                () = rest(&*self.clock, pause) => continue,
                            }
                        }
                        process::Next::GiveUp(failure) => return Ok(End::Failed(failure)),
                    }
                }
            };
            tries = 0;
            if !pulled.last && cursor.as_ref() == Some(&pulled.cursor) {
                return Ok(failed(
                    FailureClass::Malformed,
                    "the platform's cursor does not move; the run would never end",
                ));
            }
            let before = cursor.unwrap_or_default();
            self.record(lease, pulled.page, &before, &pulled.cursor)
                .await?;
            let last = pulled.last;
            cursor = Some(pulled.cursor);
            if last {
                break;
            }
        }
        if lease.request.sync_type == SyncType::Full {
            self.sweep(lease, &cursor.unwrap_or_default()).await?;
        }
        Ok(End::Completed {
            failure: None,
            skipped: vec![],
        })
    }

    /// Records one page and the cursor after it.
    async fn record(
        &self,
        lease: &mut Lease<'_>,
        page: Page,
        before: &Value,
        after: &Value,
    ) -> Result<(), RunError> {
        let mut sealer = lease.sealer();
        let (before, after) = (before.clone(), after.clone());
        let recorded = tokio::task::spawn_blocking(move || sealer.seal(page, &before, &after))
            .await
            .map_err(|_| RunError::Cut)??;
        self.keep(lease, recorded).await
    }

    /// Appends sealed pages.
    pub(super) async fn keep(
        &self,
        lease: &mut Lease<'_>,
        recorded: Vec<PageRecorded>,
    ) -> Result<(), RunError> {
        for page in recorded {
            let what = format!("page/{}", page.page);
            let span = trace::page(&lease.context.correlation);
            self.note(lease, &what, SyncRunEvent::PageRecorded(page))
                .instrument(span)
                .await?;
        }
        Ok(())
    }

    /// Tombstones for what a full run did not see again.
    async fn sweep(&self, lease: &mut Lease<'_>, cursor: &Value) -> Result<(), RunError> {
        if caught_up(&*self.log, &self.views, PATIENCE)
            .await?
            .is_none()
        {
            return Err(RunError::Lagging);
        }
        let mut after = None;
        loop {
            let gone = records::seen_before(
                &self.views.db(),
                lease.project,
                lease.integration,
                lease.granted,
                SWEEP,
                after,
            )
            .await?;
            let Some((last, _)) = gone.last() else {
                return Ok(());
            };
            after = Some(*last);
            let mut page = PageBuilder::default();
            for (key, model) in &gone {
                page.push(&Record::tombstone(*key, model))?;
            }
            self.record(lease, page.take(), cursor, cursor).await?;
        }
    }

    /// Appends one event of the run under a commit id that depends on `what` only.
    async fn note(
        &self,
        lease: &mut Lease<'_>,
        what: &str,
        event: SyncRunEvent,
    ) -> Result<(), RunError> {
        let stream = StreamId::sync_runs(lease.project, lease.integration);
        let id = derive(&[
            b"run",
            lease.request.run_id.0.as_bytes(),
            &lease.request.fence.0.to_be_bytes(),
            what.as_bytes(),
        ]);
        let fence = lease.request.fence;
        let events = [event];
        self.journal
            .append(&stream, id, &events, &lease.context)
            .await?;
        let [event] = events;
        lease.state.keep(&event, fence);
        Ok(())
    }

    async fn end(&self, lease: &mut Lease<'_>, end: End) -> Result<(), RunError> {
        let (run_id, fence) = (lease.request.run_id, lease.request.fence);
        let outcome = match &end {
            End::Failed(_) => "failed",
            End::Completed { .. } => "completed",
        };
        let event = match end {
            End::Failed(failure) => SyncRunEvent::Failed(Failed {
                run_id,
                fence,
                failure,
            }),
            End::Completed { failure, skipped } => SyncRunEvent::Completed(Completed {
                run_id,
                fence,
                outcome: if failure.is_some() {
                    Outcome::Partial
                } else {
                    Outcome::Completed
                },
                pages: lease.state.pages,
                records: lease.state.records,
                deleted: lease.state.deleted,
                skipped: skipped
                    .into_iter()
                    .map(|(why, n)| (why.to_owned(), n))
                    .collect(),
                failure,
            }),
        };
        self.note(lease, "end", event).await?;
        trace::ended(outcome);
        Ok(())
    }

    async fn credential(&self, lease: &Lease<'_>) -> Result<Option<Secret<Vec<u8>>>, RunError> {
        let loaded = self
            .dispatch
            .load_credential(lease.project, lease.integration, lease.granted)
            .await
            .map_err(|error| RunError::Load(error.into()))?;
        match loaded.state.generation() {
            0 => Ok(None),
            generation => {
                let at = SecretRef {
                    scope: Scope::Integration(lease.project.clone(), lease.integration),
                    field: AUTH_FIELD,
                    generation,
                };
                Ok(Some(self.vault.get(&at).await?))
            }
        }
    }

    /// The cursor after the last page that a pull of this integration recorded.
    async fn last_cursor(&self, lease: &Lease<'_>) -> Result<Option<Value>, RunError> {
        if caught_up(&*self.log, &self.views, PATIENCE)
            .await?
            .is_none()
        {
            return Err(RunError::Lagging);
        }
        let found = views::last_cursor(&self.views.db(), lease.project, lease.integration).await?;
        let Some((position, index)) = found else {
            return Ok(None);
        };
        let Some(commit) = commit_at(&*self.log, position).await? else {
            return Ok(None);
        };
        debug_assert_eq!(commit.stream.category, Category::SyncRun);
        for recorded in decode_all::<SyncRunEvent>(&commit)? {
            if let (true, SyncRunEvent::PageRecorded(page)) =
                (recorded.index == index, recorded.event)
            {
                return Ok(Some(open_page(&page, &*lease.key)?.cursor()?));
            }
        }
        Ok(None)
    }

    pub(super) fn roll(&self) -> f64 {
        let mut bytes = [0; 4];
        self.ids.fill(&mut bytes);
        f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
    }
}

/// How a run ends.
pub(super) enum End {
    Completed {
        failure: Option<Failure>,
        skipped: Vec<(&'static str, u64)>,
    },
    Failed(Failure),
}

pub(super) fn failed(class: FailureClass, message: &str) -> End {
    End::Failed(Failure {
        class,
        message: message.to_owned(),
    })
}

fn open_page(
    page: &PageRecorded,
    key: &dyn DataKey,
) -> Result<sealed::OpenedPage, SealedPageError> {
    sealed::open(
        &page.sealed,
        key,
        &page_context(page.run_id, page.fence, page.page),
    )
}

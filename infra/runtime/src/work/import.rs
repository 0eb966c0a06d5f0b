//! Importing a file: a thread reads, cuts and seals pages, the run records them; a short queue between the
//! two lets reading go on while the log syncs.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use wharf_domain::{
    integrations::UploadRef,
    kernel::UploadId,
    ports::{Connector, ImportError, ImportPage, ImportProgress, ImportSource, SpoolError},
    syncs::{Failure, FailureClass, PageRecorded, sealed::SealedPageError},
};

use super::{
    run::{End, Lease, RunError, Runner, failed},
    seal::Sealer,
};

/// Pages read ahead; then reading waits.
const READ_AHEAD: usize = 4;

/// What the reading thread says.
enum Said {
    Pages(Vec<PageRecorded>, ImportProgress),
    Ended(ImportProgress),
    Failed(ImportError),
    Unsealed(SealedPageError),
}

impl Runner {
    /// Imports the spooled file; pages that the journal has already are read over.
    pub(super) async fn import(
        &self,
        lease: &mut Lease<'_>,
        connector: Arc<dyn Connector>,
        upload: &UploadRef,
        resumed: Value,
    ) -> Result<End, RunError> {
        let UploadRef {
            upload_id: upload,
            time_zone,
            ..
        } = upload;
        let mut source = match self.spool.open(*upload).await {
            Ok(source) => source,
            Err(SpoolError::NotFound) => {
                return Ok(failed(
                    FailureClass::Permanent,
                    "the uploaded file is gone; upload it again",
                ));
            }
            Err(error) => {
                tracing::warn!(%upload, %error, "an uploaded file cannot be opened");
                return Err(RunError::Cut);
            }
        };
        source.time_zone.clone_from(time_zone);
        let run = lease.request.run_id;
        let (say, mut said) = mpsc::channel(READ_AHEAD);
        let reading = Reading {
            upload: *upload,
            cursor: resumed,
            sealer: lease.sealer(),
            say,
        };
        let reading = tokio::task::spawn_blocking(move || reading.read(&*connector, source));
        let end = loop {
            let said = tokio::select! {
                () = lease.stop.cancelled() => return Err(RunError::Stopping),
                said = said.recv() => said,
            };
            match said {
                None => break Err(RunError::Cut),
                Some(Said::Pages(pages, progress)) => {
                    self.progress.set(run, progress);
                    self.keep(lease, pages).await?;
                }
                Some(Said::Ended(progress)) => {
                    let end = End::Completed {
                        failure: None,
                        skipped: progress.skipped.clone(),
                    };
                    self.progress.set(run, progress);
                    break Ok(end);
                }
                Some(Said::Failed(error)) => break verdict(error),
                Some(Said::Unsealed(error)) => break Err(error.into()),
            }
        };
        drop(said);
        let _ = reading.await;
        self.progress.clear(run);
        end
    }
}

fn verdict(error: ImportError) -> Result<End, RunError> {
    match error {
        ImportError::Unsupported(why) => Ok(failed(FailureClass::Permanent, why)),
        ImportError::Refused(why) => Ok(failed(
            FailureClass::Malformed,
            &format!("not an importable file: {why}"),
        )),
        ImportError::Broken(why) => Ok(End::Completed {
            failure: Some(Failure {
                class: FailureClass::Malformed,
                message: format!("the file breaks off: {why}"),
            }),
            skipped: vec![],
        }),
        ImportError::Io(error) => {
            tracing::warn!(%error, "an uploaded file cannot be read");
            Err(RunError::Cut)
        }
    }
}

/// What the reading thread works with.
struct Reading {
    upload: UploadId,
    /// After the last page that the journal has.
    cursor: Value,
    sealer: Sealer,
    say: mpsc::Sender<Said>,
}

impl Reading {
    /// Reads the file to its end, or until nobody listens. Blocking.
    fn read(mut self, connector: &dyn Connector, source: ImportSource) {
        let mut import = match connector.import(source) {
            Ok(import) => import,
            Err(error) => {
                let _ = self.say.blocking_send(Said::Failed(error));
                return;
            }
        };
        let last = self.cursor.get("page").and_then(Value::as_u64);
        let skip = last.map_or(0, |last| last + 1);
        loop {
            let said = match import.next_page() {
                // A long file is read over without sending: ask whether anybody still listens.
                Ok(Some(page)) if page.number < skip => {
                    if self.say.is_closed() {
                        return;
                    }
                    continue;
                }
                Ok(Some(page)) => match self.seal(page) {
                    Ok(pages) => Said::Pages(pages, import.progress()),
                    Err(error) => Said::Unsealed(error),
                },
                Ok(None) => Said::Ended(import.progress()),
                Err(error) => Said::Failed(error),
            };
            let goes_on = matches!(said, Said::Pages(..));
            if self.say.blocking_send(said).is_err() || !goes_on {
                return;
            }
        }
    }

    fn seal(&mut self, page: ImportPage) -> Result<Vec<PageRecorded>, SealedPageError> {
        let after = json!({ "upload": self.upload, "page": page.number });
        let before = std::mem::replace(&mut self.cursor, after);
        self.sealer.seal(page.page, &before, &self.cursor)
    }
}

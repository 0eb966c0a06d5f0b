//! Importing a file: a thread reads and cuts pages, the run records them; a short queue between the two
//! lets reading go on while the log syncs.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use wharf_domain::{
    integrations::UploadRef,
    ports::{Connector, ImportError, ImportPage, ImportSource, SpoolError},
    syncs::{Failure, FailureClass},
};

use super::run::{End, Lease, RunError, Runner, failed};

/// Pages read ahead; then reading waits.
const READ_AHEAD: usize = 4;

/// What the reading thread says.
enum Said {
    Page(ImportPage, wharf_domain::ports::ImportProgress),
    Ended(wharf_domain::ports::ImportProgress),
    Failed(ImportError),
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
        let skip = resumed
            .get("page")
            .and_then(Value::as_u64)
            .map_or(0, |last| last + 1);
        let mut before = resumed;
        let reading = tokio::task::spawn_blocking(move || read(&*connector, source, skip, &say));
        let end = loop {
            let said = tokio::select! {
                () = lease.stop.cancelled() => return Err(RunError::Stopping),
                said = said.recv() => said,
            };
            match said {
                None => break Err(RunError::Cut),
                Some(Said::Page(page, progress)) => {
                    self.progress.set(run, progress);
                    let cursor = json!({ "upload": upload, "page": page.number });
                    self.record(lease, page.page, &before, &cursor).await?;
                    before = cursor;
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

/// Reads the file to its end, or until nobody listens. Blocking.
fn read(connector: &dyn Connector, source: ImportSource, skip: u64, say: &mpsc::Sender<Said>) {
    let mut import = match connector.import(source) {
        Ok(import) => import,
        Err(error) => {
            let _ = say.blocking_send(Said::Failed(error));
            return;
        }
    };
    loop {
        let said = match import.next_page() {
            // A long file is read over without sending: ask whether anybody still listens.
            Ok(Some(page)) if page.number < skip => {
                if say.is_closed() {
                    return;
                }
                continue;
            }
            Ok(Some(page)) => Said::Page(page, import.progress()),
            Ok(None) => Said::Ended(import.progress()),
            Err(error) => Said::Failed(error),
        };
        let goes_on = matches!(said, Said::Page(..));
        if say.blocking_send(said).is_err() || !goes_on {
            return;
        }
    }
}

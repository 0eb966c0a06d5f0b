//! What the routes work with.

use std::{ops::Deref, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wharf_domain::{
    kernel::{Position, Timestamp},
    ports::{Answers, Clock, Connectors, Dispatch, EventLog, Http, Ids, Spool, Vault},
};
use wharf_projections::Views;

use crate::{
    auth::Verifier,
    idempotency::Turns,
    problem::{Code, Error},
};

/// Renders the process's metrics in the Prometheus text format.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The ports and settings that the API needs. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    /// How commands reach their aggregates.
    pub dispatch: Arc<dyn Dispatch>,
    /// Read by `/events`, by `If-Match` on a deletion and for the current credential; never appended to.
    pub log: Arc<dyn EventLog>,
    /// What every other read asks.
    pub views: Views,
    /// Takes secrets out of requests before anything else sees them.
    pub vault: Arc<dyn Vault>,
    /// Keeps answers for `Idempotency-Key`.
    pub answers: Arc<dyn Answers>,
    /// Takes import files.
    pub spool: Arc<dyn Spool>,
    /// Only asked whether a webhook's URL may be called at all.
    pub http: Arc<dyn Http>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids and secrets.
    pub ids: Arc<dyn Ids>,
    /// The platforms of this hub.
    pub connectors: Connectors,
    /// Whose tokens are believed.
    pub auth: Verifier,
    /// What `/metrics` shows.
    pub metrics: RenderMetrics,
    /// Ends event streams and waits when the hub stops.
    pub shutdown: CancellationToken,
    /// Settings.
    pub options: ApiOptions,
}

/// Settings of the API.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// Rows a page unless `size` says otherwise.
    pub page_size: u32,
    /// Most rows a page.
    pub max_page_size: u32,
    /// Most bytes of a JSON body.
    pub max_body_bytes: usize,
    /// How long a write, or a read with `?after=`, waits for the views.
    pub view_wait: Duration,
    /// How long `POST /webhooks/{id}/test` waits for the first attempt.
    pub test_wait: Duration,
    /// How long a request may take, streams and uploads excepted.
    pub request_timeout: Duration,
    /// How long an upload may send nothing.
    pub upload_idle: Duration,
    /// Requests at once; more are refused with 503.
    pub max_in_flight: usize,
    /// Event streams at once; more are refused with 503.
    pub max_streams: usize,
    /// Where callers reach the hub, e.g. `https://hub.example.com`; shown in the API description.
    pub public_base_url: String,
    /// `version` in `/health`.
    pub service_version: String,
    /// Whether `/docs` and `/openapi.json` answer.
    pub docs: bool,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            page_size: 20,
            max_page_size: 100,
            max_body_bytes: 1024 * 1024,
            view_wait: Duration::from_secs(2),
            test_wait: Duration::from_secs(15),
            request_timeout: Duration::from_secs(30),
            upload_idle: Duration::from_secs(30),
            max_in_flight: 512,
            max_streams: 256,
            public_base_url: "http://localhost:8093".to_owned(),
            service_version: env!("CARGO_PKG_VERSION").to_owned(),
            docs: true,
        }
    }
}

/// The state as the routes share it.
pub(crate) struct Shared {
    /// What the server gave.
    pub(crate) api: ApiState,
    /// Who works on which idempotency key.
    pub(crate) turns: Turns,
    /// Requests that may begin.
    pub(crate) requests: Arc<Semaphore>,
    /// Event streams that may begin.
    pub(crate) streams: Arc<Semaphore>,
    /// `/openapi.json`.
    pub(crate) document: bytes::Bytes,
}

/// Handle of [`Shared`].
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// A state of its own: two routers share nothing but the ports.
    pub(crate) fn new(api: ApiState) -> Self {
        Self(Arc::new(Shared {
            turns: Turns::default(),
            requests: Arc::new(Semaphore::new(api.options.max_in_flight)),
            streams: Arc::new(Semaphore::new(api.options.max_streams)),
            document: crate::openapi::document(&api.options.public_base_url),
            api,
        }))
    }

    /// `wait` from now.
    pub(crate) fn later(&self, wait: Duration) -> Timestamp {
        let now = self.api.clock.now();
        jiff::SignedDuration::try_from(wait)
            .ok()
            .and_then(|wait| now.checked_add(wait).ok())
            .unwrap_or(now)
    }

    /// Waits for the views to show the write at `position`; whether they do in time.
    pub(crate) async fn shows(&self, position: Position) -> bool {
        self.api
            .views
            .wait_for(position, self.api.options.view_wait)
            .await
            .is_ok()
    }

    /// Waits for the views to reach what `?after=` asks.
    ///
    /// # Errors
    /// `F50403` if they lag longer than `view_wait`.
    pub(crate) async fn reach(&self, after: Option<u64>) -> Result<(), Error> {
        match after {
            Some(position) if !self.shows(Position(position)).await => {
                Err(Error::new(Code::Unavailable)
                    .detail(format!(
                        "the views have not reached position {position} yet"
                    ))
                    .retry_after(1))
            }
            Some(_) | None => Ok(()),
        }
    }
}

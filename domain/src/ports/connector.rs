//! Connectors: our code for one platform each. They build requests and read answers; they decide no
//! retries, keep no state and open no sockets.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::http::Http;
use crate::{
    kernel::Secret,
    platforms::Manifest,
    syncs::{Page, SyncType},
};

/// A platform's connector.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// The platform as data.
    fn manifest(&self) -> &Manifest;

    /// One page of what changed since `pull.cursor`.
    ///
    /// # Errors
    /// [`ConnectorError`]; its variants say what the engine does about it.
    async fn pull(&self, http: &dyn Http, pull: Pull<'_>) -> Result<PulledPage, ConnectorError> {
        let _ = (http, pull);
        Err(ConnectorError::Unsupported("this platform is not pulled"))
    }

    /// Opens an export file. Blocking: called off the runtime, as is everything on [`Import`].
    ///
    /// # Errors
    /// [`ImportError`] if it is no export of this platform at all.
    fn import(&self, source: ImportSource) -> Result<Box<dyn Import>, ImportError> {
        let _ = source;
        Err(ImportError::Unsupported(
            "this platform has no export files",
        ))
    }
}

/// One pull.
#[derive(Debug)]
pub struct Pull<'a> {
    /// The integration's configuration, valid by the manifest's schema.
    pub configuration: &'a Value,
    /// The integration's secret fields as JSON (`access_token`, …); none if it has no credential.
    pub credential: Option<&'a Secret<Vec<u8>>>,
    /// What the caller asked for.
    pub sync_type: SyncType,
    /// Where the last page left off, in this run or (incremental, delta) in an earlier one.
    pub cursor: Option<&'a Value>,
    /// Now.
    pub now: Timestamp,
}

/// A page and where it leaves off.
#[derive(Debug)]
pub struct PulledPage {
    /// Its records.
    pub page: Page,
    /// The cursor after it.
    pub cursor: Value,
    /// No more for now.
    pub last: bool,
}

/// Why a pull gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// The platform refuses the credential; the user must connect again.
    #[error("the platform refused the credential")]
    Unauthorized,
    /// The platform wants us to slow down.
    #[error("the platform limits the rate")]
    RateLimited {
        /// How long it said to wait.
        retry_after: Option<Duration>,
    },
    /// It may work later: 5xx, network, timeout.
    #[error("the platform is unavailable: {0}")]
    Transient(String),
    /// It will not work until someone changes something.
    #[error("the platform refuses: {0}")]
    Permanent(String),
    /// The answer is not what its documentation says.
    #[error("the platform's answer cannot be read: {0}")]
    Malformed(String),
    /// This platform cannot do it.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// An export file.
pub struct ImportSource {
    /// Its bytes; zip archives need to seek.
    pub reader: Box<dyn ReadSeek>,
    /// How many there are.
    pub bytes: u64,
    /// The zone to assume where the file does not say (IANA name).
    pub time_zone: Option<String>,
}

impl std::fmt::Debug for ImportSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportSource")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// A file, or what behaves like one.
pub trait ReadSeek: io::Read + io::Seek + Send {}
impl<T: io::Read + io::Seek + Send> ReadSeek for T {}

/// A running import: an iterator of pages. The same file gives the same pages in the same order, so a
/// crashed run goes on by skipping the pages it has recorded.
pub trait Import: Send {
    /// The next page; `None` at the end.
    ///
    /// # Errors
    /// [`ImportError::Broken`] where the file breaks off: pages given before stay valid.
    fn next_page(&mut self) -> Result<Option<ImportPage>, ImportError>;

    /// How far it is.
    fn progress(&self) -> ImportProgress;
}

/// A page of an import.
#[derive(Debug)]
pub struct ImportPage {
    /// Its records.
    pub page: Page,
    /// Its number, from 0.
    pub number: u64,
}

/// What an import has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Bytes of the file read, of the compressed file where it is one.
    pub bytes_read: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Elements seen.
    pub read: u64,
    /// Records made of them.
    pub kept: u64,
    /// Elements left out, and why: at most one row a reason.
    pub skipped: Vec<(SkipReason, u64)>,
}

/// Why an element of a file became no record: a stable, short name, e.g. `missing_start_date`.
pub type SkipReason = &'static str;

/// Why a file cannot be imported, or no further.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// This platform has no files.
    #[error("{0}")]
    Unsupported(&'static str),
    /// It is no export of this platform, or refuses a limit (bomb, depth). Nothing of it is kept.
    #[error("not an importable file: {0}")]
    Refused(String),
    /// It breaks off, or goes wrong, after good pages; what was read is kept.
    #[error("the file breaks off: {0}")]
    Broken(String),
    /// The file could not be read just now.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
}

/// Every platform of this hub, by slug.
#[derive(Clone, Default)]
pub struct Connectors(BTreeMap<String, Arc<dyn Connector>>);

impl Connectors {
    /// These platforms.
    #[must_use]
    pub fn new(connectors: Vec<Arc<dyn Connector>>) -> Self {
        Self(
            connectors
                .into_iter()
                .map(|c| (c.manifest().slug.clone(), c))
                .collect(),
        )
    }

    /// The connector of a platform.
    #[must_use]
    pub fn get(&self, slug: &str) -> Option<&Arc<dyn Connector>> {
        self.0.get(slug)
    }

    /// Every manifest, by slug.
    pub fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.0.values().map(|connector| connector.manifest())
    }
}

impl std::fmt::Debug for Connectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

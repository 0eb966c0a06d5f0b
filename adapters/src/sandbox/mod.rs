//! The sandbox: a platform that ships in the hub, for demos and for tests, ours and our users'.
//!
//! - [`Sandbox`]: its connector, an ordinary one: it knows the platform only through HTTP.
//! - [`world`]: the platform itself, pure; `api` puts it on the network under `/sandbox/v1`.
//! - [`wire`]: the JSON between the two.
//!
//! A first sync reads all items by page tokens and remembers the change sequence of its first page;
//! later ones read the change feed from there. So nothing that happens between two pages is missed.

mod map;
pub mod wire;
pub mod world;

#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wharf_domain::{
    platforms::Manifest,
    ports::{Connector, ConnectorError, Http, HttpRequest, Pull, PulledPage, TrustClass},
};

use self::wire::{ChangesPage, ItemsPage};
use crate::kit::{http, manifest};

const DEFAULT_PAGE_SIZE: u16 = 50;
/// For one answer, `slow` ones included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A page has 100 items of at most 4 KiB.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The platform has forgotten changes that we have not seen.
const GONE: u16 = 410;

/// The connector.
#[derive(Debug)]
pub struct Sandbox {
    manifest: Manifest,
    base_url: String,
}

impl Sandbox {
    /// For the sandbox of this hub, which answers under `base_url`, e.g.
    /// `http://127.0.0.1:8080/sandbox/v1`.
    #[must_use]
    pub fn new(base_url: String) -> Self {
        Self {
            manifest: manifest::embedded(include_str!("manifest.toml")),
            base_url,
        }
    }
}

/// An integration's configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Configuration {
    base_url: Option<String>,
    page_size: Option<u16>,
    seed: Option<u32>,
}

/// The secret.
#[derive(Deserialize)]
struct Credential {
    access_token: String,
}

/// Where the last page left off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
enum Cursor {
    /// In the list of items.
    Items {
        /// The next page; none before the first.
        page_token: Option<String>,
        /// The change sequence when the first page was read.
        since: Option<u64>,
    },
    /// In the feed of changes.
    Changes { since: u64 },
}

impl Cursor {
    const START: Self = Self::Items {
        page_token: None,
        since: None,
    };
}

/// What is needed to ask.
struct Calls<'a> {
    http: &'a dyn Http,
    base_url: &'a str,
    trust: TrustClass,
    page_size: u16,
    seed: Option<u32>,
    token: String,
    now: jiff::Timestamp,
}

impl Calls<'_> {
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refused> {
        let mut headers = vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("authorization".to_owned(), format!("Bearer {}", self.token)),
        ];
        if let Some(seed) = self.seed {
            headers.push(("x-sandbox-seed".to_owned(), seed.to_string()));
        }
        let answer = self
            .http
            .send(HttpRequest {
                method: "GET",
                url: format!("{}{path}", self.base_url.trim_end_matches('/')),
                headers,
                body: Bytes::new(),
                timeout: TIMEOUT,
                max_body_bytes: MAX_BODY_BYTES,
                trust: self.trust,
            })
            .await;
        if answer.as_ref().is_ok_and(|answer| answer.status == GONE) {
            return Err(Refused::Gone);
        }
        let answer = http::success(answer, self.now).map_err(Refused::Error)?;
        http::json(&answer).map_err(Refused::Error)
    }

    async fn items(
        &self,
        page_token: Option<&str>,
        since: Option<u64>,
    ) -> Result<PulledPage, Refused> {
        let token = page_token
            .map(|token| format!("&page_token={token}"))
            .unwrap_or_default();
        let answer: ItemsPage = self
            .get(&format!("/items?limit={}{token}", self.page_size))
            .await?;
        whole(answer.count, answer.items.len())?;
        let since = since.unwrap_or(answer.change_seq);
        let last = answer.next_page_token.is_none();
        let cursor = match answer.next_page_token {
            Some(token) => Cursor::Items {
                page_token: Some(token),
                since: Some(since),
            },
            None => Cursor::Changes { since },
        };
        page(map::items(&answer.items)?, &cursor, last)
    }

    async fn changes(&self, since: u64) -> Result<PulledPage, Refused> {
        let answer: ChangesPage = self
            .get(&format!("/changes?since={since}&limit={}", self.page_size))
            .await?;
        whole(answer.count, answer.changes.len())?;
        if answer.has_more && answer.next_since <= since {
            let why = "the change feed does not go on".to_owned();
            return Err(ConnectorError::Malformed(why).into());
        }
        let cursor = Cursor::Changes {
            since: answer.next_since,
        };
        page(map::changes(&answer.changes)?, &cursor, !answer.has_more)
    }
}

/// Why a call gave no page.
enum Refused {
    /// The cursor is too old.
    Gone,
    Error(ConnectorError),
}

impl From<ConnectorError> for Refused {
    fn from(error: ConnectorError) -> Self {
        Self::Error(error)
    }
}

impl From<Refused> for ConnectorError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Gone => Self::Permanent("it answered 410".to_owned()),
            Refused::Error(error) => error,
        }
    }
}

fn whole(announced: usize, brought: usize) -> Result<(), ConnectorError> {
    if announced == brought {
        return Ok(());
    }
    Err(ConnectorError::Malformed(format!(
        "it announces {announced} items and brings {brought}"
    )))
}

fn page(
    page: wharf_domain::syncs::Page,
    cursor: &Cursor,
    last: bool,
) -> Result<PulledPage, Refused> {
    let cursor = serde_json::to_value(cursor)
        .map_err(|_| ConnectorError::Malformed("the cursor cannot be written".to_owned()))?;
    Ok(PulledPage { page, cursor, last })
}

#[async_trait]
impl Connector for Sandbox {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn pull(&self, http: &dyn Http, pull: Pull<'_>) -> Result<PulledPage, ConnectorError> {
        let configuration = Configuration::deserialize(pull.configuration)
            .map_err(|_| ConnectorError::Permanent("the configuration is invalid".to_owned()))?;
        let credential = pull.credential.ok_or(ConnectorError::Unauthorized)?;
        let credential: Credential = serde_json::from_slice(credential.expose())
            .map_err(|_| ConnectorError::Unauthorized)?;
        let cursor = match pull.cursor {
            None => Cursor::START,
            Some(cursor) => Cursor::deserialize(cursor).map_err(|_| {
                ConnectorError::Permanent("the cursor is not ours; run a full sync".to_owned())
            })?,
        };
        let calls = Calls {
            http,
            base_url: configuration.base_url.as_deref().unwrap_or(&self.base_url),
            // Our own address is ours; one from a configuration is a caller's.
            trust: match configuration.base_url {
                Some(_) => TrustClass::Caller,
                None => TrustClass::Hub,
            },
            page_size: configuration.page_size.unwrap_or(DEFAULT_PAGE_SIZE),
            seed: configuration.seed,
            token: credential.access_token,
            now: pull.now,
        };
        let page = match &cursor {
            Cursor::Items { page_token, since } => calls.items(page_token.as_deref(), *since).await,
            Cursor::Changes { since } => calls.changes(*since).await,
        };
        match page {
            // Changes that we have not seen are forgotten: read everything again.
            Err(Refused::Gone) => Ok(calls.items(None, None).await?),
            other => Ok(other?),
        }
    }
}

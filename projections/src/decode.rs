//! From commits to facts: decoding, opening sealed pages, finding the record heads. Pure work, done off
//! the runtime and ahead of the fold.

use std::{collections::HashMap, ops::Range, sync::Arc};

use serde::Deserialize;
use wharf_domain::{
    credentials::CredentialEvent,
    integrations::IntegrationEvent,
    kernel::{
        Category, EventSet, Hash, IntegrationId, Position, ProjectId, RawEvent, Revision,
        StoredCommit, StreamId, Timestamp, WebhookId,
    },
    ports::{DataKey, Scope, Vault, VaultError},
    syncs::{PageRecorded, RecordKey, SyncRunEvent, page_context, sealed},
    webhooks::{DeliveryEvent, MessageEvent, WebhookEvent},
};

use crate::Error;

/// A commit, decoded.
pub(crate) struct Decoded {
    pub(crate) at: Origin,
    pub(crate) hash: Hash,
    /// What it says, each with its index; an event that cannot be read is a reason to park it.
    pub(crate) facts: Vec<(u32, Result<Fact, String>)>,
    /// The commit as a whole cannot be read.
    pub(crate) unreadable: Option<String>,
}

/// What is known of every event of a commit.
pub(crate) struct Origin {
    pub(crate) position: Position,
    pub(crate) project: ProjectId,
    pub(crate) stream: StreamId,
    pub(crate) time: Timestamp,
    /// Revision of the last event; 0 in a journal.
    pub(crate) revision: Revision,
}

/// An event and whose it is.
pub(crate) enum Fact {
    Integration(IntegrationId, IntegrationEvent),
    Credential(IntegrationId, CredentialEvent),
    Webhook(WebhookId, WebhookEvent),
    SyncRun(IntegrationId, SyncRunEvent),
    /// A page, its seal taken off.
    Page(IntegrationId, SyncRunEvent, Opened),
    Delivery(WebhookId, DeliveryEvent),
    Message(MessageEvent),
}

/// What is under the seal of a page.
pub(crate) enum Opened {
    /// Its records.
    Records(Records),
    /// The key was destroyed: it is as if there were none.
    Shredded,
    /// It cannot be read: a reason to park it.
    Unreadable(String),
}

/// The records of a page.
pub(crate) struct Records {
    text: String,
    pub(crate) heads: Vec<RecordHead>,
}

/// What a record's row says of it beside its text.
pub(crate) struct RecordHead {
    pub(crate) key: RecordKey,
    pub(crate) model: Arc<str>,
    pub(crate) start_us: Option<i64>,
    pub(crate) deleted: bool,
    body: Range<usize>,
}

impl Records {
    pub(crate) fn body(&self, head: &RecordHead) -> &str {
        self.text.get(head.body.clone()).unwrap_or_default()
    }
}

type Keys = HashMap<(ProjectId, IntegrationId), Option<Arc<dyn DataKey>>>;

/// Decodes `commits` on a blocking thread.
pub(crate) async fn decode(
    vault: &dyn Vault,
    commits: Vec<StoredCommit>,
) -> Result<Vec<Decoded>, Error> {
    let keys = keys(vault, &commits).await?;
    tokio::task::spawn_blocking(move || commits.iter().map(|c| commit(c, &keys)).collect())
        .await
        .map_err(|_| Error::Stopped)
}

/// The data keys of the pages in `commits`; `None` is one that was destroyed. Asked anew for every
/// batch, so that a destroyed key is not kept alive here.
async fn keys(vault: &dyn Vault, commits: &[StoredCommit]) -> Result<Keys, Error> {
    let mut keys = Keys::new();
    for commit in commits {
        let stream = &commit.stream;
        let Some(id) = stream.uuid().map(IntegrationId) else {
            continue;
        };
        if stream.category != Category::SyncRun
            || !commit.headers.contains("sync_run.page_recorded")
            || keys.contains_key(&(stream.project.clone(), id))
        {
            continue;
        }
        let key = match vault
            .data_key(&Scope::Integration(stream.project.clone(), id))
            .await
        {
            Ok(key) => Some(key),
            Err(VaultError::Shredded) => None,
            Err(error @ (VaultError::Absent | VaultError::Sealed | VaultError::Unavailable(_))) => {
                return Err(Error::Vault(error));
            }
        };
        keys.insert((stream.project.clone(), id), key);
    }
    Ok(keys)
}

#[derive(Deserialize)]
struct Headers {
    time: Timestamp,
}

fn commit(commit: &StoredCommit, keys: &Keys) -> Decoded {
    let mut decoded = Decoded {
        at: Origin {
            position: commit.position,
            project: commit.stream.project.clone(),
            stream: commit.stream.clone(),
            time: Timestamp::UNIX_EPOCH,
            revision: Revision((commit.revision.0 + u64::from(commit.events)).saturating_sub(1)),
        },
        hash: commit.hash,
        facts: vec![],
        unreadable: None,
    };
    let headers = serde_json::from_str::<Headers>(&commit.headers);
    match (headers, commit.raw_events()) {
        (Ok(headers), Ok(events)) => {
            decoded.at.time = headers.time;
            decoded.facts = (0_u32..)
                .zip(&events)
                .map(|(index, raw)| (index, fact(&commit.stream, raw, keys)))
                .collect();
        }
        (Err(error), _) | (_, Err(error)) => decoded.unreadable = Some(error.to_string()),
    }
    decoded
}

fn fact(stream: &StreamId, raw: &RawEvent<'_>, keys: &Keys) -> Result<Fact, String> {
    let id = || {
        stream
            .uuid()
            .ok_or_else(|| "the stream's key is no id".to_owned())
    };
    Ok(match stream.category {
        Category::Integration => Fact::Integration(id()?.into(), event(raw)?),
        Category::Credential => Fact::Credential(id()?.into(), event(raw)?),
        Category::Webhook => Fact::Webhook(id()?.into(), event(raw)?),
        Category::Delivery => Fact::Delivery(id()?.into(), event(raw)?),
        Category::Message => Fact::Message(event(raw)?),
        Category::SyncRun => {
            let id = IntegrationId(id()?);
            match event(raw)? {
                SyncRunEvent::PageRecorded(mut page) => {
                    let sealed = std::mem::take(&mut page.sealed);
                    let opened = match keys.get(&(stream.project.clone(), id)) {
                        Some(Some(key)) => open(&sealed, &page, key.as_ref())
                            .map_or_else(Opened::Unreadable, Opened::Records),
                        Some(None) => Opened::Shredded,
                        None => Opened::Unreadable("its headers do not name it".to_owned()),
                    };
                    Fact::Page(id, SyncRunEvent::PageRecorded(page), opened)
                }
                event @ (SyncRunEvent::Started(_)
                | SyncRunEvent::Completed(_)
                | SyncRunEvent::Failed(_)) => Fact::SyncRun(id, event),
            }
        }
    })
}

fn event<E: EventSet>(raw: &RawEvent<'_>) -> Result<E, String> {
    E::decode(raw).map_err(|error| match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })
}

#[derive(Deserialize)]
struct Head<'a> {
    key: RecordKey,
    #[serde(borrow)]
    model: std::borrow::Cow<'a, str>,
    #[serde(default)]
    start_us: Option<i64>,
    #[serde(default)]
    deleted: bool,
}

fn open(sealed: &str, page: &PageRecorded, key: &dyn DataKey) -> Result<Records, String> {
    let context = page_context(page.run_id, page.fence, page.page);
    let opened = sealed::open(sealed, key, &context).map_err(|error| error.to_string())?;
    let mut records = Records {
        text: String::new(),
        heads: Vec::with_capacity(page.records as usize),
    };
    let mut models: Vec<Arc<str>> = Vec::with_capacity(page.models.len());
    for line in opened.lines() {
        let line = std::str::from_utf8(line).map_err(|error| error.to_string())?;
        let head: Head<'_> = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let model = models.iter().find(|model| ***model == *head.model).cloned();
        let model = model.unwrap_or_else(|| {
            let model: Arc<str> = head.model.into();
            models.push(Arc::clone(&model));
            model
        });
        let start = records.text.len();
        records.text.push_str(line);
        records.heads.push(RecordHead {
            key: head.key,
            model,
            start_us: head.start_us,
            deleted: head.deleted,
            body: start..records.text.len(),
        });
    }
    Ok(records)
}

//! A commit's events as subscribers see them.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wharf_domain::kernel::{Category, DecodeError, IntegrationId, Metadata, StoredCommit};

use super::Cursor;

/// An event, `CloudEvents` 1.0 in the JSON format.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CloudEvent {
    /// `1.0`.
    #[schema(example = "1.0")]
    specversion: &'static str,
    /// `position.index`: unique in the hub, ascending, and where to go on.
    #[schema(example = "42.0")]
    pub(super) id: String,
    /// `/{project}/{category}`.
    #[schema(example = "/project123/integration")]
    source: String,
    /// Which integration or webhook.
    subject: String,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "integration.created")]
    type_tag: String,
    /// When it was decided.
    #[schema(value_type = String, format = DateTime)]
    time: jiff::Timestamp,
    /// `application/json`.
    #[schema(example = "application/json")]
    datacontenttype: &'static str,
    /// Version of the shape of `data`.
    schemaversion: u32,
    /// Revision of its stream; absent in journals.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// Who did it.
    #[schema(example = "user:alice")]
    actor: String,
    /// What belongs together.
    correlationid: String,
    /// The event that caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<String>,
    /// The commit that holds it.
    commitid: String,
    /// The fact itself.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

impl CloudEvent {
    /// Bytes of its fact: nearly all of its size.
    pub(super) fn bytes(&self) -> usize {
        self.data.get().len()
    }
}

/// Which events a subscriber wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Exactly this type, or with `.*` at the end all that begin so.
    pub(super) type_tag: Option<String>,
    /// Only streams of this integration.
    pub(super) integration: Option<IntegrationId>,
}

impl Wanted {
    /// Whether any event of the commit can be wanted.
    fn is_from(&self, commit: &StoredCommit) -> bool {
        let Some(integration) = self.integration else {
            return true;
        };
        let owned = match commit.stream.category {
            Category::Integration | Category::Credential | Category::SyncRun => true,
            Category::Webhook | Category::Delivery | Category::Message => false,
        };
        owned && commit.stream.uuid() == Some(integration.0)
    }

    fn is_type(&self, type_tag: &str) -> bool {
        match &self.type_tag {
            None => true,
            Some(wanted) => match wanted.strip_suffix('*') {
                Some(prefix) => type_tag.starts_with(prefix),
                None => wanted == type_tag,
            },
        }
    }
}

/// The wanted events of `commit` that `seen` does not cover.
///
/// # Errors
/// The commit is damaged.
pub(super) fn events(
    commit: &StoredCommit,
    wanted: &Wanted,
    seen: Cursor,
) -> Result<Vec<(Cursor, CloudEvent)>, DecodeError> {
    if !wanted.is_from(commit) {
        return Ok(vec![]);
    }
    let malformed = |source| DecodeError::Malformed {
        type_tag: commit.stream.to_string(),
        source,
    };
    let Metadata {
        time,
        actor,
        correlation,
        causation,
        idempotency_key: _,
    } = commit.meta().map_err(malformed)?;
    let first = (commit.revision.0 > 0).then_some(commit.revision.0);
    Ok((0_u32..)
        .zip(commit.raw_events().map_err(malformed)?)
        .filter(|(index, raw)| {
            !seen.has_seen(commit.position, *index) && wanted.is_type(&raw.type_tag)
        })
        .map(|(index, raw)| {
            let at = Cursor::event(commit.position, index);
            let event = CloudEvent {
                specversion: "1.0",
                id: at.to_string(),
                source: format!(
                    "/{}/{}",
                    commit.stream.project,
                    commit.stream.category.as_str()
                ),
                subject: commit.stream.key().to_owned(),
                type_tag: raw.type_tag.into_owned(),
                time,
                datacontenttype: "application/json",
                schemaversion: raw.version,
                revision: first.map(|first| first + u64::from(index)),
                actor: actor.clone(),
                correlationid: correlation.clone(),
                causationid: causation.clone(),
                commitid: commit.id.to_string(),
                data: raw.data.to_owned(),
            };
            (at, event)
        })
        .collect())
}

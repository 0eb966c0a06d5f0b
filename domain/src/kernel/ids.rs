//! Identifiers. A newtype each, so that a run is never passed where an integration is meant.
//!
//! On the wire an id is a bare UUID (ADR 0003): random-looking, sortable when made by
//! [`crate::ports::Ids`] (`UUIDv7`), or derived from an `Idempotency-Key` ([`derive`], `UUIDv8`), so
//! that a client's retry names the same thing even if our first answer was lost.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )*};
}

ids! {
    /// A project's use of one platform account.
    IntegrationId;
    /// A place to which we send messages.
    WebhookId;
    /// One sync or import of one integration.
    RunId;
    /// One message; `webhook-id` on the wire, the same on every attempt.
    MessageId;
    /// One commit of the log. Appending the same id twice is one commit.
    CommitId;
    /// One resumable upload of an import file.
    UploadId;
}

/// The text is not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID")]
pub struct InvalidId;

/// A tenant's name, chosen by whoever issues the tokens: 1 to 64 of `A-Z a-z 0-9 _ -`.
///
/// The alphabet is that of one NATS subject token, so a project is a subject token as it is.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectId(Arc<str>);

/// The text is not a project id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a project id is 1 to 64 characters of A-Z a-z 0-9 _ -")]
pub struct InvalidProjectId;

impl ProjectId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectId {
    type Err = InvalidProjectId;

    fn from_str(text: &str) -> Result<Self, InvalidProjectId> {
        if is_token(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidProjectId)
        }
    }
}

impl TryFrom<String> for ProjectId {
    type Error = InvalidProjectId;

    fn try_from(text: String) -> Result<Self, InvalidProjectId> {
        text.parse()
    }
}

impl From<ProjectId> for String {
    fn from(id: ProjectId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProjectId({})", self.0)
    }
}

/// Whether `text` can be one token of a stream's name.
pub(crate) fn is_token(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A `UUIDv8` (RFC 9562 §5.8) that depends on nothing but `parts`.
///
/// Used wherever "the same request" or "the same cause" must name the same thing.
#[must_use]
pub fn derive(parts: &[&[u8]]) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0_u8; 16];
    for (to, from) in bytes.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

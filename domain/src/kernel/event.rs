//! Events: facts, their wire names and versions, and how an old shape becomes the new one.

use std::{borrow::Cow, fmt::Debug};

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    commit::{Metadata, Position, RawEvent, StoredCommit},
    stream::StreamId,
};

/// An event to be appended.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// `<aggregate>.<past_participle>`.
    pub type_tag: Cow<'static, str>,
    /// Version of the shape of `data`, from 1.
    pub version: u32,
    /// The fact, as JSON.
    pub data: Box<RawValue>,
}

impl NewEvent {
    /// An event of `data`.
    ///
    /// # Errors
    /// `data` has no JSON form (a map with keys that are no strings, say).
    pub fn of<T: Serialize>(
        type_tag: &'static str,
        version: u32,
        data: &T,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            type_tag: Cow::Borrowed(type_tag),
            version,
            data: to_raw_value(data)?,
        })
    }
}

/// An event with everything that the log knows of it.
#[derive(Clone, Debug)]
pub struct Recorded<E> {
    /// Where its commit lies.
    pub position: Position,
    /// Which event of the commit it is, from 0.
    pub index: u32,
    /// Whose fact it is.
    pub stream: StreamId,
    /// When it was decided.
    pub time: Timestamp,
    /// Who and why.
    pub meta: Metadata,
    /// The fact.
    pub event: E,
}

impl<E> Recorded<E> {
    /// The event's key: `position.index`. What causation and `Last-Event-ID` say.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}.{}", self.position, self.index)
    }
}

/// Turns the data of one version of one event into that of the next.
pub struct Upcaster {
    /// Which event.
    pub type_tag: &'static str,
    /// From which version; the result is one higher.
    pub from: u32,
    /// The change.
    pub up: fn(serde_json::Value) -> serde_json::Value,
}

/// Why bytes of the log are no event of ours.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer version of the hub, or not by the hub.
    #[error("event type {type_tag} version {version} is not known to this version of wharf")]
    Unknown {
        /// What it says it is.
        type_tag: String,
        /// In which version.
        version: u32,
    },
    /// The shape is wrong.
    #[error("event {type_tag} cannot be read")]
    Malformed {
        /// What it says it is.
        type_tag: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// The sealed set of events of one stream category. Implemented by [`crate::events!`] only.
pub trait EventSet:
    Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync + 'static
{
    /// Every event: tag and current version.
    const TYPES: &'static [(&'static str, u32)];
    /// How old shapes become current ones.
    const UPCASTERS: &'static [Upcaster];

    /// The wire name.
    fn type_tag(&self) -> &'static str;

    /// The current version of its shape.
    fn version(&self) -> u32;

    /// The event as it is appended.
    ///
    /// # Errors
    /// It has no JSON form.
    fn encode(&self) -> Result<NewEvent, serde_json::Error>;

    /// The event that the log holds.
    ///
    /// # Errors
    /// It is unknown, or its shape is wrong.
    fn decode(raw: &RawEvent<'_>) -> Result<Self, DecodeError>;
}

/// Brings `raw` to version `current` by the chain of upcasters.
///
/// # Errors
/// There is no way from its version to the current one.
pub fn upcast<'a>(
    upcasters: &[Upcaster],
    raw: &RawEvent<'a>,
    current: u32,
) -> Result<Cow<'a, RawValue>, DecodeError> {
    if raw.version == current {
        return Ok(Cow::Borrowed(raw.data));
    }
    let malformed = |source| DecodeError::Malformed {
        type_tag: raw.type_tag.clone().into_owned(),
        source,
    };
    let mut data = serde_json::from_str(raw.data.get()).map_err(malformed)?;
    let mut version = raw.version;
    while version != current {
        let step = upcasters
            .iter()
            .find(|step| step.type_tag == raw.type_tag && step.from == version)
            .ok_or_else(|| DecodeError::Unknown {
                type_tag: raw.type_tag.clone().into_owned(),
                version: raw.version,
            })?;
        data = (step.up)(data);
        version += 1;
    }
    to_raw_value(&data).map(Cow::Owned).map_err(malformed)
}

/// Every event of `commit`, decoded.
///
/// # Errors
/// An event is unknown, or the commit is damaged.
pub fn decode_all<E: EventSet>(commit: &StoredCommit) -> Result<Vec<Recorded<E>>, DecodeError> {
    let malformed = |source| DecodeError::Malformed {
        type_tag: commit.stream.to_string(),
        source,
    };
    let meta = commit.meta().map_err(malformed)?;
    (0_u32..)
        .zip(commit.raw_events().map_err(malformed)?)
        .map(|(index, raw)| {
            Ok(Recorded {
                position: commit.position,
                index,
                stream: commit.stream.clone(),
                time: meta.time,
                meta: meta.clone(),
                event: E::decode(&raw)?,
            })
        })
        .collect()
}

/// Declares the events of one category: an enum with one struct a variant, its wire name and version.
///
/// ```text
/// events! {
///     /// What happens to a webhook.
///     pub enum WebhookEvent {
///         /// It was set up.
///         Created(Created) = "webhook.created", 1;
///     }
/// }
/// ```
#[macro_export]
macro_rules! events {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$doc:meta])* $variant:ident($payload:ty) = $tag:literal, $version:literal;)+
        }
        $(upcasters: $upcasters:expr)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type", content = "data")]
        $vis enum $name {
            $($(#[$doc])* #[serde(rename = $tag)] $variant($payload),)+
        }

        impl $crate::kernel::EventSet for $name {
            const TYPES: &'static [(&'static str, u32)] = &[$(($tag, $version)),+];
            const UPCASTERS: &'static [$crate::kernel::Upcaster] = $crate::events!(@up $($upcasters)?);

            fn type_tag(&self) -> &'static str {
                match self { $(Self::$variant(_) => $tag,)+ }
            }

            fn version(&self) -> u32 {
                match self { $(Self::$variant(_) => $version,)+ }
            }

            fn encode(&self) -> Result<$crate::kernel::NewEvent, serde_json::Error> {
                match self {
                    $(Self::$variant(data) => $crate::kernel::NewEvent::of($tag, $version, data),)+
                }
            }

            fn decode(
                raw: &$crate::kernel::RawEvent<'_>,
            ) -> Result<Self, $crate::kernel::DecodeError> {
                match raw.type_tag.as_ref() {
                    $($tag => {
                        let data = $crate::kernel::upcast(Self::UPCASTERS, raw, $version)?;
                        serde_json::from_str(data.get()).map(Self::$variant).map_err(|source| {
                            $crate::kernel::DecodeError::Malformed { type_tag: $tag.to_owned(), source }
                        })
                    })+
                    other => Err($crate::kernel::DecodeError::Unknown {
                        type_tag: other.to_owned(),
                        version: raw.version,
                    }),
                }
            }
        }

        impl cqrs_es::DomainEvent for $name {
            fn event_type(&self) -> String {
                $crate::kernel::EventSet::type_tag(self).to_owned()
            }

            fn event_version(&self) -> String {
                $crate::kernel::EventSet::version(self).to_string()
            }
        }
    };
    (@up) => { &[] };
    (@up $upcasters:expr) => { $upcasters };
}

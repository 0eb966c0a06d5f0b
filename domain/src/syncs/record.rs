//! Records: one item of a platform in a unified model, in an envelope that says what, whose, when and
//! how well we know it.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::kernel::Hash;

/// Names a record within its integration: a later record with the same key replaces it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct RecordKey(pub [u8; 16]);

impl RecordKey {
    /// The key that depends on `parts` and nothing else.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(Hash::of(parts).0) {
            *to = from;
        }
        Self(key)
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({self})")
    }
}

impl FromStr for RecordKey {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut key = [0; 16];
        hex::decode_to_slice(text, &mut key)?;
        Ok(Self(key))
    }
}

impl TryFrom<Cow<'_, str>> for RecordKey {
    type Error = hex::FromHexError;

    fn try_from(text: Cow<'_, str>) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RecordKey> for String {
    fn from(key: RecordKey) -> Self {
        key.to_string()
    }
}

/// How well the instant is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeQuality {
    /// `start` is the instant.
    #[default]
    Instant,
    /// The platform gave a wall clock; we assumed the zone.
    LocalAssumedZone,
    /// Only `civil_date` is known.
    DateOnly,
}

/// What one record covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// A moment.
    #[default]
    Sample,
    /// A stretch of time.
    Interval,
    /// A workout, a night.
    Session,
    /// A day's total; never to be added to the others.
    DailyTotal,
}

/// Whether a device measured it or a person typed it in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    /// Measured.
    Auto,
    /// Typed in.
    Manual,
    /// The platform does not say.
    #[default]
    Unknown,
}

/// Where a record comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source<'a> {
    /// App or account that wrote it, as the platform names it.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub app: Option<Cow<'a, str>>,
    /// E.g. `Watch2,4`.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub device_model: Option<Cow<'a, str>>,
    /// E.g. `Apple Inc.`.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<Cow<'a, str>>,
    /// `watch`, `phone`, `scale`, …
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<Cow<'a, str>>,
    /// Measured or typed in.
    #[serde(default)]
    pub recording: Recording,
}

/// One item, as a line of a page. Borrows from what it was parsed from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record<'a> {
    /// Names it within its integration.
    pub key: RecordKey,
    /// The unified model of `data`, e.g. `steps`.
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    /// The platform's id, if it has one.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub native_id: Option<Cow<'a, str>>,
    /// The platform's version or modification time of the item.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub native_version: Option<Cow<'a, str>>,
    /// Begin, microseconds since 1970 UTC; none for date-only records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_us: Option<i64>,
    /// End, microseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_us: Option<i64>,
    /// Offset from UTC at the item, seconds east.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_offset_s: Option<i32>,
    /// IANA zone at the item.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Cow<'a, str>>,
    /// Local day, `yyyy-mm-dd`; for sleep the day of waking.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub civil_date: Option<Cow<'a, str>>,
    /// How well the instant is known.
    #[serde(default)]
    pub time_quality: TimeQuality,
    /// What it covers.
    #[serde(default)]
    pub granularity: Granularity,
    /// Where it comes from.
    #[serde(default, borrow)]
    pub source: Source<'a>,
    /// It is no longer there; `data` is `null`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The item in its model's shape and units.
    #[serde(borrow)]
    pub data: Cow<'a, RawValue>,
}

impl<'a> Record<'a> {
    /// Says that the record with this key is no longer there.
    #[must_use]
    pub fn tombstone(key: RecordKey, model: &'a str) -> Self {
        Self {
            key,
            model: Cow::Borrowed(model),
            native_id: None,
            native_version: None,
            start_us: None,
            end_us: None,
            utc_offset_s: None,
            time_zone: None,
            civil_date: None,
            time_quality: TimeQuality::Instant,
            granularity: Granularity::Sample,
            source: Source::default(),
            deleted: true,
            data: Cow::Borrowed(RawValue::NULL),
        }
    }
}

//! When an integration syncs by itself.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Schedule of an integration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSettings {
    /// `hourly`, `every_6_hours`, `daily`, `weekly`, or a duration (`PT15M`), at least one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_interval: Option<String>,
    /// Whether it syncs by itself at all.
    #[serde(default)]
    pub auto_sync: bool,
}

/// The text is no interval.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "sync_interval is hourly, every_6_hours, daily, weekly, or an ISO 8601 duration of at least \
     one minute such as PT15M"
)]
pub struct InvalidInterval;

impl SyncSettings {
    /// The interval, if it syncs by itself.
    ///
    /// # Errors
    /// [`InvalidInterval`].
    pub fn interval(&self) -> Result<Option<Duration>, InvalidInterval> {
        let Some(text) = &self.sync_interval else {
            return Ok(None);
        };
        let interval = match text.as_str() {
            "hourly" => Duration::from_hours(1),
            "every_6_hours" => Duration::from_hours(6),
            "daily" => Duration::from_hours(24),
            "weekly" => Duration::from_hours(24 * 7),
            iso => {
                let span: jiff::Span = iso.parse().map_err(|_| InvalidInterval)?;
                let span = span
                    .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
                    .map_err(|_| InvalidInterval)?;
                Duration::try_from(span).map_err(|_| InvalidInterval)?
            }
        };
        if interval < Duration::from_mins(1) || interval > Duration::from_hours(24 * 366) {
            return Err(InvalidInterval);
        }
        Ok(Some(interval))
    }

    /// When the next run is due, if any. Missed intervals are skipped, never piled up.
    #[must_use]
    pub fn next_run_at(&self, now: Timestamp) -> Option<Timestamp> {
        if !self.auto_sync {
            return None;
        }
        let interval = self.interval().ok().flatten()?;
        now.checked_add(jiff::SignedDuration::try_from(interval).ok()?)
            .ok()
    }
}

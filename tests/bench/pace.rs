//! How fast something goes: what it did a second, and how long each time took.

use std::time::Duration;

/// The pace of one round.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// How long each took, the shortest first.
    took: Vec<Duration>,
    /// How long all of it took.
    lasted: Duration,
}

impl Pace {
    /// The pace of a round that took so long, each thing in it so long.
    pub(crate) fn of(mut took: Vec<Duration>, lasted: Duration) -> Self {
        took.sort_unstable();
        Self { took, lasted }
    }

    /// Done a second.
    pub(crate) fn rate(&self) -> f64 {
        self.took.len() as f64 / self.lasted.as_secs_f64()
    }

    /// Milliseconds within which this share was done, each from its own start.
    pub(crate) fn within(&self, share: f64) -> f64 {
        let last = self.took.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        let took = self.took.get(at).copied().unwrap_or_default();
        took.as_secs_f64() * 1000.0
    }
}

/// The value in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

//! The hub at a glance: what `/health` counts, over all projects.

mod query;
#[cfg(test)]
mod tests;

pub use query::counts;
use serde::Serialize;

/// What `/health` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Webhooks that are sent to.
    pub webhooks_active: u64,
    /// Integrations that work.
    pub integrations_active: u64,
    /// Plugins: there are none yet.
    pub plugins_installed: u64,
    /// Events that no projector could fold; someone must look at them.
    pub parked: u64,
}

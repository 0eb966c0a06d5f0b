//! Wharfinger's domain: commands, events, aggregates, process managers, and the ports through which
//! they meet the world. No IO, no clock, no dice (invariant 2).
//!
//! Every capability is a folder with the same file grammar: `mod.rs` (who is who), `command.rs`,
//! `event.rs`, the aggregate, `process.rs` (event → what to do next), `tests.rs` (given/when/then).

pub mod access;
pub mod credentials;
pub mod integrations;
pub mod kernel;
pub mod platforms;
pub mod ports;
pub mod syncs;
pub mod webhooks;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod snapshots;

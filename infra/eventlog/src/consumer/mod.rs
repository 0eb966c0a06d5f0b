//! Durable consumers, the part that the logs in memory and on `SQLite` share.
//!
//! A [`Tracker`](tracker::Tracker) knows what one consumer has seen and acknowledged; the
//! [`Registry`](registry::Registry) knows every consumer that is open, so that whoever owns the
//! storage can save them; [`LogConsumer`](fetch::LogConsumer) is the port. A log provides a
//! [`Source`]. Nothing here knows how a checkpoint is stored.

mod fetch;
mod registry;
#[cfg(test)]
mod tests;
mod tracker;

pub(crate) use fetch::{LogConsumer, Scan, Source, closed};
pub(crate) use registry::{Registry, Save};
pub(crate) use tracker::Checkpoint;

//! Syncs: start a run, and look at runs.

mod dto;
pub(crate) mod handlers;

//! Extractors: from a request to checked values, or to the problem that names what is wrong.
//!
//! Everything is closed: an unknown field or parameter is an error, never ignored. Handlers see no raw
//! header, query or body.

mod body;
mod header;
mod ids;
mod query;
mod strict;
#[cfg(test)]
mod tests;

pub(crate) use body::{Json, Post, double, fingerprint};
pub(crate) use header::{IdempotencyKey, IfMatch};
pub(crate) use ids::{IntegrationPath, RunPath, TextPath, UploadPath, WebhookPath};
pub(crate) use query::{Pages, Query, size_of};
pub(crate) use strict::Invalid;

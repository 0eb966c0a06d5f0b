//! What connectors are made of. Called by connectors only; knows no platform.
//!
//! - [`manifest`]: a platform as data.
//! - [`time`], [`units`]: what platforms write, as instants and SI (or accepted) units.
//! - [`models`]: the unified models and their fields.
//! - [`json`]: a record's `data`, written without an intermediate tree.
//! - [`pages`]: records cut into pages that always fit a sealed page.
//! - [`xml`]: an XML stream made safe for a strict parser.
//! - [`http`]: a platform's answer, as what the engine does about it.

pub mod http;
pub mod json;
pub mod manifest;
pub mod models;
pub mod pages;
pub mod time;
pub mod units;
pub mod xml;

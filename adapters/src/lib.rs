//! Connectors: Wharfinger's code for one platform each, plus the kit they are made of.
//!
//! - [`catalogue`]: every platform of the hub, as a table of contents.
//! - [`kit`]: what connectors share: manifests, times, units, pages, XML, HTTP answers.
//! - a folder a category, a folder a platform in it: `manifest.toml` is the platform as data, `wire.rs`
//!   its format as it arrives, `map.rs` what that means in unified models.
//!
//! A connector builds requests and reads answers. It never opens a socket, keeps no state between
//! calls and retries nothing.

pub mod catalogue;
pub mod health;
pub mod kit;
pub mod sandbox;

//! Integrations: list, create, read, change, delete, and their own events.
//!
//! - `dto`: the contract's shapes.
//! - `configuration`: a platform's JSON Schema, and RFC 7396 merges.
//! - `credential`: `auth_config`; the secrets go to the vault before anything else is written.
//! - `handlers`: reads. `write`: create, change, delete.

mod configuration;
mod credential;
mod dto;
pub(crate) mod handlers;
#[cfg(test)]
mod tests;
pub(crate) mod write;

pub(crate) use dto::AfterQuery;
pub(crate) use handlers::existing;

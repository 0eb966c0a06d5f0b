//! Webhooks: list, create, read, change, delete, their logs, and a test delivery.
//!
//! - `dto`: the contract's shapes; what is secret is shown masked.
//! - `secrets`: signing secret and header values, kept in the vault.
//! - `handlers`: reads. `write`: create, change, delete. `test`: one attempt, waited for.

mod dto;
pub(crate) mod handlers;
mod secrets;
pub(crate) mod test;
#[cfg(test)]
mod tests;
pub(crate) mod write;

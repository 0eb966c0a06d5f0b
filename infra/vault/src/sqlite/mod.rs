//! The embedded vault, in one `SQLite` file.
//!
//! - `open`: [`SqliteVault`], its pools, its tables, and the check of the master key
//! - `keys`: data keys: found, made once, cached, shredded
//! - `secrets`: the port [`Vault`](wharf_domain::ports::Vault)
//! - `answers`: the port [`Answers`](wharf_domain::ports::Answers)
//!
//! Writes go through one connection with `synchronous=FULL`: what was answered survives a power cut.
//! `secure_delete` and a truncated write-ahead log keep shredded keys from lingering on disk.

mod answers;
mod keys;
mod open;
mod secrets;
#[cfg(test)]
mod tests;

pub use open::SqliteVault;

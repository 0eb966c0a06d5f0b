//! The vault in tables: of one `SQLite` file, or of a `PostgreSQL` data base that several nodes share.
//!
//! - `open`: [`SqlVault`], and the check of the master key
//! - `tables`: the two engines, and how one text is sent to either
//! - `keys`: data keys: found, made once, cached, shredded
//! - `secrets`: the port [`Vault`](wharf_domain::ports::Vault)
//! - `answers`: the port [`Answers`](wharf_domain::ports::Answers)
//! - `copy`: a whole vault to other storage
//!
//! In the file, writes go through one connection with `synchronous=FULL`: what was answered survives a
//! power cut. `secure_delete` and a truncated write-ahead log keep shredded keys from lingering on disk.
//!
//! On a server, `synchronous_commit=on` gives the same as far as its disk keeps what it says. A shredded
//! key is gone for every query at once, but its old row lies in the server's files until they are
//! vacuumed, and in its archives: it is wrapped by the master key there, and whoever needs it gone sooner
//! has to rotate that.

mod answers;
mod copy;
mod keys;
mod open;
mod secrets;
mod tables;
#[cfg(test)]
mod tests;

pub use copy::{Copied, CopyError};
pub use open::SqlVault;

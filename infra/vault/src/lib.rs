//! The vault: the only place where a secret rests, and the keeper of every data key.
//!
//! Three layers of keys:
//!
//! - the **master key** ([`MasterKey`]) comes from the operator, as `ENCRYPTION_KEY` or as a key file
//!   that is made at the first start. It never seals a secret itself: it wraps data keys.
//! - a **data key** belongs to one [`Scope`](wharf_domain::ports::Scope): a project, an integration
//!   or a webhook. It rests wrapped, it seals that scope's secrets here and its pages in the log.
//! - **shredding** a scope destroys its data key; what was sealed under it is noise from then on,
//!   also in backups of the log.
//!
//! [`SqlVault`] implements the ports [`Vault`](wharf_domain::ports::Vault) and
//! [`Answers`](wharf_domain::ports::Answers); `infra/server` opens it, everybody else knows the ports.
//! Nothing here is ever logged, traced or counted by name, and no error carries a byte of a secret.

mod envelope;
mod error;
#[cfg(test)]
#[path = "../../../tests/src/keeper.rs"]
#[expect(
    unreachable_pub,
    dead_code,
    reason = "it is a public module of the tests' crate, too"
)]
mod keeper;
mod keyfile;
mod master;
#[cfg(test)]
#[path = "../../../tests/src/postgres.rs"]
#[expect(
    unreachable_pub,
    dead_code,
    reason = "it is a public module of the tests' crate, too"
)]
mod postgres;
mod sql;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use master::MasterKey;
pub use sql::{Copied, CopyError, SqlVault};

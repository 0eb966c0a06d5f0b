//! Wharfinger's read models: what the API and the workers ask instead of the log.
//!
//! - [`Views`]: the live generation, how far it is, and how to build another beside it.
//! - [`Projection`]: the writer of one generation; folds commits into rows and checkpoint at once.
//! - [`Db`]: what queries read from. Every capability has its row types and its queries in the folder
//!   of its name.
//!
//! They lie in a file (`SQLite`) for one node, or in a data base (`PostgreSQL`) that several nodes share:
//! the same rows, the same answers. There one node writes, under a lease, and the others follow.
//!
//! The views are disposable: delete them, replay the log, and every answer is the same (invariant 1).
//! Only a projector writes its tables (invariant 5), and no query answers about a project that it was
//! not asked about (invariant 13).

mod bulk;
mod columns;
mod db;
mod decode;
mod error;
mod generation;
pub mod integrations;
mod leases;
pub mod messages;
pub mod overview;
mod page;
mod projection;
pub mod records;
mod rows;
pub mod syncs;
pub mod timers;
mod views;
pub mod webhooks;

#[cfg(test)]
#[path = "../../tests/src/keeper.rs"]
#[expect(
    unreachable_pub,
    dead_code,
    reason = "it is a public module of the tests' crate, too"
)]
mod keeper;
#[cfg(test)]
#[path = "../../tests/src/postgres.rs"]
#[expect(
    unreachable_pub,
    dead_code,
    reason = "it is a public module of the tests' crate, too"
)]
mod postgres;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use db::Db;
pub use error::Error;
pub use page::Page;
pub use projection::{Projection, VERSION};
pub use views::{Lagging, Views};

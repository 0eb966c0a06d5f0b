//! The two engines: `SQLite` in a file for one node, `PostgreSQL` for several that share their views.
//!
//! - `readers`: [`Db`], what queries read from; [`Moment`], several answers of one moment
//! - `writer`: [`Writer`], the connection of a projection; [`Tx`] and [`Conn`], what it lends
//! - `statement`: [`query`], one text and one body for both engines
//! - `value`: [`Value`], what is bound
//!
//! Nothing outside this folder, `bulk` and `columns` asks which engine it is, except where a generation
//! is made or goes live: a file there, a schema here (`generation`).

mod readers;
mod statement;
mod value;
mod writer;

use std::time::Duration;

pub use readers::Db;
pub(crate) use readers::Moment;
#[cfg(test)]
pub(crate) use readers::Readers;
pub(crate) use statement::{Query, query};
pub(crate) use value::Value;
#[cfg(test)]
pub(crate) use writer::sqlite_options;
pub(crate) use writer::{Conn, Writer};

/// The longest that a statement waits for another's lock, and a query for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

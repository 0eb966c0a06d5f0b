//! The runtime: five verbs under one supervisor.
//!
//! - [`dispatch`]: a command reaches its aggregate and its events the log.
//! - [`project`]: the log becomes views.
//! - [`react`]: an event causes commands.
//! - [`tick`]: a due timer causes a command.
//! - [`work`]: one IO step through a port, and its outcome into the log.
//!
//! Only here is anything appended to the log, and only here is anything spawned.

pub mod clock;
pub mod dispatch;
pub mod hub;
mod journal;
mod lease;
mod patience;
pub mod project;
mod react;
pub mod spool;
pub mod supervisor;
mod tick;
pub mod trace;
pub mod work;

pub use hub::{Hub, Parts};

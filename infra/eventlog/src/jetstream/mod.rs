//! The log on NATS `JetStream`: one stream that any number of nodes append to and follow.
//!
//! Who is who: [`JetStreamLog`] is the port. A commit is one message (`message`) on a subject that says
//! whose it is (`names`); its position is the stream's sequence. `append` decides what became of a
//! message whose acknowledgement was lost. The `mirror` is the stream once more in this node's
//! `SQLite`, and answers every read. A `consumer` is one of the server's, shared by the nodes. `stream`
//! refuses at the start what cannot keep the promises, `monitor` finds out what a commit survives,
//! `transfer` copies whole logs. `verify` reads every copy that the servers keep, and `repair` brings
//! back from a mirror what they lost.
//!
//! Deadlines here are the runtime's, because servers know no other time; only what a caller asks for by
//! the port (when something given back comes again) goes by the port's clock.

mod api;
mod append;
mod consumer;
mod ends;
mod log;
mod message;
mod mirror;
mod monitor;
mod names;
mod options;
mod repair;
mod stream;
#[cfg(test)]
mod tests;
mod transfer;
mod verify;

pub use log::JetStreamLog;
pub use options::JetStreamOptions;
pub use repair::{RepairError, RepairStep, Repaired, Strangers, next_prefix, repair};
pub use verify::{Fault, ServerCopy, ServersReport, Wrong, verify_servers};

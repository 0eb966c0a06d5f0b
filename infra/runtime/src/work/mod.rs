//! Work: one IO step through a port, and its outcome into the log. Workers try; what follows is decided
//! by the domain's process managers.

mod attempt;
mod deliver;
mod erase;
mod import;
mod progress;
mod run;
mod seal;
pub mod sign;
mod sync;

pub(crate) use attempt::Courier;
pub(crate) use deliver::Deliverer;
pub(crate) use erase::Eraser;
pub use progress::Progress;
pub(crate) use run::Runner;
pub(crate) use sync::Syncer;

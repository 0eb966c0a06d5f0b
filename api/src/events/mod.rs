//! Events: the log itself, as its subscribers over HTTP see it. One `CloudEvents` 1.0 object an event,
//! only of the caller's project; what is sealed stays sealed.
//!
//! - `cursor`: where a subscriber is, `position.index`.
//! - `cloud`: the events of a commit as they are shown.
//! - `handlers`: pages. `stream`: server-sent events.

mod cloud;
mod cursor;
pub(crate) mod handlers;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

pub(crate) use cursor::Cursor;
pub(crate) use handlers::{EventPage, stream_page};

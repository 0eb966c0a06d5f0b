//! Where streams end, as far as this node was told: spares a look into the mirror with every append.
//! Never trusted for more than it says: the server decides where a stream ends.

use std::sync::Mutex;

use wharf_domain::kernel::{Head, Position, StreamId};

use crate::{locks::lock, sqlite::Recent};

/// Streams that are remembered, at least.
const STREAMS: usize = 16_384;

/// See the module.
#[derive(Debug)]
pub(super) struct Ends(Mutex<Recent<StreamId, Head>>);

impl Ends {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Recent::new(STREAMS)))
    }

    /// `stream` has a commit that ends like this.
    pub(super) fn note(&self, stream: &StreamId, head: Head) {
        let mut ends = lock(&self.0);
        match ends.get(stream) {
            Some(known) if known.position >= head.position => {}
            Some(known) => *known = head,
            None => ends.insert(stream.clone(), head),
        }
    }

    /// What is known of the commit of `stream` at `position`.
    pub(super) fn at(&self, stream: &StreamId, position: Position) -> Option<Head> {
        let known = *lock(&self.0).get(stream)?;
        (known.position == position).then_some(known)
    }
}

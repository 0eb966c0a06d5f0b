//! Where the streams end that this node wrote to lately. Spares an append a look into the mirror, and a read
//! of one stream the wait for what this node wrote to others.
//!
//! Never trusted for more than it says: the server decides where a stream ends.

use std::{collections::HashMap, mem, sync::Mutex};

use wharf_domain::kernel::{Head, Position, StreamId};

use crate::locks::lock;

/// Streams that are remembered, at least.
const STREAMS: usize = 16_384;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<Known>);

/// Two generations: with the first stream too many the older one goes.
#[derive(Debug, Default)]
struct Known {
    young: HashMap<StreamId, Head>,
    old: HashMap<StreamId, Head>,
    /// The highest position of what was forgotten.
    forgotten: Position,
}

impl Ends {
    /// `stream` has a commit that ends like this.
    pub(super) fn note(&self, stream: &StreamId, head: Head) {
        lock(&self.0).note(stream, head);
    }

    /// What is known of the commit of `stream` at `position`.
    pub(super) fn at(&self, stream: &StreamId, position: Position) -> Option<Head> {
        let known = *lock(&self.0).get(stream)?;
        (known.position == position).then_some(known)
    }

    /// How far a mirror has to be to have everything that was noted of `stream`.
    pub(super) fn reach(&self, stream: &StreamId) -> Position {
        let known = lock(&self.0);
        known
            .get(stream)
            .map_or(known.forgotten, |head| head.position)
    }
}

impl Known {
    fn get(&self, stream: &StreamId) -> Option<&Head> {
        self.young.get(stream).or_else(|| self.old.get(stream))
    }

    fn note(&mut self, stream: &StreamId, head: Head) {
        if self
            .get(stream)
            .is_some_and(|known| known.position >= head.position)
        {
            return;
        }
        if let Some(known) = self.young.get_mut(stream) {
            *known = head;
            return;
        }
        if self.young.len() >= STREAMS {
            let gone = mem::replace(&mut self.old, mem::take(&mut self.young));
            let last = gone.values().map(|head| head.position).max();
            self.forgotten = self.forgotten.max(last.unwrap_or_default());
        }
        self.young.insert(stream.clone(), head);
    }
}

#[cfg(test)]
mod tests {
    use wharf_domain::kernel::{Hash, Revision, WebhookId};

    use super::*;

    fn stream(n: usize) -> StreamId {
        let id = uuid::Uuid::from_u128(n as u128);
        StreamId::webhook(&"p".parse().unwrap(), WebhookId(id))
    }

    fn head(position: usize) -> Head {
        Head {
            position: Position(position as u64),
            revision: Revision(1),
            hash: Hash::ZERO,
        }
    }

    #[test]
    fn a_stream_is_reached_where_it_was_noted_last() {
        let ends = Ends::default();
        ends.note(&stream(1), head(7));
        ends.note(&stream(2), head(9));
        ends.note(&stream(1), head(3));
        assert_eq!(ends.reach(&stream(1)), Position(7));
        assert_eq!(ends.at(&stream(1), Position(7)), Some(head(7)));
        assert_eq!(ends.at(&stream(1), Position(3)), None);
        assert_eq!(
            ends.reach(&stream(3)),
            Position::START,
            "nothing was written"
        );
    }

    #[test]
    fn what_was_forgotten_may_be_anybodys() {
        let ends = Ends::default();
        for n in 1..=2 * STREAMS {
            ends.note(&stream(n), head(n));
        }
        assert_eq!(ends.reach(&stream(0)), Position::START);
        ends.note(&stream(0), head(2 * STREAMS + 1));
        assert_eq!(ends.reach(&stream(1)), Position(STREAMS as u64));
        assert_eq!(
            ends.reach(&stream(STREAMS + 1)),
            Position(STREAMS as u64 + 1)
        );
    }
}

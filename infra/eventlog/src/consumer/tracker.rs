//! What one durable consumer has seen and acknowledged. Pure: it asks no clock and reads no log.
//!
//! It keeps what is *not* done rather than what is: that is at most `max_in_flight` positions, however
//! far later commits run ahead of one that keeps failing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use wharf_domain::kernel::{Position, StoredCommit, Timestamp};

/// Acknowledgements after which a checkpoint is saved.
const SAVE_AFTER: usize = 256;
/// The longest that an acknowledgement stays unsaved while somebody fetches.
const SAVE_WITHIN: Duration = Duration::from_secs(1);

/// What outlives the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Everything at or below is acknowledged.
    pub(crate) floor: Position,
    /// Everything at or below was looked at.
    pub(crate) upto: Position,
    /// What was handed out of that and is not acknowledged.
    pub(crate) outstanding: Vec<Position>,
}

impl Checkpoint {
    /// Nothing is outstanding, the next commit is the one after `position`.
    pub(crate) fn at(position: Position) -> Self {
        Self {
            floor: position,
            upto: position,
            outstanding: Vec::new(),
        }
    }
}

/// What a fetch may hand out now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Given back earlier and due again.
    pub(super) again: Vec<Position>,
    /// New ones come after this.
    pub(super) after: Position,
    /// And are at most so many.
    pub(super) room: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tracker {
    max_in_flight: usize,
    upto: Position,
    /// Handed out.
    out: BTreeSet<Position>,
    /// Given back, and when each comes again.
    back: BTreeMap<Position, Timestamp>,
    unsaved: Unsaved,
    superseded: bool,
}

/// How much would be forgotten in a crash.
#[derive(Debug, Default)]
struct Unsaved {
    acks: usize,
    since: Option<Timestamp>,
    due: bool,
}

impl Tracker {
    /// Goes on from `checkpoint`; what is outstanding comes again at once.
    pub(super) fn resume(checkpoint: Checkpoint, max_in_flight: usize) -> Self {
        Self {
            max_in_flight: max_in_flight.max(1),
            upto: checkpoint.upto,
            out: BTreeSet::new(),
            back: checkpoint
                .outstanding
                .into_iter()
                .map(|at| (at, Timestamp::MIN))
                .collect(),
            unsaved: Unsaved::default(),
            superseded: false,
        }
    }

    /// What to hand out at `now`, if at most `max` are wanted. What was given back keeps its place
    /// among those in flight.
    pub(super) fn plan(&self, now: Timestamp, max: usize) -> Plan {
        let max = max.max(1);
        let due = self.back.iter().filter(|&(_, &due)| due <= now);
        let again: Vec<_> = due.map(|(&position, _)| position).take(max).collect();
        let free = self
            .max_in_flight
            .saturating_sub(self.out.len() + self.back.len());
        let room = free.min(max - again.len());
        Plan {
            again,
            after: self.upto,
            room,
        }
    }

    /// Hands out what was read for `plan`: which of it is still to be handed out. Another fetch may
    /// have been faster.
    pub(super) fn hand_out(
        &mut self,
        plan: &Plan,
        again: Vec<StoredCommit>,
        new: Vec<StoredCommit>,
        upto: Position,
        now: Timestamp,
    ) -> Vec<StoredCommit> {
        let mut given = again;
        given.retain(|commit| self.back.remove(&commit.position).is_some());
        self.out.extend(given.iter().map(|commit| commit.position));
        if self.upto == plan.after && upto > self.upto {
            self.upto = upto;
            self.out.extend(new.iter().map(|commit| commit.position));
            given.extend(new);
            self.changed(0, now);
        }
        given
    }

    /// These are done.
    pub(super) fn ack(&mut self, positions: &[Position], now: Timestamp) {
        let known = |at: &&Position| self.out.remove(at) || self.back.remove(at).is_some();
        let acks = positions.iter().filter(known).count();
        if acks > 0 {
            self.changed(acks, now);
        }
    }

    /// This one comes again at `due`; `false` if it is not out.
    pub(super) fn give_back(&mut self, position: Position, due: Timestamp) -> bool {
        let was_out = self.out.remove(&position);
        if was_out {
            self.back.insert(position, due);
        }
        was_out
    }

    /// Everything at or below is acknowledged.
    pub(super) fn floor(&self) -> Position {
        let open = [
            self.out.first(),
            self.back.first_key_value().map(|(at, _)| at),
        ];
        let lowest = open.into_iter().flatten().min();
        lowest.map_or(self.upto, |at| Position(at.0.saturating_sub(1)))
    }

    /// What is not acknowledged of a log that ends at `tail`; what was not looked at yet counts in full.
    pub(super) fn backlog(&self, tail: Position) -> u64 {
        let held = self.out.len() + self.back.len();
        tail.0.saturating_sub(self.upto.0) + held as u64
    }

    /// When something is to be done though nothing happens: a commit comes again, or a save is due.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let save = self.unsaved.since.filter(|_| !self.unsaved.due).map(within);
        self.back.values().copied().chain(save).min()
    }

    /// Whether the acknowledgements are many or old enough to be saved.
    pub(super) fn save_is_due(&mut self, now: Timestamp) -> bool {
        let old = self.unsaved.since.is_some_and(|since| within(since) <= now);
        self.unsaved.due |= old || self.unsaved.acks >= SAVE_AFTER;
        self.unsaved.due
    }

    /// Whether they are since now: the moment to ask for a save, once.
    pub(super) fn save_becomes_due(&mut self, now: Timestamp) -> bool {
        !self.unsaved.due && self.save_is_due(now)
    }

    /// Whether anything is unsaved.
    pub(super) const fn is_unsaved(&self) -> bool {
        self.unsaved.since.is_some()
    }

    /// The checkpoint, to be saved now.
    pub(super) fn save(&mut self) -> Checkpoint {
        self.unsaved = Unsaved::default();
        Checkpoint {
            floor: self.floor(),
            upto: self.upto,
            outstanding: self.out.iter().chain(self.back.keys()).copied().collect(),
        }
    }

    /// It was not saved after all, or was taken over from a tracker that was not saved.
    pub(super) fn mark_unsaved(&mut self, now: Timestamp) {
        self.changed(0, now);
    }

    /// Somebody else opened the consumer.
    pub(super) fn supersede(&mut self) -> Checkpoint {
        self.superseded = true;
        self.save()
    }

    /// Whether somebody else opened the consumer.
    pub(super) const fn is_superseded(&self) -> bool {
        self.superseded
    }

    fn changed(&mut self, acks: usize, now: Timestamp) {
        self.unsaved.acks += acks;
        self.unsaved.since.get_or_insert(now);
    }
}

/// When what is unsaved since `since` must be saved.
fn within(since: Timestamp) -> Timestamp {
    since.saturating_add(SAVE_WITHIN).unwrap_or(Timestamp::MAX)
}

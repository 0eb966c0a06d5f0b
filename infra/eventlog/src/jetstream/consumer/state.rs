//! What this node holds of one durable consumer. Pure: it asks no clock and no server.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::{Subject, jetstream::consumer::Info};
use wharf_domain::kernel::{Position, StoredCommit, Timestamp};

/// Where to acknowledge what was delivered.
pub(super) type AckTo = Subject;

/// What a fetch is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Hand out the commits at these positions.
    HandOut(Vec<Position>),
    /// Something is there, and more may be about to arrive; `fresh`: of what is there, some is new.
    Soon { fresh: bool },
    /// Nothing until something changes, or it is this late.
    Wait(Option<Timestamp>),
}

/// Why a fetch gets nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The consumer was opened again, or its log closed.
    Superseded,
    /// The server has no such consumer any more.
    Lost,
}

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    max_in_flight: usize,
    /// The highest position that arrived.
    upto: Position,
    /// Delivered, and not handed out.
    arrived: BTreeMap<Position, AckTo>,
    /// Handed out.
    out: BTreeMap<Position, AckTo>,
    /// Given back, and when each comes again.
    back: BTreeMap<Position, (Timestamp, AckTo)>,
    /// Those that are held although the server delivered them before, perhaps to another node.
    again: BTreeSet<Position>,
    /// Acknowledged, which the server has not confirmed.
    unconfirmed: BTreeMap<Position, AckTo>,
    /// Those of them that are still to be sent.
    to_confirm: Vec<Position>,
    /// Commits that the server was asked for and that have not arrived.
    asked: usize,
    /// Commits that the server is to be asked for.
    wanted: usize,
    /// How often the server has answered a question to its end.
    answers: u64,
    /// What other nodes hold, at the last look: how many, and below what everything is acknowledged.
    elsewhere: (usize, Position),
    /// Counts arrivals and acknowledgements.
    happened: u64,
    /// Which opening counts.
    opener: u64,
    dropped: bool,
    lost: bool,
}

impl State {
    /// Nothing is held; the server is where `info` says.
    pub(super) fn new(info: &Info) -> Self {
        let floor = Position(info.ack_floor.stream_sequence);
        let upto = if info.num_ack_pending > 0 {
            floor.max(Position(info.delivered.stream_sequence))
        } else {
            floor
        };
        Self {
            max_in_flight: 1,
            upto,
            arrived: BTreeMap::new(),
            out: BTreeMap::new(),
            back: BTreeMap::new(),
            again: BTreeSet::new(),
            unconfirmed: BTreeMap::new(),
            to_confirm: Vec::new(),
            asked: 0,
            wanted: 0,
            answers: 0,
            elsewhere: (info.num_ack_pending, floor),
            happened: 0,
            opener: 0,
            dropped: false,
            lost: false,
        }
    }

    /// Opens it again: what was handed out or given back comes again at once, in order.
    pub(super) fn take_over(&mut self, max_in_flight: usize) -> u64 {
        self.max_in_flight = max_in_flight.max(1);
        self.arrived.append(&mut self.out);
        let back = std::mem::take(&mut self.back);
        self.arrived
            .extend(back.into_iter().map(|(at, (_, ack_to))| (at, ack_to)));
        self.opener += 1;
        self.opener
    }

    /// Whether `position`, which is held, was delivered before.
    pub(super) fn came_again(&self, position: Position) -> bool {
        self.again.contains(&position)
    }

    /// Whether `opener` still counts.
    pub(super) const fn ended(&self, opener: u64) -> Option<Ended> {
        if self.lost {
            Some(Ended::Lost)
        } else if self.dropped || opener != self.opener {
            Some(Ended::Superseded)
        } else {
            None
        }
    }

    /// Its handle is gone.
    pub(super) const fn set_dropped(&mut self) {
        self.dropped = true;
    }

    pub(super) const fn is_dropped(&self) -> bool {
        self.dropped
    }

    /// The server does not know the consumer.
    pub(super) const fn set_lost(&mut self) {
        self.lost = true;
    }

    /// How often the server has answered to the end: to be given to [`Self::plan`].
    pub(super) const fn answers(&self) -> u64 {
        self.answers
    }

    /// What a fetch of at most `max` is to do at `now`. It began when there were `since` answers;
    /// `enough`: it takes what is there.
    pub(super) fn plan(&mut self, now: Timestamp, max: usize, since: u64, enough: bool) -> Plan {
        let max = max.max(1);
        let due = self.back.iter().filter(|(_, (due, _))| *due <= now);
        let mut ready: Vec<_> = due.map(|(&at, _)| at).take(max).collect();
        let again = ready.len();
        ready.extend(self.arrived.keys().take(max - again));
        let answered = self.answers > since && ready.len() > again;
        if ready.len() < max && !answered && self.asked == 0 {
            let held = self.out.len() + self.back.len() + self.arrived.len();
            let room = self.max_in_flight.saturating_sub(held);
            self.wanted = room.min(max - ready.len());
        }
        let more = self.wanted > 0 || self.asked > 0;
        if ready.is_empty() {
            return Plan::Wait(self.back.values().map(|(due, _)| *due).min());
        }
        if ready.len() == max || answered || enough || !more {
            ready.sort_unstable();
            return Plan::HandOut(ready);
        }
        Plan::Soon {
            fresh: ready.len() > again,
        }
    }

    /// Hands out what was read: which of it is still to be handed out. Another fetch may have been
    /// faster.
    pub(super) fn hand_out(&mut self, mut commits: Vec<StoredCommit>) -> Vec<StoredCommit> {
        commits.retain(|commit| {
            let at = commit.position;
            let arrived = self.arrived.remove(&at);
            let held = arrived.or_else(|| self.back.remove(&at).map(|(_, ack_to)| ack_to));
            held.is_some_and(|ack_to| self.out.insert(at, ack_to).is_none())
        });
        commits
    }

    /// These are done.
    pub(super) fn ack(&mut self, positions: &[Position]) {
        self.happened += 1;
        for at in positions {
            let held = self.out.remove(at).or_else(|| self.arrived.remove(at));
            let held = held.or_else(|| self.back.remove(at).map(|(_, ack_to)| ack_to));
            if let Some(ack_to) = held {
                self.again.remove(at);
                self.unconfirmed.insert(*at, ack_to);
                self.to_confirm.push(*at);
            }
        }
    }

    /// This one comes again at `due`; `false` if it is not out.
    pub(super) fn give_back(&mut self, position: Position, due: Timestamp) -> bool {
        let held = self.out.remove(&position);
        let was_out = held.is_some();
        if let Some(ack_to) = held {
            self.back.insert(position, (due, ack_to));
        }
        was_out
    }

    /// Everything at or below is acknowledged.
    pub(super) fn floor(&self) -> Position {
        let open = [
            self.arrived.keys().next(),
            self.out.keys().next(),
            self.back.keys().next(),
        ];
        let lowest = open.into_iter().flatten().min();
        let here = lowest.map_or(self.upto, |at| Position(at.0.saturating_sub(1)));
        match self.elsewhere {
            (0, _) => here,
            (_, floor) => here.min(floor),
        }
    }

    /// Whether the server has confirmed every acknowledgement.
    pub(super) fn is_confirmed(&self) -> bool {
        self.unconfirmed.is_empty()
    }

    /// Takes what the server is to be told: it confirms each.
    pub(super) fn take_acks(&mut self) -> Vec<(Position, AckTo)> {
        let unsent = std::mem::take(&mut self.to_confirm);
        let acks = unsent.into_iter();
        acks.filter_map(|at| Some((at, self.unconfirmed.get(&at)?.clone())))
            .collect()
    }

    /// The server has confirmed it, or never will: then it comes again.
    pub(super) fn confirmed(&mut self, position: Position) {
        self.happened += 1;
        self.unconfirmed.remove(&position);
    }

    /// How many to ask the server for, if any. The answer ends with [`Self::arrive`] of the last one or
    /// with [`Self::answered`].
    pub(super) fn take_question(&mut self) -> Option<usize> {
        if self.asked > 0 || self.wanted == 0 || self.dropped || self.lost {
            return None;
        }
        self.asked = std::mem::take(&mut self.wanted);
        Some(self.asked)
    }

    /// The server delivered `position`; `again`: not for the first time.
    pub(super) fn arrive(&mut self, position: Position, ack_to: AckTo, again: bool) {
        self.happened += 1;
        if self.asked > 0 {
            self.asked -= 1;
            if self.asked == 0 {
                self.answers += 1;
            }
        }
        if again {
            self.elsewhere.0 = self.elsewhere.0.saturating_sub(1);
        }
        self.upto = self.upto.max(position);
        if let Some(held) = self.out.get_mut(&position) {
            *held = ack_to;
        } else if let Some((_, held)) = self.back.get_mut(&position) {
            *held = ack_to;
        } else if let Some(held) = self.unconfirmed.get_mut(&position) {
            *held = ack_to;
            self.to_confirm.push(position);
        } else {
            if again {
                self.again.insert(position);
            }
            self.arrived.insert(position, ack_to);
        }
    }

    /// The server has nothing more for the question, or forgot it.
    pub(super) const fn answered(&mut self) {
        if self.asked > 0 {
            self.asked = 0;
            self.answers += 1;
        }
    }

    /// Counts what happened, to be given to [`Self::look_elsewhere`].
    pub(super) const fn happened(&self) -> u64 {
        self.happened
    }

    /// What the server said about all nodes together, if nothing has happened here since `happened`:
    /// otherwise what is on its way would count as somebody else's.
    pub(super) fn look_elsewhere(&mut self, info: &Info, happened: u64) {
        if self.happened != happened {
            return;
        }
        let here = self.arrived.len() + self.out.len() + self.back.len() + self.unconfirmed.len();
        let elsewhere = info.num_ack_pending.saturating_sub(here);
        self.elsewhere = (elsewhere, Position(info.ack_floor.stream_sequence));
    }

    /// Everything that is held, in order.
    pub(super) fn held(&self) -> Vec<AckTo> {
        let back = self.back.iter().map(|(at, (_, ack_to))| (at, ack_to));
        let all = self.out.iter().chain(&self.arrived).chain(back);
        let all: BTreeMap<_, _> = all.collect();
        all.into_values().cloned().collect()
    }
}

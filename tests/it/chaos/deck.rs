//! Which faults there are, and in which order they come.

use std::time::Duration;

use wharf_tests::wire::{Direction, Mode};

use super::Dice;

/// Longest that a process stands still or a wire is bad, in milliseconds: longer than a lease holds.
const LONGEST: u64 = 6000;

/// What is done; `usize` says to which of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// kill -9 of a node, and a new start.
    KillNode(usize),
    /// SIGSTOP of a node, and SIGCONT: its leases ended meanwhile, and it does not know.
    PauseNode(usize, Duration),
    /// kill -9 of a NATS server, and a new start after a while.
    KillServer(usize, Duration),
    /// kill -9 of all NATS servers at once, and a new start.
    KillServers,
    /// SIGSTOP of a NATS server, and SIGCONT.
    PauseServer(usize, Duration),
    /// kill -9 of a process of PostgreSQL: it ends all others and recovers as after a crash.
    CrashDatabase,
    /// Every wire between a node and the NATS servers.
    Wire(usize, Mode, Duration),
}

/// Deals faults so that every kind comes once before any comes again.
#[derive(Default)]
pub(super) struct Deck(Vec<u8>);

impl Deck {
    /// How many kinds there are.
    pub(super) const KINDS: u8 = 10;

    /// The next fault.
    pub(super) fn draw(&mut self, dice: &mut Dice) -> Fault {
        if self.0.is_empty() {
            self.0.extend(0..Self::KINDS);
        }
        let kind = self
            .0
            .swap_remove(dice.between(0, self.0.len() as u64) as usize);
        let node = dice.between(0, 2) as usize;
        let server = dice.between(0, 3) as usize;
        let lasting = Duration::from_millis(dice.between(100, LONGEST));
        let delay = Duration::from_millis(dice.between(5, 300));
        match kind {
            0 => Fault::KillNode(node),
            1 => Fault::PauseNode(node, lasting),
            2 => Fault::KillServer(server, lasting / 4),
            3 => Fault::KillServers,
            4 => Fault::PauseServer(server, lasting),
            5 => Fault::CrashDatabase,
            6 => Fault::Wire(node, Mode::Cut, lasting),
            7 => Fault::Wire(node, Mode::Slow(delay), lasting),
            8 => Fault::Wire(node, Mode::Silent, lasting),
            _ if dice.between(0, 2) == 0 => Fault::Wire(node, Mode::Half(Direction::There), delay),
            _ => Fault::Wire(node, Mode::Half(Direction::Back), delay),
        }
    }
}

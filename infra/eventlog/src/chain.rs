//! The position-ordered chain: one hash that stands for the whole log up to a position.
//!
//! A commit's own hash covers its bytes and its stream's past; the chain adds where it lies. It runs
//! over stored bytes (sealed ones stay sealed), so erasing a key never breaks it. Both logs compute
//! the same one: equal chains at equal positions are equal logs.

use wharf_domain::kernel::{Hash, Position};

/// The chain at `position`, where a commit of `events` events and hash `commit` lies.
pub(crate) fn next(before: Hash, position: Position, events: u32, commit: Hash) -> Hash {
    Hash::of(&[
        &before.0,
        &position.0.to_be_bytes(),
        &events.to_be_bytes(),
        &commit.0,
    ])
}

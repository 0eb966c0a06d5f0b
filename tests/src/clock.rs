//! Time that stands still until a test moves it, and dice that always fall the same.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;
use wharf_domain::{
    kernel::{Hash, Timestamp},
    ports::{Clock, Ids},
};
use wharf_runtime::clock::SystemClock;

/// 2026-01-01T00:00:00Z, in seconds.
const START: i64 = 1_767_225_600;

/// A clock that only [`VirtualClock::advance`] moves.
#[derive(Debug)]
pub struct VirtualClock {
    now: watch::Sender<Timestamp>,
}

impl VirtualClock {
    /// It is 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        let start = Timestamp::from_second(START).unwrap_or_default();
        Self {
            now: watch::Sender::new(start),
        }
    }

    /// Lets time pass, and wakes whoever waited for it.
    pub fn advance(&self, by: Duration) {
        self.now
            .send_modify(|now| *now = now.saturating_add(by).unwrap_or(Timestamp::MAX));
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        // Cannot fail: `self` holds the sender.
        let _ = self.now.subscribe().wait_for(|&now| now >= deadline).await;
    }
}

/// The machine's clock, which a test sets back and forth.
#[derive(Debug, Default)]
pub struct JumpingClock {
    /// How far it is ahead, in microseconds.
    ahead_us: AtomicI64,
}

impl JumpingClock {
    /// Sets it forward, or back.
    pub fn jump(&self, by: jiff::SignedDuration) {
        let by = i64::try_from(by.as_micros()).expect("it is not for ever");
        self.ahead_us.fetch_add(by, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_us.load(Ordering::Relaxed);
        SystemClock.now() + jiff::SignedDuration::from_micros(ahead)
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        wharf_runtime::clock::sleep(|| self.now(), deadline).await;
    }
}

/// Dice with a seed: the same test sees the same ids. Not for secrets.
#[derive(Debug)]
pub struct SeededIds {
    seed: u64,
    thrown: AtomicU64,
}

impl SeededIds {
    /// Different seeds fall differently.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            thrown: AtomicU64::new(0),
        }
    }

    fn throw(&self) -> (u64, [u8; 32]) {
        let throw = self.thrown.fetch_add(1, Ordering::Relaxed);
        (
            throw,
            Hash::of(&[&self.seed.to_be_bytes(), &throw.to_be_bytes()]).0,
        )
    }
}

impl Ids for SeededIds {
    fn uuid(&self) -> Uuid {
        let (throw, bytes) = self.throw();
        let mut random = [0; 10];
        for (to, from) in random.iter_mut().zip(bytes) {
            *to = from;
        }
        // A millisecond apart each, so that they sort as they were made.
        let millis = START.unsigned_abs() * 1000 + throw;
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            for (to, from) in chunk.iter_mut().zip(self.throw().1) {
                *to = from;
            }
        }
    }
}

//! Clock and dice for this crate's tests.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use uuid::Uuid;
use wharf_domain::{
    kernel::Timestamp,
    ports::{Clock, Ids},
};

/// A clock that stands still until it is told otherwise.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    /// A clock at `seconds` after the epoch.
    pub(crate) fn at(seconds: i64) -> Self {
        Self(AtomicI64::new(seconds))
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::constant(self.0.load(Ordering::SeqCst), 0)
    }

    async fn sleep_until(&self, _deadline: Timestamp) {
        std::future::pending::<()>().await;
    }
}

/// Dice with a seed (splitmix64): never the same bytes twice, the same in every run.
pub(crate) struct TestIds(AtomicU64);

impl TestIds {
    /// Dice that begin at `seed`.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Ids for TestIds {
    fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        Uuid::from_bytes(bytes)
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self
                .0
                .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst)
                .wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            for (to, from) in chunk.iter_mut().zip((z ^ (z >> 31)).to_le_bytes()) {
                *to = from;
            }
        }
    }
}

/// Dice that always show seven.
pub(crate) struct Sevens;

impl Ids for Sevens {
    fn uuid(&self) -> Uuid {
        Uuid::from_bytes([7; 16])
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

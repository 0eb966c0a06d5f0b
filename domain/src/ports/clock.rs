//! Time and dice, so that tests run on virtual time with seeds.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

/// The time.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Now, UTC.
    fn now(&self) -> Timestamp;

    /// Returns once `now() >= deadline`; if the clock is set back meanwhile, after as long as was left at the
    /// beginning. Cancel-safe.
    async fn sleep_until(&self, deadline: Timestamp);
}

/// The dice.
pub trait Ids: Send + Sync + 'static {
    /// A new `UUIDv7`.
    fn uuid(&self) -> Uuid;

    /// Fills `bytes` with unguessable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

//! What the tests share: everything here serves `tests/it` and `tests/bench` and ships in no binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a helper of tests that fails, fails the test"
)]

pub mod certificates;
pub mod client;
pub mod clock;
pub mod disk;
pub mod keeper;
pub mod nats;
pub mod parts;
pub mod peers;
pub mod postgres;
pub mod process;
pub mod receiver;
pub mod skip;
pub mod storage;
pub mod subscription;
pub mod wire;

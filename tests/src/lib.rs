//! What the tests share: everything here serves `tests/it` and `tests/bench` and ships in no binary.

pub mod client;
pub mod clock;
pub mod parts;
pub mod peers;
pub mod process;
pub mod receiver;

//! Flows through several crates, and through the whole binary.

mod dispatch;
mod inside;
mod late;
mod snapshots;
mod spine;

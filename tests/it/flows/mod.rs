//! Flows through several crates, and through the whole binary.

mod dispatch;
mod late;
mod spine;

//! Operations: what the hub tells a collector, the files that it is deployed with, and copies of its log.

mod deploy;
mod traces;
mod transfer;

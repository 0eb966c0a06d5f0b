//! The server: configuration, telemetry, boot, and the command line of `wharf`.
//!
//! The only crate that names concrete implementations of the ports.

pub mod admin;
pub mod boot;
pub mod cli;
pub mod config;
pub mod demo;
mod disk;
pub mod import;
pub mod keys;
pub mod stop;
pub mod storage;
pub mod telemetry;

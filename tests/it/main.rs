//! Every test that needs more than one crate, in one binary: it links once.
//!
//! Names of tests read as sentences; those of an invariant begin with its number (`inv02_…`), as
//! ARCHITECTURE.md lists them.
//!
//! Each module says `#[cfg(test)]`, which is true here anyway: it tells clippy that helpers may panic, too.

#[cfg(test)]
mod api;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod ops;
#[cfg(test)]
mod subscribers;

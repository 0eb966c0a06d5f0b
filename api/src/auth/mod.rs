//! Authentication: who calls, proven by a bearer token, and whether they may.
//!
//! - [`Verifier`]: the keys and rules by which tokens are believed; [`mint`] makes one for development.
//! - [`Granted`]: the extractor that every protected route begins with. It answers 401 or 403 before
//!   anything of the request is read but its header.

mod granted;
mod jwk;
mod jwt;
#[cfg(test)]
mod tests;

pub(crate) use granted::{Granted, Manage, Read, Run, operator_or_loopback};
pub use jwk::InvalidKeys;
pub use jwt::{Claims, TokenError, TokenRules, Verified, Verifier, mint};

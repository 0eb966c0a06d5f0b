//! Egress: the only place that opens outbound connections, and the guard in front of them.
//!
//! [`Egress`] implements the port [`Http`](wharf_domain::ports::Http). Webhook deliveries, platform
//! syncs and everything else that leaves the hub go through it; `infra/server` builds it once.
//!
//! Many addresses it is told to call were chosen by callers of the API, who must not reach what the hub
//! can reach: its own ports, the private network, the cloud's metadata (server-side request forgery).
//! Two checks share one rule, because neither sees everything:
//!
//! - `check` judges the URL: its form, its port, and its host where that is a literal address. The HTTP
//!   client dials literals without asking any resolver.
//! - `guard` is the client's resolver and judges what a name resolves to. The client dials exactly the
//!   addresses that were judged, so a name that changes its mind in between (DNS rebinding) gains
//!   nothing.
//!
//! Redirects are answers like any other and never followed; no proxy is taken from the environment.
//!
//! It tries once. Whether to try again is decided by process managers, from events.

mod addresses;
mod check;
mod client;
mod guard;
mod outcome;
#[cfg(test)]
mod tests;

pub use client::{Egress, Error, Options};
pub use guard::{Resolve, SystemDns};

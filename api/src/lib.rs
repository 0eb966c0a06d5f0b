//! Wharfinger's HTTP API: axum routes over the domain's ports and the projections' queries.
//!
//! - [`router`] makes the service of an [`ApiState`]; `server` calls it and nothing else.
//! - [`openapi`] and [`problems`] describe it: `wharf openapi`, `wharf explain`.
//! - A capability is a folder: `dto` (the contract's shapes), `handlers`, sometimes more. `routes` is
//!   the table of contents.
//! - `extract` parses at the edge, `problem` is the only place that turns an error into HTTP, `layers`
//!   surround every request.
//!
//! A handler authorises, asks the views or dispatches one command, and answers. It decides nothing, keeps
//! nothing, and never sees another project's data (invariant 13).

pub mod auth;
mod docs;
mod events;
mod extract;
mod health;
mod idempotency;
mod imports;
mod integrations;
mod layers;
mod linger;
mod messages;
mod metrics;
mod openapi;
mod platforms;
mod problem;
mod records;
mod reply;
mod routes;
pub mod sandbox;
mod state;
mod syncs;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod webhooks;
mod written;

pub use openapi::openapi;
pub use problem::{Problem, problems};
pub use routes::router;
pub use state::{ApiOptions, ApiState, RenderMetrics};

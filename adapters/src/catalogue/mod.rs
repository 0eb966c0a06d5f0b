//! Every platform of this hub. A new platform is a line here and a folder beside it.

use std::sync::Arc;

use wharf_domain::ports::Connectors;

use crate::{health::apple_health::AppleHealth, sandbox::Sandbox};

/// What the connectors need to know of the hub they run in.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where this hub's own sandbox platform answers, e.g. `http://127.0.0.1:8080/sandbox/v1`.
    pub sandbox_base_url: String,
}

/// Every platform, by slug.
#[must_use]
pub fn connectors(options: Options) -> Connectors {
    Connectors::new(vec![
        // health
        Arc::new(AppleHealth::new()),
        // ours
        Arc::new(Sandbox::new(options.sandbox_base_url)),
    ])
}

#[cfg(test)]
mod tests;

//! Platforms: the third parties, as data. A manifest says what a connector can do; code does it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a platform is, read from its `manifest.toml`. Unknown keys are refused.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `integration_type` on the wire, e.g. `apple_health`.
    pub slug: String,
    /// For people.
    pub name: String,
    /// One sentence: what it brings.
    pub description: String,
    /// One of the contract's categories, or ours (`health`, `nutrition`, `calendar`, `marketing`,
    /// `crm`, `commerce`, `sandbox`).
    pub category: String,
    /// The coarse kinds that some clients filter by (`marketing`, `crm`, `analytics`, …).
    #[serde(default)]
    pub service_types: Vec<String>,
    /// Where its documentation is.
    pub documentation_url: String,
    /// How it is connected.
    pub auth: Auth,
    /// How data arrives.
    pub capabilities: Capabilities,
    /// Unified models that it fills.
    pub models: Vec<String>,
    /// Named interval of scheduled syncs unless the integration says otherwise.
    #[serde(default)]
    pub default_sync_interval: Option<String>,
    /// JSON Schema (2020-12) of an integration's `configuration`.
    pub configuration_schema: Value,
    /// What a person does to connect it: steps in Markdown.
    pub setup: Vec<String>,
}

/// How a platform is connected.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// `none`, `bearer`, …
    pub auth_type: String,
    /// Secret fields that `auth_config` must carry, each with what it is.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
}

/// How data arrives from a platform.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// We ask for pages.
    pub pull: bool,
    /// A user uploads an export file.
    pub file_import: bool,
    /// A change feed exists (`delta` is not only `incremental`).
    pub delta: bool,
}

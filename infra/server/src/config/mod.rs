//! Configuration: the embedded defaults, then a file, then the environment. Closed: an unknown key is an
//! error that names it, before any port is bound.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::{Table, Value};

/// The defaults, which are also the documentation.
pub const DEFAULTS: &str = include_str!("../../config.default.toml");
/// The environment's prefix: `WHARF_<SECTION>__<KEY>`.
const PREFIX: &str = "WHARF_";

/// All settings; see `config.default.toml` for each.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every key")]
pub struct Config {
    pub server: Server,
    pub data: Data,
    pub log: Log,
    pub database: Database,
    pub auth: Auth,
    pub vault: Vault,
    pub egress: Egress,
    pub webhooks: Webhooks,
    pub import: Import,
    pub sandbox: Sandbox,
    pub telemetry: Telemetry,
}

macro_rules! sections {
    ($($name:ident { $($key:ident: $type:ty),+ $(,)? })+) => {$(
        /// A section of the configuration; see `config.default.toml`.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(missing_docs, reason = "config.default.toml documents every key")]
        pub struct $name { $(pub $key: $type),+ }
    )+};
}

sections! {
    Server {
        listen: Vec<SocketAddr>,
        public_base_url: String,
        shutdown_grace_seconds: u64,
        max_concurrent_requests: usize,
    }
    Data { dir: PathBuf }
    Log {
        nats_url: String,
        nats_ca: String,
        nats_prefix: String,
        nats_monitor_urls: Vec<String>,
        replicas: usize,
    }
    Database { url: String }
    Auth { jwt_secret: String, jwks_file: String, issuer: String, audience: String }
    Vault { master_key: String, key_file: String }
    Egress { allow: Vec<String> }
    Webhooks { in_flight: usize }
    Import { dir: String, max_upload_bytes: u64 }
    Sandbox { enabled: bool }
    Telemetry { level: String, format: String, otlp_endpoint: String, trace_share: f64 }
}

/// What is wrong with the configuration; `wharf` exits with 64.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no TOML, or a key is unknown or of the wrong type.
    #[error("the configuration is wrong: {0}")]
    Wrong(String),
}

impl Config {
    /// Reads the defaults, `file` (if given, or `./wharf.toml` if it exists) and `environment`.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub fn load(
        file: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let mut table: Table = DEFAULTS.parse().map_err(wrong)?;
        let implicit = Path::new("wharf.toml");
        if let Some(path) = file.or_else(|| implicit.exists().then_some(implicit)) {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File {
                path: path.to_owned(),
                source,
            })?;
            let given: Table = text.parse().map_err(wrong)?;
            merge(&mut table, given);
        }
        for (name, value) in environment {
            let Some((section, key)) = name
                .strip_prefix(PREFIX)
                .and_then(|rest| rest.split_once("__"))
            else {
                continue;
            };
            let one = Table::from_iter([(key.to_ascii_lowercase(), literal(value))]);
            let named = Table::from_iter([(section.to_ascii_lowercase(), Value::Table(one))]);
            merge(&mut table, named);
        }
        if let Some(key) = environment.get("ENCRYPTION_KEY") {
            let one = Table::from_iter([("master_key".to_owned(), Value::String(key.clone()))]);
            merge(
                &mut table,
                Table::from_iter([("vault".to_owned(), Value::Table(one))]),
            );
        }
        let config: Self = table.try_into().map_err(wrong)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |text: &str| Err(ConfigError::Wrong(text.to_owned()));
        if self.server.listen.is_empty() {
            return wrong("server.listen names at least one address, e.g. [\"127.0.0.1:8093\"]");
        }
        if !self.auth.jwt_secret.is_empty() && self.auth.jwt_secret.len() < 32 {
            return wrong("auth.jwt_secret has at least 32 bytes");
        }
        if self.webhooks.in_flight == 0 {
            return wrong("webhooks.in_flight is at least 1");
        }
        if !matches!(self.telemetry.format.as_str(), "text" | "json") {
            return wrong("telemetry.format is \"text\" or \"json\"");
        }
        let endpoint = &self.telemetry.otlp_endpoint;
        if !endpoint.is_empty()
            && !endpoint.starts_with("http://")
            && !endpoint.starts_with("https://")
        {
            return wrong("telemetry.otlp_endpoint is an http or https URL, or empty");
        }
        if !(0.0..=1.0).contains(&self.telemetry.trace_share) {
            return wrong("telemetry.trace_share is between 0 and 1");
        }
        if self.server.max_concurrent_requests == 0 {
            return wrong("server.max_concurrent_requests is at least 1");
        }
        Ok(())
    }
}

/// Later tables win, key by key.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// A value of the environment: TOML where it is some (`7`, `true`, `["a"]`), text otherwise.
fn literal(text: &str) -> Value {
    format!("v = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn wrong(error: impl std::fmt::Display) -> ConfigError {
    ConfigError::Wrong(error.to_string().trim_end().to_owned())
}

#[cfg(test)]
mod tests;

//! Configurations: what a platform's JSON Schema says of one, and merging a change into it.

use serde_json::Value;

use crate::problem::{Code, Error, internal};

/// Most faults named at once.
const MAX_FAULTS: usize = 20;

/// Checks `configuration` against the platform's JSON Schema.
///
/// # Errors
/// `F42304`, a JSON pointer into the request body for each fault; `F50000` if the manifest's schema is
/// no schema.
pub(super) fn check(schema: &Value, configuration: &Value) -> Result<(), Error> {
    let validator = jsonschema::draft202012::new(schema)
        .map_err(|error| internal(format!("a manifest's schema is no JSON Schema: {error}")))?;
    let mut faults = validator.iter_errors(configuration).peekable();
    if faults.peek().is_none() {
        return Ok(());
    }
    let refused = Error::new(Code::ConfigurationInvalid)
        .detail("configuration is not what the platform's schema says");
    Err(faults.take(MAX_FAULTS).fold(refused, |refused, fault| {
        // Masked: a fault must not repeat what may be a secret put into the wrong place.
        let message = fault.masked_with("the value").to_string();
        refused.and_field(format!("/configuration{}", fault.instance_path()), message)
    }))
}

/// Merges `patch` into `target` (RFC 7396).
pub(super) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(members) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (name, value) in members {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

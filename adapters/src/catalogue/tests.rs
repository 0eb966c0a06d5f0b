//! What every platform must be, checked on each.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use wharf_domain::platforms::Manifest;

use super::*;
use crate::kit::{manifest, models::MODELS};

fn all() -> Connectors {
    connectors(Options {
        sandbox_base_url: "http://127.0.0.1:1/sandbox/v1".to_owned(),
    })
}

/// Every `manifest.toml` of the crate, by the name of its folder.
fn folders() -> BTreeMap<String, PathBuf> {
    fn walk(folder: &Path, found: &mut BTreeMap<String, PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.ends_with("manifest.toml") {
                let name = folder.file_name().unwrap().to_str().unwrap();
                found.insert(name.to_owned(), path);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    found
}

/// What every platform owes the hub.
fn conforms(manifest: &Manifest) {
    let slug = &manifest.slug;
    let token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    assert!(token(slug), "{slug}");
    assert!(token(&manifest.category), "{slug}");
    assert!(manifest.description.ends_with('.'), "{slug}: a sentence");
    // `/docs` is ours.
    let documentation = &manifest.documentation_url;
    assert!(
        documentation.starts_with("https://") || documentation == "/docs",
        "{slug}"
    );
    assert!(
        !manifest.name.is_empty() && !manifest.setup.is_empty(),
        "{slug}"
    );
    assert!(
        manifest.setup.iter().all(|step| step.len() > 20),
        "{slug}: steps that help"
    );
    assert!(
        manifest.capabilities.pull || manifest.capabilities.file_import,
        "{slug}: some way to bring data"
    );
    let no_secrets = matches!(manifest.auth.auth_type.as_str(), "none");
    assert_eq!(
        manifest.auth.secrets.is_empty(),
        no_secrets,
        "{slug}: secrets"
    );

    assert!(!manifest.models.is_empty(), "{slug}");
    assert!(manifest.models.is_sorted(), "{slug}: models in order");
    for model in &manifest.models {
        let known = MODELS.iter().find(|known| known.name == model);
        assert!(
            known.is_some(),
            "{slug}: {model} is documented in kit/models.rs"
        );
    }

    let schema = &manifest.configuration_schema;
    assert_eq!(
        schema["$schema"], "https://json-schema.org/draft/2020-12/schema",
        "{slug}"
    );
    assert_eq!(schema["type"], "object", "{slug}");
    assert_eq!(schema["additionalProperties"], json!(false), "{slug}");
    assert!(jsonschema::meta::is_valid(schema), "{slug}: a valid schema");
    let validator = jsonschema::validator_for(schema).unwrap();
    assert!(!validator.is_valid(&json!({"no_such_key": 1})), "{slug}");
    let properties = schema["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    for (name, property) in properties {
        assert!(
            property["description"].is_string(),
            "{slug}: {name} says what it is"
        );
    }
}

#[test]
fn every_platform_conforms() {
    for manifest in all().manifests() {
        conforms(manifest);
    }
}

#[test]
fn every_folder_with_a_manifest_is_in_the_catalogue_under_its_name() {
    let catalogue = all();
    let folders = folders();
    let slugs: Vec<_> = catalogue
        .manifests()
        .map(|manifest| manifest.slug.clone())
        .collect();
    assert_eq!(slugs, folders.keys().cloned().collect::<Vec<_>>());
    for (name, path) in folders {
        let parsed = manifest::parse(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(parsed.slug, name);
    }
}

#[test]
fn every_model_is_listed_once_and_filled_by_a_platform() {
    assert!(MODELS.is_sorted_by(|a, b| a.name < b.name));
    let catalogue = all();
    for model in MODELS {
        let filled = catalogue
            .manifests()
            .any(|m| m.models.iter().any(|name| name == model.name));
        assert!(filled, "{}", model.name);
        assert!(!model.about.is_empty() && !model.fields.is_empty());
    }
}

#[test]
fn an_unknown_key_of_a_manifest_is_refused() {
    let text = include_str!("../sandbox/manifest.toml");
    assert!(manifest::parse(text).is_ok());
    assert!(manifest::parse(&format!("colour = \"blue\"\n{text}")).is_err());
}

#[test]
fn configurations_are_judged_by_their_schema() {
    let catalogue = all();
    let valid = |slug: &str, configuration: Value| {
        let schema = &catalogue.get(slug).unwrap().manifest().configuration_schema;
        jsonschema::validator_for(schema)
            .unwrap()
            .is_valid(&configuration)
    };
    assert!(valid("apple_health", json!({})));
    assert!(valid(
        "apple_health",
        json!({"time_zone": "America/Argentina/Buenos_Aires"})
    ));
    assert!(!valid(
        "apple_health",
        json!({"time_zone": "../etc/passwd"})
    ));
    assert!(!valid("apple_health", json!({"time_zone": 1})));
    assert!(valid("sandbox", json!({"page_size": 100, "seed": 0})));
    assert!(!valid("sandbox", json!({"page_size": 0})));
    assert!(!valid("sandbox", json!({"page_size": 101})));
    assert!(!valid("sandbox", json!({"base_url": "file:///etc/passwd"})));
}

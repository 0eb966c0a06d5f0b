//! Golden fixtures: one example of every version of every event that was ever shipped, as JSON, in
//! `fixtures/events/<type>.v<version>.json`. They stay for ever (invariant 3): a fixture that no longer
//! reads, or that comes out changed, means that the logs out there no longer read either.
//!
//! A new event or version: write its fixture by hand, every optional field in it, so that the test
//! compares what was meant with what serde does.

use std::{borrow::Cow, collections::BTreeSet, fs, path::PathBuf};

use serde_json::{Value, value::RawValue};

use crate::{
    credentials::CredentialEvent,
    integrations::IntegrationEvent,
    kernel::{Category, EventSet, RawEvent},
    syncs::SyncRunEvent,
    webhooks::{DeliveryEvent, MessageEvent, WebhookEvent},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/events")
}

fn file_name(type_tag: &str, version: u32) -> String {
    format!("{type_tag}.v{version}.json")
}

/// Reads every fixture of a set and answers their file names.
fn check<E: EventSet>() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (type_tag, current) in E::TYPES {
        for version in 1..=*current {
            let name = file_name(type_tag, version);
            let text = fs::read_to_string(folder().join(&name))
                .unwrap_or_else(|error| panic!("{name}: every event has a fixture: {error}"));
            let data: Box<RawValue> = serde_json::from_str(&text).unwrap();
            let event = E::decode(&RawEvent {
                type_tag: Cow::Borrowed(type_tag),
                version,
                data: &data,
            })
            .unwrap_or_else(|error| panic!("{name} does not decode: {error:?}"));
            assert_eq!(event.type_tag(), *type_tag, "{name}");
            if version == *current {
                let again: Value =
                    serde_json::from_str(event.encode().unwrap().data.get()).unwrap();
                let golden: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(again, golden, "{name} comes out changed");
            }
            names.insert(name);
        }
    }
    names
}

/// The fixtures of the events of one category; a new category does not compile without its set.
fn check_category(category: Category) -> BTreeSet<String> {
    match category {
        Category::Integration => check::<IntegrationEvent>(),
        Category::Credential => check::<CredentialEvent>(),
        Category::Webhook => check::<WebhookEvent>(),
        Category::SyncRun => check::<SyncRunEvent>(),
        Category::Delivery => check::<DeliveryEvent>(),
        Category::Message => check::<MessageEvent>(),
    }
}

#[test]
fn inv03_every_version_of_every_event_reads_and_comes_out_unchanged() {
    for category in Category::ALL {
        assert!(!check_category(category).is_empty(), "{category:?}");
    }
}

#[test]
fn inv03_every_fixture_belongs_to_an_event() {
    let known: BTreeSet<String> = Category::ALL.into_iter().flat_map(check_category).collect();
    let there: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, known);
}

/// The tag begins with the category, so that a reader of the log knows whose fact it is.
#[test]
fn an_event_is_named_after_its_category() {
    for category in Category::ALL {
        for name in check_category(category) {
            assert!(
                name.starts_with(&format!("{}.", category.as_str())),
                "{name}"
            );
        }
    }
}

//! Events: wire names, and how an old shape becomes the new one.

use std::borrow::Cow;

use cqrs_es::DomainEvent;
use serde_json::value::RawValue;

use super::{
    super::{DecodeError, EventSet, RawEvent, Upcaster, upcast},
    TestEvent, forgotten, named,
};

fn raw<'a>(type_tag: &'static str, version: u32, data: &'a RawValue) -> RawEvent<'a> {
    RawEvent {
        type_tag: Cow::Borrowed(type_tag),
        version,
        data,
    }
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn decode(type_tag: &'static str, version: u32, data: &str) -> Result<TestEvent, DecodeError> {
    TestEvent::decode(&raw(type_tag, version, &json(data)))
}

#[test]
fn an_event_has_one_name_whoever_asks() {
    for (event, tag, version) in [
        (named("Ada"), "test.named", 3),
        (forgotten(), "test.forgotten", 1),
    ] {
        assert_eq!((event.type_tag(), event.version()), (tag, version));
        assert_eq!(event.event_type(), tag);
        assert_eq!(event.event_version(), version.to_string());
        assert!(TestEvent::TYPES.contains(&(tag, version)));
        let new = event.encode().unwrap();
        assert_eq!((new.type_tag.as_ref(), new.version), (tag, version));
        assert_eq!(serde_json::to_value(&event).unwrap()["type"], tag);
    }
}

#[test]
fn every_old_shape_becomes_the_current_one() {
    for (version, data) in [
        (1, r#"{"first": "Ada", "last": "Lovelace"}"#),
        (2, r#"{"full": "Ada Lovelace"}"#),
        (3, r#"{"full": "Ada Lovelace", "letters": 12}"#),
    ] {
        let event = decode("test.named", version, data).unwrap();
        assert_eq!(event, named("Ada Lovelace"), "version {version}");
    }
}

#[test]
fn a_current_shape_is_not_copied() {
    let data = json(r#"{"full":"Ada","letters":3}"#);
    let got = upcast(TestEvent::UPCASTERS, &raw("test.named", 3, &data), 3).unwrap();
    assert!(matches!(got, Cow::Borrowed(_)));
}

#[test]
fn what_is_newer_than_we_are_is_unknown_not_guessed() {
    for (tag, version) in [
        ("test.named", 4),
        ("test.named", 0),
        ("test.forgotten", 2),
        ("test.renamed", 1),
    ] {
        match decode(tag, version, "{}") {
            Err(DecodeError::Unknown {
                type_tag,
                version: got,
            }) => assert_eq!((type_tag.as_str(), got), (tag, version)),
            other => panic!("{tag} {version}: {other:?}"),
        }
    }
}

#[test]
fn a_gap_in_the_chain_of_upcasters_is_unknown() {
    let second_only: &[Upcaster] = &[Upcaster {
        type_tag: "test.named",
        from: 2,
        up: |data| data,
    }];
    let data = json("{}");
    assert!(matches!(
        upcast(second_only, &raw("test.named", 1, &data), 3),
        Err(DecodeError::Unknown { version: 1, .. })
    ));
}

#[test]
fn a_wrong_shape_is_malformed_and_says_which_event() {
    let error = decode("test.named", 3, r#"{"full": 7}"#).unwrap_err();
    assert_eq!(error.to_string(), "event test.named cannot be read");
    assert!(std::error::Error::source(&error).is_some());
}

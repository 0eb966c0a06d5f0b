//! Pages: built of records, sealed, opened again, or refused.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{json, value::to_raw_value};

use super::super::{
    Granularity, PageBuilder, Record, RecordKey, Recording, SEALED_PAGE_BYTES, Source, TimeQuality,
    page_context,
    sealed::{MAX_PLAIN_BYTES, SealedPageError, open, seal},
};
use crate::{
    integrations::Fence,
    kernel::{RunId, Secret, derive},
    ports::{DataKey, VaultError},
};

/// No cipher, but it is bound to the context as one is.
struct TestKey;

impl DataKey for TestKey {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut sealed = (context.len() as u64).to_be_bytes().to_vec();
        sealed.extend_from_slice(context);
        sealed.extend_from_slice(plain);
        sealed
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, VaultError> {
        sealed
            .strip_prefix((context.len() as u64).to_be_bytes().as_slice())
            .and_then(|rest| rest.strip_prefix(context))
            .map(|plain| Secret::new(plain.to_vec()))
            .ok_or(VaultError::Sealed)
    }
}

fn record(model: &'static str, deleted: bool) -> Record<'static> {
    Record {
        key: RecordKey::of(&[model.as_bytes()]),
        model: Cow::Borrowed(model),
        native_id: Some("abc".into()),
        native_version: None,
        start_us: Some(1_772_366_400_000_000),
        end_us: None,
        utc_offset_s: Some(3600),
        time_zone: None,
        civil_date: Some("2026-03-01".into()),
        time_quality: TimeQuality::Instant,
        granularity: Granularity::Interval,
        source: Source {
            app: Some("Watch \"7\"".into()),
            recording: Recording::Auto,
            ..Source::default()
        },
        deleted,
        data: Cow::Owned(to_raw_value(&json!({"count": 12})).unwrap()),
    }
}

/// Bytes that do not compress (a linear congruential generator's high bytes).
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    (0..bytes)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn a_page_counts_its_records_by_model_and_tombstones_among_them() {
    let mut builder = PageBuilder::default();
    for (model, deleted) in [("steps", false), ("sleep", false), ("steps", true)] {
        builder.push(&record(model, deleted)).unwrap();
    }
    assert_eq!(builder.records(), 3);
    let bytes = builder.bytes();
    let page = builder.take();
    assert_eq!(page.lines.len(), bytes);
    assert_eq!(page.lines.iter().filter(|byte| **byte == b'\n').count(), 3);
    assert_eq!((page.records, page.deleted), (3, 1));
    assert_eq!(
        page.models,
        [("sleep".to_owned(), 1), ("steps".to_owned(), 2)].into()
    );
    assert_eq!((builder.records(), builder.bytes()), (0, 0));
}

#[test]
fn a_page_in_two_holds_what_it_held_whole() {
    let mut builder = PageBuilder::default();
    for (model, deleted) in [("steps", false), ("sleep", true), ("steps", true)] {
        builder.push(&record(model, deleted)).unwrap();
    }
    let whole = builder.take();
    let (first, second) = whole.halves().unwrap();
    assert_eq!([&first.lines[..], &second.lines].concat(), whole.lines);
    assert_eq!((first.records, first.deleted), (1, 0));
    assert_eq!((second.records, second.deleted), (2, 2));
    assert_eq!(first.models, [("steps".to_owned(), 1)].into());
    assert_eq!(
        second.models,
        [("sleep".to_owned(), 1), ("steps".to_owned(), 1)].into()
    );
    assert!(first.halves().is_none());
}

#[test]
fn a_tombstone_has_a_key_and_nothing_else() {
    let key = RecordKey::of(&[b"gone"]);
    let json = serde_json::to_value(Record::tombstone(key, "steps")).unwrap();
    assert_eq!(json["key"], key.to_string());
    assert_eq!(json["model"], "steps");
    assert_eq!(json["deleted"], true);
    assert_eq!(json["data"], json!(null));
    assert_eq!(json.get("start_us"), None);
}

#[test]
fn a_page_round_trips_through_its_seal() {
    let mut builder = PageBuilder::default();
    builder.push(&record("steps", false)).unwrap();
    builder.push(&record("sleep", true)).unwrap();
    let page = builder.take();
    let cursor = json!({"page_token": "line\nfeed", "seen": [1, 2]});
    let sealed = seal(&page.lines, &cursor, &TestKey, b"context").unwrap();
    let opened = open(&sealed, &TestKey, b"context").unwrap();
    assert_eq!(opened.cursor().unwrap(), cursor);
    let records: Vec<Record<'_>> = opened
        .lines()
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(records.len(), 2);
    for (got, (model, deleted)) in records.iter().zip([("steps", false), ("sleep", true)]) {
        let wanted = record(model, deleted);
        assert_eq!(
            serde_json::to_value(got).unwrap(),
            serde_json::to_value(&wanted).unwrap()
        );
    }
}

#[test]
fn a_page_without_records_still_carries_the_cursor() {
    let sealed = seal(b"", &json!(null), &TestKey, b"context").unwrap();
    let opened = open(&sealed, &TestKey, b"context").unwrap();
    assert_eq!(opened.cursor().unwrap(), json!(null));
    assert_eq!(opened.lines().count(), 0);
}

#[test]
fn a_page_opens_only_in_its_own_place() {
    let run = super::run();
    let place = page_context(run, Fence(1), 7);
    let sealed = seal(b"{}\n", &json!({}), &TestKey, &place).unwrap();
    assert!(open(&sealed, &TestKey, &place).is_ok());
    for other in [
        page_context(run, Fence(2), 7),
        page_context(run, Fence(1), 8),
        page_context(RunId(derive(&[b"other"])), Fence(1), 7),
    ] {
        assert!(matches!(
            open(&sealed, &TestKey, &other),
            Err(SealedPageError::Vault(VaultError::Sealed))
        ));
    }
}

#[test]
fn a_page_too_large_for_a_commit_is_refused() {
    let got = seal(&noise(SEALED_PAGE_BYTES), &json!({}), &TestKey, b"context");
    assert!(matches!(got, Err(SealedPageError::TooLarge(bytes)) if bytes > SEALED_PAGE_BYTES));
    // What compresses may be larger.
    let lines = b"{}\n".repeat(SEALED_PAGE_BYTES);
    assert!(seal(&lines, &json!({}), &TestKey, b"context").is_ok());
}

#[test]
fn a_page_that_could_not_be_opened_whole_is_not_sealed() {
    let lines = vec![b'\n'; usize::try_from(MAX_PLAIN_BYTES).unwrap()];
    let got = seal(&lines, &json!({}), &TestKey, b"context");
    assert!(matches!(got, Err(SealedPageError::TooLarge(bytes)) if bytes > lines.len()));
}

#[test]
fn a_page_that_unpacks_to_too_much_is_damaged_not_cut_off() {
    let bomb = vec![b'\n'; usize::try_from(MAX_PLAIN_BYTES).unwrap() + 1];
    let packed = zstd::bulk::compress(&bomb, 1).unwrap();
    let sealed = STANDARD.encode(TestKey.seal(b"context", &packed));
    assert!(matches!(
        open(&sealed, &TestKey, b"context"),
        Err(SealedPageError::Damaged(_))
    ));
}

#[test]
fn what_is_no_page_is_damaged() {
    let encode = |packed: &[u8]| STANDARD.encode(TestKey.seal(b"context", packed));
    let whole = zstd::bulk::compress(b"{}\n", 1).unwrap();
    for sealed in [
        "no base64!".to_owned(),
        encode(b"no zstd"),
        encode(&whole[..whole.len() - 1]),
        encode(&zstd::bulk::compress(b"no line feed", 1).unwrap()),
    ] {
        assert!(matches!(
            open(&sealed, &TestKey, b"context"),
            Err(SealedPageError::Damaged(_))
        ));
    }
}

#[test]
fn a_record_key_is_its_text_and_depends_on_each_part() {
    let key = RecordKey::of(&[b"a", b"bc"]);
    assert_eq!(key.to_string().parse::<RecordKey>().unwrap(), key);
    assert_ne!(key, RecordKey::of(&[b"ab", b"c"]));
    for bad in ["", "00", "zz".repeat(16).as_str(), "00".repeat(17).as_str()] {
        assert!(bad.parse::<RecordKey>().is_err(), "{bad}");
    }
}

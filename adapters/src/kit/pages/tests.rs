//! Where pages are cut.

use std::borrow::Cow;

use serde_json::{json, value::RawValue};
use wharf_domain::{
    kernel::Secret,
    ports::{DataKey, VaultError},
    syncs::{Record, RecordKey, SEALED_PAGE_BYTES, sealed},
};

use super::*;

/// A seal that adds what a real one adds, and then some.
struct Padding;

impl DataKey for Padding {
    fn seal(&self, _context: &[u8], plain: &[u8]) -> Vec<u8> {
        [plain, &[0; 256]].concat()
    }

    fn open(&self, _context: &[u8], _sealed: &[u8]) -> Result<Secret<Vec<u8>>, VaultError> {
        unreachable!("these tests only seal")
    }
}

fn noise(bytes: usize, mut seed: u64) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..bytes)
        .map(|_| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(ALPHABET[usize::try_from(seed >> 58).unwrap()])
        })
        .collect()
}

fn record(n: u64, data: &RawValue) -> Record<'_> {
    let mut record = Record::tombstone(RecordKey::of(&[&n.to_be_bytes()]), "measure");
    record.deleted = false;
    record.data = Cow::Borrowed(data);
    record
}

fn pages(records: u64, data_bytes: usize) -> Vec<(u64, Page)> {
    let mut pager = Pager::default();
    let mut pages = Vec::new();
    for n in 0..records {
        let data = serde_json::value::to_raw_value(&noise(data_bytes, n)).unwrap();
        pager.push(&record(n, &data)).unwrap();
        pages.extend(pager.ready());
    }
    pages.extend(pager.rest());
    assert!(pager.rest().is_none() && pager.ready().is_none());
    pages
}

#[test]
fn a_page_of_noise_still_fits_its_seal() {
    for data_bytes in [10, 700, 40_000, DATA_BYTES - 2] {
        let cursor = json!({"upload": "0".repeat(64), "page": u64::MAX, "note": noise(2000, 7)});
        let pages = pages(if data_bytes > 1000 { 20 } else { 3000 }, data_bytes);
        assert!(pages.len() > 1);
        for (_, page) in &pages {
            assert!(page.lines.len() <= PAGE_BYTES);
            let text = sealed::seal(&page.lines, &cursor, &Padding, b"").unwrap();
            assert!(text.len() <= SEALED_PAGE_BYTES.div_ceil(3) * 4);
        }
    }
}

#[test]
fn a_page_that_does_not_compress_at_all_leaves_room_for_seal_and_cursor() {
    // zstd adds at most a byte in 256 to what it cannot compress.
    let room = SEALED_PAGE_BYTES - PAGE_BYTES - PAGE_BYTES / 256;
    assert!(room >= 16 * 1024, "{room}");
}

#[test]
fn small_records_fill_pages_by_number_and_none_is_lost() {
    let pages = pages(4500, 10);
    let counts: Vec<_> = pages
        .iter()
        .map(|(number, page)| (*number, page.records))
        .collect();
    assert_eq!(counts.iter().map(|(_, records)| records).sum::<u32>(), 4500);
    assert!(counts.iter().all(|(_, records)| *records <= PAGE_RECORDS));
    assert_eq!(
        counts.iter().map(|(n, _)| *n).collect::<Vec<_>>(),
        (0..counts.len() as u64).collect::<Vec<_>>()
    );
}

#[test]
fn a_record_that_is_too_large_is_left_out_alone() {
    let mut pager = Pager::default();
    let large = serde_json::value::to_raw_value(&noise(DATA_BYTES, 1)).unwrap();
    let small = serde_json::value::to_raw_value("x").unwrap();
    pager.push(&record(1, &small)).unwrap();
    assert_eq!(pager.push(&record(2, &large)), Err(OVERSIZED));
    pager.push(&record(3, &small)).unwrap();
    assert_eq!(pager.rest().unwrap().1.records, 2);
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let long = "é".repeat(200);
    assert_eq!(fitting(&long).len(), 256);
    let odd = format!("x{long}");
    assert_eq!(fitting(&odd).len(), 255);
    assert_eq!(fitting("short"), "short");
}

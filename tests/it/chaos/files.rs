//! Files to import: whole ones, and what they hold.

use std::{
    collections::BTreeSet,
    io::{Cursor, Write},
};

use serde_json::Value;
use wharf_adapters::health::apple_health::{AppleHealth, generate::write_export};
use wharf_domain::ports::{Connector, ImportSource};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A whole export of about so many bytes, as XML.
pub(super) fn export(bytes: u64, seed: u64) -> Vec<u8> {
    let mut file = Vec::new();
    write_export(&mut file, bytes, seed).expect("memory takes it");
    file
}

/// The keys of its records, read without a hub.
pub(super) fn keys(file: &[u8]) -> BTreeSet<String> {
    let source = ImportSource {
        bytes: file.len() as u64,
        reader: Box::new(Cursor::new(file.to_vec())),
        time_zone: None,
    };
    let mut import = AppleHealth::new().import(source).expect("it is an export");
    let mut keys = BTreeSet::new();
    while let Some(page) = import.next_page().expect("it is whole") {
        for line in page.page.lines.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                let record: Value = serde_json::from_slice(line).expect("a record is JSON");
                keys.insert(record["key"].as_str().expect("it has a key").to_owned());
            }
        }
    }
    keys
}

/// An archive of files, packed.
pub(super) fn zipped<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in files {
        zip.start_file(name, options).expect("a name");
        zip.write_all(bytes).expect("memory takes it");
    }
    zip.finish().expect("it is small enough").into_inner()
}

/// An archive of one `export.xml` that unpacks to `head`, then `block` so often, and ends there.
pub(super) fn bomb(head: &str, block: &[u8], times: u32) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .large_file(true);
    zip.start_file("apple_health_export/export.xml", options)
        .expect("a name");
    zip.write_all(head.as_bytes()).expect("memory takes it");
    for _ in 0..times {
        zip.write_all(block).expect("memory takes it");
    }
    zip.finish().expect("it is small enough").into_inner()
}

/// The XML head of an export, up to the first element of its content.
pub(super) const HEAD: &str =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<HealthData locale=\"en_FR\">\n";
/// Its end.
pub(super) const TAIL: &str = "</HealthData>\n";
/// One good record.
pub(super) const STEPS: &str = " <Record type=\"HKQuantityTypeIdentifierStepCount\" sourceName=\"Phone\" unit=\"count\" creationDate=\"2026-01-05 08:10:00 +0200\" startDate=\"2026-01-05 08:00:00 +0200\" endDate=\"2026-01-05 08:09:30 +0200\" value=\"612\"/>\n";

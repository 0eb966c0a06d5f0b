//! The connector from the outside: a file in, records out.

mod broken;
mod large;
mod quirks;
mod records;

use std::io::{Cursor, Write};

use serde_json::Value;
use wharf_domain::ports::{Connector, Import, ImportError, ImportProgress, ImportSource};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::*;

/// What an import gave, and how it ended.
struct Imported {
    /// Every line of every page.
    lines: Vec<u8>,
    pages: Vec<wharf_domain::syncs::Page>,
    progress: ImportProgress,
    error: Option<ImportError>,
}

impl Imported {
    #[track_caller]
    fn records(&self) -> Vec<Value> {
        self.lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// The records of a model.
    #[track_caller]
    fn of(&self, model: &str) -> Vec<Value> {
        self.records()
            .into_iter()
            .filter(|record| record["model"] == model)
            .collect()
    }

    /// The only record of a model.
    #[track_caller]
    fn one(&self, model: &str) -> Value {
        let mut found = self.of(model);
        assert_eq!(found.len(), 1, "{model}: {found:?}");
        found.remove(0)
    }

    fn skipped(&self, reason: &str) -> u64 {
        self.progress
            .skipped
            .iter()
            .find(|(r, _)| *r == reason)
            .map_or(0, |(_, count)| *count)
    }
}

fn source(bytes: Vec<u8>, time_zone: Option<&str>) -> ImportSource {
    ImportSource {
        bytes: bytes.len() as u64,
        reader: Box::new(Cursor::new(bytes)),
        time_zone: time_zone.map(str::to_owned),
    }
}

/// Runs an import to its end. Checks what holds for every one.
fn drain(mut import: Box<dyn Import>) -> Imported {
    let manifest = AppleHealth::new().manifest;
    let mut imported = Imported {
        lines: Vec::new(),
        pages: Vec::new(),
        progress: ImportProgress::default(),
        error: None,
    };
    loop {
        match import.next_page() {
            Ok(Some(page)) => {
                assert_eq!(page.number, imported.pages.len() as u64);
                assert!(page.page.records > 0);
                assert!(
                    page.page
                        .models
                        .keys()
                        .all(|model| manifest.models.contains(model))
                );
                imported.lines.extend_from_slice(&page.page.lines);
                imported.pages.push(page.page);
            }
            Ok(None) => break,
            Err(error) => {
                assert!(import.next_page().is_err(), "what is over stays over");
                imported.error = Some(error);
                break;
            }
        }
        let progress = import.progress();
        assert!(progress.bytes_read <= progress.bytes_total);
    }
    imported.progress = import.progress();
    let records: u64 = imported
        .pages
        .iter()
        .map(|page| u64::from(page.records))
        .sum();
    if imported.error.is_none() {
        assert_eq!(imported.progress.kept, records);
        assert_eq!(imported.progress.bytes_read, imported.progress.bytes_total);
    }
    imported
}

fn import_in(bytes: impl Into<Vec<u8>>, time_zone: Option<&str>) -> Imported {
    drain(
        AppleHealth::new()
            .import(source(bytes.into(), time_zone))
            .unwrap(),
    )
}

fn import(bytes: impl Into<Vec<u8>>) -> Imported {
    import_in(bytes, None)
}

/// The reason why a file is refused, at once or later.
#[track_caller]
fn refusal(bytes: impl Into<Vec<u8>>, limits: Limits) -> String {
    let connector = AppleHealth::with_limits(limits);
    let error = match connector.import(source(bytes.into(), None)) {
        Err(error) => error,
        Ok(import) => drain(import).error.unwrap(),
    };
    let ImportError::Refused(why) = error else {
        panic!("{error:?}");
    };
    why
}

/// An export with these elements.
fn export(elements: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<HealthData locale=\"en_US\">\n \
         <ExportDate value=\"2026-07-19 10:36:11 +0200\"/>\n{elements}\n</HealthData>\n"
    )
}

/// A quantity at one instant.
fn quantity(kind: &str, unit: &str, value: &str) -> String {
    format!(
        "<Record type=\"HKQuantityTypeIdentifier{kind}\" sourceName=\"Fix Watch\" unit=\"{unit}\" \
         startDate=\"2026-01-05 08:00:00 +0200\" endDate=\"2026-01-05 08:00:00 +0200\" \
         value=\"{value}\"/>\n"
    )
}

/// A zip of these files.
fn zipped(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in files {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

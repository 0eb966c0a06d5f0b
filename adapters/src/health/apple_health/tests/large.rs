//! A gigabyte: memory does not grow, pages stay within their size.

use wharf_domain::syncs::SEALED_PAGE_BYTES;

use super::*;
use crate::health::apple_health::generate::GeneratedExport;

/// Resident memory of this process, in bytes, where the system tells it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[test]
fn a_gigabyte_is_imported_in_constant_memory() {
    const BYTES: u64 = 1_000_000_000;
    let source = ImportSource {
        reader: Box::new(GeneratedExport::new(BYTES, 11)),
        bytes: BYTES,
        time_zone: Some("Europe/Paris".to_owned()),
    };
    let mut import = AppleHealth::new().import(source).unwrap();
    let (mut records, mut pages) = (0, 0);
    let mut early = None;
    while let Some(page) = import.next_page().unwrap() {
        assert!(page.page.lines.len() < SEALED_PAGE_BYTES);
        records += u64::from(page.page.records);
        pages += 1;
        if pages == 300 {
            early = resident();
        }
    }
    let progress = import.progress();
    assert!(records > 2_000_000, "{records}");
    assert_eq!(progress.kept, records);
    assert!(progress.skipped.is_empty());
    // Stages of sleep take 24 bytes each; other tests run beside this one.
    if let (Some(early), Some(late)) = (early, resident()) {
        assert!(late < early + (64 << 20), "{early} → {late}");
    }
}

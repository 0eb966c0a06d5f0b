//! `backup.json`: what a backup holds, so that a restore can prove that it is all there.

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::files;

/// Its name.
const FILE: &str = "backup.json";
/// The shape below.
const FORMAT: u32 = 1;

/// What a backup holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`FORMAT`].
    format: u32,
    /// The version of wharf that made it.
    wharf: String,
    /// When it was begun.
    pub(super) made_at: Timestamp,
    /// Position of the log's last commit.
    pub(super) tail: u64,
    /// The log's chain there: equal chains are equal logs.
    pub(super) chain: String,
    /// Events in the log.
    pub(super) events: u64,
    /// Names the master key that opens the vault, if it was at hand.
    pub(super) master_key: Option<String>,
    /// Every other file.
    pub(super) files: Vec<Entry>,
}

/// A file of the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Where it lies below the backup's folder, and below the data folder.
    pub(super) name: String,
    /// Its size.
    pub(super) bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub(super) sha256: String,
}

impl Manifest {
    /// A backup of a log, as verified, without files yet.
    pub(super) fn new(
        made_at: Timestamp,
        report: &wharf_eventlog::Report,
        master_key: Option<String>,
    ) -> Self {
        Self {
            format: FORMAT,
            wharf: env!("CARGO_PKG_VERSION").to_owned(),
            made_at,
            tail: report.tail.0,
            chain: report.chain.to_string(),
            events: report.events,
            master_key,
            files: vec![],
        }
    }

    /// Writes it as the last file of the backup in `dir`.
    pub(super) fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        files::write(&dir.join(FILE), &text)
    }

    /// Reads that of the backup in `dir`.
    pub(super) fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let text = std::fs::read(&path).with_context(|| {
            format!(
                "{} is no backup, or one that was not finished: it has no {FILE}",
                dir.display()
            )
        })?;
        let manifest: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        anyhow::ensure!(
            manifest.format == FORMAT,
            "{} has format {}, this version of wharf reads {FORMAT}; use a newer wharf",
            path.display(),
            manifest.format
        );
        let inside = |entry: &Entry| {
            Path::new(&entry.name)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        anyhow::ensure!(
            manifest.files.iter().all(inside),
            "{} names files outside of the backup; it was not made by wharf",
            path.display()
        );
        Ok(manifest)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.bytes).sum()
    }
}

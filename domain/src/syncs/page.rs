//! Pages: what one event of the journal records.

use std::collections::BTreeMap;

use super::record::Record;
use crate::{integrations::Fence, kernel::RunId};

/// Most bytes of a sealed page. In base64 it leaves room for the rest of a commit.
pub const SEALED_PAGE_BYTES: usize = 384 * 1024;

/// What the seal of a page is bound to.
#[must_use]
pub fn page_context(run: RunId, fence: Fence, page: u64) -> Vec<u8> {
    format!("page/{run}/{}/{page}", fence.0).into_bytes()
}

/// Records, one JSON object a line, and what is counted of them.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The lines, each ended by a line feed.
    pub lines: Vec<u8>,
    /// Records a model.
    pub models: BTreeMap<String, u32>,
    /// Records in all.
    pub records: u32,
    /// Tombstones among them.
    pub deleted: u32,
}

/// What a page counts of a line.
#[derive(serde::Deserialize)]
struct Counted<'a> {
    #[serde(borrow)]
    model: std::borrow::Cow<'a, str>,
    #[serde(default)]
    deleted: bool,
}

impl Page {
    /// The page in two, the first with half of the records; `None` if it has only one.
    ///
    /// For pages that are too large to be sealed.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        if self.records < 2 {
            return None;
        }
        let mut halves = (Self::default(), Self::default());
        for (n, line) in (0_u32..).zip(self.lines.split_inclusive(|byte| *byte == b'\n')) {
            let half = if n < self.records / 2 {
                &mut halves.0
            } else {
                &mut halves.1
            };
            let counted: Counted<'_> = serde_json::from_slice(line).ok()?;
            half.lines.extend_from_slice(line);
            *half.models.entry(counted.model.into_owned()).or_default() += 1;
            half.records += 1;
            half.deleted += u32::from(counted.deleted);
        }
        Some(halves)
    }
}

/// Collects records into a [`Page`], serialising each at once.
#[derive(Debug, Default)]
pub struct PageBuilder {
    page: Page,
}

impl PageBuilder {
    /// Adds a record.
    ///
    /// # Errors
    /// It has no JSON form.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), serde_json::Error> {
        let start = self.page.lines.len();
        if let Err(error) = serde_json::to_writer(&mut self.page.lines, record) {
            self.page.lines.truncate(start);
            return Err(error);
        }
        self.page.lines.push(b'\n');
        match self.page.models.get_mut(record.model.as_ref()) {
            Some(count) => *count += 1,
            None => {
                self.page
                    .models
                    .insert(record.model.clone().into_owned(), 1);
            }
        }
        self.page.records += 1;
        self.page.deleted += u32::from(record.deleted);
        Ok(())
    }

    /// Bytes so far, uncompressed.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.page.lines.len()
    }

    /// Records so far.
    #[must_use]
    pub const fn records(&self) -> u32 {
        self.page.records
    }

    /// The page; the builder is empty again.
    pub fn take(&mut self) -> Page {
        std::mem::take(&mut self.page)
    }
}

//! Cuts records into pages that always fit a sealed page, whatever is in them. Called by importers and
//! by connectors whose platform has no pages of a good size.
//!
//! A sealed page is compressed, but a hostile or merely dense file need not compress at all; so a page
//! is cut by its plain bytes. The same records give the same pages.

use wharf_domain::{
    ports::SkipReason,
    syncs::{Page, PageBuilder, Record, SEALED_PAGE_BYTES},
};

/// Most bytes of a page's lines. What zstd, the seal and the cursor's line add stays within the rest of
/// [`SEALED_PAGE_BYTES`], even if nothing compresses.
pub const PAGE_BYTES: usize = SEALED_PAGE_BYTES - 24 * 1024;
/// Most records of a page: what a projector writes in one short transaction.
pub const PAGE_RECORDS: u32 = 2000;
/// Most bytes of one record's `data`.
pub const DATA_BYTES: usize = 96 * 1024;
/// Most bytes of a text in the envelope (app, model, …); what is longer is cut.
pub const TEXT_BYTES: usize = 256;
/// Room for the envelope of a line: its nine texts at worst all escapes, its names and numbers.
const ENVELOPE_BYTES: usize = 9 * 6 * TEXT_BYTES + 1024;

/// The record's data is larger than [`DATA_BYTES`].
pub const OVERSIZED: SkipReason = "oversized_record";

/// Takes records, gives pages.
#[derive(Debug, Default)]
pub struct Pager {
    building: PageBuilder,
    ready: Option<Page>,
    next: u64,
}

impl Pager {
    /// Adds a record. Take [`Self::ready`] after each.
    ///
    /// # Errors
    /// [`OVERSIZED`]: it is left out.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), SkipReason> {
        let bytes = record.data.get().len();
        if bytes > DATA_BYTES {
            return Err(OVERSIZED);
        }
        if self.building.bytes() + bytes + ENVELOPE_BYTES > PAGE_BYTES
            || self.building.records() >= PAGE_RECORDS
        {
            self.ready = Some(self.building.take());
        }
        // A record always has a JSON form: its keys are texts, its data is JSON already.
        self.building.push(record).map_err(|_| OVERSIZED)
    }

    /// A page that is full, and its number.
    pub fn ready(&mut self) -> Option<(u64, Page)> {
        self.ready.take().map(|page| self.numbered(page))
    }

    /// What is left at the end.
    pub fn rest(&mut self) -> Option<(u64, Page)> {
        (self.building.records() > 0).then(|| {
            let page = self.building.take();
            self.numbered(page)
        })
    }

    fn numbered(&mut self, page: Page) -> (u64, Page) {
        let number = self.next;
        self.next += 1;
        (number, page)
    }
}

/// `text`, cut at a character so that it fits an envelope.
#[must_use]
pub fn fitting(text: &str) -> &str {
    if text.len() <= TEXT_BYTES {
        return text;
    }
    let end = (0..=TEXT_BYTES)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;

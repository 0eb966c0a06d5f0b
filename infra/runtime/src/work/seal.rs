//! Sealing pages for the journal: compressed, sealed under the integration's data key, and cut where that is
//! still too large. Milliseconds a page, so never on the runtime's own threads.

use std::sync::Arc;

use serde_json::Value;
use wharf_domain::{
    integrations::Fence,
    kernel::{Hash, RunId},
    ports::DataKey,
    syncs::{
        Page, PageRecorded, page_context,
        sealed::{self, SealedPageError},
    },
};

/// Seals the pages of one run, one after the other.
pub(super) struct Sealer {
    pub(super) run_id: RunId,
    pub(super) fence: Fence,
    pub(super) key: Arc<dyn DataKey>,
    /// Number of the next page.
    pub(super) number: u64,
}

impl Sealer {
    /// The events that record `page` and the cursor after it: one, or several if it is too large to be
    /// sealed whole. Only the last of them moves the cursor from `before`, so a crash in between repeats
    /// the page.
    ///
    /// # Errors
    /// One record alone is too large.
    pub(super) fn seal(
        &mut self,
        page: Page,
        before: &Value,
        after: &Value,
    ) -> Result<Vec<PageRecorded>, SealedPageError> {
        let mut recorded = Vec::with_capacity(1);
        let mut pieces = vec![page];
        while let Some(piece) = pieces.pop() {
            let cursor = if pieces.is_empty() { after } else { before };
            let context = page_context(self.run_id, self.fence, self.number);
            let sealed = match sealed::seal(&piece.lines, cursor, &*self.key, &context) {
                Err(SealedPageError::TooLarge(bytes)) => {
                    let (first, second) = piece.halves().ok_or(SealedPageError::TooLarge(bytes))?;
                    pieces.extend([second, first]);
                    continue;
                }
                sealed => sealed?,
            };
            recorded.push(PageRecorded {
                run_id: self.run_id,
                fence: self.fence,
                page: self.number,
                models: piece.models,
                records: piece.records,
                deleted: piece.deleted,
                cursor_hash: Hash::of(&[cursor.to_string().as_bytes()]).to_string(),
                sealed,
            });
            self.number += 1;
        }
        Ok(recorded)
    }
}

//! The fold of one run's journal events: which are kept, which are copies.

use serde::{Deserialize, Serialize};

use super::event::SyncRunEvent;
use crate::integrations::{Fence, Outcome};

/// What the kept events of a run say. The worker goes on from here after a crash; the projector drops
/// what [`Self::keep`] refuses. Both see the same, since both fold in position order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// The fence under which the run got its lease.
    pub fence: Fence,
    /// Kept pages; the next one has this number.
    pub pages: u64,
    /// Records on them.
    pub records: u64,
    /// Tombstones among those.
    pub deleted: u64,
    /// How it ended.
    pub ended: Option<Outcome>,
}

impl RunState {
    /// A run that just got its lease.
    #[must_use]
    pub fn leased(fence: Fence) -> Self {
        Self {
            fence,
            ..Self::default()
        }
    }

    /// Folds `event` and answers whether it is kept. Dropped: anything after the end, anything with a
    /// fence that is not the highest granted before it, a page that is already there or out of order.
    pub fn keep(&mut self, event: &SyncRunEvent, highest_granted: Fence) -> bool {
        if self.ended.is_some() || self.fence != highest_granted {
            return false;
        }
        match event {
            SyncRunEvent::Started(started) => started.fence == self.fence,
            SyncRunEvent::PageRecorded(page) => {
                if page.fence != self.fence || page.page != self.pages {
                    return false;
                }
                self.pages += 1;
                self.records += u64::from(page.records);
                self.deleted += u64::from(page.deleted);
                true
            }
            SyncRunEvent::Completed(completed) => {
                if completed.fence != self.fence {
                    return false;
                }
                self.ended = Some(completed.outcome);
                true
            }
            SyncRunEvent::Failed(failed) => {
                if failed.fence != self.fence {
                    return false;
                }
                self.ended = Some(Outcome::Failed);
                true
            }
        }
    }
}

//! How far running imports are: for progress bars, not for decisions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use wharf_domain::{kernel::RunId, ports::ImportProgress};

/// Progress of the runs that are being worked on just now.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<HashMap<RunId, ImportProgress>>>);

impl Progress {
    /// How far `run` is, if it is being worked on.
    #[must_use]
    pub fn of(&self, run: RunId) -> Option<ImportProgress> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&run)
            .cloned()
    }

    pub(super) fn set(&self, run: RunId, progress: ImportProgress) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(run, progress);
    }

    pub(super) fn clear(&self, run: RunId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&run);
    }
}

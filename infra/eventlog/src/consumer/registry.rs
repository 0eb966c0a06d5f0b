//! Every consumer that is open, so that whoever owns the storage can save what they acknowledged.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use wharf_domain::{kernel::Timestamp, ports::ConsumerSpec};

use super::tracker::{Checkpoint, Tracker};
use crate::locks::lock;

/// One open consumer: shared by its handle and by the storage.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: &'static str,
    pub(super) tracker: Mutex<Tracker>,
    /// Room was made, or something was given back.
    pub(super) changed: Notify,
}

/// A checkpoint to be saved.
#[derive(Debug)]
pub(crate) struct Save {
    /// Whose.
    pub(crate) name: &'static str,
    /// What.
    pub(crate) checkpoint: Checkpoint,
    shared: Arc<Shared>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    open: Mutex<Vec<Arc<Shared>>>,
}

impl Registry {
    /// Whether `name` was opened before by this process: then its state is here.
    pub(crate) fn knows(&self, name: &str) -> bool {
        lock(&self.open).iter().any(|shared| shared.name == name)
    }

    /// Opens a consumer. An earlier handle is superseded and its state goes on; only without one does
    /// `stored` count.
    pub(super) fn open(
        &self,
        spec: &ConsumerSpec,
        stored: Checkpoint,
        now: Timestamp,
    ) -> Arc<Shared> {
        let mut open = lock(&self.open);
        let earlier = open.iter().position(|shared| shared.name == spec.name);
        let earlier = earlier.map(|index| open.swap_remove(index));
        let live = earlier
            .as_ref()
            .map(|shared| lock(&shared.tracker).supersede());
        let mut tracker = Tracker::resume(live.unwrap_or(stored), spec.max_in_flight);
        if let Some(earlier) = earlier {
            tracker.mark_unsaved(now);
            earlier.changed.notify_waiters();
        }
        let shared = Arc::new(Shared {
            name: spec.name,
            tracker: Mutex::new(tracker),
            changed: Notify::new(),
        });
        open.push(Arc::clone(&shared));
        shared
    }

    /// What is due to be saved at `now`; with `all`, whatever is unsaved.
    pub(crate) fn unsaved(&self, now: Timestamp, all: bool) -> Vec<Save> {
        let mut saves = Vec::new();
        for shared in lock(&self.open).iter() {
            let mut tracker = lock(&shared.tracker);
            if tracker.save_is_due(now) || (all && tracker.is_unsaved()) {
                saves.push(Save {
                    name: shared.name,
                    checkpoint: tracker.save(),
                    shared: Arc::clone(shared),
                });
            }
        }
        saves
    }
}

impl Save {
    /// It could not be saved; it will be tried again.
    pub(crate) fn failed(self, now: Timestamp) {
        lock(&self.shared.tracker).mark_unsaved(now);
    }
}

//! What syncs do: the fold of a run, what follows its end, how pages are built and sealed.

mod page;
mod process;
mod run;

use super::{
    Completed, Failed, Failure, FailureClass, PageRecorded, Started, SyncRunEvent as Event,
};
use crate::{
    integrations::{Fence, Outcome},
    kernel::{RunId, derive},
};

fn run() -> RunId {
    RunId(derive(&[b"run"]))
}

fn started(fence: u64) -> Event {
    Event::Started(Started {
        run_id: run(),
        fence: Fence(fence),
    })
}

fn page(fence: u64, page: u64) -> Event {
    Event::PageRecorded(PageRecorded {
        run_id: run(),
        fence: Fence(fence),
        page,
        models: [("steps".to_owned(), 10)].into(),
        records: 10,
        deleted: 3,
        cursor_hash: "00".repeat(32),
        sealed: String::new(),
    })
}

fn completed(fence: u64, outcome: Outcome) -> Event {
    Event::Completed(Completed {
        run_id: run(),
        fence: Fence(fence),
        outcome,
        pages: 2,
        records: 20,
        deleted: 6,
        skipped: [].into(),
        failure: None,
    })
}

fn failure(class: FailureClass) -> Failure {
    Failure {
        class,
        message: "what the platform said".into(),
    }
}

fn failed(fence: u64, class: FailureClass) -> Event {
    Event::Failed(Failed {
        run_id: run(),
        fence: Fence(fence),
        failure: failure(class),
    })
}

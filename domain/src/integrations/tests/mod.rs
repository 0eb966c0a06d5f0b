//! What an integration does, command by command, in every state. Here: what is given, and how it is
//! asked; the behaviours are in the modules.

mod lease;
mod lifecycle;
mod schedule;

use cqrs_es::test::TestFramework;
use jiff::Timestamp;
use serde_json::json;

use super::{
    Create, Created, Deleted, Fence, Integration, IntegrationCommand as Command,
    IntegrationEvent as Event, Outcome, Refusal, RequestSync, Status, StatusChanged, SyncRequested,
    SyncScheduled, SyncSettings, SyncSettled, Trigger,
};
use crate::{
    kernel::{Decider, RunId, derive},
    syncs::SyncType,
};

// --- given ---

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-03-01T12:00:00Z")
}

fn one() -> Timestamp {
    at("2026-03-01T13:00:00Z")
}

fn run(name: &str) -> RunId {
    RunId(derive(&[name.as_bytes()]))
}

fn manual() -> SyncSettings {
    SyncSettings::default()
}

fn hourly() -> SyncSettings {
    SyncSettings {
        sync_interval: Some("hourly".into()),
        auto_sync: true,
    }
}

fn created(status: Status, sync_settings: SyncSettings) -> Event {
    Event::Created(Created {
        integration_type: "sandbox".into(),
        name: "My sandbox".into(),
        configuration: json!({"base_url": "http://sandbox"}),
        sync_settings,
        status,
        created_by: "alice".into(),
    })
}

fn scheduled(next_run_at: Option<Timestamp>) -> Event {
    Event::SyncScheduled(SyncScheduled { next_run_at })
}

fn requested(name: &str, fence: u64) -> Event {
    Event::SyncRequested(SyncRequested {
        run_id: run(name),
        fence: Fence(fence),
        sync_type: SyncType::Full,
        trigger: Trigger::Manual,
        upload: None,
    })
}

fn settled(name: &str, outcome: Outcome) -> Event {
    Event::SyncSettled(SyncSettled {
        run_id: run(name),
        outcome,
        failure: None,
    })
}

fn changed(status: Status, reason: &str) -> Event {
    Event::StatusChanged(StatusChanged {
        status,
        reason: reason.into(),
    })
}

fn deleted() -> Event {
    Event::Deleted(Deleted {})
}

fn active() -> Vec<Event> {
    vec![created(Status::Active, manual())]
}

/// Created with the status that it has; `Paused` only comes by a change.
fn with(status: Status) -> Vec<Event> {
    match status {
        Status::Active | Status::PendingAuth => vec![created(status, manual())],
        Status::Paused | Status::NeedsReauth => {
            vec![created(Status::Active, manual()), changed(status, "why")]
        }
    }
}

/// Syncs by itself, next at one o'clock.
fn waiting() -> Vec<Event> {
    vec![created(Status::Active, hourly()), scheduled(Some(one()))]
}

// --- when ---

fn create() -> Create {
    Create {
        integration_type: "sandbox".into(),
        name: "My sandbox".into(),
        configuration: json!({"base_url": "http://sandbox"}),
        sync_settings: manual(),
        pending_auth: false,
        created_by: "alice".into(),
        now: noon(),
    }
}

fn request(name: &str) -> RequestSync {
    RequestSync {
        run_id: run(name),
        sync_type: SyncType::Full,
        trigger: Trigger::Manual,
        force: false,
        upload: None,
    }
}

fn settle(name: &str, outcome: Outcome, now: Timestamp) -> Command {
    Command::SettleSync {
        run_id: run(name),
        outcome,
        failure: None,
        now,
    }
}

fn due(name: &str, due_at: Timestamp, now: Timestamp) -> Command {
    Command::SyncDue {
        run_id: run(name),
        due_at,
        now,
    }
}

// --- then ---

#[track_caller]
fn then_events(given: Vec<Event>, when: Command, then: Vec<Event>) {
    let got = TestFramework::<Integration>::with(())
        .given(given)
        .when(when)
        .inspect_result();
    assert_eq!(got, Ok(then));
}

#[track_caller]
fn then_refused(given: Vec<Event>, when: Command, then: Refusal) {
    let got = TestFramework::<Integration>::with(())
        .given(given)
        .when(when)
        .inspect_result();
    assert_eq!(got, Err(then));
}

fn fold(events: Vec<Event>) -> Integration {
    let mut state = Integration::default();
    for event in &events {
        state.evolve(event);
    }
    state
}

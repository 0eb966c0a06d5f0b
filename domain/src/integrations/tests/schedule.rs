//! Timers: when an integration syncs by itself.

use jiff::Timestamp;

use super::{
    super::{
        Fence, IntegrationEvent as Event, InvalidInterval, Outcome, Status, SyncRequested,
        SyncSettings, Trigger,
    },
    active, at, changed, due, hourly, manual, noon, one, requested, run, scheduled, settle,
    settled, then_events, waiting,
};
use crate::syncs::SyncType;

#[test]
fn a_due_timer_starts_an_incremental_run_and_sets_the_next() {
    then_events(
        waiting(),
        due("a", one(), at("2026-03-01T13:00:07Z")),
        vec![
            scheduled(Some(at("2026-03-01T14:00:07Z"))),
            Event::SyncRequested(SyncRequested {
                run_id: run("a"),
                fence: Fence(1),
                sync_type: SyncType::Incremental,
                trigger: Trigger::Scheduled,
                upload: None,
            }),
        ],
    );
}

#[test]
fn a_timer_that_is_not_the_current_one_is_dropped() {
    then_events(waiting(), due("a", noon(), one()), vec![]);
    then_events(active(), due("a", noon(), one()), vec![]);
}

#[test]
fn a_due_timer_beside_an_open_run_only_sets_the_next() {
    let mut given = waiting();
    given.push(requested("a", 1));
    then_events(
        given,
        due("b", one(), one()),
        vec![scheduled(Some(at("2026-03-01T14:00:00Z")))],
    );
}

#[test]
fn a_due_timer_of_what_does_not_work_only_sets_the_next() {
    for status in [Status::PendingAuth, Status::Paused, Status::NeedsReauth] {
        let mut given = waiting();
        given.push(changed(status, "why"));
        then_events(
            given,
            due("a", one(), one()),
            vec![scheduled(Some(at("2026-03-01T14:00:00Z")))],
        );
    }
}

#[test]
fn a_run_that_outlived_its_timer_sets_the_next_when_it_settles() {
    let mut given = waiting();
    given.push(requested("a", 1));
    let late = at("2026-03-01T13:30:00Z");
    then_events(
        given.clone(),
        settle("a", Outcome::Completed, late),
        vec![
            settled("a", Outcome::Completed),
            scheduled(Some(at("2026-03-01T14:30:00Z"))),
        ],
    );
    // A timer still ahead stays.
    then_events(
        given,
        settle("a", Outcome::Completed, noon()),
        vec![settled("a", Outcome::Completed)],
    );
}

#[test]
fn intervals_are_named_or_iso_durations_between_a_minute_and_a_year() {
    let seconds = |text: &str| {
        SyncSettings {
            sync_interval: Some(text.into()),
            auto_sync: true,
        }
        .interval()
        .map(|interval| interval.unwrap().as_secs())
    };
    for (text, wanted) in [
        ("hourly", 3600),
        ("every_6_hours", 6 * 3600),
        ("daily", 86_400),
        ("weekly", 7 * 86_400),
        ("PT15M", 900),
        ("PT60S", 60),
        ("P1D", 86_400),
        ("PT1H30M", 5400),
    ] {
        assert_eq!(seconds(text), Ok(wanted), "{text}");
    }
    for text in [
        "", "hour", "PT59S", "PT0S", "-PT1H", "P367D", "P2Y", "15", "Hourly",
    ] {
        assert_eq!(seconds(text), Err(InvalidInterval), "{text}");
    }
    assert_eq!(manual().interval(), Ok(None));
}

#[test]
fn only_auto_sync_with_an_interval_has_a_next_run() {
    assert_eq!(hourly().next_run_at(noon()), Some(one()));
    let off = SyncSettings {
        auto_sync: false,
        ..hourly()
    };
    assert_eq!(off.next_run_at(noon()), None);
    let without = SyncSettings {
        sync_interval: None,
        auto_sync: true,
    };
    assert_eq!(without.next_run_at(noon()), None);
    assert_eq!(hourly().next_run_at(Timestamp::MAX), None);
}

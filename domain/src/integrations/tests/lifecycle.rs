//! From creation to deletion: name, configuration, status, credential.

use cqrs_es::test::TestFramework;
use serde_json::json;

use super::{
    super::{
        Change, Integration, IntegrationCommand as Command, IntegrationEvent as Event,
        InvalidInterval, Outcome, Refusal, Status, SyncSettings, Updated,
    },
    active, at, changed, create, created, deleted, due, fold, hourly, manual, noon, one, request,
    requested, scheduled, settle, settled, then_events, then_refused, waiting, with,
};
use crate::kernel::Revision;

fn every_command() -> Vec<Command> {
    vec![
        Command::Create(create()),
        Command::Change(Change::default()),
        Command::Authorize,
        Command::RequireReauth {
            reason: "401".into(),
        },
        Command::RequestSync(request("a")),
        settle("a", Outcome::Completed, noon()),
        due("a", noon(), noon()),
        Command::Delete,
    ]
}

#[test]
fn creating_an_integration_without_a_schedule_sets_no_timer() {
    TestFramework::<Integration>::with(())
        .given_no_previous_events()
        .when(Command::Create(create()))
        .then_expect_events(vec![created(Status::Active, manual())]);
}

#[test]
fn creating_an_integration_that_syncs_by_itself_sets_its_first_timer() {
    let mut create = create();
    create.sync_settings = hourly();
    then_events(
        vec![],
        Command::Create(create),
        vec![created(Status::Active, hourly()), scheduled(Some(one()))],
    );
}

#[test]
fn creating_an_integration_without_its_credential_leaves_it_pending() {
    let mut create = create();
    create.pending_auth = true;
    then_events(
        vec![],
        Command::Create(create),
        vec![created(Status::PendingAuth, manual())],
    );
}

#[test]
fn a_name_is_one_to_two_hundred_characters() {
    for bad in [String::new(), "  \t".into(), "x".repeat(201)] {
        let mut create = create();
        create.name.clone_from(&bad);
        then_refused(vec![], Command::Create(create), Refusal::InvalidName);
        let change = Change {
            name: Some(bad),
            ..Change::default()
        };
        then_refused(active(), Command::Change(change), Refusal::InvalidName);
    }
    // Characters, not bytes.
    let mut create = create();
    create.name = "名".repeat(200);
    let got = TestFramework::<Integration>::with(())
        .given_no_previous_events()
        .when(Command::Create(create))
        .inspect_result();
    assert!(got.is_ok());
}

#[test]
fn an_interval_that_is_none_is_refused_on_create_and_on_change() {
    let bad = SyncSettings {
        sync_interval: Some("now and then".into()),
        auto_sync: true,
    };
    let mut create = create();
    create.sync_settings = bad.clone();
    let refusal = Refusal::InvalidInterval(InvalidInterval);
    then_refused(vec![], Command::Create(create), refusal.clone());
    let change = Change {
        sync_settings: Some(bad),
        now: Some(noon()),
        ..Change::default()
    };
    then_refused(active(), Command::Change(change), refusal);
}

#[test]
fn an_id_is_never_used_twice() {
    for given in [active(), vec![active().remove(0), deleted()]] {
        then_refused(given, Command::Create(create()), Refusal::Exists);
    }
}

#[test]
fn an_absent_integration_can_only_be_created() {
    for command in every_command().split_off(1) {
        then_refused(vec![], command, Refusal::NotFound);
    }
}

#[test]
fn a_deleted_integration_takes_no_command_but_drops_what_comes_late() {
    let gone = || vec![created(Status::Active, manual()), deleted()];
    for command in every_command().split_off(1) {
        match &command {
            Command::SettleSync { .. } | Command::SyncDue { .. } => {
                then_events(gone(), command, vec![]);
            }
            Command::Create(_)
            | Command::Change(_)
            | Command::Authorize
            | Command::RequireReauth { .. }
            | Command::RequestSync(_)
            | Command::Delete => then_refused(gone(), command, Refusal::NotFound),
        }
    }
}

#[test]
fn a_change_states_only_what_differs() {
    let change = Change {
        name: Some("Renamed".into()),
        configuration: Some(json!({"base_url": "http://sandbox"})),
        sync_settings: Some(manual()),
        now: Some(noon()),
        ..Change::default()
    };
    let updated = Updated {
        name: Some("Renamed".into()),
        ..Updated::default()
    };
    then_events(
        active(),
        Command::Change(change),
        vec![Event::Updated(updated)],
    );
}

#[test]
fn a_change_that_changes_nothing_is_no_event() {
    then_events(active(), Command::Change(Change::default()), vec![]);
    let same = Change {
        name: Some("My sandbox".into()),
        active: Some(true),
        ..Change::default()
    };
    then_events(active(), Command::Change(same), vec![]);
}

#[test]
fn a_change_of_what_the_caller_has_not_seen_is_refused() {
    let rename = |seen| {
        Command::Change(Change {
            name: Some("Renamed".into()),
            if_revision: Some(Revision(seen)),
            ..Change::default()
        })
    };
    let given = with(Status::Paused);
    for seen in [0, 1, 3] {
        then_refused(given.clone(), rename(seen), Refusal::Stale(Revision(2)));
    }
    let renamed = Event::Updated(Updated {
        name: Some("Renamed".into()),
        ..Updated::default()
    });
    then_events(given, rename(2), vec![renamed]);
}

#[test]
fn the_state_counts_the_events_of_its_stream() {
    let mut given = waiting();
    given.extend([
        requested("a", 1),
        settled("a", Outcome::Completed),
        scheduled(None),
    ]);
    let events = given.len() as u64;
    assert_eq!(fold(given).live().unwrap().revision, Revision(events));
}

#[test]
fn a_new_schedule_moves_the_timer() {
    let daily = SyncSettings {
        sync_interval: Some("daily".into()),
        auto_sync: true,
    };
    let change = Change {
        sync_settings: Some(daily.clone()),
        now: Some(noon()),
        ..Change::default()
    };
    then_events(
        vec![created(Status::Active, hourly()), scheduled(Some(one()))],
        Command::Change(change),
        vec![
            Event::Updated(Updated {
                sync_settings: Some(daily),
                ..Updated::default()
            }),
            scheduled(Some(at("2026-03-02T12:00:00Z"))),
        ],
    );
}

#[test]
fn switching_auto_sync_off_takes_the_timer_back() {
    let off = SyncSettings {
        auto_sync: false,
        ..hourly()
    };
    let change = Change {
        sync_settings: Some(off.clone()),
        now: Some(noon()),
        ..Change::default()
    };
    then_events(
        vec![created(Status::Active, hourly()), scheduled(Some(one()))],
        Command::Change(change),
        vec![
            Event::Updated(Updated {
                sync_settings: Some(off),
                ..Updated::default()
            }),
            scheduled(None),
        ],
    );
}

#[test]
fn a_caller_pauses_and_activates() {
    let switch = |active| {
        Command::Change(Change {
            active: Some(active),
            ..Change::default()
        })
    };
    then_events(
        with(Status::Active),
        switch(false),
        vec![changed(Status::Paused, "a caller paused it")],
    );
    then_events(
        with(Status::Paused),
        switch(true),
        vec![changed(Status::Active, "a caller activated it")],
    );
    // Nothing to pause where nothing works.
    for status in [Status::PendingAuth, Status::Paused, Status::NeedsReauth] {
        then_events(with(status), switch(false), vec![]);
    }
    // A switch is no credential.
    then_refused(
        with(Status::PendingAuth),
        switch(true),
        Refusal::PendingAuth,
    );
    then_refused(
        with(Status::NeedsReauth),
        switch(true),
        Refusal::NeedsReauth,
    );
}

#[test]
fn a_stored_credential_activates_what_waited_for_one() {
    for status in [Status::PendingAuth, Status::NeedsReauth] {
        then_events(
            with(status),
            Command::Authorize,
            vec![changed(Status::Active, "a credential was stored")],
        );
    }
}

#[test]
fn a_stored_credential_does_not_wake_what_a_caller_paused() {
    for status in [Status::Active, Status::Paused] {
        then_events(with(status), Command::Authorize, vec![]);
    }
}

#[test]
fn a_refused_credential_is_told_once() {
    let reauth = || Command::RequireReauth {
        reason: "token expired".into(),
    };
    for status in [Status::PendingAuth, Status::Active, Status::Paused] {
        then_events(
            with(status),
            reauth(),
            vec![changed(Status::NeedsReauth, "token expired")],
        );
    }
    then_events(with(Status::NeedsReauth), reauth(), vec![]);
}

#[test]
fn deleting_works_in_every_status_and_with_an_open_run() {
    for status in Status::ALL {
        then_events(with(status), Command::Delete, vec![deleted()]);
    }
    let mut given = active();
    given.push(requested("a", 1));
    then_events(given, Command::Delete, vec![deleted()]);
}

#[test]
fn the_fold_takes_over_what_the_events_say() {
    let mut given = waiting();
    given.extend([
        Event::Updated(Updated {
            name: Some("Renamed".into()),
            configuration: Some(json!({})),
            sync_settings: Some(manual()),
        }),
        scheduled(None),
        changed(Status::Paused, "why"),
    ]);
    let state = fold(given);
    let live = state.live().unwrap();
    assert_eq!(live.name, "Renamed");
    assert_eq!(live.configuration, json!({}));
    assert_eq!(live.sync_settings, manual());
    assert_eq!(live.next_run_at, None);
    assert_eq!(live.status, Status::Paused);
    assert_eq!(
        fold(vec![created(Status::Active, manual()), deleted()]),
        Integration::Deleted
    );
}

#[test]
fn the_wire_knows_three_statuses_and_a_detail() {
    let names = Status::ALL.map(|status| (status.as_str(), status.coarse()));
    assert_eq!(
        names,
        [
            ("pending_auth", "inactive"),
            ("active", "active"),
            ("paused", "inactive"),
            ("needs_reauth", "error"),
        ]
    );
}

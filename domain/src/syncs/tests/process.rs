//! What follows from the end of a run, and from a platform's refusal within it.

use std::time::Duration;

use serde_json::json;

use super::{
    super::{
        FailureClass, SyncRunEvent as Event,
        process::{Next, Reaction, after_refusal, react},
    },
    completed, failed, failure, page, run, started,
};
use crate::{
    integrations::{IntegrationCommand as Command, Outcome},
    kernel::{IntegrationId, Metadata, Position, Recorded, StreamId, derive},
    ports::ConnectorError,
};

fn integration() -> IntegrationId {
    IntegrationId(derive(&[b"integration"]))
}

fn recorded(position: u64, event: Event) -> Recorded<Event> {
    let project = "acme".parse().unwrap();
    let time = "2026-03-01T12:00:00Z".parse().unwrap();
    Recorded {
        position: Position(position),
        index: 0,
        stream: StreamId::sync_runs(&project, integration()),
        time,
        meta: Metadata {
            time,
            actor: "system:work".into(),
            correlation: "c".into(),
            causation: None,
            idempotency_key: None,
        },
        event,
    }
}

#[test]
fn a_run_in_progress_has_no_consequences() {
    for event in [started(1), page(1, 0)] {
        assert_eq!(
            react(integration(), &recorded(9, event)),
            Reaction::default()
        );
    }
}

#[test]
fn the_end_of_a_run_settles_it_and_is_told_to_subscribers() {
    for outcome in [Outcome::Completed, Outcome::Partial] {
        let recorded = recorded(9, completed(1, outcome));
        let reaction = react(integration(), &recorded);
        assert_eq!(
            reaction.commands,
            [Command::SettleSync {
                run_id: run(),
                outcome,
                failure: None,
                now: recorded.time,
            }]
        );
        let [message] = reaction.messages.as_slice() else {
            panic!("not one message: {:?}", reaction.messages);
        };
        assert_eq!(message.topic, "sync.completed");
        assert_eq!(message.time, recorded.time);
        assert_eq!(message.only, None);
        assert_eq!(
            message.data,
            json!({
                "integration_id": integration(),
                "run_id": run(),
                "outcome": outcome,
                "records": 20,
                "deleted": 6,
                "position": 9,
            })
        );
    }
}

#[test]
fn a_failed_run_is_settled_and_told_too() {
    let recorded = recorded(9, failed(1, FailureClass::Transient));
    let reaction = react(integration(), &recorded);
    assert_eq!(
        reaction.commands,
        [Command::SettleSync {
            run_id: run(),
            outcome: Outcome::Failed,
            failure: Some(failure(FailureClass::Transient)),
            now: recorded.time,
        }]
    );
    let [message] = reaction.messages.as_slice() else {
        panic!("not one message: {:?}", reaction.messages);
    };
    assert_eq!(message.topic, "sync.failed");
    assert_eq!(
        message.data["failure"],
        json!({"class": "transient", "message": "what the platform said"})
    );
}

#[test]
fn only_a_refused_credential_asks_the_user_to_connect_again() {
    for class in [
        FailureClass::RateLimited,
        FailureClass::Transient,
        FailureClass::Permanent,
        FailureClass::Malformed,
        FailureClass::Unauthorized,
    ] {
        let reaction = react(integration(), &recorded(9, failed(1, class)));
        let reauth = Command::RequireReauth {
            reason: "what the platform said".into(),
        };
        assert_eq!(
            reaction.commands.contains(&reauth),
            class == FailureClass::Unauthorized,
            "{class:?}"
        );
        // The lease is given back first.
        assert!(matches!(
            reaction.commands.first(),
            Some(Command::SettleSync { .. })
        ));
    }
}

#[test]
fn reacting_twice_to_an_event_names_the_same_message() {
    let id = |position| {
        let event = recorded(position, completed(1, Outcome::Completed));
        react(integration(), &event).messages[0].id
    };
    assert_eq!(id(9), id(9));
    assert_ne!(id(9), id(10));
}

/// A roll of the die that neither shortens nor lengthens.
const EVEN: f64 = 0.5;

fn limited(seconds: Option<u64>) -> ConnectorError {
    ConnectorError::RateLimited {
        retry_after: seconds.map(Duration::from_secs),
    }
}

#[track_caller]
fn then_gives_up(next: Next, class: FailureClass) {
    match next {
        Next::GiveUp(failure) => assert_eq!(failure.class, class),
        Next::Wait(wait) => panic!("waits for {wait:?}"),
    }
}

#[test]
fn what_may_pass_is_waited_for_twice_as_long_each_time() {
    for error in [ConnectorError::Transient("502".into()), limited(None)] {
        for (tries, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16)] {
            assert_eq!(
                after_refusal(tries, &error, EVEN),
                Next::Wait(Duration::from_secs(seconds))
            );
        }
    }
}

#[test]
fn the_sixth_refusal_in_a_row_ends_the_run() {
    let error = ConnectorError::Transient("502".into());
    then_gives_up(after_refusal(6, &error, EVEN), FailureClass::Transient);
    then_gives_up(
        after_refusal(6, &limited(Some(1)), EVEN),
        FailureClass::RateLimited,
    );
}

#[test]
fn the_wait_is_spread_over_a_fifth_either_way() {
    for (jitter, millis) in [(0.0, 3200), (1.0, 4800), (-1.0, 3200), (2.0, 4800)] {
        let next = after_refusal(3, &limited(None), jitter);
        assert_eq!(next, Next::Wait(Duration::from_millis(millis)), "{jitter}");
    }
}

#[test]
fn a_platform_is_followed_for_a_quarter_of_an_hour_and_never_asked_sooner() {
    for (asked, waited) in [(0, 4), (30, 30), (900, 900)] {
        assert_eq!(
            after_refusal(3, &limited(Some(asked)), EVEN),
            Next::Wait(Duration::from_secs(waited))
        );
    }
    then_gives_up(
        after_refusal(1, &limited(Some(901)), EVEN),
        FailureClass::RateLimited,
    );
}

#[test]
fn what_waiting_does_not_mend_ends_the_run_at_once() {
    for (error, class) in [
        (ConnectorError::Unauthorized, FailureClass::Unauthorized),
        (
            ConnectorError::Permanent("404".into()),
            FailureClass::Permanent,
        ),
        (
            ConnectorError::Unsupported("no delta"),
            FailureClass::Permanent,
        ),
        (
            ConnectorError::Malformed("no JSON".into()),
            FailureClass::Malformed,
        ),
    ] {
        then_gives_up(after_refusal(1, &error, EVEN), class);
    }
}

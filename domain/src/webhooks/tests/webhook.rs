//! The aggregate, command by command, in every state.

use cqrs_es::test::TestFramework;

use super::super::{
    Change, Create, Definition, Deleted, Disabled, Refusal, RetryConfig, Updated, Webhook,
    WebhookCommand as Command, WebhookEvent as Event,
};
use crate::kernel::Decider;

fn definition() -> Definition {
    Definition {
        name: "Orders".into(),
        url: "https://example.com/hook".into(),
        events: vec!["task.*".into(), "project.created".into()],
        header_names: vec![],
        headers_generation: 0,
        secret_generation: 1,
        compat_prefix: None,
        is_active: true,
        retry_config: None,
        timeout_seconds: 30,
    }
}

fn create(definition: Definition) -> Command {
    Command::Create(Create {
        definition,
        secret_hint: "abcd".into(),
        created_by: "alice".into(),
    })
}

fn created() -> Event {
    let mut events = Webhook::Absent.decide(&create(definition())).unwrap();
    events.remove(0)
}

fn deleted() -> Event {
    Event::Deleted(Deleted {})
}

fn disable() -> Command {
    Command::Disable {
        reason: "410".into(),
    }
}

#[track_caller]
fn then_events(given: Vec<Event>, when: Command, then: Vec<Event>) {
    let got = TestFramework::<Webhook>::with(())
        .given(given)
        .when(when)
        .inspect_result();
    assert_eq!(got, Ok(then));
}

#[track_caller]
fn then_refused(given: Vec<Event>, when: Command, then: Refusal) {
    let got = TestFramework::<Webhook>::with(())
        .given(given)
        .when(when)
        .inspect_result();
    assert_eq!(got, Err(then));
}

#[test]
fn a_created_webhook_is_what_it_was_asked_to_be() {
    let asked = Definition {
        header_names: vec!["authorization".into()],
        headers_generation: 1,
        compat_prefix: Some("X-DietTracker".into()),
        is_active: false,
        retry_config: Some(RetryConfig {
            max_retries: 3,
            retry_delay: 5,
        }),
        ..definition()
    };
    let events = Webhook::Absent.decide(&create(asked.clone())).unwrap();
    let mut webhook = Webhook::default();
    for event in &events {
        webhook.evolve(event);
    }
    assert_eq!(events.len(), 1);
    assert_eq!(webhook.definition(), Some(&asked));
}

#[test]
fn an_id_is_never_used_twice() {
    for given in [vec![created()], vec![created(), deleted()]] {
        then_refused(given, create(definition()), Refusal::Exists);
    }
}

#[test]
fn what_is_not_there_takes_no_command() {
    for given in [vec![], vec![created(), deleted()]] {
        for command in [
            Command::Change(Change::default()),
            disable(),
            Command::Delete,
        ] {
            then_refused(given.clone(), command, Refusal::NotFound);
        }
    }
}

/// What a definition must not be, and the refusal it gets.
fn bad_definitions() -> Vec<(Definition, Refusal)> {
    let mut bad = vec![];
    for name in [String::new(), " ".into(), "x".repeat(201)] {
        let name = Definition {
            name,
            ..definition()
        };
        bad.push((name, Refusal::InvalidName));
    }
    let patterns = [
        vec![],
        vec!["task.created".to_owned(); 101],
        vec![String::new()],
        vec!["task.".into()],
        vec![".created".into()],
        vec!["task..created".into()],
        vec!["task*".into()],
        vec!["*.created".into()],
        vec!["task.*.created".into()],
        vec!["task created".into()],
        vec!["x".repeat(129)],
        vec!["task.created".into(), "**".into()],
    ];
    for events in patterns {
        let events = Definition {
            events,
            ..definition()
        };
        bad.push((events, Refusal::InvalidEvents));
    }
    for timeout_seconds in [0, 61] {
        let timeout = Definition {
            timeout_seconds,
            ..definition()
        };
        bad.push((timeout, Refusal::InvalidTimeout));
    }
    for (max_retries, retry_delay) in [(21, 5), (3, 0), (3, 86_401)] {
        let retry = Definition {
            retry_config: Some(RetryConfig {
                max_retries,
                retry_delay,
            }),
            ..definition()
        };
        bad.push((retry, Refusal::InvalidRetry));
    }
    bad
}

#[test]
fn a_definition_out_of_range_is_refused_on_create() {
    for (bad, refusal) in bad_definitions() {
        then_refused(vec![], create(bad), refusal);
    }
}

#[test]
fn a_definition_out_of_range_is_refused_on_change() {
    for (bad, refusal) in bad_definitions() {
        let change = Updated {
            name: Some(bad.name),
            events: Some(bad.events),
            timeout_seconds: Some(bad.timeout_seconds),
            retry_config: Some(bad.retry_config),
            ..Updated::default()
        };
        then_refused(vec![created()], Command::Change(change), refusal);
    }
}

#[test]
fn the_limits_themselves_are_allowed() {
    for (timeout_seconds, max_retries, retry_delay) in [(1, 0, 1), (60, 20, 86_400)] {
        let edge = Definition {
            name: "x".repeat(200),
            events: vec!["*".to_owned(); 100],
            timeout_seconds,
            retry_config: Some(RetryConfig {
                max_retries,
                retry_delay,
            }),
            ..definition()
        };
        assert!(Webhook::Absent.decide(&create(edge)).is_ok());
    }
}

#[test]
fn a_change_that_changes_nothing_is_no_event() {
    let same = Updated {
        name: Some("Orders".into()),
        is_active: Some(true),
        retry_config: Some(None),
        ..Updated::default()
    };
    then_events(vec![created()], Command::Change(same), vec![]);
}

#[test]
fn a_change_takes_over_each_field_and_leaves_the_others() {
    let retry = RetryConfig {
        max_retries: 2,
        retry_delay: 9,
    };
    let change = Updated {
        name: Some("Renamed".into()),
        url: Some("https://example.com/other".into()),
        events: Some(vec!["*".into()]),
        headers: Some((vec!["x-key".into()], 1)),
        secret: Some((2, "wxyz".into())),
        is_active: Some(false),
        retry_config: Some(Some(retry)),
        timeout_seconds: Some(5),
    };
    let all = Definition {
        name: "Renamed".into(),
        url: "https://example.com/other".into(),
        events: vec!["*".into()],
        header_names: vec!["x-key".into()],
        headers_generation: 1,
        secret_generation: 2,
        compat_prefix: None,
        is_active: false,
        retry_config: Some(retry),
        timeout_seconds: 5,
    };
    then_events(
        vec![created()],
        Command::Change(change.clone()),
        vec![Event::Updated(change.clone())],
    );
    let mut webhook = Webhook::default();
    webhook.evolve(&created());
    webhook.evolve(&Event::Updated(change));
    assert_eq!(webhook.definition(), Some(&all));
    let back = Updated {
        retry_config: Some(None),
        ..Updated::default()
    };
    webhook.evolve(&Event::Updated(back));
    let without = Definition {
        retry_config: None,
        ..all
    };
    assert_eq!(webhook.definition(), Some(&without));
}

#[test]
fn taking_a_schedule_back_is_not_leaving_it_alone_in_json_either() {
    let taken_back = Updated {
        retry_config: Some(None),
        ..Updated::default()
    };
    for (change, json) in [
        (taken_back, r#"{"retry_config":null}"#),
        (Updated::default(), "{}"),
    ] {
        assert_eq!(serde_json::to_string(&change).unwrap(), json);
        assert_eq!(serde_json::from_str::<Updated>(json).unwrap(), change);
    }
}

#[test]
fn a_webhook_that_is_gone_is_disabled_once() {
    let disabled = || {
        Event::Disabled(Disabled {
            reason: "410".into(),
        })
    };
    then_events(vec![created()], disable(), vec![disabled()]);
    then_events(vec![created(), disabled()], disable(), vec![]);
    let mut webhook = Webhook::default();
    webhook.evolve(&created());
    webhook.evolve(&disabled());
    assert!(!webhook.definition().unwrap().is_active);
}

#[test]
fn deleting_ends_it() {
    then_events(vec![created()], Command::Delete, vec![deleted()]);
    let mut webhook = Webhook::default();
    webhook.evolve(&created());
    webhook.evolve(&deleted());
    assert_eq!(webhook.definition(), None);
}

#[test]
fn topics_match_by_name_by_prefix_or_all() {
    let matches = |pattern: &str, topic: &str| {
        Definition {
            events: vec![pattern.into()],
            ..definition()
        }
        .subscribes_to(topic)
    };
    for (pattern, topic, wanted) in [
        ("*", "task.created", true),
        ("*", "sync.completed", true),
        ("task.*", "task.created", true),
        ("task.*", "task.created.twice", true),
        ("task.*", "tasks.created", false),
        ("task.*", "task", false),
        ("task.created", "task.created", true),
        ("task.created", "task.created.twice", false),
        ("task.created", "Task.created", false),
    ] {
        assert_eq!(matches(pattern, topic), wanted, "{pattern} {topic}");
    }
    assert!(definition().subscribes_to("project.created"));
    assert!(!definition().subscribes_to("project.deleted"));
}

//! What snapshots rest on, of every aggregate: a state survives JSON at any point of any history, and goes
//! on from there as if it had been folded in full.
//!
//! Histories are made by dice from a seed, which a failure names: commands of every kind, sensible and not,
//! decided one after the other. A new decision stream does not pass until its aggregate is here.

use std::fmt::Debug;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    credentials::{Credential, CredentialCommand},
    integrations::{
        Change, Create, Integration, IntegrationCommand, Outcome, RequestSync, SyncSettings,
        Trigger,
    },
    kernel::{Category, Decider, EventSet, Kind, RawEvent, Revision, RunId, derive},
    syncs::{Failure, FailureClass, SyncType},
    webhooks::{self, Definition, RetryConfig, Webhook, WebhookCommand},
};

/// Histories of each aggregate.
const HISTORIES: u64 = 60;
/// Commands in each.
const COMMANDS: u64 = 40;

/// `SplitMix64`: the same seed rolls the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| make(self))
    }

    fn time(&mut self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_micros(self.below(1 << 51) as i64)
    }

    fn text(&mut self) -> String {
        self.one(&["", "a", "naïve \"quoted\" \u{1f6a2}", "two\nlines", "42"])
            .to_owned()
    }

    /// A configuration: every platform's schema asks for an object.
    fn json(&mut self) -> Value {
        match self.below(3) {
            0 => json!({}),
            1 => json!({ "base_url": self.text(), "nested": [null, true, self.roll()] }),
            _ => {
                json!({ "": self.below(1000) as i64 - 500, "share": self.below(1 << 53) as f64 / 1e7 })
            }
        }
    }
}

/// What the log gives back of `event`.
fn logged<E: EventSet>(event: &E) -> E {
    let encoded = event.encode().unwrap();
    E::decode(&RawEvent {
        type_tag: encoded.type_tag,
        version: encoded.version,
        data: &encoded.data,
    })
    .unwrap()
}

fn fold<'e, A: Decider>(mut state: A, events: impl IntoIterator<Item = &'e A::Event>) -> A {
    for event in events {
        state.evolve(event);
    }
    state
}

/// Checks every snapshot of every history; answers whose they were, and how many events they went over.
fn check<A>(command: fn(&mut Dice, &A) -> A::Command) -> (Category, usize)
where
    A: Decider + Debug + PartialEq,
{
    let mut folded = 0;
    for seed in 0..HISTORIES {
        let mut dice = Dice(seed);
        let (mut state, mut events, mut asked) = (A::default(), vec![], vec![]);
        for _ in 0..COMMANDS {
            let command = command(&mut dice, &state);
            for event in state.decide(&command).unwrap_or_default() {
                state.evolve(&event);
                events.push(logged(&event));
            }
            asked.push(command);
        }
        assert_eq!(fold(A::default(), &events), state, "seed {seed}");
        for at in 0..=events.len() {
            let (before, tail) = events.split_at(at);
            let snapshot = serde_json::to_vec(&fold(A::default(), before)).unwrap();
            let restored = fold(serde_json::from_slice::<A>(&snapshot).unwrap(), tail);
            assert_eq!(restored, state, "seed {seed}, snapshot after {at} events");
            for command in &asked {
                assert_eq!(
                    restored.decide(command),
                    state.decide(command),
                    "seed {seed}, snapshot after {at} events"
                );
            }
        }
        folded += events.len();
    }
    (A::CATEGORY, folded)
}

#[test]
fn a_snapshot_and_the_rest_of_its_stream_are_the_fold_of_all_of_it_for_every_aggregate() {
    let checked = [
        check::<Integration>(integration),
        check::<Credential>(credential),
        check::<Webhook>(webhook),
    ];
    for (category, events) in checked {
        assert!(
            events as u64 > HISTORIES,
            "{category:?} hardly did anything: {events} events"
        );
    }
    let decisions = Category::ALL
        .into_iter()
        .filter(|category| category.kind() == Kind::Decision);
    assert_eq!(
        decisions.collect::<Vec<_>>(),
        checked.map(|(category, _)| category)
    );
}

/// A change of these is a change of what snapshots out there say: raise `STATE_VERSION` with it.
#[test]
fn the_shape_of_a_state_is_that_of_its_version() {
    let integration = Integration::Live(Box::new(crate::integrations::Live {
        integration_type: "sandbox".into(),
        name: "one".into(),
        configuration: json!({ "a": 1 }),
        sync_settings: SyncSettings {
            sync_interval: Some("hourly".into()),
            auto_sync: true,
        },
        status: crate::integrations::Status::NeedsReauth,
        open_run: Some(crate::integrations::OpenRun {
            run_id: RunId(uuid::Uuid::nil()),
            fence: crate::integrations::Fence(2),
        }),
        fence: crate::integrations::Fence(2),
        next_run_at: Some(Timestamp::UNIX_EPOCH),
        revision: Revision(9),
    }));
    let live = json!({ "Live": {
        "integration_type": "sandbox", "name": "one", "configuration": { "a": 1 },
        "sync_settings": { "sync_interval": "hourly", "auto_sync": true },
        "status": "needs_reauth",
        "open_run": { "run_id": "00000000-0000-0000-0000-000000000000", "fence": 2 },
        "fence": 2, "next_run_at": "1970-01-01T00:00:00Z", "revision": 9,
    }});
    shape(
        1,
        &[
            (Integration::Absent, json!("Absent")),
            (integration, live),
            (Integration::Deleted, json!("Deleted")),
        ],
    );
    let active = Credential::Active {
        auth_type: "bearer".into(),
        generation: 3,
    };
    shape(
        1,
        &[
            (Credential::Absent, json!("Absent")),
            (
                active,
                json!({ "Active": { "auth_type": "bearer", "generation": 3 } }),
            ),
            (Credential::Erased, json!("Erased")),
        ],
    );
    let live = json!({ "Live": {
        "name": "w", "url": "https://a.example", "events": ["*"], "header_names": ["x"],
        "headers_generation": 1, "secret_generation": 2, "compat_prefix": "x", "is_active": true,
        "retry_config": { "max_retries": 3, "retry_delay": 5 }, "timeout_seconds": 7,
    }});
    shape(
        1,
        &[
            (Webhook::Absent, json!("Absent")),
            (Webhook::Live(Box::new(definition())), live),
            (Webhook::Deleted, json!("Deleted")),
        ],
    );
}

#[track_caller]
fn shape<A: Decider + Debug + PartialEq>(version: u32, states: &[(A, Value)]) {
    assert_eq!(A::STATE_VERSION, version, "then its shape is another, too");
    for (state, golden) in states {
        assert_eq!(&serde_json::to_value(state).unwrap(), golden);
        assert_eq!(&serde_json::from_value::<A>(golden.clone()).unwrap(), state);
    }
}

fn run(dice: &mut Dice) -> RunId {
    RunId(derive(&[&dice.below(4).to_be_bytes()]))
}

fn settings(dice: &mut Dice) -> SyncSettings {
    let intervals = ["hourly", "weekly", "PT15M", "never", "PT1S"];
    SyncSettings {
        sync_interval: dice.maybe(|dice| dice.one(&intervals).to_owned()),
        auto_sync: dice.below(2) == 0,
    }
}

fn integration(dice: &mut Dice, state: &Integration) -> IntegrationCommand {
    let live = state.live();
    match dice.below(12) {
        // Nothing else happens before, and little after its end.
        _ if live.is_none() => IntegrationCommand::Create(Create {
            integration_type: "sandbox".into(),
            name: dice.text(),
            configuration: dice.json(),
            sync_settings: settings(dice),
            pending_auth: dice.below(2) == 0,
            created_by: dice.text(),
            now: dice.time(),
        }),
        0..=2 => IntegrationCommand::Change(Change {
            name: dice.maybe(Dice::text),
            configuration: dice.maybe(Dice::json),
            sync_settings: dice.maybe(settings),
            active: dice.maybe(|dice| dice.below(2) == 0),
            if_revision: (dice.below(8) == 0).then(|| Revision(dice.below(20))),
            now: dice.maybe(Dice::time),
        }),
        3 => IntegrationCommand::Authorize,
        4 => IntegrationCommand::RequireReauth {
            reason: dice.text(),
        },
        5..=7 => IntegrationCommand::RequestSync(RequestSync {
            run_id: run(dice),
            sync_type: dice.one(&[SyncType::Full, SyncType::Incremental, SyncType::Delta]),
            trigger: dice.one(&[Trigger::Manual, Trigger::Import]),
            force: dice.below(2) == 0,
            upload: None,
        }),
        8..=9 => IntegrationCommand::SettleSync {
            run_id: live
                .and_then(|live| live.open_run)
                .map_or_else(|| run(dice), |open| open.run_id),
            outcome: dice.one(&[Outcome::Completed, Outcome::Partial, Outcome::Failed]),
            failure: dice.maybe(|dice| Failure {
                class: FailureClass::Malformed,
                message: dice.text(),
            }),
            now: dice.time(),
        },
        10 => IntegrationCommand::SyncDue {
            run_id: run(dice),
            due_at: live
                .and_then(|live| live.next_run_at)
                .unwrap_or_else(|| dice.time()),
            now: dice.time(),
        },
        _ if dice.below(20) == 0 => IntegrationCommand::Delete,
        _ => IntegrationCommand::Authorize,
    }
}

fn credential(dice: &mut Dice, state: &Credential) -> CredentialCommand {
    match dice.below(40) {
        0 => CredentialCommand::Erase,
        n => CredentialCommand::Store {
            auth_type: dice.text(),
            generation: state.generation() + u64::from(n > 4),
            fields: (0..dice.below(4)).map(|_| dice.text()).collect(),
        },
    }
}

fn definition() -> Definition {
    Definition {
        name: "w".into(),
        url: "https://a.example".into(),
        events: vec!["*".into()],
        header_names: vec!["x".into()],
        headers_generation: 1,
        secret_generation: 2,
        compat_prefix: Some("x".into()),
        is_active: true,
        retry_config: Some(RetryConfig {
            max_retries: 3,
            retry_delay: 5,
        }),
        timeout_seconds: 7,
    }
}

fn retries(dice: &mut Dice) -> RetryConfig {
    RetryConfig {
        max_retries: dice.below(24) as u32,
        retry_delay: dice.below(100) as u32,
    }
}

fn webhook(dice: &mut Dice, state: &Webhook) -> WebhookCommand {
    match dice.below(10) {
        _ if state.definition().is_none() => WebhookCommand::Create(webhooks::Create {
            definition: Definition {
                compat_prefix: dice.maybe(Dice::text),
                is_active: dice.below(2) == 0,
                retry_config: dice.maybe(retries),
                ..definition()
            },
            secret_hint: dice.text(),
            created_by: dice.text(),
        }),
        0..=6 => WebhookCommand::Change(webhooks::Change {
            name: dice.maybe(Dice::text),
            url: dice.maybe(Dice::text),
            events: dice
                .maybe(|dice| vec![dice.one(&["*", "task.*", "sync.completed", ""]).into()]),
            headers: dice.maybe(|dice| (vec![dice.text()], dice.roll())),
            secret: dice.maybe(|dice| (dice.roll(), dice.text())),
            is_active: dice.maybe(|dice| dice.below(2) == 0),
            retry_config: dice.maybe(|dice| dice.maybe(retries)),
            timeout_seconds: dice.maybe(|dice| dice.below(70) as u32),
        }),
        7..=8 => WebhookCommand::Disable {
            reason: dice.text(),
        },
        _ if dice.below(20) == 0 => WebhookCommand::Delete,
        _ => WebhookCommand::Disable {
            reason: dice.text(),
        },
    }
}

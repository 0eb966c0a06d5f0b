//! Given timers that were fired, when the view is looked at again, then those that are settled are forgotten;
//! given one that cannot be fired, then the others are.

use std::sync::Mutex;

use async_trait::async_trait;
use wharf_domain::{
    credentials::{self, CredentialCommand},
    integrations,
    kernel::{IntegrationId, ProjectId, WebhookId},
    ports::Receipt,
    webhooks::{self, NewMessage, WebhookCommand},
};

use super::*;

fn timer(set_by: u64, due: i64) -> Timer {
    Timer {
        due: Timestamp::constant(due, 0),
        project: "p".parse().unwrap_or_else(|_| unreachable!("it is an id")),
        subject: Subject::SyncDue {
            integration: IntegrationId(uuid::Uuid::nil()),
        },
        set_by: (Position(set_by), 0),
    }
}

fn fired(timers: &[Timer]) -> Fired {
    let mut fired = Fired::default();
    timers.iter().for_each(|timer| fired.add(timer));
    fired
}

fn keys(fired: &Fired) -> Vec<u64> {
    let mut keys: Vec<_> = fired.0.keys().map(|(position, _)| position.0).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn what_the_view_does_not_show_any_more_is_settled() {
    let mut fired = fired(&[timer(1, 10), timer(2, 20), timer(3, 30)]);
    fired.settle(&[timer(2, 20), timer(9, 40)], true);
    assert_eq!(keys(&fired), [2]);
}

#[test]
fn what_may_lie_behind_the_last_one_that_was_read_is_not() {
    let mut fired = fired(&[timer(1, 10), timer(2, 20), timer(3, 30)]);
    fired.settle(&[timer(8, 5), timer(9, 20)], false);
    assert_eq!(
        keys(&fired),
        [2, 3],
        "only what was due before is seen to be gone"
    );
    fired.settle(&[], true);
    assert_eq!(keys(&fired), [0; 0]);
}

/// Fails for these integrations; keeps for which it was asked.
struct Failing {
    broken: Vec<IntegrationId>,
    asked: Mutex<Vec<IntegrationId>>,
}

#[async_trait]
impl Dispatch for Failing {
    async fn integration(
        &self,
        _: &ProjectId,
        id: IntegrationId,
        _: IntegrationCommand,
        _: Context,
    ) -> Result<Receipt, DispatchError<integrations::Refusal>> {
        self.asked.lock().unwrap().push(id);
        if self.broken.contains(&id) {
            return Err(DispatchError::Unavailable("it cannot be decoded".into()));
        }
        Ok(Receipt {
            position: Position(1),
            duplicate: false,
        })
    }

    async fn credential(
        &self,
        _: &ProjectId,
        _: IntegrationId,
        _: CredentialCommand,
        _: Context,
    ) -> Result<Receipt, DispatchError<credentials::Refusal>> {
        unreachable!("a schedule is an integration's")
    }

    async fn webhook(
        &self,
        _: &ProjectId,
        _: WebhookId,
        _: WebhookCommand,
        _: Context,
    ) -> Result<Receipt, DispatchError<webhooks::Refusal>> {
        unreachable!("a schedule is an integration's")
    }

    async fn messages(
        &self,
        _: &ProjectId,
        _: Vec<NewMessage>,
        _: Context,
    ) -> Result<Receipt, DispatchError<webhooks::Refusal>> {
        unreachable!("a schedule is an integration's")
    }
}

fn schedule(n: u64) -> Timer {
    Timer {
        subject: Subject::SyncDue {
            integration: integration(n),
        },
        ..timer(n, 10)
    }
}

fn integration(n: u64) -> IntegrationId {
    IntegrationId(uuid::Uuid::from_u128(n.into()))
}

#[tokio::test]
async fn one_that_cannot_be_fired_waits_and_the_others_do_not() {
    let dispatch = Failing {
        broken: vec![integration(1)],
        asked: Mutex::default(),
    };
    let now = Timestamp::constant(20, 0);
    let due = [schedule(1), schedule(2), schedule(3)];
    let mut fired = Fired::default();
    assert!(request_all(&dispatch, &due, now, &mut fired).await.unwrap());
    let asked = dispatch.asked.lock().unwrap().clone();
    assert_eq!(asked, [integration(1), integration(2), integration(3)]);
    let may = |now| due.each_ref().map(|timer| fired.may(timer, now));
    assert_eq!(may(now), [false; 3]);
    let later = after(now, PUT_OFF);
    assert_eq!(may(later), [true, false, false], "and is tried again");
}

#[tokio::test]
async fn a_log_in_trouble_is_not_asked_for_every_one() {
    let dispatch = Failing {
        broken: (0..100).map(integration).collect(),
        asked: Mutex::default(),
    };
    let due: Vec<_> = (0..100).map(schedule).collect();
    let now = Timestamp::constant(20, 0);
    let failed = request_all(&dispatch, &due, now, &mut Fired::default()).await;
    assert!(failed.is_err());
    assert_eq!(dispatch.asked.lock().unwrap().len(), FAILURES as usize);
}

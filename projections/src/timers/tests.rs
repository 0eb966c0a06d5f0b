//! Given events with due times, when they are applied, then the timers are those not settled yet.

use wharf_domain::{
    integrations::{IntegrationEvent, SyncScheduled},
    kernel::{Position, Timestamp},
};

use super::{Kind, Subject, Timer, due, next_due, overdue};
use crate::testing::*;

on_every_engine! {
    a_schedule_sets_a_timer_and_a_new_one_replaces_it
    deleting_an_integration_removes_its_timer
    a_failed_attempt_sets_a_retry_and_the_next_attempt_moves_it
    success_and_exhaustion_remove_the_retry
    a_copy_sets_no_timer
    an_older_attempt_that_comes_late_leaves_the_timer_alone
    only_what_is_due_is_given_the_longest_overdue_first
    many_retries_do_not_hide_a_schedule
    without_timers_nothing_is_due
}

async fn all(world: &mut World) -> Vec<Timer> {
    let db = world.applied().await;
    let mut all = due(&db, Kind::SyncDue, at(1_000_000), 100).await.unwrap();
    all.extend(
        due(&db, Kind::WebhookRetry, at(1_000_000), 100)
            .await
            .unwrap(),
    );
    all
}

fn scheduled(at: Option<Timestamp>) -> IntegrationEvent {
    IntegrationEvent::SyncScheduled(SyncScheduled { next_run_at: at })
}

fn retry(n: u128, attempt: u32) -> Subject {
    Subject::WebhookRetry {
        webhook: WEBHOOK,
        message: message(n),
        message_position: Position(7),
        message_index: 3,
        attempt,
    }
}

async fn a_schedule_sets_a_timer_and_a_new_one_replaces_it(engine: Engine) {
    let mut world = World::new(engine).await;
    world.integration(&[created(), scheduled(Some(at(60)))]);
    let timer = Timer {
        due: at(60),
        project: project(),
        subject: Subject::SyncDue {
            integration: INTEGRATION,
        },
        set_by: (Position(1), 1),
    };
    assert_eq!(all(&mut world).await, std::slice::from_ref(&timer));
    world.integration(&[scheduled(Some(at(120)))]);
    let replaced = Timer {
        due: at(120),
        set_by: (Position(2), 0),
        ..timer
    };
    assert_eq!(all(&mut world).await, [replaced]);
    world.integration(&[scheduled(None)]);
    assert_eq!(all(&mut world).await, []);
}

async fn deleting_an_integration_removes_its_timer(engine: Engine) {
    let mut world = World::new(engine).await;
    world.integration(&[created(), scheduled(Some(at(60)))]);
    world.applied().await;
    world.integration(&[deleted()]);
    assert_eq!(all(&mut world).await, []);
}

async fn a_failed_attempt_sets_a_retry_and_the_next_attempt_moves_it(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    world.deliveries(&[failed(1, 1, Some(60))]);
    let timers = all(&mut world).await;
    assert_eq!((timers[0].subject, timers[0].due), (retry(1, 2), at(60)));
    world.deliveries(&[failed(1, 2, Some(90))]);
    let timers = all(&mut world).await;
    assert_eq!(timers.len(), 1);
    assert_eq!((timers[0].subject, timers[0].due), (retry(1, 3), at(90)));
    assert_eq!(timers[0].set_by, (Position(3), 0));
}

async fn success_and_exhaustion_remove_the_retry(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    world.deliveries(&[
        failed(1, 1, Some(60)),
        failed(2, 1, Some(60)),
        failed(3, 1, Some(60)),
    ]);
    assert_eq!(all(&mut world).await.len(), 3);
    world.deliveries(&[succeeded(1, 2), failed(2, 2, None), exhausted(2, 2)]);
    world.deliveries(&[exhausted(3, 1)]);
    assert_eq!(all(&mut world).await, []);
}

async fn a_copy_sets_no_timer(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    world.deliveries(&[succeeded(1, 1)]);
    world.deliveries(&[failed(1, 1, Some(60))]);
    assert_eq!(all(&mut world).await, []);
}

async fn an_older_attempt_that_comes_late_leaves_the_timer_alone(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    world.deliveries(&[failed(1, 2, Some(90)), failed(1, 1, Some(60))]);
    let timers = all(&mut world).await;
    assert_eq!(timers.len(), 1);
    assert_eq!(timers[0].subject, retry(1, 3));
    world.deliveries(&[succeeded(2, 2), failed(2, 1, Some(60))]);
    assert_eq!(all(&mut world).await.len(), 1);
}

async fn only_what_is_due_is_given_the_longest_overdue_first(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    world.deliveries(&[
        failed(1, 1, Some(60)),
        failed(2, 1, Some(50)),
        failed(3, 1, Some(70)),
    ]);
    let db = world.applied().await;
    let found = due(&db, Kind::WebhookRetry, at(60), 100).await.unwrap();
    let subjects: Vec<_> = found.iter().map(|timer| timer.subject).collect();
    assert_eq!(subjects, [retry(2, 2), retry(1, 2)]);
    let one = due(&db, Kind::WebhookRetry, at(60), 1).await.unwrap();
    assert_eq!(one.len(), 1);
    assert_eq!(next_due(&db).await.unwrap(), Some(at(50)));
}

async fn many_retries_do_not_hide_a_schedule(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    let failures: Vec<_> = (1..=9).map(|n| failed(n, 1, Some(50))).collect();
    world.deliveries(&failures);
    world.integration(&[created(), scheduled(Some(at(60)))]);
    let db = world.applied().await;
    let found = due(&db, Kind::SyncDue, at(60), 1).await.unwrap();
    assert_eq!(
        found[0].subject,
        Subject::SyncDue {
            integration: INTEGRATION
        }
    );
    assert_eq!(overdue(&db, at(59), 100).await.unwrap(), 9);
    assert_eq!(overdue(&db, at(60), 100).await.unwrap(), 10);
    assert_eq!(overdue(&db, at(60), 4).await.unwrap(), 4, "no further");
}

async fn without_timers_nothing_is_due(engine: Engine) {
    let mut world = World::new(engine).await;
    let db = world.applied().await;
    assert_eq!(next_due(&db).await.unwrap(), None);
}

#[tokio::test]
async fn no_statement_of_the_projector_walks_through_a_table() {
    use super::projector::{ERASE_RETRIES, SETTLE_RETRY, SETTLE_SYNC};
    assert_no_scan(&["timer"], &[&ERASE_RETRIES, &SETTLE_RETRY, &SETTLE_SYNC]).await;
}

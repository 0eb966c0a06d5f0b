//! Given webhooks and deliveries, when they are applied, then the rows say what became of them.

use wharf_domain::{
    kernel::{Position, StreamId, WebhookId},
    webhooks::{Definition, Disabled, Updated, WebhookEvent},
};

use super::{
    AttemptFilter, AttemptRow, DeliveryState, Outcome, Row, attempt, attempts, delivery_state, get,
    list, log_id, log_position, matching,
};
use crate::{Page, testing::*};

on_every_engine! {
    a_webhook_has_a_row_with_its_definition
    a_disabled_webhook_says_why_until_it_is_active_again
    a_list_is_filtered_by_activity_newest_first
    matching_gives_the_definitions_as_of_the_position
    matching_leaves_out_webhooks_that_are_gone_and_those_of_others
    attempts_are_logged_newest_first_and_counted
    attempts_are_filtered_by_message_and_outcome
    a_copy_of_an_attempt_is_dropped_and_not_counted
    a_delivery_is_settled_by_success_or_exhaustion
    an_attempt_is_found_by_its_log_id_in_its_project_only
    inv13_another_projects_webhook_and_logs_are_absent
    deleting_a_webhook_erases_its_rows_and_drops_what_comes_late
}

async fn row(world: &mut World) -> Row {
    let db = world.applied().await;
    get(&db, &project(), WEBHOOK).await.unwrap().unwrap()
}

async fn logs(world: &mut World, filter: AttemptFilter) -> (Vec<AttemptRow>, u64) {
    let db = world.applied().await;
    attempts(&db, &project(), WEBHOOK, filter, Page::first(10))
        .await
        .unwrap()
}

async fn state(world: &mut World, n: u128) -> DeliveryState {
    let db = world.applied().await;
    delivery_state(&db, WEBHOOK, message(n)).await.unwrap()
}

fn renamed(name: &str) -> WebhookEvent {
    WebhookEvent::Updated(Updated {
        name: Some(name.to_owned()),
        ..Updated::default()
    })
}

fn disabled() -> WebhookEvent {
    WebhookEvent::Disabled(Disabled {
        reason: "the receiver answered 410".to_owned(),
    })
}

async fn a_webhook_has_a_row_with_its_definition(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    let position = world.webhook(&[WebhookEvent::Updated(Updated {
        secret: Some((2, "wxyz".to_owned())),
        ..Updated::default()
    })]);
    let row = row(&mut world).await;
    assert_eq!(row.definition.url, "https://example.com/hook");
    assert_eq!(row.definition.secret_generation, 2);
    assert_eq!(row.secret_hint, "wxyz");
    assert_eq!((row.revision.0, row.position), (2, position));
    assert_eq!((row.created_at, row.updated_at), (at(1), at(2)));
}

async fn a_disabled_webhook_says_why_until_it_is_active_again(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook"), disabled()]);
    let stopped = row(&mut world).await;
    assert!(!stopped.definition.is_active);
    assert_eq!(
        stopped.disabled_reason.as_deref(),
        Some("the receiver answered 410")
    );
    world.webhook(&[WebhookEvent::Updated(Updated {
        is_active: Some(true),
        ..Updated::default()
    })]);
    assert_eq!(row(&mut world).await.disabled_reason, None);
}

async fn a_list_is_filtered_by_activity_newest_first(engine: Engine) {
    let mut world = World::new(engine).await;
    let id = |n: u128| WebhookId(uuid::Uuid::from_u128(60 + n));
    for n in 0..3 {
        let stream = StreamId::webhook(&project(), id(n));
        world.given(stream.clone(), &[webhook_created("hook")]);
        if n == 1 {
            world.given(stream, &[disabled()]);
        }
    }
    let db = world.applied().await;
    let listed = async |is_active| {
        let (rows, total) = list(&db, &project(), is_active, Page::first(10))
            .await
            .unwrap();
        (rows.iter().map(|row| row.id).collect::<Vec<_>>(), total)
    };
    assert_eq!(listed(None).await, (vec![id(2), id(1), id(0)], 3));
    assert_eq!(listed(Some(true)).await, (vec![id(2), id(0)], 2));
    assert_eq!(listed(Some(false)).await, (vec![id(1)], 1));
}

async fn matching_gives_the_definitions_as_of_the_position(engine: Engine) {
    let mut world = World::new(engine).await;
    world.messages(&[accepted(1)]);
    let first = world.webhook(&[webhook_created("one")]);
    let second = world.webhook(&[renamed("two")]);
    let db = world.applied().await;
    let names = async |as_of| {
        let found: Vec<(WebhookId, Definition)> = matching(&db, &project(), as_of).await.unwrap();
        found.into_iter().map(|(_, d)| d.name).collect::<Vec<_>>()
    };
    assert!(names(Position(1)).await.is_empty());
    assert_eq!(names(first).await, ["one"]);
    assert_eq!(names(second).await, ["two"]);
    assert_eq!(names(Position(99)).await, ["two"]);
}

async fn matching_leaves_out_webhooks_that_are_gone_and_those_of_others(engine: Engine) {
    let mut world = World::new(engine).await;
    let position = world.webhook(&[webhook_created("one")]);
    let db = world.applied().await;
    let foreign = matching(&db, &other_project(), position).await.unwrap();
    assert!(foreign.is_empty());
    world.webhook(&[webhook_deleted()]);
    let db = world.applied().await;
    assert!(
        matching(&db, &project(), position)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn attempts_are_logged_newest_first_and_counted(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    world.deliveries(&[failed(1, 1, Some(60)), succeeded(2, 1)]);
    world.deliveries(&[succeeded(1, 2)]);
    let (rows, total) = logs(&mut world, AttemptFilter::default()).await;
    let listed: Vec<_> = rows
        .iter()
        .map(|row| (row.message_id, row.attempt, row.outcome))
        .collect();
    let expected = [
        (message(1), 2, Outcome::Succeeded),
        (message(2), 1, Outcome::Succeeded),
        (message(1), 1, Outcome::Failed),
    ];
    assert_eq!((&listed[..], total), (&expected[..], 3));
    let row = row(&mut world).await;
    assert_eq!((row.success_count, row.failure_count), (2, 1));
    assert_eq!(row.last_triggered_at, Some(at(2)));
}

async fn attempts_are_filtered_by_message_and_outcome(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    world.deliveries(&[failed(1, 1, Some(60)), succeeded(2, 1), succeeded(1, 2)]);
    let of_message = AttemptFilter {
        message: Some(message(1)),
        succeeded: None,
    };
    assert_eq!(logs(&mut world, of_message).await.1, 2);
    let failed_only = AttemptFilter {
        message: None,
        succeeded: Some(false),
    };
    let (rows, total) = logs(&mut world, failed_only).await;
    assert_eq!(total, 1);
    assert_eq!(rows[0].reason.as_deref(), Some("the receiver answered 500"));
    assert_eq!(rows[0].next_attempt_at, Some(at(60)));
}

async fn a_copy_of_an_attempt_is_dropped_and_not_counted(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    world.deliveries(&[succeeded(1, 1), failed(1, 1, Some(60))]);
    world.applied().await;
    let mut world = world.restarted().await;
    world.deliveries(&[failed(1, 1, Some(60))]);
    assert_eq!(logs(&mut world, AttemptFilter::default()).await.1, 1);
    let row = row(&mut world).await;
    assert_eq!((row.success_count, row.failure_count), (1, 0));
    assert!(state(&mut world, 1).await.settled);
}

async fn a_delivery_is_settled_by_success_or_exhaustion(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    assert_eq!(state(&mut world, 1).await, DeliveryState::default());
    world.deliveries(&[failed(1, 1, Some(60)), failed(2, 1, Some(60))]);
    let open = DeliveryState {
        attempts: 1,
        settled: false,
    };
    assert_eq!(state(&mut world, 1).await, open);
    world.deliveries(&[succeeded(1, 2), exhausted(2, 1)]);
    let arrived = DeliveryState {
        attempts: 2,
        settled: true,
    };
    let given_up = DeliveryState {
        attempts: 1,
        settled: true,
    };
    assert_eq!(state(&mut world, 1).await, arrived);
    assert_eq!(state(&mut world, 2).await, given_up);
    let (rows, _) = logs(
        &mut world,
        AttemptFilter {
            message: Some(message(2)),
            succeeded: None,
        },
    )
    .await;
    assert_eq!(rows[0].outcome, Outcome::Exhausted);
}

async fn an_attempt_is_found_by_its_log_id_in_its_project_only(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    world.deliveries(&[succeeded(1, 1), succeeded(2, 1)]);
    let (rows, _) = logs(&mut world, AttemptFilter::default()).await;
    let db = world.applied().await;
    for row in rows {
        let found = attempt(&db, &project(), WEBHOOK, row.log_id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&row));
        let foreign = attempt(&db, &other_project(), WEBHOOK, row.log_id).await;
        assert_eq!(foreign.unwrap(), None);
    }
    let none = attempt(&db, &project(), WEBHOOK, uuid::Uuid::from_u128(9)).await;
    assert_eq!(none.unwrap(), None);
}

#[test]
fn a_log_id_names_position_and_index() {
    for (position, index) in [(1, 0), (7, 255), ((1 << 48) - 1, 0xfff)] {
        let id = log_id(Position(position), index);
        assert_eq!(log_position(id), (Position(position), index));
        assert_eq!(id.get_version_num(), 8);
    }
}

async fn inv13_another_projects_webhook_and_logs_are_absent(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("hook")]);
    world.deliveries(&[succeeded(1, 1)]);
    let db = world.applied().await;
    let other = other_project();
    assert_eq!(get(&db, &other, WEBHOOK).await.unwrap(), None);
    let listed = list(&db, &other, None, Page::first(10)).await.unwrap();
    assert_eq!(listed, (vec![], 0));
    let logged = attempts(
        &db,
        &other,
        WEBHOOK,
        AttemptFilter::default(),
        Page::first(10),
    )
    .await;
    assert_eq!(logged.unwrap(), (vec![], 0));
}

async fn deleting_a_webhook_erases_its_rows_and_drops_what_comes_late(engine: Engine) {
    for apply_between in [true, false] {
        let mut world = World::new(engine).await;
        world.webhook(&[webhook_created("hook")]);
        world.deliveries(&[failed(1, 1, Some(60))]);
        if apply_between {
            world.applied().await;
        }
        world.webhook(&[webhook_deleted()]);
        world.deliveries(&[failed(1, 2, Some(90))]);
        let db = world.applied().await;
        let left = dump(&db).await;
        assert!(
            left.iter().all(|line| line.starts_with("checkpoint")),
            "{left:?}"
        );
    }
}

#[tokio::test]
async fn no_statement_of_the_projector_walks_through_a_table() {
    use super::{attempts, projector};
    let statements = [
        &attempts::READ,
        &attempts::SETTLE,
        &attempts::DELETE,
        &projector::READ,
        &projector::DELETE,
        &projector::DELETE_VERSIONS,
    ];
    assert_no_scan(&["a", "attempt", "webhook", "webhook_version"], &statements).await;
}

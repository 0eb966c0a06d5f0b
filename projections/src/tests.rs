//! Given a log, when it is folded in whatever way, then the views are the same.

use std::{sync::Arc, time::Duration};

use wharf_domain::{
    integrations::{IntegrationEvent, Outcome, SyncScheduled},
    kernel::Position,
};

use crate::{Error, Lagging, overview, testing::*};

on_every_engine! {
    inv01_whatever_the_batches_the_views_are_the_same
    inv01_a_rebuild_beside_gives_the_same_views_and_goes_live_by_a_swap
    a_generation_that_is_behind_does_not_go_live
    a_rebuild_does_not_move_the_published_position
    inv07_the_same_commits_again_change_nothing
    a_gap_is_refused_and_nothing_of_the_batch_is_folded
    a_batch_that_fails_leaves_no_rows_and_is_folded_once_later
    a_transaction_that_fails_midway_rolls_rows_and_checkpoint_back
    a_checkpoint_that_another_writer_moved_is_noticed
    a_fold_that_was_cancelled_goes_on_as_if_it_had_not_been
    an_event_that_nobody_knows_is_parked_and_the_rest_is_folded
    those_who_wait_are_told_when_the_views_are_there
    those_who_wait_too_long_are_told_how_far_the_views_are
    a_projection_whose_lease_another_node_took_writes_no_more
    text_that_one_engine_cannot_hold_is_the_same_in_both
    an_older_rebuild_does_not_replace_a_newer_one
    inv13_an_id_that_is_another_projects_is_parked_and_changes_nothing
}

/// A log with something in every table.
pub(crate) async fn busy(engine: Engine) -> World {
    let mut world = World::new(engine).await;
    world.given_run();
    world.webhook(&[webhook_created("hook")]);
    for n in 0..20_u64 {
        let name = format!("r{}", n % 7);
        let n128 = u128::from(n);
        world.journal(&[page(1, 1, n, &[(&name, "steps", Some(1), 10)])]);
        world.messages(&[accepted(n128)]);
        world.deliveries(&[failed(n128, 1, Some(60))]);
        if n % 2 == 0 {
            world.deliveries(&[succeeded(n128, 2), succeeded(n128, 2)]);
        }
    }
    world.journal(&[completed(1, 1)]);
    world.integration(&[
        settled(1, Outcome::Completed, None),
        IntegrationEvent::SyncScheduled(SyncScheduled {
            next_run_at: Some(at(900)),
        }),
    ]);
    world
}

async fn inv01_whatever_the_batches_the_views_are_the_same(engine: Engine) {
    let mut whole = busy(engine).await;
    let expected = dump(&*whole.applied().await).await;
    for size in [1, 7] {
        let mut world = busy(engine).await;
        for chunk in world.log.clone().chunks(size) {
            world.apply(chunk).await.unwrap();
        }
        assert_eq!(dump(&world.views.db()).await, expected, "batches of {size}");
    }
}

async fn inv01_a_rebuild_beside_gives_the_same_views_and_goes_live_by_a_swap(engine: Engine) {
    let mut world = busy(engine).await;
    let before = world.applied().await;
    let mut rebuilt = world.views.begin_rebuild().await.unwrap();
    rebuilt.apply(&world.log).await.unwrap();
    assert!(Arc::ptr_eq(&before, &world.views.db()), "not live yet");
    let expected = dump(&before).await;
    world.views.swap(&rebuilt).await.unwrap();
    let after = world.views.db();
    assert!(!Arc::ptr_eq(&before, &after));
    assert_eq!(dump(&after).await, expected);
    assert_eq!(world.views.position(), rebuilt.checkpoint());

    let superseded = world.apply(&[]).await;
    assert!(
        matches!(superseded, Err(Error::Superseded)),
        "{superseded:?}"
    );
    assert!(!dump(&before).await.is_empty(), "whoever reads it, goes on");
    drop(before);

    world.projection = rebuilt;
    world.messages(&[accepted(99)]);
    world.applied().await;
    assert_eq!(world.views.position(), Position(world.log.len() as u64));
    let world = world.restarted().await;
    assert_eq!(world.views.position(), Position(world.log.len() as u64));
}

async fn a_generation_that_is_behind_does_not_go_live(engine: Engine) {
    let mut world = busy(engine).await;
    world.applied().await;
    let mut rebuilt = world.views.begin_rebuild().await.unwrap();
    rebuilt.apply(&world.log[..5]).await.unwrap();
    let refused = world.views.swap(&rebuilt).await;
    assert!(matches!(
        refused,
        Err(Error::Behind {
            new: Position(5),
            ..
        })
    ));
    assert_eq!(world.views.position(), Position(world.log.len() as u64));
}

async fn a_rebuild_does_not_move_the_published_position(engine: Engine) {
    let mut world = busy(engine).await;
    world.apply_first(3).await;
    let mut rebuilt = world.views.begin_rebuild().await.unwrap();
    rebuilt.apply(&world.log).await.unwrap();
    assert_eq!(world.views.position(), Position(3));
}

async fn inv07_the_same_commits_again_change_nothing(engine: Engine) {
    let mut world = busy(engine).await;
    let expected = dump(&*world.applied().await).await;
    let again = world.log.clone();
    let position = world.apply(&again).await.unwrap();
    assert_eq!(position, Position(world.log.len() as u64));
    assert_eq!(dump(&world.views.db()).await, expected);
    let mut world = world.restarted().await;
    world.apply(&again).await.unwrap();
    assert_eq!(dump(&world.views.db()).await, expected);
}

async fn a_gap_is_refused_and_nothing_of_the_batch_is_folded(engine: Engine) {
    let mut world = busy(engine).await;
    let mut holey = world.log.clone();
    holey.remove(4);
    let refused = world.apply(&holey).await;
    assert!(matches!(
        refused,
        Err(Error::Gap {
            expected: Position(5),
            got: Position(6)
        })
    ));
    assert_eq!(world.views.position(), Position::START);
    assert_eq!(dump(&world.views.db()).await.len(), 1);
    world.applied().await;
}

async fn a_batch_that_fails_leaves_no_rows_and_is_folded_once_later(engine: Engine) {
    let mut world = busy(engine).await;
    *world.vault.unavailable.lock().unwrap() = true;
    let log = world.log.clone();
    let failed = world.apply(&log).await;
    assert!(matches!(failed, Err(Error::Vault(_))), "{failed:?}");
    assert_eq!(dump(&world.views.db()).await.len(), 1);
    *world.vault.unavailable.lock().unwrap() = false;
    let rows = dump(&*world.applied().await).await;
    assert_eq!(rows, dump(&*busy(engine).await.applied().await).await);
}

async fn a_transaction_that_fails_midway_rolls_rows_and_checkpoint_back(engine: Engine) {
    let mut world = busy(engine).await;
    world.apply_first(2).await;
    let before = dump(&world.views.db()).await;
    let (refuse, allow) = match engine {
        Engine::Sqlite => (
            "create trigger refuse before insert on timer
             begin select raise(abort, 'refused'); end",
            "drop trigger refuse",
        ),
        Engine::Postgres => (
            "create function refuse() returns trigger language plpgsql
             as $$ begin raise 'refused'; end $$;
             create trigger refuse before insert on timer execute function refuse()",
            "drop function refuse cascade",
        ),
    };
    world.meddle(refuse).await;
    let log = world.log.clone();
    let failed = world.apply(&log).await;
    assert!(matches!(failed, Err(Error::Storage(_))), "{failed:?}");
    assert_eq!(dump(&world.views.db()).await, before);
    assert_eq!(world.views.position(), Position(2));
    world.meddle(allow).await;
    let rows = dump(&*world.applied().await).await;
    assert_eq!(rows, dump(&*busy(engine).await.applied().await).await);
}

async fn a_checkpoint_that_another_writer_moved_is_noticed(engine: Engine) {
    let mut world = busy(engine).await;
    world.apply_first(2).await;
    world.meddle("update checkpoint set position = 9").await;
    let log = world.log.clone();
    let refused = world.apply(&log).await;
    assert!(matches!(refused, Err(Error::Moved)), "{refused:?}");
    world.meddle("update checkpoint set position = 2").await;
    let rows = dump(&*world.applied().await).await;
    assert_eq!(rows, dump(&*busy(engine).await.applied().await).await);
}

async fn a_fold_that_was_cancelled_goes_on_as_if_it_had_not_been(engine: Engine) {
    let mut world = busy(engine).await;
    let log = world.log.clone();
    for polls in 1..40 {
        let mut fold = Box::pin(world.projection.apply(&log));
        for _ in 0..polls {
            if futures::poll!(&mut fold).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let rows = dump(&*world.applied().await).await;
    assert_eq!(rows, dump(&*busy(engine).await.applied().await).await);
}

async fn an_event_that_nobody_knows_is_parked_and_the_rest_is_folded(engine: Engine) {
    let mut world = World::new(engine).await;
    world.messages(&[accepted(1)]);
    let body = String::from_utf8(world.log[0].body.to_vec()).unwrap();
    world.log[0].body = body
        .replace("message.accepted", "message.teleported")
        .into();
    world.messages(&[accepted(2)]);
    world.log[1].body = "no JSON".into();
    world.messages(&[accepted(3)]);
    let db = world.applied().await;
    assert_eq!(overview::counts(&db).await.unwrap().parked, 2);
    let rows = dump(&db).await;
    let parked: Vec<_> = rows
        .iter()
        .filter(|row| row.starts_with("parked"))
        .collect();
    assert!(parked[0].contains("message.teleported"), "{parked:?}");
    assert!(parked[1].starts_with("parked: 2,-1,"), "{parked:?}");
    let found = crate::messages::message(&db, &project(), message(3)).await;
    assert!(found.unwrap().is_some());
}

async fn those_who_wait_are_told_when_the_views_are_there(engine: Engine) {
    let mut world = busy(engine).await;
    let views = world.views.clone();
    let end = Position(world.log.len() as u64);
    let (reached, _) = tokio::join!(
        views.wait_for(end, Duration::from_secs(60)),
        world.applied(),
    );
    assert_eq!(reached, Ok(()));
}

async fn those_who_wait_too_long_are_told_how_far_the_views_are(engine: Engine) {
    let world = World::new(engine).await;
    let late = world.views.wait_for(Position(1), Duration::ZERO).await;
    assert_eq!(
        late,
        Err(Lagging {
            at: Position::START
        })
    );
}

async fn an_older_rebuild_does_not_replace_a_newer_one(engine: Engine) {
    let world = World::new(engine).await;
    let older = world.views.begin_rebuild().await.unwrap();
    let newer = world.views.begin_rebuild().await.unwrap();
    world.views.swap(&newer).await.unwrap();
    let refused = world.views.swap(&older).await;
    assert!(matches!(refused, Err(Error::Superseded)), "{refused:?}");
}

async fn inv13_an_id_that_is_another_projects_is_parked_and_changes_nothing(engine: Engine) {
    use wharf_domain::kernel::StreamId;
    let mut world = World::new(engine).await;
    world.integration(&[created()]);
    world.webhook(&[webhook_created("hook")]);
    let before = dump(&*world.applied().await).await;
    let other = other_project();
    world.given(
        StreamId::integration(&other, INTEGRATION),
        &[created(), requested(1, 1)],
    );
    world.given(StreamId::webhook(&other, WEBHOOK), &[webhook_deleted()]);
    world.given(StreamId::deliveries(&other, WEBHOOK), &[succeeded(1, 1)]);
    world.given(
        StreamId::sync_runs(&other, INTEGRATION),
        &[page(1, 1, 0, &[("a", "steps", Some(1), 10)])],
    );
    let after = dump(&*world.applied().await).await;
    let ours = |rows: Vec<String>| {
        let other = |row: &String| row.starts_with("checkpoint") || row.starts_with("parked");
        rows.into_iter()
            .filter(|row| !other(row))
            .collect::<Vec<_>>()
    };
    assert_eq!(ours(after), ours(before));
    let db = world.views.db();
    assert_eq!(overview::counts(&db).await.unwrap().parked, 3);
}

async fn a_projection_whose_lease_another_node_took_writes_no_more(engine: Engine) {
    let mut world = busy(engine).await;
    let log = world.log.clone();
    let mut first = world.views.projection(7).await.unwrap();
    first.apply(&log[..3]).await.unwrap();
    let mut second = world.views.projection(8).await.unwrap();
    assert_eq!(
        second.checkpoint(),
        Position(3),
        "it goes on where the first was"
    );
    let before = dump(&world.views.db()).await;
    for _ in 0..2 {
        let refused = first.apply(&log).await;
        assert!(
            matches!(refused, Err(Error::Fenced { ours: 7, by: 8 })),
            "{refused:?}"
        );
    }
    assert_eq!(dump(&world.views.db()).await, before);
    let late = world.views.projection(7).await.err();
    assert!(
        matches!(late, Some(Error::Fenced { ours: 7, by: 8 })),
        "{late:?}"
    );
    second.apply(&log).await.unwrap();
    assert_eq!(world.views.position(), Position(log.len() as u64));
    // The lease holds for a generation that goes live under it.
    let mut rebuilt = world.views.begin_rebuild().await.unwrap();
    rebuilt.apply(&log).await.unwrap();
    world.views.swap(&rebuilt).await.unwrap();
    world.messages(&[accepted(99)]);
    let log = world.log.clone();
    let refused = second.apply(&log).await;
    assert!(matches!(refused, Err(Error::Superseded)), "{refused:?}");
    let mut second = world.views.projection(8).await.unwrap();
    second.apply(&log).await.unwrap();
    assert_eq!(world.views.position(), Position(log.len() as u64));
}

async fn text_that_one_engine_cannot_hold_is_the_same_in_both(engine: Engine) {
    let mut world = World::new(engine).await;
    world.webhook(&[webhook_created("ho\0ok")]);
    let deleted = |reason: &str| {
        wharf_domain::webhooks::WebhookEvent::Disabled(wharf_domain::webhooks::Disabled {
            reason: reason.to_owned(),
        })
    };
    world.webhook(&[deleted("be\0cause")]);
    let db = world.applied().await;
    let row = crate::webhooks::get(&db, &project(), WEBHOOK).await;
    let row = row.unwrap().unwrap();
    assert_eq!(row.definition.name, "ho\0ok", "JSON escapes it");
    assert_eq!(row.disabled_reason.as_deref(), Some("be\u{fffd}cause"));
}

#[tokio::test]
async fn both_engines_hold_the_same_rows_and_give_the_same_answers() {
    let mut dumps = vec![];
    let mut answers = vec![];
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let mut world = busy(engine).await;
        // In an order that depends on who compares.
        world.integration(&[requested(2, 2)]);
        let models = ["zoo", "Äpfel", "apple", "Zoo", "_x", "a-b", "ab", "Ab"];
        for (number, model) in (0..).zip(models) {
            world.journal(&[page(2, 2, number, &[(model, model, Some(1), 10)])]);
        }
        let db = world.applied().await;
        dumps.push(dump(&db).await);
        answers.push(answered(&db).await);
    }
    assert_eq!(dumps[0], dumps[1]);
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].contains("Äpfel"), "{}", answers[0]);
}

/// What every query answers, as JSON.
async fn answered(db: &crate::Db) -> String {
    use crate::{Page, integrations, messages, records, syncs, timers, webhooks};
    let (own, page) = (project(), Page::first(50));
    let any = records::Filter {
        include_deleted: true,
        ..records::Filter::default()
    };
    let attempts = webhooks::AttemptFilter::default();
    let end = Position(1000);
    let answers = (
        (
            integrations::list(db, &own, &integrations::Filter::default(), page)
                .await
                .unwrap(),
            syncs::runs(db, &own, INTEGRATION, page).await.unwrap(),
            syncs::last_cursor(db, &own, INTEGRATION).await.unwrap(),
            records::list(db, &own, INTEGRATION, &any, None, 50)
                .await
                .unwrap(),
            records::counts_by_model(db, &own, INTEGRATION)
                .await
                .unwrap(),
            records::seen_before(db, &own, INTEGRATION, end, 50, None)
                .await
                .unwrap(),
        ),
        (
            webhooks::list(db, &own, None, page).await.unwrap(),
            webhooks::matching(db, &own, end).await.unwrap(),
            webhooks::attempts(db, &own, WEBHOOK, attempts, page)
                .await
                .unwrap(),
            messages::message(db, &own, message(3)).await.unwrap(),
            timers::next_due(db).await.unwrap(),
            overview::counts(db).await.unwrap(),
        ),
    );
    // Timers that are due at once come in no order.
    let kind = timers::Kind::WebhookRetry;
    let mut due = timers::due(db, kind, at(1_000_000), 50).await.unwrap();
    due.sort_by_key(|timer| timer.set_by);
    serde_json::to_string_pretty(&(answers, due)).unwrap()
}

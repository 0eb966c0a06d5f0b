//! Given a log, when it is folded in whatever way, then the views are the same.

use std::{sync::Arc, time::Duration};

use sqlx::Connection;
use wharf_domain::{
    integrations::{IntegrationEvent, Outcome, SyncScheduled},
    kernel::Position,
};

use crate::{Error, Lagging, overview, testing::*};

/// A log with something in every table.
async fn busy() -> World {
    let mut world = World::new().await;
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

#[tokio::test]
async fn inv01_whatever_the_batches_the_views_are_the_same() {
    let mut whole = busy().await;
    let expected = dump(&*whole.applied().await).await;
    for size in [1, 7] {
        let mut world = busy().await;
        for chunk in world.log.clone().chunks(size) {
            world.apply(chunk).await.unwrap();
        }
        assert_eq!(dump(&world.views.db()).await, expected, "batches of {size}");
    }
}

#[tokio::test]
async fn inv01_a_rebuild_beside_gives_the_same_views_and_goes_live_by_a_swap() {
    let mut world = busy().await;
    let before = world.applied().await;
    let mut rebuilt = world.views.begin_rebuild().await.unwrap();
    rebuilt.apply(&world.log).await.unwrap();
    assert!(Arc::ptr_eq(&before, &world.views.db()), "not live yet");
    world.views.swap(&rebuilt).await.unwrap();
    let after = world.views.db();
    assert!(!Arc::ptr_eq(&before, &after));
    assert_eq!(dump(&before).await, dump(&after).await);
    assert_eq!(world.views.position(), rebuilt.checkpoint());

    let superseded = world.apply(&[]).await;
    assert!(
        matches!(superseded, Err(Error::Superseded)),
        "{superseded:?}"
    );
    assert!(world.dir.path().join("views.1.db").exists());
    drop(before);
    assert!(!world.dir.path().join("views.1.db").exists());

    world.projection = rebuilt;
    world.messages(&[accepted(99)]);
    world.applied().await;
    assert_eq!(world.views.position(), Position(world.log.len() as u64));
    let world = world.restarted().await;
    assert_eq!(world.views.position(), Position(world.log.len() as u64));
}

#[tokio::test]
async fn a_generation_that_is_behind_does_not_go_live() {
    let mut world = busy().await;
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

#[tokio::test]
async fn a_rebuild_does_not_move_the_published_position() {
    let mut world = busy().await;
    world.apply_first(3).await;
    let mut rebuilt = world.views.begin_rebuild().await.unwrap();
    rebuilt.apply(&world.log).await.unwrap();
    assert_eq!(world.views.position(), Position(3));
}

#[tokio::test]
async fn inv07_the_same_commits_again_change_nothing() {
    let mut world = busy().await;
    let expected = dump(&*world.applied().await).await;
    let again = world.log.clone();
    let position = world.apply(&again).await.unwrap();
    assert_eq!(position, Position(world.log.len() as u64));
    assert_eq!(dump(&world.views.db()).await, expected);
    let mut world = world.restarted().await;
    world.apply(&again).await.unwrap();
    assert_eq!(dump(&world.views.db()).await, expected);
}

#[tokio::test]
async fn a_gap_is_refused_and_nothing_of_the_batch_is_folded() {
    let mut world = busy().await;
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

#[tokio::test]
async fn a_batch_that_fails_leaves_no_rows_and_is_folded_once_later() {
    let mut world = busy().await;
    *world.vault.unavailable.lock().unwrap() = true;
    let log = world.log.clone();
    let failed = world.apply(&log).await;
    assert!(matches!(failed, Err(Error::Vault(_))), "{failed:?}");
    assert_eq!(dump(&world.views.db()).await.len(), 1);
    *world.vault.unavailable.lock().unwrap() = false;
    let rows = dump(&*world.applied().await).await;
    assert_eq!(rows, dump(&*busy().await.applied().await).await);
}

#[tokio::test]
async fn a_transaction_that_fails_midway_rolls_rows_and_checkpoint_back() {
    let mut world = busy().await;
    world.apply_first(2).await;
    let before = dump(&world.views.db()).await;
    let mut saboteur = open_beside(&world).await;
    let refuse = "create trigger refuse before insert on timer
                  begin select raise(abort, 'refused'); end";
    sqlx::raw_sql(refuse).execute(&mut saboteur).await.unwrap();
    let log = world.log.clone();
    let failed = world.apply(&log).await;
    assert!(matches!(failed, Err(Error::Storage(_))), "{failed:?}");
    assert_eq!(dump(&world.views.db()).await, before);
    assert_eq!(world.views.position(), Position(2));
    let allow = "drop trigger refuse";
    sqlx::raw_sql(allow).execute(&mut saboteur).await.unwrap();
    let rows = dump(&*world.applied().await).await;
    assert_eq!(rows, dump(&*busy().await.applied().await).await);
}

#[tokio::test]
async fn a_checkpoint_that_another_writer_moved_is_noticed() {
    let mut world = busy().await;
    world.apply_first(2).await;
    let mut other = open_beside(&world).await;
    let moved = "update checkpoint set position = 9";
    sqlx::raw_sql(moved).execute(&mut other).await.unwrap();
    let log = world.log.clone();
    let refused = world.apply(&log).await;
    assert!(matches!(refused, Err(Error::Moved)), "{refused:?}");
    let back = "update checkpoint set position = 2";
    sqlx::raw_sql(back).execute(&mut other).await.unwrap();
    let rows = dump(&*world.applied().await).await;
    assert_eq!(rows, dump(&*busy().await.applied().await).await);
}

#[tokio::test]
async fn a_fold_that_was_cancelled_goes_on_as_if_it_had_not_been() {
    let mut world = busy().await;
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
    assert_eq!(rows, dump(&*busy().await.applied().await).await);
}

#[tokio::test]
async fn an_event_that_nobody_knows_is_parked_and_the_rest_is_folded() {
    let mut world = World::new().await;
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

#[tokio::test]
async fn those_who_wait_are_told_when_the_views_are_there() {
    let mut world = busy().await;
    let views = world.views.clone();
    let end = Position(world.log.len() as u64);
    let (reached, _) = tokio::join!(
        views.wait_for(end, Duration::from_secs(60)),
        world.applied(),
    );
    assert_eq!(reached, Ok(()));
}

#[tokio::test]
async fn those_who_wait_too_long_are_told_how_far_the_views_are() {
    let world = World::new().await;
    let late = world.views.wait_for(Position(1), Duration::ZERO).await;
    assert_eq!(
        late,
        Err(Lagging {
            at: Position::START
        })
    );
}

#[tokio::test]
async fn views_of_another_version_or_beyond_use_begin_anew() {
    for damage in ["version", "file", "pointer"] {
        let mut world = busy().await;
        let expected = dump(&*world.applied().await).await;
        if damage == "version" {
            let mut writer = open_beside(&world).await;
            let old = "update checkpoint set version = 0";
            sqlx::raw_sql(old).execute(&mut writer).await.unwrap();
            writer.close().await.unwrap();
        }
        let happened = |dir: &std::path::Path| match damage {
            "file" => std::fs::write(dir.join("views.1.db"), [7; 9000]).unwrap(),
            "pointer" => std::fs::write(dir.join("views.current"), "?").unwrap(),
            _ => {}
        };
        let mut world = world.restarted_after(happened).await;
        assert_eq!(world.views.position(), Position::START, "{damage}");
        assert_eq!(dump(&*world.applied().await).await, expected, "{damage}");
        assert!(!world.dir.path().join("views.1.db").exists(), "{damage}");
    }
}

#[tokio::test]
async fn a_rebuild_that_never_went_live_is_swept_at_the_next_start() {
    let mut world = busy().await;
    world.applied().await;
    drop(world.views.begin_rebuild().await.unwrap());
    assert!(world.dir.path().join("views.2.db").exists());
    let world = world.restarted().await;
    assert!(!world.dir.path().join("views.2.db").exists());
    assert_eq!(world.views.position(), Position(world.log.len() as u64));
}

async fn open_beside(world: &World) -> sqlx::SqliteConnection {
    use sqlx::ConnectOptions;
    let path = world.dir.path().join("views.1.db");
    crate::db::writer_options(&path).connect().await.unwrap()
}

#[tokio::test]
async fn an_older_rebuild_does_not_replace_a_newer_one() {
    let world = World::new().await;
    let older = world.views.begin_rebuild().await.unwrap();
    let newer = world.views.begin_rebuild().await.unwrap();
    world.views.swap(&newer).await.unwrap();
    let refused = world.views.swap(&older).await;
    assert!(matches!(refused, Err(Error::Superseded)), "{refused:?}");
}

#[tokio::test]
async fn inv13_an_id_that_is_another_projects_is_parked_and_changes_nothing() {
    use wharf_domain::kernel::StreamId;
    let mut world = World::new().await;
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

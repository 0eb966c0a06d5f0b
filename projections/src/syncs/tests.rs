//! Given leases and journals, when they are applied, then only what the fold keeps is in the rows.

use wharf_domain::{
    integrations::{Fence, Outcome, Trigger},
    kernel::Position,
    syncs::{Failed, Started, SyncRunEvent, SyncType},
};

use super::{Row, State, last_cursor, run as one, runs};
use crate::{Page, records, testing::*};

on_every_engine! {
    a_run_is_counted_from_lease_to_end
    a_copy_of_a_page_is_dropped
    a_page_out_of_order_is_dropped
    a_page_of_an_older_lease_is_dropped_even_after_a_restart
    what_follows_the_end_of_a_run_is_dropped
    a_journal_without_a_lease_is_dropped
    the_cursor_lies_in_the_last_kept_page_of_a_pull
    inv13_another_projects_runs_are_absent
    runs_are_listed_newest_first
}

const ITEMS: [Item<'static>; 2] = [("a", "steps", Some(1), 10), ("b", "steps", None, 20)];

async fn row(world: &mut World, n: u128) -> Row {
    let db = world.applied().await;
    one(&db, &project(), INTEGRATION, run(n))
        .await
        .unwrap()
        .unwrap()
}

async fn records_of(world: &mut World) -> u64 {
    let db = world.applied().await;
    records::count(&db, &project(), INTEGRATION, None)
        .await
        .unwrap()
}

async fn a_run_is_counted_from_lease_to_end(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    assert_eq!(row(&mut world, 1).await.state, State::Running);
    world.journal(&[SyncRunEvent::Started(Started {
        run_id: run(1),
        fence: Fence(1),
    })]);
    let position = world.journal(&[page(1, 1, 0, &ITEMS)]);
    world.journal(&[completed(1, 1)]);
    let row = row(&mut world, 1).await;
    assert_eq!(row.state, State::Completed);
    assert_eq!((row.pages, row.records, row.deleted), (1, 2, 1));
    assert_eq!((row.started_at, row.ended_at), (at(1), Some(at(4))));
    assert_eq!(row.skipped.get("odd"), Some(&2));
    assert_eq!(row.cursor, Some((position, 0)));
}

async fn a_copy_of_a_page_is_dropped(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.journal(&[page(1, 1, 0, &ITEMS)]);
    world.applied().await;
    world.journal(&[page(1, 1, 0, &[("c", "steps", Some(3), 30)])]);
    assert_eq!(row(&mut world, 1).await.pages, 1);
    assert_eq!(records_of(&mut world).await, 1);
}

async fn a_page_out_of_order_is_dropped(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.journal(&[page(1, 1, 1, &ITEMS)]);
    assert_eq!(row(&mut world, 1).await.pages, 0);
    assert_eq!(records_of(&mut world).await, 0);
}

async fn a_page_of_an_older_lease_is_dropped_even_after_a_restart(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.integration(&[settled(1, Outcome::Superseded, None), requested(2, 2)]);
    world.applied().await;
    let mut world = world.restarted().await;
    world.journal(&[page(1, 1, 0, &ITEMS)]);
    world.journal(&[completed(1, 1)]);
    let late = row(&mut world, 1).await;
    assert_eq!((late.state, late.pages), (State::Superseded, 0));
    assert_eq!(records_of(&mut world).await, 0);
}

async fn what_follows_the_end_of_a_run_is_dropped(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.journal(&[SyncRunEvent::Failed(Failed {
        run_id: run(1),
        fence: Fence(1),
        failure: failure("down"),
    })]);
    world.journal(&[page(1, 1, 0, &ITEMS), completed(1, 1)]);
    let row = row(&mut world, 1).await;
    assert_eq!((row.state, row.pages), (State::Failed, 0));
    assert_eq!(row.failure, Some(failure("down")));
}

async fn a_journal_without_a_lease_is_dropped(engine: Engine) {
    let mut world = World::new(engine).await;
    world.integration(&[created()]);
    world.journal(&[page(1, 1, 0, &ITEMS)]);
    assert_eq!(records_of(&mut world).await, 0);
}

async fn the_cursor_lies_in_the_last_kept_page_of_a_pull(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.journal(&[page(1, 1, 0, &ITEMS)]);
    let kept = world.journal(&[page(1, 1, 1, &ITEMS), page(1, 1, 1, &ITEMS)]);
    world.journal(&[completed(1, 1)]);
    world.integration(&[
        settled(1, Outcome::Completed, None),
        requested_by(2, 2, SyncType::Full, Trigger::Import),
    ]);
    world.journal(&[page(2, 2, 0, &ITEMS)]);
    let db = world.applied().await;
    let cursor = last_cursor(&db, &project(), INTEGRATION).await.unwrap();
    assert_eq!(cursor, Some((kept, 0)));
    let foreign = last_cursor(&db, &other_project(), INTEGRATION).await;
    assert_eq!(foreign.unwrap(), None);
}

async fn inv13_another_projects_runs_are_absent(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    let db = world.applied().await;
    let listed = runs(&db, &other_project(), INTEGRATION, Page::first(10)).await;
    assert_eq!(listed.unwrap(), (vec![], 0));
    let found = one(&db, &other_project(), INTEGRATION, run(1)).await;
    assert_eq!(found.unwrap(), None);
}

async fn runs_are_listed_newest_first(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.integration(&[settled(1, Outcome::Failed, Some("down")), requested(2, 2)]);
    let db = world.applied().await;
    let (rows, total) = runs(&db, &project(), INTEGRATION, Page::first(1))
        .await
        .unwrap();
    assert_eq!(total, 2);
    let listed: Vec<_> = rows.iter().map(|row| (row.run_id, row.position)).collect();
    assert_eq!(listed, [(run(2), Position(2))]);
}

#[tokio::test]
async fn no_statement_of_the_projector_walks_through_a_table() {
    use super::projector::{DELETE, READ};
    assert_no_scan(&["run"], &[&READ, &DELETE]).await;
}

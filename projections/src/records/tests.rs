//! Given pages, when they are applied, then each record is there once, in its last version.

use wharf_domain::{
    kernel::Position,
    ports::{Scope, Vault},
};

use super::{Cursor, Filter, Row, count, counts_by_model, list, seen_before};
use crate::{overview, testing::*};

on_every_engine! {
    a_record_is_listed_as_the_connector_wrote_it
    a_later_version_replaces_a_record_and_moves_it_to_the_end
    the_last_version_in_one_batch_wins_across_pages_and_within_one
    a_tombstone_is_shown_only_on_demand
    a_reader_misses_and_repeats_nothing_while_records_arrive
    a_cursor_after_a_position_skips_that_whole_commit
    a_list_is_filtered_by_model_and_begin
    what_a_full_run_did_not_see_again_is_found_by_key
    inv13_another_projects_records_are_absent
    deleting_an_integration_erases_its_records_in_whatever_batch
    a_shredded_page_is_as_if_it_had_no_records
    a_page_that_does_not_open_is_parked
}

async fn listed(world: &mut World, filter: Filter, after: Option<Cursor>) -> Vec<Row> {
    let db = world.applied().await;
    list(&db, &project(), INTEGRATION, &filter, after, 100)
        .await
        .unwrap()
}

/// Key by name, and the value in the body.
fn short(rows: &[Row]) -> Vec<(wharf_domain::syncs::RecordKey, String)> {
    rows.iter()
        .map(|row| {
            let body: serde_json::Value = serde_json::from_str(row.body.get()).unwrap();
            (row.key, body["data"].to_string())
        })
        .collect()
}

fn with_deleted() -> Filter {
    Filter {
        include_deleted: true,
        ..Filter::default()
    }
}

async fn a_record_is_listed_as_the_connector_wrote_it(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    let position = world.journal(&[page(1, 1, 0, &[("a", "steps", Some(7), 10)])]);
    let rows = listed(&mut world, Filter::default(), None).await;
    let [row] = &rows[..] else {
        panic!("one row, not {rows:?}");
    };
    assert_eq!((row.position, row.ordinal), (position, 0));
    assert_eq!(row.model, "steps");
    let record: wharf_domain::syncs::Record<'_> = serde_json::from_str(row.body.get()).unwrap();
    assert_eq!(record.key, key("a"));
    assert_eq!(record.data.get(), "7");
}

async fn a_later_version_replaces_a_record_and_moves_it_to_the_end(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.journal(&[page(
        1,
        1,
        0,
        &[("a", "steps", Some(1), 10), ("b", "steps", Some(2), 20)],
    )]);
    world.applied().await;
    world.journal(&[page(1, 1, 1, &[("a", "steps", Some(3), 10)])]);
    let rows = listed(&mut world, Filter::default(), None).await;
    let expected = [(key("b"), "2".to_owned()), (key("a"), "3".to_owned())];
    assert_eq!(short(&rows), expected);
}

async fn the_last_version_in_one_batch_wins_across_pages_and_within_one(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.journal(&[
        page(
            1,
            1,
            0,
            &[("a", "steps", Some(1), 10), ("a", "steps", Some(2), 10)],
        ),
        page(
            1,
            1,
            1,
            &[("b", "steps", Some(3), 10), ("a", "steps", Some(4), 10)],
        ),
    ]);
    let rows = listed(&mut world, Filter::default(), None).await;
    let expected = [(key("b"), "3".to_owned()), (key("a"), "4".to_owned())];
    assert_eq!(short(&rows), expected);
    let ordinals: Vec<_> = rows.iter().map(|row| row.ordinal).collect();
    assert_eq!(ordinals, [2, 3], "pages of one commit go on counting");
}

async fn a_tombstone_is_shown_only_on_demand(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.journal(&[page(1, 1, 0, &[("a", "steps", Some(1), 10)])]);
    world.journal(&[page(1, 1, 1, &[("a", "steps", None, 10)])]);
    assert!(listed(&mut world, Filter::default(), None).await.is_empty());
    let rows = listed(&mut world, with_deleted(), None).await;
    assert_eq!(
        rows.iter().map(|row| row.deleted).collect::<Vec<_>>(),
        [true]
    );
    let db = world.applied().await;
    let live = count(&db, &project(), INTEGRATION, None).await.unwrap();
    assert_eq!(live, 0);
}

async fn a_reader_misses_and_repeats_nothing_while_records_arrive(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    let names: Vec<String> = (0..30).map(|n| format!("r{n}")).collect();
    let mut after = None;
    let mut seen = vec![];
    for (number, chunk) in (0..).zip(names.chunks(3)) {
        let items: Vec<Item<'_>> = chunk
            .iter()
            .map(|name| (name.as_str(), "steps", Some(1), 10))
            .collect();
        world.journal(&[page(1, 1, number, &items)]);
        let db = world.applied().await;
        let rows = list(&db, &project(), INTEGRATION, &Filter::default(), after, 2)
            .await
            .unwrap();
        after = rows.last().map(Row::cursor).or(after);
        seen.extend(rows.iter().map(|row| row.key));
    }
    let rest = listed(&mut world, Filter::default(), after).await;
    seen.extend(rest.iter().map(|row| row.key));
    let expected: Vec<_> = names.iter().map(|name| key(name)).collect();
    assert_eq!(seen, expected);
}

async fn a_cursor_after_a_position_skips_that_whole_commit(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    let first = world.journal(&[page(
        1,
        1,
        0,
        &[("a", "steps", Some(1), 10), ("b", "steps", Some(1), 10)],
    )]);
    world.journal(&[page(1, 1, 1, &[("c", "steps", Some(1), 10)])]);
    let rows = listed(&mut world, Filter::default(), Some(Cursor::after(first))).await;
    assert_eq!(
        rows.iter().map(|row| row.key).collect::<Vec<_>>(),
        [key("c")]
    );
}

async fn a_list_is_filtered_by_model_and_begin(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.journal(&[page(
        1,
        1,
        0,
        &[
            ("a", "steps", Some(1), 10),
            ("b", "sleep", Some(1), 20),
            ("c", "steps", Some(1), 30),
            ("d", "steps", None, 20),
        ],
    )]);
    let steps = |include_deleted| Filter {
        model: Some("steps".to_owned()),
        include_deleted,
        ..Filter::default()
    };
    let keys = |rows: Vec<Row>| rows.iter().map(|row| row.key).collect::<Vec<_>>();
    let found = listed(&mut world, steps(false), None).await;
    assert_eq!(keys(found), [key("a"), key("c")]);
    let found = listed(&mut world, steps(true), None).await;
    assert_eq!(keys(found), [key("a"), key("c"), key("d")]);
    let from_to = Filter {
        start_from: Some(at(10)),
        start_to: Some(at(30)),
        ..Filter::default()
    };
    let found = listed(&mut world, from_to, None).await;
    assert_eq!(keys(found), [key("a"), key("b")], "from is in, to is out");
    let db = world.applied().await;
    let counts = counts_by_model(&db, &project(), INTEGRATION).await.unwrap();
    assert_eq!(counts, [("sleep".to_owned(), 1), ("steps".to_owned(), 2)]);
    let steps = count(&db, &project(), INTEGRATION, Some("steps")).await;
    assert_eq!(steps.unwrap(), 2);
}

async fn what_a_full_run_did_not_see_again_is_found_by_key(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.journal(&[page(
        1,
        1,
        0,
        &[
            ("a", "steps", Some(1), 10),
            ("b", "steps", Some(1), 10),
            ("c", "sleep", Some(1), 10),
            ("gone", "steps", None, 10),
        ],
    )]);
    let began = world.journal(&[page(1, 1, 1, &[("a", "steps", Some(2), 10)])]);
    let db = world.applied().await;
    let mut unseen = vec![];
    let mut after = None;
    loop {
        let found = seen_before(&db, &project(), INTEGRATION, began, 1, after)
            .await
            .unwrap();
        let Some((key, _)) = found.last() else { break };
        after = Some(*key);
        unseen.extend(found);
    }
    let mut expected = vec![
        (key("b"), "steps".to_owned()),
        (key("c"), "sleep".to_owned()),
    ];
    expected.sort();
    assert_eq!(unseen, expected);
}

async fn inv13_another_projects_records_are_absent(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.journal(&[page(1, 1, 0, &[("a", "steps", Some(1), 10)])]);
    let db = world.applied().await;
    let other = other_project();
    let rows = list(&db, &other, INTEGRATION, &Filter::default(), None, 10).await;
    assert!(rows.unwrap().is_empty());
    let counted = count(&db, &other, INTEGRATION, None).await;
    assert_eq!(counted.unwrap(), 0);
    let unseen = seen_before(&db, &other, INTEGRATION, Position(99), 10, None).await;
    assert!(unseen.unwrap().is_empty());
}

async fn deleting_an_integration_erases_its_records_in_whatever_batch(engine: Engine) {
    for apply_between in [true, false] {
        let mut world = World::new(engine).await;
        world.given_run();
        world.journal(&[page(1, 1, 0, &[("a", "steps", Some(1), 10)])]);
        if apply_between {
            world.applied().await;
        }
        world.integration(&[deleted()]);
        world.journal(&[page(1, 1, 1, &[("b", "steps", Some(1), 10)])]);
        let db = world.applied().await;
        let left = dump(&db).await;
        assert!(
            left.iter().all(|line| line.starts_with("checkpoint")),
            "{left:?}"
        );
    }
}

async fn a_shredded_page_is_as_if_it_had_no_records(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    world.journal(&[page(1, 1, 0, &[("a", "steps", Some(1), 10)])]);
    let scope = Scope::Integration(project(), INTEGRATION);
    world.vault.shred(&scope).await.unwrap();
    assert!(listed(&mut world, with_deleted(), None).await.is_empty());
    let db = world.applied().await;
    let counts = overview::counts(&db).await.unwrap();
    assert_eq!(counts.parked, 0, "erasure is no fault");
}

async fn a_page_that_does_not_open_is_parked(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given_run();
    let mut moved = page(1, 1, 0, &[("a", "steps", Some(1), 10)]);
    if let wharf_domain::syncs::SyncRunEvent::PageRecorded(page) = &mut moved {
        page.page = 0;
        page.sealed = "AAAA".to_owned();
    }
    world.journal(&[moved]);
    world.journal(&[page(1, 1, 1, &[("b", "steps", Some(2), 10)])]);
    let rows = listed(&mut world, Filter::default(), None).await;
    assert_eq!(short(&rows), [(key("b"), "2".to_owned())]);
    let db = world.applied().await;
    assert_eq!(overview::counts(&db).await.unwrap().parked, 1);
}

#[tokio::test]
async fn no_statement_of_the_projector_walks_through_a_table() {
    use super::{projector::DELETE, query::LIVE_OF_MODEL};
    assert_no_scan(&["record"], &[&DELETE]).await;
    let steps = plan(LIVE_OF_MODEL).await;
    assert!(
        steps
            .iter()
            .any(|step| step.contains("record_live (owner=? AND model=? AND seq>?)")),
        "{steps:?}"
    );
}

//! Given accepted messages, when they are applied, then each id is there once.

use wharf_domain::kernel::StreamId;

use super::message as find;
use crate::testing::*;

on_every_engine! {
    a_message_is_found_where_the_log_holds_it
    a_copy_of_a_message_is_dropped
    inv13_another_projects_message_is_absent_even_under_the_same_id
}

async fn a_message_is_found_where_the_log_holds_it(engine: Engine) {
    let mut world = World::new(engine).await;
    let position = world.messages(&[accepted(1), accepted(2)]);
    let db = world.applied().await;
    let row = find(&db, &project(), message(2)).await.unwrap().unwrap();
    assert_eq!((row.position, row.index), (position, 1));
    assert_eq!((row.topic.as_str(), row.bytes), ("task.created", 6));
    assert_eq!(row.time, at(0));
}

async fn a_copy_of_a_message_is_dropped(engine: Engine) {
    let mut world = World::new(engine).await;
    let first = world.messages(&[accepted(1), accepted(1)]);
    world.applied().await;
    world.messages(&[accepted(1)]);
    let db = world.applied().await;
    let row = find(&db, &project(), message(1)).await.unwrap().unwrap();
    assert_eq!((row.position, row.index), (first, 0));
}

async fn inv13_another_projects_message_is_absent_even_under_the_same_id(engine: Engine) {
    let mut world = World::new(engine).await;
    world.messages(&[accepted(1)]);
    let theirs = world.given(
        StreamId::messages(&other_project()),
        &[accepted(1), accepted(2)],
    );
    let db = world.applied().await;
    assert_eq!(find(&db, &project(), message(2)).await.unwrap(), None);
    let row = find(&db, &other_project(), message(1)).await.unwrap();
    assert_eq!(row.unwrap().position, theirs);
}

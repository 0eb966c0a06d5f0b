//! Given commits about integrations, when they are applied, then the API sees these rows.

use wharf_domain::{
    credentials::{CredentialEvent, Erased, Stored},
    integrations::{IntegrationEvent, Outcome, Status, StatusChanged, Updated},
    kernel::{IntegrationId, Revision, StreamId},
};

use super::{Filter, Row, StatusFilter, get, list};
use crate::{Page, testing::*};

on_every_engine! {
    a_created_integration_has_a_row_with_what_was_decided
    a_row_says_what_the_aggregate_says_after_a_restart_too
    a_run_that_brought_something_sets_last_sync_and_clears_the_error
    a_refused_credential_shows_as_the_error_until_it_is_stored_anew
    a_credential_shows_its_generation_even_if_it_came_first
    a_deleted_integration_is_absent
    inv13_another_projects_integration_is_absent
    a_list_is_filtered_and_paged_newest_first
}

async fn row(world: &mut World) -> Row {
    let db = world.applied().await;
    get(&db, &project(), INTEGRATION).await.unwrap().unwrap()
}

fn status(status: Status, reason: &str) -> IntegrationEvent {
    IntegrationEvent::StatusChanged(StatusChanged {
        status,
        reason: reason.to_owned(),
    })
}

fn stored(generation: u64) -> CredentialEvent {
    CredentialEvent::Stored(Stored {
        auth_type: "bearer".to_owned(),
        generation,
        fields: ["access_token".to_owned()].into(),
    })
}

async fn a_created_integration_has_a_row_with_what_was_decided(engine: Engine) {
    let mut world = World::new(engine).await;
    let position = world.integration(&[created()]);
    let row = row(&mut world).await;
    assert_eq!(row.project, project());
    assert_eq!(row.live.name, "my sandbox");
    assert_eq!(row.live.configuration, serde_json::json!({"pages": 3}));
    assert_eq!(row.live.status, Status::Active);
    assert_eq!((row.created_at, row.updated_at), (at(1), at(1)));
    assert_eq!((row.number, row.position), (position, position));
    assert_eq!(row.created_by, "ann");
}

async fn a_row_says_what_the_aggregate_says_after_a_restart_too(engine: Engine) {
    let mut world = World::new(engine).await;
    world.integration(&[created()]);
    world.applied().await;
    let mut world = world.restarted().await;
    world.integration(&[IntegrationEvent::Updated(Updated {
        name: Some("renamed".to_owned()),
        ..Updated::default()
    })]);
    world.integration(&[requested(1, 1)]);
    let row = row(&mut world).await;
    assert_eq!(row.live.name, "renamed");
    assert_eq!(row.live.open_run.map(|open| open.run_id), Some(run(1)));
    assert_eq!(row.live.revision, Revision(3));
    assert_eq!(
        row.updated_at,
        at(2),
        "a run does not change the definition"
    );
}

async fn a_run_that_brought_something_sets_last_sync_and_clears_the_error(engine: Engine) {
    let mut world = World::new(engine).await;
    world.integration(&[created(), requested(1, 1)]);
    world.integration(&[settled(1, Outcome::Failed, Some("down")), requested(2, 2)]);
    let failed = row(&mut world).await;
    assert_eq!(failed.sync_error_message.as_deref(), Some("down"));
    assert_eq!(failed.last_sync_at, None);
    world.integration(&[settled(2, Outcome::Completed, None)]);
    let done = row(&mut world).await;
    assert_eq!(done.sync_error_message, None);
    assert_eq!(done.last_sync_at, Some(at(3)));
}

async fn a_refused_credential_shows_as_the_error_until_it_is_stored_anew(engine: Engine) {
    let mut world = World::new(engine).await;
    world.integration(&[created(), status(Status::NeedsReauth, "token expired")]);
    let row_then = row(&mut world).await;
    assert_eq!(
        row_then.sync_error_message.as_deref(),
        Some("token expired")
    );
    world.integration(&[status(Status::Active, "a credential was stored")]);
    assert_eq!(row(&mut world).await.sync_error_message, None);
}

async fn a_credential_shows_its_generation_even_if_it_came_first(engine: Engine) {
    let mut world = World::new(engine).await;
    let stream = StreamId::credential(&project(), INTEGRATION);
    world.given(stream.clone(), &[stored(1)]);
    world.integration(&[created()]);
    assert_eq!(row(&mut world).await.auth.unwrap().generation, 1);
    world.given(stream.clone(), &[stored(2)]);
    assert_eq!(row(&mut world).await.auth.unwrap().generation, 2);
    world.given(stream, &[CredentialEvent::Erased(Erased {})]);
    assert_eq!(row(&mut world).await.auth, None);
}

async fn a_deleted_integration_is_absent(engine: Engine) {
    let mut world = World::new(engine).await;
    world.given(StreamId::credential(&project(), INTEGRATION), &[stored(1)]);
    world.integration(&[created()]);
    world.applied().await;
    world.integration(&[deleted()]);
    let db = world.applied().await;
    assert_eq!(get(&db, &project(), INTEGRATION).await.unwrap(), None);
    let (rows, total) = list(&db, &project(), &Filter::default(), Page::first(10))
        .await
        .unwrap();
    assert_eq!((rows, total), (vec![], 0));
    assert!(
        dump(&db)
            .await
            .iter()
            .all(|line| line.starts_with("checkpoint"))
    );
}

async fn inv13_another_projects_integration_is_absent(engine: Engine) {
    let mut world = World::new(engine).await;
    world.integration(&[created()]);
    let db = world.applied().await;
    assert_eq!(get(&db, &other_project(), INTEGRATION).await.unwrap(), None);
    let (rows, total) = list(&db, &other_project(), &Filter::default(), Page::first(10))
        .await
        .unwrap();
    assert_eq!((rows, total), (vec![], 0));
}

async fn a_list_is_filtered_and_paged_newest_first(engine: Engine) {
    let mut world = World::new(engine).await;
    let id = |n: u128| IntegrationId(uuid::Uuid::from_u128(50 + n));
    for n in 0..5 {
        let stream = StreamId::integration(&project(), id(n));
        world.given(stream.clone(), &[created()]);
        if n == 3 {
            world.given(stream, &[status(Status::Paused, "a caller paused it")]);
        }
    }
    let db = world.applied().await;
    let listed = async |filter: Filter, page, size| {
        let (rows, total) = list(&db, &project(), &filter, Page { page, size })
            .await
            .unwrap();
        (rows.iter().map(|row| row.id).collect::<Vec<_>>(), total)
    };
    let by_status = |text: &str| Filter {
        status: Some(text.parse::<StatusFilter>().unwrap()),
        ..Filter::default()
    };
    assert_eq!(
        listed(Filter::default(), 2, 2).await,
        (vec![id(2), id(1)], 5)
    );
    assert_eq!(listed(by_status("inactive"), 1, 10).await, (vec![id(3)], 1));
    assert_eq!(listed(by_status("paused"), 1, 10).await, (vec![id(3)], 1));
    assert_eq!(listed(by_status("active"), 1, 10).await.1, 4);
    assert_eq!(listed(by_status("error"), 1, 10).await.1, 0);
    let owner = |sub: &str| Filter {
        owner: Some(sub.to_owned()),
        ..Filter::default()
    };
    assert_eq!(listed(owner("ann"), 1, 10).await.1, 5);
    assert_eq!(listed(owner("bob"), 1, 10).await.1, 0);
    let of_type = |slug: &str| Filter {
        integration_type: Some(slug.to_owned()),
        ..Filter::default()
    };
    assert_eq!(listed(of_type("sandbox"), 1, 10).await.1, 5);
    assert_eq!(listed(of_type("fitbit"), 1, 10).await.1, 0);
}

#[tokio::test]
async fn no_statement_of_the_projector_walks_through_a_table() {
    use super::projector::{DELETE, DELETE_CREDENTIAL, READ};
    assert_no_scan(
        &["i", "integration", "credential"],
        &[&READ, &DELETE, &DELETE_CREDENTIAL],
    )
    .await;
}

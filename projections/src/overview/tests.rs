//! Given integrations and webhooks, when they are applied, then `/health` counts the active ones.

use wharf_domain::{
    integrations::{IntegrationEvent, Status, StatusChanged},
    kernel::{IntegrationId, StreamId},
};

use super::{Counts, counts};
use crate::testing::*;

on_every_engine! {
    only_what_is_active_is_counted_over_all_projects
}

async fn only_what_is_active_is_counted_over_all_projects(engine: Engine) {
    let mut world = World::new(engine).await;
    world.integration(&[created()]);
    world.webhook(&[webhook_created("hook")]);
    let theirs = IntegrationId(uuid::Uuid::from_u128(77));
    let stream = StreamId::integration(&other_project(), theirs);
    world.given(stream.clone(), &[created()]);
    let expected = Counts {
        webhooks_active: 1,
        integrations_active: 2,
        plugins_installed: 0,
        parked: 0,
    };
    assert_eq!(counts(&*world.applied().await).await.unwrap(), expected);
    world.given(
        stream,
        &[IntegrationEvent::StatusChanged(StatusChanged {
            status: Status::Paused,
            reason: "a caller paused it".to_owned(),
        })],
    );
    world.webhook(&[webhook_deleted()]);
    let expected = Counts {
        integrations_active: 1,
        ..Counts::default()
    };
    assert_eq!(counts(&*world.applied().await).await.unwrap(), expected);
}

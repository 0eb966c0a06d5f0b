//! Given nodes that share a data base, when they want the same lease, then one has it.

use std::sync::Arc;

use wharf_domain::{kernel::Secret, ports::Leases};

use crate::{
    Views,
    testing::{Engine, FakeVault, World},
};

/// Two nodes on the data base of `world`.
async fn nodes(world: &World) -> [Arc<dyn Leases>; 2] {
    let url = Secret::new(world.place.database().url());
    let other = Views::postgres(&url, Arc::new(FakeVault::default())).await;
    [world.views.leases("one"), other.unwrap().leases("another")]
}

async fn expire(world: &World) {
    world
        .meddle("update wharf_views.lease set expires_at = clock_timestamp()")
        .await;
}

#[tokio::test]
async fn one_node_has_a_lease_until_it_ends() {
    let world = World::new(Engine::Postgres).await;
    let [one, another] = nodes(&world).await;
    let held = one.take("tick").await.unwrap().unwrap();
    assert_eq!(another.take("tick").await.unwrap(), None);
    assert!(another.take("else").await.unwrap().is_some());
    assert!(one.renew(&held).await.unwrap());

    expire(&world).await;
    assert!(
        !one.renew(&held).await.unwrap(),
        "too late, even if nobody took it"
    );
    let taken = another.take("tick").await.unwrap().unwrap();
    assert!(taken.fence > held.fence);
    assert!(!one.renew(&held).await.unwrap());
    one.give_back(&held).await.unwrap();
    assert!(
        another.renew(&taken).await.unwrap(),
        "it was not theirs to give"
    );
}

#[tokio::test]
async fn a_lease_that_is_given_back_is_free_at_once_and_its_fence_grows() {
    let world = World::new(Engine::Postgres).await;
    let [one, another] = nodes(&world).await;
    let held = one.take("tick").await.unwrap().unwrap();
    one.give_back(&held).await.unwrap();
    assert!(!one.renew(&held).await.unwrap());
    let taken = another.take("tick").await.unwrap().unwrap();
    assert_eq!(taken.fence, held.fence + 1);
}

#[tokio::test]
async fn a_node_that_was_killed_goes_on_at_once_and_its_earlier_life_has_lost() {
    let world = World::new(Engine::Postgres).await;
    let [one, _] = nodes(&world).await;
    let before = one.take("tick").await.unwrap().unwrap();
    let started_anew = world.views.leases("one");
    let after = started_anew.take("tick").await.unwrap().unwrap();
    assert!(after.fence > before.fence);
    assert!(!one.renew(&before).await.unwrap());
}

#[tokio::test]
async fn a_node_that_was_killed_gets_back_at_once_what_it_held() {
    let world = World::new(Engine::Postgres).await;
    let [one, another] = nodes(&world).await;
    let held = one.take("tick").await.unwrap().unwrap();
    let again = world.views.leases("one").take("tick").await.unwrap();
    let again = again.unwrap();
    assert_eq!(again.fence, held.fence + 1);
    assert!(
        !one.renew(&held).await.unwrap(),
        "what it was before, is fenced"
    );
    assert!(one.renew(&again).await.unwrap());
    assert_eq!(another.take("tick").await.unwrap(), None);
}

#[tokio::test]
async fn a_lease_that_is_renewed_holds_from_then_on() {
    let world = World::new(Engine::Postgres).await;
    let [one, _] = nodes(&world).await;
    let held = one.take("tick").await.unwrap().unwrap();
    world
        .meddle("update wharf_views.lease set expires_at = clock_timestamp() + interval '50 ms'")
        .await;
    assert!(one.renew(&held).await.unwrap());
    let pool = sqlx::PgPool::connect_lazy(&world.place.database().url()).unwrap();
    let left = crate::db::query(
        "select (extract(epoch from expires_at - clock_timestamp()) * 1000)::bigint as ms
         from wharf_views.lease",
    );
    let left: u64 = left.fetch_one(&pool).await.unwrap().count("ms").unwrap();
    assert!((2000..=3000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn of_many_who_want_a_lease_at_once_one_gets_it() {
    let world = World::new(Engine::Postgres).await;
    let mut wanting = vec![];
    for n in 0..8 {
        let leases = world.views.leases(&format!("node {n}"));
        wanting.push(async move { leases.take("tick").await.unwrap() });
    }
    let taken = futures::future::join_all(wanting).await;
    assert_eq!(taken.into_iter().flatten().count(), 1);
}

#[tokio::test]
async fn who_shares_with_nobody_has_every_lease() {
    let world = World::new(Engine::Sqlite).await;
    let leases = world.views.leases("alone");
    let held = leases.take("tick").await.unwrap().unwrap();
    assert!(leases.renew(&held).await.unwrap());
    leases.give_back(&held).await.unwrap();
    assert!(world.views.projection(held.fence).await.is_ok());
}

//! Given generations in files or schemas, when something happens to them, then one is live and the others
//! go.

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgPoolOptions};
use wharf_domain::kernel::{Hash, Position, Secret};

use crate::{Error, VERSION, Views, db::query, testing::*, tests::busy};

#[tokio::test]
async fn views_in_a_file_of_another_version_or_beyond_use_begin_anew() {
    for damage in ["version", "file", "pointer"] {
        let mut world = busy(Engine::Sqlite).await;
        let expected = dump(&*world.applied().await).await;
        if damage == "version" {
            world.meddle("update checkpoint set version = 0").await;
        }
        let happened = |place: &Place| match damage {
            "file" => std::fs::write(place.folder().join("views.1.db"), [7; 9000]).unwrap(),
            "pointer" => std::fs::write(place.folder().join("views.current"), "?").unwrap(),
            _ => {}
        };
        let mut world = world.restarted_after(happened).await;
        assert_eq!(world.views.position(), Position::START, "{damage}");
        assert_eq!(dump(&*world.applied().await).await, expected, "{damage}");
        assert!(
            !world.place.folder().join("views.1.db").exists(),
            "{damage}"
        );
    }
}

#[tokio::test]
async fn a_rebuild_in_a_file_that_never_went_live_is_swept_at_the_next_start() {
    let mut world = busy(Engine::Sqlite).await;
    world.applied().await;
    drop(world.views.begin_rebuild().await.unwrap());
    assert!(world.place.folder().join("views.2.db").exists());
    let world = world.restarted().await;
    assert!(!world.place.folder().join("views.2.db").exists());
    assert_eq!(world.views.position(), Position(world.log.len() as u64));
}

#[tokio::test]
async fn a_file_that_was_replaced_goes_with_its_last_reader() {
    let mut world = busy(Engine::Sqlite).await;
    let before = world.applied().await;
    let mut rebuilt = world.views.begin_rebuild().await.unwrap();
    rebuilt.apply(&world.log).await.unwrap();
    world.views.swap(&rebuilt).await.unwrap();
    assert!(world.place.folder().join("views.1.db").exists());
    drop(before);
    assert!(!world.place.folder().join("views.1.db").exists());
}

#[tokio::test]
async fn a_look_at_files_that_are_not_there_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let views = dir.path().join("views");
    assert_eq!(Views::peek(&views).await.unwrap(), None);
    assert!(!views.exists());
}

#[tokio::test]
async fn a_checkpoint_names_the_commit_that_it_is_at() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let mut world = busy(engine).await;
        let first = world.views.checkpoint().await.unwrap();
        assert_eq!(first, (Position::START, Hash::ZERO));
        world.apply_first(4).await;
        let (position, hash) = world.views.checkpoint().await.unwrap();
        assert_eq!((position, hash), (Position(4), world.log[3].hash));
    }
}

/// One more node on the data base of `world`.
async fn join(world: &World) -> Views {
    let url = Secret::new(world.place.database().url());
    Views::postgres(&url, world.vault.clone()).await.unwrap()
}

/// A look at the data base beside the views.
fn beside(world: &World) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(1);
    pool.connect_lazy(&world.place.database().url()).unwrap()
}

async fn schemas(world: &World) -> Vec<String> {
    let rows = query(
        "select schema_name::text as name from information_schema.schemata
         where schema_name like 'wharf_views_%' order by name",
    );
    let rows = rows.fetch_all(&beside(world)).await.unwrap();
    rows.iter().map(|row| row.text("name").unwrap()).collect()
}

/// The name of this version's generation `number`.
fn named(number: u64) -> String {
    format!("wharf_views_v{VERSION}_g{number}")
}

/// Lets two minutes pass, or two days, for generations only.
async fn age(world: &World, by: &'static str) {
    world.meddle(by).await;
}

const MINUTES: &str = "update wharf_views.generation set since = since - interval '2 minutes'";
/// Ends every connection but the one that says so.
const CUT: &str = "select pg_terminate_backend(pid) from pg_stat_activity
                   where pid <> pg_backend_pid() and datname = current_database()";
const DAYS: &str = "update wharf_views.generation set since = since - interval '2 days'";

#[tokio::test]
async fn many_nodes_that_start_at_once_on_an_empty_data_base_share_one_generation() {
    let database = crate::postgres::Database::new().await;
    let url = Secret::new(database.url());
    let vault = Arc::new(FakeVault::default());
    let nodes = (0..6).map(|_| Views::postgres(&url, vault.clone()));
    let nodes = futures::future::join_all(nodes).await;
    assert!(nodes.iter().all(Result::is_ok), "{nodes:?}");
    let pool = PgPool::connect_lazy(&database.url()).unwrap();
    let made = query("select count(*) as n from wharf_views.generation");
    let made: u64 = made.fetch_one(&pool).await.unwrap().count("n").unwrap();
    assert_eq!(made, 1);
}

#[tokio::test]
async fn a_node_that_does_not_write_hears_of_every_commit_and_of_a_swap() {
    let mut world = busy(Engine::Postgres).await;
    let other = join(&world).await;
    assert_eq!(other.position(), Position::START);
    let end = Position(world.log.len() as u64);
    let patience = Duration::from_secs(60);
    let script = async {
        world.apply_first(3).await;
        other.wait_for(Position(3), patience).await.unwrap();
        world.applied().await;
        other.wait_for(end, patience).await.unwrap();
        let before = other.db();
        let mut rebuilt = world.views.begin_rebuild().await.unwrap();
        rebuilt.apply(&world.log).await.unwrap();
        world.views.swap(&rebuilt).await.unwrap();
        world.projection = world.views.projection(0).await.unwrap();
        world.messages(&[accepted(99)]);
        world.applied().await;
        other.wait_for(end.next(), patience).await.unwrap();
        assert!(!Arc::ptr_eq(&before, &other.db()), "it reads the new one");
        let (old, new) = (dump(&before).await, dump(&other.db()).await);
        assert!(old.len() < new.len(), "who still reads the old one, may");
        assert_eq!(new, dump(&world.views.db()).await);
    };
    tokio::select! {
        ended = other.follow() => panic!("{ended:?}"),
        () = script => {}
    }
}

#[tokio::test]
async fn a_swap_by_another_node_supersedes_the_projector() {
    let mut world = busy(Engine::Postgres).await;
    world.applied().await;
    let other = join(&world).await;
    let mut rebuilt = other.begin_rebuild().await.unwrap();
    rebuilt.apply(&world.log[..9]).await.unwrap();
    let refused = other.swap(&rebuilt).await;
    assert!(matches!(refused, Err(Error::Behind { .. })), "{refused:?}");
    rebuilt.apply(&world.log).await.unwrap();
    other.swap(&rebuilt).await.unwrap();
    world.messages(&[accepted(99)]);
    let log = world.log.clone();
    let refused = world.apply(&log).await;
    assert!(matches!(refused, Err(Error::Superseded)), "{refused:?}");
    world.projection = world.views.projection(0).await.unwrap();
    world.applied().await;
    assert_eq!(dump(&world.views.db()).await, dump(&other.db()).await);
}

#[tokio::test]
async fn a_schema_that_was_replaced_is_dropped_a_minute_later() {
    let mut world = busy(Engine::Postgres).await;
    let before = world.applied().await;
    let mut rebuilt = world.views.begin_rebuild().await.unwrap();
    rebuilt.apply(&world.log).await.unwrap();
    world.views.swap(&rebuilt).await.unwrap();
    let url = Secret::new(world.place.database().url());
    let schemas_of = super::Schemas::new(&url, VERSION).unwrap();
    schemas_of.sweep().await.unwrap();
    assert_eq!(schemas(&world).await, [named(1), named(2)]);
    assert!(!dump(&before).await.is_empty());
    age(&world, MINUTES).await;
    schemas_of.sweep().await.unwrap();
    assert_eq!(schemas(&world).await, [named(2)]);
    assert!(!dump(&world.views.db()).await.is_empty());
}

#[tokio::test]
async fn a_rebuild_is_dropped_once_nobody_is_at_it() {
    let world = World::new(Engine::Postgres).await;
    let url = Secret::new(world.place.database().url());
    let schemas_of = super::Schemas::new(&url, VERSION).unwrap();
    let building = world.views.begin_rebuild().await.unwrap();
    age(&world, MINUTES).await;
    schemas_of.sweep().await.unwrap();
    assert_eq!(schemas(&world).await, [named(1), named(2)]);
    building.close().await.unwrap();
    // The server lets go of its lock some time after it said goodbye.
    while schemas(&world).await != [named(1)] {
        schemas_of.sweep().await.unwrap();
    }
}

#[tokio::test]
async fn another_versions_views_live_beside_ours_until_its_nodes_are_gone_for_a_day() {
    let mut world = busy(Engine::Postgres).await;
    world.applied().await;
    // As an older version of the code would have made it.
    world
        .meddle(
            "insert into wharf_views.generation (version, state) values (1, 'live');
             create schema wharf_views_v1_g2",
        )
        .await;
    let theirs = "wharf_views_v1_g2".to_owned();
    let leases = world.views.leases("an old node");
    let url = Secret::new(world.place.database().url());
    let schemas_of = super::Schemas::new(&url, VERSION).unwrap();
    schemas_of.sweep().await.unwrap();
    assert_eq!(schemas(&world).await, [theirs.clone(), named(1)]);
    let lease = leases.take("projector/v1").await.unwrap().unwrap();
    age(&world, DAYS).await;
    schemas_of.sweep().await.unwrap();
    let both = [theirs, named(1)];
    assert_eq!(schemas(&world).await, both, "its lease is young");
    // One of several old nodes stops; before the next one has the lease, a new one looks.
    leases.give_back(&lease).await.unwrap();
    schemas_of.sweep().await.unwrap();
    assert_eq!(schemas(&world).await, both, "given back a moment ago");
    world
        .meddle("update wharf_views.lease set expires_at = clock_timestamp() - interval '2 days'")
        .await;
    schemas_of.sweep().await.unwrap();
    assert_eq!(schemas(&world).await, [named(1)]);
    let ours = format!("projector/v{VERSION}");
    assert_eq!(world.views.lease_name(), ours);
}

#[tokio::test]
async fn an_older_and_a_newer_version_project_and_serve_side_by_side() {
    let mut world = busy(Engine::Postgres).await;
    world.apply_first(3).await;
    let url = Secret::new(world.place.database().url());
    let newer = Views::of_version(&url, world.vault.clone(), VERSION + 1);
    let newer = newer.await.unwrap();
    assert_eq!(newer.position(), Position::START, "it begins with none");
    let mut held = vec![];
    for (views, node) in [(&world.views, "old"), (&newer, "new")] {
        let lease = views.leases(node).take(&views.lease_name()).await.unwrap();
        held.push(lease.expect("each version has a lease of its own"));
    }
    // The newer one overtakes, and the older one neither goes back nor stops.
    let mut ahead = newer.projection(held[1].fence).await.unwrap();
    ahead.apply(&world.log).await.unwrap();
    let end = Position(world.log.len() as u64);
    assert_eq!(
        (world.views.position(), newer.position()),
        (Position(3), end)
    );
    let mut behind = world.views.projection(held[0].fence).await.unwrap();
    behind.apply(&world.log).await.unwrap();
    assert_eq!(world.views.position(), end);
    let rows = |rows: Vec<String>| -> Vec<String> {
        let own = |row: &String| !row.starts_with("checkpoint");
        rows.into_iter().filter(own).collect()
    };
    let (old, new) = (dump(&world.views.db()).await, dump(&newer.db()).await);
    assert_eq!(rows(old), rows(new));
    // A rebuild of one leaves the other alone.
    let mut rebuilt = newer.begin_rebuild().await.unwrap();
    rebuilt.apply(&world.log).await.unwrap();
    newer.swap(&rebuilt).await.unwrap();
    let log = world.log.clone();
    behind.apply(&log).await.unwrap();
    assert_eq!(world.views.position(), end);
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_opened_again() {
    let mut world = busy(Engine::Postgres).await;
    world.apply_first(5).await;
    world.meddle(CUT).await;
    let log = world.log.clone();
    let failed = world.apply(&log).await.unwrap_err();
    assert!(failed.is_passing(), "{failed:?}");
    world.apply(&log).await.unwrap();
    let rows = dump(&world.views.db()).await;
    assert_eq!(
        rows,
        dump(&*busy(Engine::Sqlite).await.applied().await).await
    );
}

#[tokio::test]
async fn a_node_that_stands_still_within_a_transaction_does_not_keep_the_next_one_out() {
    let mut world = busy(Engine::Postgres).await;
    world.apply_first(5).await;
    let url = Secret::new(world.place.database().url());
    let schemas_of = super::Schemas::new(&url, VERSION).unwrap();
    let (mut still, _) = schemas_of.writer(1, 3).await.unwrap();
    let mut tx = still.begin().await.unwrap();
    let held = query("update checkpoint set position = 9 where id = 1");
    assert_eq!(held.execute(tx.conn()).await.unwrap(), 1);
    // It neither commits nor rolls back; the server does, before anyone would call it a standstill.
    let next = tokio::time::timeout(Duration::from_secs(10), world.views.projection(4)).await;
    let next = next.unwrap().unwrap();
    assert_eq!(next.checkpoint(), Position(5));
    assert!(tx.commit().await.is_err(), "it woke up too late");
}

#[tokio::test]
async fn readers_of_a_schema_write_nothing() {
    let world = World::new(Engine::Postgres).await;
    let refused = query("insert into parked (position, idx, stream, reason) values (1, 1, '', '')");
    let db = world.views.db();
    let refused = refused.fetch_all(&*db).await.err().unwrap();
    assert!(refused.to_string().contains("read-only"), "{refused}");
}

#[tokio::test]
async fn a_node_whose_connections_were_cut_hears_again() {
    let mut world = busy(Engine::Postgres).await;
    let other = join(&world).await;
    let end = Position(world.log.len() as u64);
    let patience = Duration::from_secs(60);
    let script = async {
        world.apply_first(3).await;
        other.wait_for(Position(3), patience).await.unwrap();
        world.meddle(CUT).await;
        let log = world.log.clone();
        while world.apply(&log).await.is_err() {}
        other.wait_for(end, patience).await.unwrap();
    };
    tokio::select! {
        () = async { loop { let _ = other.follow().await; } } => {}
        () = script => {}
    }
}

#[tokio::test]
async fn what_is_projected_can_be_looked_at_without_opening_it() {
    let mut world = busy(Engine::Postgres).await;
    world.apply_first(4).await;
    let url = Secret::new(world.place.database().url());
    let at = Views::peek_postgres(&url).await.unwrap();
    assert_eq!(at, Some(Position(4)));
    let empty = crate::postgres::Database::new().await;
    let none = Views::peek_postgres(&Secret::new(empty.url())).await;
    assert_eq!(none.unwrap(), None);
}

#[tokio::test]
async fn a_data_base_that_cannot_hold_every_text_is_refused() {
    let world = World::new(Engine::Postgres).await;
    world
        .meddle("create database latin encoding 'LATIN1' locale 'C' template template0")
        .await;
    let url = world.place.database().url();
    let (before, after) = url.split_once("/test_").unwrap();
    let rest = after.split_once('?').unwrap().1;
    let url = Secret::new(format!("{before}/latin?{rest}"));
    let refused = Views::postgres(&url, Arc::new(FakeVault::default())).await;
    assert!(matches!(refused, Err(Error::Unfit(_))), "{refused:?}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_saying_it() {
    let url = Secret::new("postgres://me:s3cret@host:many/views".to_owned());
    let refused = Views::postgres(&url, Arc::new(FakeVault::default())).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Error::Address(_)), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("s3cret"));
}

#[tokio::test]
async fn every_statement_of_the_projectors_finds_its_rows_by_an_index_of_the_schema() {
    let mut world = busy(Engine::Postgres).await;
    world.applied().await;
    world.webhook(&[webhook_deleted()]);
    world.integration(&[deleted()]);
    world.applied().await;
    let World {
        projection,
        views,
        place,
        ..
    } = world;
    // What a session counted is known once it is over.
    projection.close().await.unwrap();
    let Place::Database(database) = place else {
        return;
    };
    let pool = PgPool::connect_lazy(&database.url()).unwrap();
    let scans = query(
        "select relname::text as name from pg_stat_user_tables
         where schemaname like 'wharf_views_v%' and seq_scan > 0 and relname <> 'checkpoint'",
    );
    let scans = scans.fetch_all(&pool).await.unwrap();
    let scanned: Vec<_> = scans.iter().map(|row| row.text("name").unwrap()).collect();
    assert_eq!(scanned, Vec::<String>::new());
    let used = query(
        "select count(*) as n from pg_stat_user_tables
         where schemaname like 'wharf_views_v%' and idx_scan > 0",
    );
    let used: u64 = used.fetch_one(&pool).await.unwrap().count("n").unwrap();
    assert!(used > 4, "the statistics are there");
    drop(views);
}

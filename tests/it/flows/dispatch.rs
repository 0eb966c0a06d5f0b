//! Dispatch over a log: idempotency, conflicts between nodes, refusals that look at the log first.

use std::sync::Arc;

use tempfile::TempDir;
use wharf_domain::{
    integrations::{Change, Create, IntegrationCommand, Refusal, SyncSettings},
    kernel::{IntegrationId, Position, ProjectId},
    ports::{Clock, Context, Dispatch as _, DispatchError, EventLog, Ids},
};
use wharf_eventlog::MemoryLog;
use wharf_runtime::{clock::SystemIds, dispatch::Dispatcher};
use wharf_tests::{clock::VirtualClock, parts};

/// A dispatcher of its own over a log that others share.
#[derive(Clone)]
struct Node {
    dispatcher: Arc<Dispatcher>,
    _dir: Arc<TempDir>,
}

impl std::ops::Deref for Node {
    type Target = Dispatcher;

    fn deref(&self) -> &Dispatcher {
        &self.dispatcher
    }
}

async fn node(log: &Arc<dyn EventLog>) -> Node {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new());
    // Two nodes must not roll the same dice.
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    let vault = parts::vault(dir.path()).await;
    let dispatcher = Arc::new(Dispatcher::new(log.clone(), vault, clock, ids));
    Node {
        dispatcher,
        _dir: Arc::new(dir),
    }
}

fn log() -> Arc<dyn EventLog> {
    Arc::new(MemoryLog::new(Arc::new(VirtualClock::new())))
}

fn project() -> ProjectId {
    "p".parse().unwrap()
}

fn context(key: Option<&str>) -> Context {
    Context {
        actor: "user:tester".to_owned(),
        correlation: "test".to_owned(),
        causation: None,
        idempotency_key: key.map(str::to_owned),
    }
}

fn create() -> IntegrationCommand {
    IntegrationCommand::Create(Create {
        integration_type: "sandbox".to_owned(),
        name: "one".to_owned(),
        configuration: serde_json::json!({}),
        sync_settings: SyncSettings::default(),
        pending_auth: false,
        created_by: "tester".to_owned(),
        now: wharf_domain::kernel::Timestamp::UNIX_EPOCH,
    })
}

fn rename(name: &str) -> IntegrationCommand {
    IntegrationCommand::Change(Change {
        name: Some(name.to_owned()),
        ..Change::default()
    })
}

const ID: IntegrationId = IntegrationId(uuid::Uuid::from_u128(7));

#[tokio::test]
async fn the_same_key_twice_is_one_commit_even_on_another_node() {
    let log = log();
    let (here, there) = (node(&log).await, node(&log).await);
    let first = here
        .integration(&project(), ID, create(), context(Some("k")))
        .await
        .unwrap();
    let again = there
        .integration(&project(), ID, create(), context(Some("k")))
        .await
        .unwrap();
    assert!(!first.duplicate);
    assert!(again.duplicate);
    assert_eq!(first.position, again.position);
    assert_eq!(log.tail().await.unwrap(), Position(1));
}

#[tokio::test]
async fn another_key_is_another_command() {
    let log = log();
    let node = node(&log).await;
    node.integration(&project(), ID, create(), context(Some("k")))
        .await
        .unwrap();
    let refused = node
        .integration(&project(), ID, create(), context(Some("l")))
        .await;
    assert!(
        matches!(refused, Err(DispatchError::Refused(Refusal::Exists))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_stale_cache_is_found_out_by_the_append_and_the_command_decided_again() {
    let log = log();
    let (here, there) = (node(&log).await, node(&log).await);
    here.integration(&project(), ID, create(), context(None))
        .await
        .unwrap();
    there
        .integration(&project(), ID, rename("two"), context(None))
        .await
        .unwrap();
    // `here` still has "one" at position 1 in its cache.
    here.integration(&project(), ID, rename("three"), context(None))
        .await
        .unwrap();
    let loaded = there
        .load_integration(&project(), ID, Position(3))
        .await
        .unwrap();
    assert_eq!(
        loaded.state.live().unwrap().name,
        "three",
        "a stale cache is not as of position 3"
    );
    there
        .integration(&project(), ID, rename("four"), context(None))
        .await
        .unwrap();
    let loaded = there
        .load_integration(&project(), ID, Position(4))
        .await
        .unwrap();
    assert_eq!(loaded.state.live().unwrap().name, "four");
    assert_eq!(log.tail().await.unwrap(), Position(4));
}

#[tokio::test]
async fn a_stale_cache_is_no_reason_to_say_that_nothing_changes() {
    let log = log();
    let (here, there) = (node(&log).await, node(&log).await);
    here.integration(&project(), ID, create(), context(None))
        .await
        .unwrap();
    there
        .integration(&project(), ID, rename("two"), context(None))
        .await
        .unwrap();
    // By the cache of `here` the name is "one" already, and there would be nothing to do.
    let receipt = here
        .integration(&project(), ID, rename("one"), context(None))
        .await
        .unwrap();
    assert_eq!(receipt.position, Position(3));
}

#[tokio::test]
async fn a_command_that_changes_nothing_answers_where_the_stream_ends() {
    let log = log();
    let node = node(&log).await;
    node.integration(&project(), ID, create(), context(None))
        .await
        .unwrap();
    let receipt = node
        .integration(&project(), ID, rename("one"), context(None))
        .await
        .unwrap();
    assert_eq!(receipt.position, Position(1));
    assert_eq!(log.tail().await.unwrap(), Position(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_of_one_stream_all_get_their_turn() {
    let log = log();
    let (here, there) = (node(&log).await, node(&log).await);
    here.integration(&project(), ID, create(), context(None))
        .await
        .unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..64 {
        let node = if n % 2 == 0 {
            here.clone()
        } else {
            there.clone()
        };
        writers.spawn(async move {
            // Another node may win every race of one command; its caller asks again.
            loop {
                let name = format!("name {n}");
                match node
                    .integration(&project(), ID, rename(&name), context(None))
                    .await
                {
                    Ok(receipt) => break receipt.position,
                    Err(DispatchError::Contended(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    let mut positions = writers.join_all().await;
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len(), 64, "every writer has a commit of its own");
    assert_eq!(log.tail().await.unwrap(), Position(65));
}

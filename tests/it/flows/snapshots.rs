//! Loading a long stream: from its snapshot and what followed, or from its first event where the snapshot is
//! of no use.

use std::{path::Path, sync::Arc};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_domain::{
    access::Role,
    integrations::{Change, Create, Integration, IntegrationCommand, SyncSettings},
    kernel::{Decider as _, Hash, IntegrationId, Loaded, Position, ProjectId, StreamId, Timestamp},
    ports::{Context, Dispatch as _, EventLog, READ_BYTES, Snapshot},
};
use wharf_eventlog::{MemoryLog, snapshots};
use wharf_runtime::{clock::SystemIds, dispatch::Dispatcher};
use wharf_tests::{clock::VirtualClock, parts, process::Home};

const ID: IntegrationId = IntegrationId(uuid::Uuid::from_u128(7));
/// In every test the stream has so many events, and its snapshot was taken when it had 128.
const EVENTS: u64 = 131;

fn project() -> ProjectId {
    "p".parse().unwrap()
}

fn stream() -> StreamId {
    StreamId::integration(&project(), ID)
}

fn log() -> Arc<dyn EventLog> {
    Arc::new(MemoryLog::new(Arc::new(VirtualClock::new())))
}

/// A node that has nothing in its cache and keeps its snapshots in `dir`.
async fn node(log: &Arc<dyn EventLog>, dir: &TempDir) -> Dispatcher {
    let clock = Arc::new(VirtualClock::new());
    let vault = parts::vault(dir.path()).await;
    Dispatcher::new(log.clone(), vault, clock, Arc::new(SystemIds))
        .with_snapshots(&snapshots(dir.path()))
}

async fn tell(node: &Dispatcher, command: IntegrationCommand) {
    let context = Context::system("test", "test", "test");
    let told = node.integration(&project(), ID, command, context).await;
    told.unwrap();
}

async fn loaded(node: &Dispatcher, log: &Arc<dyn EventLog>) -> Arc<Loaded<Integration>> {
    let tail = log.tail().await.unwrap();
    node.load_integration(&project(), ID, tail).await.unwrap()
}

/// What is kept in `dir` of the stream.
async fn kept(dir: &Path) -> Option<Snapshot> {
    snapshots(dir)
        .load(&stream(), Integration::STATE_VERSION)
        .await
}

async fn create(node: &Dispatcher) {
    let create = Create {
        integration_type: "sandbox".to_owned(),
        name: "0".to_owned(),
        configuration: json!({}),
        sync_settings: SyncSettings::default(),
        pending_auth: false,
        created_by: "tester".to_owned(),
        now: Timestamp::UNIX_EPOCH,
    };
    tell(node, IntegrationCommand::Create(create)).await;
}

async fn rename(node: &Dispatcher, name: &str) {
    let change = Change {
        name: Some(name.to_owned()),
        ..Change::default()
    };
    tell(node, IntegrationCommand::Change(change)).await;
}

/// A log with the stream, and a folder with its snapshot.
async fn prepared() -> (Arc<dyn EventLog>, TempDir, Snapshot) {
    let (log, dir) = (log(), tempfile::tempdir().unwrap());
    let node = node(&log, &dir).await;
    create(&node).await;
    for n in 1..EVENTS {
        rename(&node, &n.to_string()).await;
    }
    // Writes what was offered.
    drop(node);
    let snapshot = kept(dir.path()).await.unwrap();
    assert_eq!(snapshot.head.revision.0, 128);
    (log, dir, snapshot)
}

/// The state of `snapshot`, changed in a way that nothing after it undoes: so it shows from where it came.
fn marked(snapshot: &Snapshot) -> Vec<u8> {
    let mut state: Value = serde_json::from_slice(&snapshot.state).unwrap();
    state["Live"]["integration_type"] = "marked".into();
    serde_json::to_vec(&state).unwrap()
}

#[tokio::test]
async fn a_long_stream_is_loaded_from_its_snapshot_and_what_followed() {
    let (log, dir, snapshot) = prepared().await;
    let state = marked(&snapshot);
    let changed = Snapshot { state, ..snapshot };
    snapshots(dir.path()).save(&stream(), Integration::STATE_VERSION, changed);

    let node = node(&log, &dir).await;
    let from_snapshot = loaded(&node, &log).await;
    let live = from_snapshot.state.live().unwrap();
    assert_eq!(live.integration_type, "marked");
    assert_eq!(live.name, (EVENTS - 1).to_string());
    assert_eq!(live.revision.0, EVENTS);
    assert_eq!(from_snapshot.head, log.head(&stream()).await.unwrap());
    // And it goes on from there: the next append is where the log expects it.
    rename(&node, "on").await;
    assert_eq!(log.tail().await.unwrap(), Position(EVENTS + 1));
}

#[tokio::test]
async fn a_snapshot_that_the_log_does_not_bear_out_is_dropped_and_made_again() {
    let (log, dir, good) = prepared().await;
    let version = Integration::STATE_VERSION;
    let at = |position: u64, state: Vec<u8>| {
        let mut head = good.head;
        head.position = Position(position);
        Snapshot { head, state }
    };
    let mut of_another_log = at(128, marked(&good));
    of_another_log.head.hash = Hash::of(&[b"another"]);
    let mut of_other_events = at(128, marked(&good));
    of_other_events.head.revision.0 -= 1;
    let bad = [
        ("of another log", version, of_another_log),
        ("of other events", version, of_other_events),
        ("of another commit", version, at(127, marked(&good))),
        ("from before the first", version, at(0, marked(&good))),
        ("beyond the end", version, at(EVENTS + 9, marked(&good))),
        ("no state", version, at(128, b"{\"Live\":{}}".to_vec())),
        ("older", version - 1, at(128, marked(&good))),
        ("newer", version + 1, at(128, marked(&good))),
    ];
    for (what, version, bad) in bad {
        snapshots(dir.path()).save(&stream(), version, bad);
        let node = node(&log, &dir).await;
        let in_full = loaded(&node, &log).await;
        let live = in_full.state.live().unwrap();
        assert_eq!(live.integration_type, "sandbox", "{what}");
        assert_eq!(live.revision.0, EVENTS, "{what}");
        drop(node);
        let again = kept(dir.path()).await.unwrap();
        assert_eq!(Some(again.head), in_full.head, "{what}");
        assert_eq!(
            serde_json::from_slice::<Integration>(&again.state).unwrap(),
            in_full.state
        );
    }
}

#[tokio::test]
async fn a_short_stream_has_none() {
    let (log, dir) = (log(), tempfile::tempdir().unwrap());
    let short = node(&log, &dir).await;
    create(&short).await;
    for n in 1..127 {
        rename(&short, &n.to_string()).await;
    }
    drop(short);
    assert_eq!(kept(dir.path()).await, None);
}

#[tokio::test]
async fn a_stream_of_more_bytes_than_one_read_gives_is_loaded_to_its_end() {
    let (log, dir) = (log(), tempfile::tempdir().unwrap());
    let writer = node(&log, &dir).await;
    create(&writer).await;
    let large = 700 * 1024;
    // As of a position it is read twice, if need be: two reads are not enough.
    let changes = 2 * READ_BYTES / large + 2;
    for n in 0..changes {
        let filler = format!("{n}{}", "x".repeat(large));
        let change = Change {
            configuration: Some(json!({ "filler": filler })),
            ..Change::default()
        };
        tell(&writer, IntegrationCommand::Change(change)).await;
    }
    let reader = node(&log, &tempfile::tempdir().unwrap()).await;
    let loaded = loaded(&reader, &log).await;
    assert_eq!(loaded.head, log.head(&stream()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_starts_again_decides_upon_a_long_stream_as_before_with_its_snapshot_or_without()
{
    let home = Home::default();
    let hub = home.serve();
    let client = hub.client("p", Role::Admin);
    let integration = json!({
        "project_id": "p", "integration_type": "sandbox", "name": "0", "configuration": {},
        "auth_config": { "auth_type": "bearer", "access_token": "sandbox_demo" },
    });
    let created = client.post("/api/v1/integrations", &integration).await.ok();
    let id = created["id"].as_str().unwrap();
    let path = format!("/api/v1/integrations/{id}");
    for n in 1..=140 {
        let name = json!({ "name": n.to_string() });
        client.json(Method::PATCH, &path, &name).await.ok();
    }
    assert_eq!(hub.stop(), 0);
    let stream = StreamId::integration(&project(), IntegrationId(id.parse().unwrap()));
    let kept = snapshots(&home.data())
        .load(&stream, Integration::STATE_VERSION)
        .await;
    assert_eq!(kept.unwrap().head.revision.0, 128);

    let file = home.data().join("snapshots.db");
    let spoils: [fn(&Path); 3] = [
        |_| {},
        |file| std::fs::write(file, "no snapshots").unwrap(),
        |file| std::fs::remove_file(file).unwrap(),
    ];
    for spoil in spoils {
        spoil(&file);
        let hub = home.serve();
        let client = hub.client("p", Role::Admin);
        let read = client.get(&path).await;
        let tag = read.headers["etag"].to_str().unwrap().to_owned();
        let revision: u64 = tag.trim_matches('"').parse().unwrap();
        let change = |tag: String| {
            let request = client
                .request(Method::PATCH, &path)
                .header("content-type", "application/json")
                .header("if-match", tag)
                .body(json!({ "name": format!("after {revision}") }).to_string());
            wharf_tests::client::Client::send(request)
        };
        let stale = change(format!("\"{}\"", revision - 1)).await;
        stale.is(409, "F40009");
        let changed = change(tag).await;
        let next = format!("\"{}\"", revision + 1);
        assert_eq!(changed.headers["etag"].to_str().unwrap(), next);
        changed.ok();
        assert_eq!(hub.stop(), 0);
    }
}

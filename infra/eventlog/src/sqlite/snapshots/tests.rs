//! What is saved is there again, and whatever goes wrong with it costs a fold and nothing else.

use tempfile::TempDir;
use wharf_domain::kernel::{IntegrationId, ProjectId};

use super::*;

fn stream(n: u128) -> StreamId {
    let project: ProjectId = "p".parse().unwrap();
    StreamId::integration(&project, IntegrationId(uuid::Uuid::from_u128(n)))
}

fn snapshot(position: u64, state: &str) -> Snapshot {
    Snapshot {
        head: Head {
            position: Position(position),
            revision: Revision(position * 2),
            hash: Hash::of(&[state.as_bytes()]),
        },
        state: state.into(),
    }
}

fn open(dir: &TempDir) -> SqliteSnapshots {
    SqliteSnapshots::open(dir.path(), STREAMS).unwrap()
}

/// Has everything that was offered written.
fn reopen(snapshots: SqliteSnapshots, dir: &TempDir) -> SqliteSnapshots {
    drop(snapshots);
    open(dir)
}

fn file(dir: &TempDir) -> Connection {
    Connection::open(dir.path().join(FILE)).unwrap()
}

#[tokio::test]
async fn the_last_of_a_stream_is_there_after_a_restart_for_its_version_only() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = open(&dir);
    assert_eq!(snapshots.load(&stream(1), 1).await, None);
    snapshots.save(&stream(1), 1, snapshot(7, "old"));
    snapshots.save(&stream(1), 1, snapshot(9, "new"));
    snapshots.save(&stream(2), 3, snapshot(8, "other"));
    let snapshots = reopen(snapshots, &dir);
    assert_eq!(
        snapshots.load(&stream(1), 1).await,
        Some(snapshot(9, "new"))
    );
    assert_eq!(snapshots.load(&stream(1), 2).await, None);
    assert_eq!(
        snapshots.load(&stream(2), 3).await,
        Some(snapshot(8, "other"))
    );
    assert_eq!(snapshots.load(&stream(3), 1).await, None);
}

#[tokio::test]
async fn what_is_forgotten_is_gone_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = open(&dir);
    snapshots.save(&stream(1), 1, snapshot(7, "bad"));
    let snapshots = reopen(snapshots, &dir);
    snapshots.forget(&stream(1));
    assert_eq!(snapshots.load(&stream(1), 1).await, None);
    let snapshots = reopen(snapshots, &dir);
    assert_eq!(snapshots.load(&stream(1), 1).await, None);
    snapshots.save(&stream(1), 1, snapshot(7, "good"));
    let snapshots = reopen(snapshots, &dir);
    assert_eq!(
        snapshots.load(&stream(1), 1).await,
        Some(snapshot(7, "good"))
    );
}

#[tokio::test]
async fn a_changed_byte_is_no_snapshot() {
    for change in [
        "state = cast('ned' as blob)",
        "position = 8",
        "revision = 15",
        "hash = zeroblob(32)",
        "stream = replace(stream, 'p.', 'q.')",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = open(&dir);
        snapshots.save(&stream(1), 1, snapshot(7, "new"));
        drop(snapshots);
        let changed = file(&dir).execute(&format!("update snapshots set {change}"), []);
        assert_eq!(changed, Ok(1));
        let name = stream(1).to_string().replacen("p.", "q.", 1);
        let snapshots = open(&dir);
        assert_eq!(snapshots.load(&stream(1), 1).await, None, "{change}");
        assert_eq!(snapshots.load(&name.parse().unwrap(), 1).await, None);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_made_again() {
    for other in [
        b"something else altogether, and long enough to be looked at".as_slice(),
        b"",
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), other).unwrap();
        let snapshots = open(&dir);
        snapshots.save(&stream(1), 1, snapshot(7, "new"));
        let snapshots = reopen(snapshots, &dir);
        assert!(snapshots.load(&stream(1), 1).await.is_some());
    }
    // Of another shape.
    let dir = tempfile::tempdir().unwrap();
    file(&dir)
        .execute_batch("create table snapshots (stream text, position integer)")
        .unwrap();
    let snapshots = open(&dir);
    snapshots.save(&stream(1), 1, snapshot(7, "new"));
    let snapshots = reopen(snapshots, &dir);
    assert!(snapshots.load(&stream(1), 1).await.is_some());
}

#[tokio::test]
async fn without_a_folder_there_are_none_and_nothing_fails() {
    let dir = tempfile::tempdir().unwrap();
    let none = snapshots(&dir.path().join("nowhere"));
    none.save(&stream(1), 1, snapshot(7, "new"));
    none.forget(&stream(1));
    assert_eq!(none.load(&stream(1), 1).await, None);
}

#[tokio::test]
async fn the_oldest_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = SqliteSnapshots::open(dir.path(), 2).unwrap();
    for (n, position) in [(1, 20), (2, 10), (3, 30)] {
        snapshots.save(&stream(n), 1, snapshot(position, "s"));
    }
    drop(snapshots);
    let snapshots = SqliteSnapshots::open(dir.path(), 2).unwrap();
    assert_eq!(snapshots.load(&stream(2), 1).await, None);
    for n in [1, 3] {
        assert!(snapshots.load(&stream(n), 1).await.is_some(), "{n}");
    }
}

#[tokio::test]
async fn who_offers_does_not_wait_for_a_disk_that_does() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = open(&dir);
    let other = file(&dir);
    other.execute_batch("begin immediate").unwrap();
    for n in 0..2 * QUEUE as u128 {
        snapshots.save(&stream(n), 1, snapshot(1, "s"));
    }
    other.execute_batch("rollback").unwrap();
    drop(snapshots);
    let written: isize = other
        .query_row("select count(*) from snapshots", [], |row| row.get(0))
        .unwrap();
    // The one that the writer held, and those that waited.
    assert!((256..=257).contains(&written), "{written}");
}

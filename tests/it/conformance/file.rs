//! What only the log in a file has: one writer, no edits, and every flipped bit found.

use std::{path::Path, sync::Arc, time::Duration};

use rusqlite::{Connection, types::Value};
use tempfile::TempDir;
use wharf_domain::{
    kernel::{Category, Expected, Position},
    ports::{Append, ConsumerSpec, EventLog, LogError, Refusal, StartAt},
};
use wharf_eventlog::{Error, MemoryLog, Options, Report, SqliteLog};
use wharf_tests::clock::VirtualClock;

use super::{
    PATIENCE,
    harness::{Harness, decisions, journal},
};

/// Every column of a commit, and the name of its stream.
const COLUMNS: [&str; 11] = [
    "position",
    "category",
    "stream",
    "revision",
    "events",
    "commit_id",
    "prev",
    "hash",
    "chain",
    "headers",
    "body",
];

fn open(dir: &Path) -> Result<SqliteLog, Error> {
    SqliteLog::open(dir, Options::default(), Arc::new(VirtualClock::new()))
}

fn raw(dir: &Path) -> Connection {
    Connection::open(dir.join("log.db")).unwrap()
}

/// A log of three commits, closed.
async fn filled() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let h = Harness::memory();
    let log = open(dir.path()).unwrap();
    for commit in [
        h.commit(&decisions(1), Expected::NoStream, 2),
        h.commit(&journal(1), Expected::Any, 1),
    ] {
        assert!(matches!(log.append(commit).await, Append::Committed(_)));
    }
    let head = log.head(&decisions(1)).await.unwrap().unwrap();
    let third = h.commit(&decisions(1), Expected::At(head), 1);
    assert!(matches!(log.append(third).await, Append::Committed(_)));
    log.close().await;
    dir
}

async fn verify(dir: &Path) -> Result<Report, LogError> {
    let clock = Arc::new(VirtualClock::new());
    let log = SqliteLog::open_read_only(dir, Options::default(), clock).unwrap();
    log.verify(&mut |_| {}).await
}

#[tokio::test]
async fn two_logs_of_the_same_commits_have_the_same_chain() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = open(dir.path()).unwrap();
    let h = Harness::memory();
    let memory = MemoryLog::new(h.clock.clone());
    for n in 0..5 {
        let commit = h.commit(&journal(n), Expected::Any, 2);
        memory.append(commit.clone()).await;
        sqlite.append(commit).await;
    }
    let report = sqlite.verify(&mut |_| {}).await.unwrap();
    assert_eq!(report.commits, 5);
    assert_eq!(
        wharf_eventlog::verify(&memory, &mut |_| {}).await.unwrap(),
        report
    );
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_commit_is_found() {
    for column in COLUMNS {
        for position in 1..=3 {
            let dir = filled().await;
            verify(dir.path()).await.unwrap();
            let conn = raw(dir.path());
            conn.execute_batch("drop trigger commits_keep_what_they_say")
                .unwrap();
            let select = format!("select {column} from commits where position = {position}");
            let value = conn.query_row(&select, [], |row| row.get(0)).unwrap();
            let update = format!("update commits set {column} = ?1 where position = {position}");
            assert_eq!(
                conn.execute(&update, [flipped(value)]).unwrap(),
                1,
                "{column}"
            );
            drop(conn);
            let found = verify(dir.path()).await;
            let Err(LogError::Damaged { position: at, .. }) = found else {
                panic!("{column} of {position} was changed, and verify says {found:?}");
            };
            assert_eq!(at, Position(position), "{column}");
        }
    }
}

/// `value` with one bit changed.
fn flipped(value: Value) -> Value {
    match value {
        Value::Null => Value::Blob([vec![0; 31], vec![1]].concat()),
        Value::Integer(number) => Value::Integer(number ^ 64),
        Value::Blob(mut bytes) => {
            *bytes.last_mut().unwrap() ^= 1;
            Value::Blob(bytes)
        }
        Value::Text(mut text) => {
            let last = text.pop().unwrap();
            text.push(char::from(u8::try_from(last).unwrap() ^ 1));
            Value::Text(text)
        }
        Value::Real(_) => panic!("there are no such columns"),
    }
}

#[tokio::test]
async fn a_renamed_stream_is_found() {
    let dir = filled().await;
    let conn = raw(dir.path());
    conn.execute_batch("drop trigger streams_keep_their_names")
        .unwrap();
    conn.execute(
        "update streams set name = replace(name, 'acme', 'acmf') where id = 2",
        [],
    )
    .unwrap();
    drop(conn);
    let found = verify(dir.path()).await;
    assert!(
        matches!(
            found,
            Err(LogError::Damaged {
                position: Position(2),
                ..
            })
        ),
        "{found:?}"
    );
}

#[tokio::test]
async fn an_index_that_hides_a_commit_is_found() {
    for (edit, position) in [
        ("delete from commits_by_stream where position = 2", 2),
        ("delete from commits_by_id where position = 3", 3),
        (
            "update commits_by_id set position = 2 where position = 1",
            1,
        ),
        (
            "insert into commits_by_stream (stream, position) values (2, 3)",
            0,
        ),
    ] {
        let dir = filled().await;
        assert_eq!(raw(dir.path()).execute(edit, []).unwrap(), 1, "{edit}");
        let Err(LogError::Damaged { position: at, .. }) = verify(dir.path()).await else {
            panic!("verify does not see: {edit}");
        };
        assert_eq!(at, Position(position), "{edit}");
    }
}

#[tokio::test]
async fn a_removed_commit_stops_the_start_and_is_found() {
    let dir = filled().await;
    let conn = raw(dir.path());
    conn.execute_batch("drop trigger commits_stay; delete from commits where position = 2")
        .unwrap();
    drop(conn);
    let refused = open(dir.path());
    assert!(
        matches!(
            refused,
            Err(Error::Damaged {
                commits: 2,
                last: 3,
                ..
            })
        ),
        "{refused:?}"
    );
    let found = verify(dir.path()).await;
    assert!(
        matches!(
            found,
            Err(LogError::Damaged {
                position: Position(2),
                ..
            })
        ),
        "{found:?}"
    );
}

#[tokio::test]
async fn inv03_the_file_refuses_edits_and_removals() {
    let dir = filled().await;
    let conn = raw(dir.path());
    for edit in [
        "update commits set body = x'00' where position = 1",
        "delete from commits where position = 3",
        "delete from commits",
        "update streams set name = 'acme.webhook.other'",
        "delete from streams",
    ] {
        let refused = conn.execute(edit, []).unwrap_err();
        assert!(
            refused.to_string().contains("append-only"),
            "{edit}: {refused}"
        );
    }
    verify(dir.path()).await.unwrap();
}

#[tokio::test]
async fn only_one_process_writes() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let second = open(dir.path()).unwrap_err();
    assert!(matches!(second, Error::Locked { .. }), "{second:?}");
    assert!(second.to_string().contains("in use"), "{second}");
    log.close().await;
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn it_is_read_while_another_process_writes() {
    let dir = tempfile::tempdir().unwrap();
    let h = Harness::memory();
    let writer = open(dir.path()).unwrap();
    writer.append(h.commit(&journal(1), Expected::Any, 1)).await;
    let reader =
        SqliteLog::open_read_only(dir.path(), Options::default(), h.clock.clone()).unwrap();
    assert_eq!(reader.tail().await.unwrap(), Position(1));
    let refused = reader.append(h.commit(&journal(1), Expected::Any, 1)).await;
    assert!(
        matches!(refused, Append::Refused(Refusal::Closed(_))),
        "{refused:?}"
    );
    // It looks for news by the clock.
    let mut follow = reader.follow(Position(1), 10);
    assert!(futures::poll!(&mut follow).is_pending());
    writer.append(h.commit(&journal(1), Expected::Any, 1)).await;
    let passing = async {
        loop {
            h.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    let followed = tokio::select! {
        followed = follow => followed.unwrap(),
        passed = tokio::time::timeout(PATIENCE, passing) => passed.unwrap(),
    };
    assert_eq!(followed[0].position, Position(2));
    let stats = reader.stats().await.unwrap();
    assert_eq!((stats.commits, stats.events), (2, 2));
    assert_eq!(
        stats.streams.into_iter().collect::<Vec<_>>(),
        [(Category::Delivery, 1)]
    );
}

#[tokio::test]
async fn there_is_nothing_to_read_where_no_log_is() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(VirtualClock::new());
    let missing = SqliteLog::open_read_only(dir.path(), Options::default(), clock).unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }), "{missing:?}");
}

#[tokio::test]
async fn a_file_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    raw(dir.path())
        .execute_batch("create table theirs (a integer)")
        .unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert!(matches!(refused, Error::Foreign { .. }), "{refused:?}");
    std::fs::write(
        dir.path().join("log.db"),
        "this is a text, and a long one".repeat(99),
    )
    .unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert!(matches!(refused, Error::Foreign { .. }), "{refused:?}");
}

#[tokio::test]
async fn inv11_what_was_answered_is_on_disk_already() {
    let dir = tempfile::tempdir().unwrap();
    let h = Harness::memory();
    let log = open(dir.path()).unwrap();
    for _ in 0..20 {
        log.append(h.commit(&journal(1), Expected::Any, 1)).await;
    }
    // What a killed process leaves behind, taken while it lives.
    let copy = tempfile::tempdir().unwrap();
    for file in ["log.db", "log.db-wal"] {
        std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let survivor = open(copy.path()).unwrap();
    assert_eq!(survivor.tail().await.unwrap(), Position(20));
    survivor.verify(&mut |_| {}).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let h = Harness::memory();
    let small = Options {
        max_bytes: Some(1 << 20),
        ..Options::default()
    };
    let log = SqliteLog::open(dir.path(), small, h.clock.clone()).unwrap();
    let mut written = 0;
    let refused = loop {
        let commit = h.commit_of(&journal(1), Expected::Any, 10_000);
        match log.append(commit.clone()).await {
            Append::Committed(committed) => written = committed.position.0,
            Append::Refused(Refusal::Closed(reason)) => {
                assert!(reason.contains("full"), "{reason}");
                break commit;
            }
            other @ (Append::Conflict { .. } | Append::InDoubt { .. } | Append::Refused(_)) => {
                panic!("answered {other:?}")
            }
        }
    };
    assert!(written > 10, "only {written} commits fit");
    assert_eq!(log.tail().await.unwrap(), Position(written));
    assert_eq!(log.find(refused.id).await.unwrap(), None);
    log.close().await;
    let log = open(dir.path()).unwrap();
    log.verify(&mut |_| {}).await.unwrap();
    let answer = log.append(refused).await;
    assert!(matches!(answer, Append::Committed(now) if now.position == Position(written + 1)));
}

#[tokio::test]
async fn a_lost_checkpoint_is_an_error_and_never_a_new_start() {
    let dir = filled().await;
    let spec = ConsumerSpec {
        name: "reactions",
        from: StartAt::First,
        categories: &[Category::Delivery],
        max_in_flight: 10,
    };
    let log = open(dir.path()).unwrap();
    drop(log.consumer(spec.clone()).await.unwrap());
    log.close().await;
    raw(dir.path())
        .execute("delete from consumers", [])
        .unwrap();
    let log = open(dir.path()).unwrap();
    let lost = log.consumer(spec).await.err().expect("it is lost");
    assert!(
        matches!(&lost, LogError::CheckpointLost(name) if name == "reactions"),
        "{lost:?}"
    );
}

#[tokio::test]
async fn acknowledgements_are_saved_within_a_second() {
    let dir = filled().await;
    let clock = Arc::new(VirtualClock::new());
    let log = SqliteLog::open(dir.path(), Options::default(), clock.clone()).unwrap();
    let spec = ConsumerSpec {
        name: "reactions",
        from: StartAt::First,
        categories: &[Category::Delivery],
        max_in_flight: 10,
    };
    let consumer = log.consumer(spec).await.unwrap();
    let fetched = consumer.fetch(10).await.unwrap();
    consumer.ack(&[fetched[0].position]).await.unwrap();
    let saved = raw(dir.path());
    let floor = || -> i64 {
        saved
            .query_row("select floor from consumers", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(floor(), 0);
    // Whoever acknowledges fetches again; that is when old acknowledgements are noticed.
    let saved = async {
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(1));
        while floor() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        fetched = consumer.fetch(10) => panic!("there is nothing more: {fetched:?}"),
        saved = tokio::time::timeout(PATIENCE, saved) => saved.unwrap(),
    }
}

#[tokio::test]
async fn a_closed_log_takes_no_commits() {
    let dir = tempfile::tempdir().unwrap();
    let h = Harness::memory();
    let log = open(dir.path()).unwrap();
    log.append(h.commit(&journal(1), Expected::Any, 1)).await;
    log.close().await;
    let refused = log.append(h.commit(&journal(1), Expected::Any, 1)).await;
    assert!(
        matches!(refused, Append::Refused(Refusal::Closed(_))),
        "{refused:?}"
    );
    assert_eq!(log.read_all(Position::START, 10).await.unwrap().len(), 1);
    assert!(matches!(
        log.follow(Position(1), 10).await,
        Err(LogError::Unavailable(_))
    ));
}

//! The parts of the log in a file: what is forgotten, what is undone and what is said then, and that a
//! commit is found before it is indexed.

use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, ffi};
use serde_json::json;
use tempfile::TempDir;
use wharf_domain::{
    kernel::{
        Commit, CommitId, Expected, InvalidCommit, Metadata, NewCommit, NewEvent, Position,
        ProjectId, StreamId, Timestamp, WebhookId,
    },
    ports::{Append, Committed, Refusal},
};

use super::{
    Options,
    group::Unwritten,
    index::{LATE, Unindexed},
    ledger::Ledger,
    readers::Readers,
    recent::Recent,
    schema,
};

fn commit(id: u128, stream: &StreamId, expected: Expected) -> Commit {
    NewCommit {
        id: CommitId(uuid::Uuid::from_u128(id)),
        stream: stream.clone(),
        expected,
        events: vec![NewEvent::of("test.happened", 1, &json!({ "id": id.to_string() })).unwrap()],
        meta: Metadata {
            time: Timestamp::UNIX_EPOCH,
            actor: "user:somebody".to_owned(),
            correlation: "request-1".to_owned(),
            causation: None,
            idempotency_key: None,
        },
    }
    .encode()
    .unwrap()
}

fn project() -> ProjectId {
    "acme".parse().unwrap()
}

fn journal(n: u128) -> StreamId {
    StreamId::deliveries(&project(), WebhookId(uuid::Uuid::from_u128(n)))
}

fn decisions(n: u128) -> StreamId {
    StreamId::webhook(&project(), WebhookId(uuid::Uuid::from_u128(n)))
}

fn committed(position: u64, duplicate: bool) -> Append {
    Append::Committed(Committed {
        position: Position(position),
        duplicate,
    })
}

/// A fresh file.
fn file() -> (TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let conn = schema::open_writer(dir.path(), &Options::default()).unwrap();
    (dir, conn)
}

fn append(ledger: &mut Ledger<'_>, commit: &Commit) -> Append {
    let mut answer = None;
    let written = ledger.write(false, |ledger| {
        answer = Some(ledger.append(commit)?);
        Ok(())
    });
    written.unwrap();
    answer.unwrap()
}

fn sqlite_error(code: ErrorCode, extended_code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error {
            code,
            extended_code,
        },
        None,
    )
}

#[test]
fn recent_entries_stay_and_old_ones_go() {
    let mut recent = Recent::new(2);
    recent.insert(1, "one");
    recent.insert(2, "two");
    recent.insert(3, "three");
    // Used, so it is young again.
    assert_eq!(recent.get(&1), Some(&mut "one"));
    recent.insert(4, "four");
    recent.insert(5, "five");
    assert_eq!(recent.get(&2), None);
    assert_eq!(recent.get(&1), Some(&mut "one"));
    assert_eq!(recent.get(&5), Some(&mut "five"));
    recent.clear();
    assert_eq!(recent.get(&5), None);
}

#[test]
fn a_group_that_fails_leaves_nothing_behind() {
    let (_dir, conn) = file();
    let unindexed = Arc::new(Unindexed::load(&conn).unwrap());
    let mut ledger = Ledger::open(&conn, Arc::clone(&unindexed)).unwrap();
    let first = commit(1, &decisions(1), Expected::NoStream);
    let failed = ledger.write(false, |ledger| {
        assert_eq!(ledger.append(&first)?, committed(1, false));
        assert_eq!(ledger.append(&first)?, committed(1, true));
        assert_eq!(ledger.last(), Position(1));
        Err(sqlite_error(ErrorCode::SystemIoFailure, ffi::SQLITE_IOERR))
    });
    assert!(matches!(failed, Err(Unwritten::Nothing(_))), "{failed:?}");
    assert_eq!(
        (ledger.last(), ledger.durable()),
        (Position::START, Position::START)
    );
    assert_eq!(unindexed.find(first.id), None);
    // Neither the stream nor the id is known, and no position is lost.
    assert_eq!(append(&mut ledger, &first), committed(1, false));
    assert_eq!(
        append(&mut ledger, &commit(2, &journal(1), Expected::Any)),
        committed(2, false)
    );
}

#[test]
fn one_refused_commit_takes_nothing_from_its_group() {
    let (_dir, conn) = file();
    let mut ledger = Ledger::open(&conn, Arc::default()).unwrap();
    let first = commit(1, &decisions(1), Expected::NoStream);
    let again = commit(2, &decisions(1), Expected::NoStream);
    let other = commit(3, &journal(1), Expected::Any);
    let mut answers = Vec::new();
    let written = ledger.write(false, |ledger| {
        for commit in [&first, &again, &other] {
            answers.push(ledger.append(commit)?);
        }
        Ok(())
    });
    written.unwrap();
    let conflict = Append::Conflict {
        actual: Some(Position(1)),
    };
    assert_eq!(
        answers,
        [committed(1, false), conflict, committed(2, false)]
    );
}

#[test]
fn a_full_disk_is_no_and_a_failed_fsync_is_doubt() {
    let id = CommitId(uuid::Uuid::from_u128(1));
    let durable = Position(10);
    let full = Unwritten::by_commit(sqlite_error(ErrorCode::DiskFull, ffi::SQLITE_FULL));
    let lost = Unwritten::by_commit(sqlite_error(
        ErrorCode::SystemIoFailure,
        ffi::SQLITE_IOERR_FSYNC,
    ));
    let new = || Some(committed(11, false));
    let told = full.answer(id, new(), durable);
    assert!(
        matches!(told, Append::Refused(Refusal::Closed(_))),
        "{told:?}"
    );
    assert_eq!(
        lost.answer(id, new(), durable),
        Append::InDoubt { commit: id }
    );
    assert_eq!(
        lost.answer(id, None, durable),
        Append::InDoubt { commit: id }
    );
    // A repeat or a conflict within the group is as doubtful as what it repeats.
    let in_group = Some(Append::Conflict {
        actual: Some(Position(11)),
    });
    assert_eq!(
        lost.answer(id, in_group, durable),
        Append::InDoubt { commit: id }
    );
    assert_eq!(
        lost.answer(id, Some(committed(11, true)), durable),
        Append::InDoubt { commit: id }
    );
    // What was said about durable commits stays true.
    let conflict = Append::Conflict {
        actual: Some(Position(4)),
    };
    let broken = Append::Refused(Refusal::Invalid(InvalidCommit::BrokenChain));
    for true_anyway in [committed(9, true), conflict, broken] {
        for unwritten in [&full, &lost] {
            let verdict = Some(true_anyway.clone());
            assert_eq!(unwritten.answer(id, verdict, durable), true_anyway);
        }
    }
}

#[tokio::test]
async fn a_commit_is_found_before_and_after_it_is_indexed() {
    const STREAMS: u128 = 7;
    let (dir, conn) = file();
    let unindexed = Arc::new(Unindexed::load(&conn).unwrap());
    let mut ledger = Ledger::open(&conn, Arc::clone(&unindexed)).unwrap();
    // Indexed once at the start of the third group, with what the first two wrote.
    let mut last = 0_u128;
    for group in [LATE - 1, 1, 1, 100] {
        let written = ledger.write(false, |ledger| {
            for _ in 0..group {
                last += 1;
                let note = commit(last, &journal(last % STREAMS), Expected::Any);
                assert_eq!(ledger.append(&note)?, committed(last as u64, false));
            }
            Ok(())
        });
        written.unwrap();
    }
    let count = |table| {
        let sql = format!("select count(*) from {table}");
        conn.query_row(&sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(
        (count("commits_by_id"), count("commits_by_stream")),
        (LATE as i64, LATE as i64)
    );
    // A repeat is known either way.
    for id in [1, LATE as u128, LATE as u128 + 1, last] {
        let again = commit(id, &journal(99), Expected::Any);
        assert_eq!(append(&mut ledger, &again), committed(id as u64, true));
    }

    // One shares the writer's memory, the other looks at the file only.
    let path = dir.path().join(schema::FILE);
    let sharing = Readers::new(path.clone(), 1, Some(Arc::clone(&unindexed)));
    let apart = Readers::new(path, 1, None);
    for readers in [&sharing, &apart] {
        for stream in 0..STREAMS {
            let all = readers.run(move |reader| {
                let mut all = Vec::new();
                let mut after = Position::START;
                loop {
                    let page = reader.stream(&journal(stream), after, 500)?;
                    let Some(last) = page.last() else {
                        return Ok(all);
                    };
                    after = last.position;
                    all.extend(page.into_iter().map(|commit| commit.position.0));
                }
            });
            let of_stream = |at: &u64| u128::from(*at) % STREAMS == stream;
            let expected: Vec<_> = (1..=last as u64).filter(of_stream).collect();
            assert_eq!(all.await.unwrap(), expected);
            let head = readers
                .run(move |reader| reader.head(&journal(stream)))
                .await
                .unwrap();
            assert_eq!(head.map(|head| head.position.0), expected.last().copied());
        }
        for id in [1, LATE as u128, LATE as u128 + 1, last] {
            let id = CommitId(uuid::Uuid::from_u128(id));
            let found = readers.run(move |reader| reader.find(id)).await.unwrap();
            assert_eq!(found.map(|commit| commit.id), Some(id));
        }
    }

    // After a crash the rest is read again, and indexed with the next that are enough.
    let again = Unindexed::load(&conn).unwrap();
    let id = CommitId(uuid::Uuid::from_u128(last));
    assert_eq!(again.find(id), Some(Position(last as u64)));
    assert_eq!(again.find(CommitId(uuid::Uuid::from_u128(1))), None);
    ledger.write(true, |_| Ok(())).unwrap();
    assert_eq!(count("commits_by_id"), last as i64);
    // Who looked just before that sees nothing twice.
    let late = Readers::new(dir.path().join(schema::FILE), 1, Some(Arc::new(again)));
    let page = late.run(|reader| reader.stream(&journal(1), Position::START, 10_000));
    let page = page.await.unwrap();
    let of_stream = (1..=last).filter(|at| at % STREAMS == 1).count();
    assert_eq!(page.len(), of_stream);
    assert_eq!(unindexed.find(id), None);
}

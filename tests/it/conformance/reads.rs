//! Reading: in order, in pages, live, and still there after a restart.

use futures::future::join_all;
use wharf_domain::{
    kernel::{CommitId, Expected, Position, StoredCommit},
    ports::READ_BYTES,
};

use super::harness::{Harness, decisions, journal};

/// Bytes of a large body, and how many of them are more than one answer.
const LARGE: usize = 500_000;
const MANY: usize = 20;

fn positions(commits: &[StoredCommit]) -> Vec<u64> {
    commits.iter().map(|commit| commit.position.0).collect()
}

pub(super) async fn a_stream_is_read_in_order_and_by_pages(h: Harness) {
    for _ in 0..5 {
        h.decide(&decisions(1)).await;
        h.decide(&decisions(2)).await;
    }
    let page = async |after, limit| {
        positions(
            &h.log
                .read_stream(&decisions(1), Position(after), limit)
                .await
                .unwrap(),
        )
    };
    assert_eq!(page(0, 100).await, [1, 3, 5, 7, 9]);
    assert_eq!(page(0, 2).await, [1, 3]);
    assert_eq!(page(3, 2).await, [5, 7]);
    assert_eq!(page(4, 2).await, [5, 7]);
    assert_eq!(page(9, 2).await, [0; 0]);
    let other = h
        .log
        .read_stream(&decisions(3), Position::START, 10)
        .await
        .unwrap();
    assert_eq!(other, []);
}

pub(super) async fn all_is_read_in_order_and_by_pages(h: Harness) {
    for n in 0..7 {
        h.note(&journal(n)).await;
    }
    let page =
        async |after, limit| positions(&h.log.read_all(Position(after), limit).await.unwrap());
    assert_eq!(page(0, 100).await, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(page(0, 3).await, [1, 2, 3]);
    assert_eq!(page(3, 3).await, [4, 5, 6]);
    assert_eq!(page(6, 3).await, [7]);
}

pub(super) async fn a_read_stops_after_a_few_mebibytes(h: Harness) {
    for _ in 0..MANY {
        h.put(h.commit_of(&journal(1), Expected::Any, LARGE)).await;
    }
    let mut after = Position::START;
    let mut read = Vec::new();
    loop {
        let page = h.log.read_all(after, 1000).await.unwrap();
        let of_stream = h.log.read_stream(&journal(1), after, 1000).await.unwrap();
        assert_eq!(positions(&of_stream), positions(&page));
        let Some(last) = page.last() else { break };
        after = last.position;
        let bytes: usize = page.iter().map(|commit| commit.body.len()).sum();
        assert!(bytes < 6 << 20, "{bytes} bytes in one answer");
        // Who is given less takes it for the end.
        assert!(bytes >= READ_BYTES || after == h.tail().await);
        read.extend(positions(&page));
    }
    assert_eq!(read, (1..=MANY as u64).collect::<Vec<_>>());
}

pub(super) async fn beyond_the_tail_there_is_nothing(h: Harness) {
    assert_eq!(h.tail().await, Position::START);
    assert_eq!(h.log.read_all(Position::START, 10).await.unwrap(), []);
    h.note(&journal(1)).await;
    assert_eq!(h.log.read_all(Position(1), 10).await.unwrap(), []);
    assert_eq!(h.log.read_all(Position(u64::MAX), 10).await.unwrap(), []);
    assert_eq!(
        h.log
            .read_stream(&journal(1), Position(u64::MAX), 10)
            .await
            .unwrap(),
        []
    );
}

pub(super) async fn the_tail_is_never_behind_an_answered_append(h: Harness) {
    let writers = (0..16).map(|n| {
        let h = &h;
        async move {
            for _ in 0..10 {
                let position = h.note(&journal(n)).await;
                assert!(h.tail().await >= position);
                let read = h.log.read_all(Position(position.0 - 1), 1).await.unwrap();
                assert_eq!(positions(&read), [position.0]);
            }
        }
    });
    join_all(writers).await;
}

pub(super) async fn a_commit_is_found_by_its_id(h: Harness) {
    h.note(&journal(1)).await;
    let commit = h.commit(&journal(1), Expected::Any, 3);
    let position = h.put(commit.clone()).await;
    assert_eq!(
        h.log.find(commit.id).await.unwrap(),
        Some(commit.stored_at(position))
    );
    let unknown = CommitId(uuid::Uuid::from_u128(42));
    assert_eq!(h.log.find(unknown).await.unwrap(), None);
}

pub(super) async fn a_stream_ends_at_its_last_commit(h: Harness) {
    assert_eq!(h.log.head(&decisions(1)).await.unwrap(), None);
    h.put(h.commit(&decisions(1), Expected::NoStream, 3)).await;
    let second = h.commit(&decisions(1), h.end_of(&decisions(1)).await, 2);
    let position = h.put(second.clone()).await;
    h.decide(&decisions(2)).await;
    assert_eq!(
        h.head(&decisions(1)).await,
        second.stored_at(position).head()
    );
    let noted = h.note(&journal(1)).await;
    assert_eq!(h.head(&journal(1)).await.position, noted);
}

pub(super) async fn following_waits_at_the_tail(h: Harness) {
    let first = h.note(&journal(1)).await;
    assert_eq!(
        positions(&h.log.follow(Position::START, 10).await.unwrap()),
        [1]
    );
    let (followed, _) = tokio::join!(h.log.follow(first, 10), h.note(&journal(1)));
    assert_eq!(positions(&followed.unwrap()), [2]);
}

pub(super) async fn following_neither_misses_nor_repeats_across_a_restart(mut h: Harness) {
    const COMMITS: u64 = 300;
    let mut seen = Vec::new();
    for half in 0..2 {
        let write = async {
            for _ in 0..COMMITS / 2 {
                h.note(&journal(1)).await;
            }
        };
        let end = COMMITS / 2 * (half + 1);
        let follow = async {
            while seen.len() < end as usize {
                let after = Position(seen.last().copied().unwrap_or(0));
                seen.extend(positions(&h.log.follow(after, 7).await.unwrap()));
            }
        };
        tokio::join!(write, follow);
        h.restart().await;
    }
    assert_eq!(seen, (1..=COMMITS).collect::<Vec<_>>());
}

pub(super) async fn everything_is_there_after_a_restart(mut h: Harness) {
    let commit = h.commit(&decisions(1), Expected::NoStream, 2);
    h.put(commit.clone()).await;
    h.note(&journal(1)).await;
    let before = h.log.read_all(Position::START, 10).await.unwrap();
    h.restart().await;
    assert_eq!(h.tail().await, Position(2));
    assert_eq!(h.log.read_all(Position::START, 10).await.unwrap(), before);
    assert!(matches!(
        h.log.append(commit).await,
        wharf_domain::ports::Append::Committed(committed) if committed.duplicate
    ));
    assert_eq!(h.decide(&decisions(1)).await, Position(3));
}

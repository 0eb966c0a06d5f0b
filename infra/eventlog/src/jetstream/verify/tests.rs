//! Given what a server and a mirror have, then this is what is wrong with the server's copy.

use bytes::Bytes;
use wharf_domain::kernel::{
    CommitId, Expected, Metadata, NewCommit, NewEvent, Position, ProjectId, StoredCommit, StreamId,
    Timestamp,
};

use super::{NAMED, Verdict, Wrong};

/// Commits of one journal at the positions 1, 2, 3, …
fn commits(n: u64) -> Vec<StoredCommit> {
    let project: ProjectId = "acme".parse().unwrap();
    let commit = |position: u64| {
        let fact = serde_json::json!({ "n": position });
        let commit = NewCommit {
            id: CommitId(uuid::Uuid::from_u128(position.into())),
            stream: StreamId::messages(&project),
            expected: Expected::Any,
            events: vec![NewEvent::of("test.happened", 1, &fact).unwrap()],
            meta: Metadata {
                time: Timestamp::UNIX_EPOCH,
                actor: "test".to_owned(),
                correlation: "request-1".to_owned(),
                causation: None,
                idempotency_key: None,
            },
        };
        commit.encode().unwrap().stored_at(Position(position))
    };
    (1..=n).map(commit).collect()
}

fn changed(commit: &StoredCommit) -> StoredCommit {
    let mut body = commit.body.to_vec();
    body[0] ^= 1;
    StoredCommit {
        body: Bytes::from(body),
        ..commit.clone()
    }
}

fn positions(verdict: &Verdict) -> Vec<u64> {
    let faults = verdict.faults.iter();
    faults.map(|fault| fault.position.0).collect()
}

#[test]
fn with_a_mirror_every_fault_is_found_and_what_follows_it_is_still_proven() {
    let mirror = commits(6);
    let mut verdict = Verdict::default();
    let other = StoredCommit {
        position: Position(5),
        ..commits(9)[8].clone()
    };
    let found = [
        Ok(mirror[0].clone()),
        Err(Wrong::Missing),
        Ok(changed(&mirror[2])),
        Ok(mirror[3].clone()),
        Ok(other),
        Ok(mirror[5].clone()),
    ];
    for (commit, found) in mirror.iter().zip(found) {
        verdict.judge(commit.position, found, Some(commit.clone()));
    }
    assert_eq!(positions(&verdict), [2, 3, 5]);
    let what: Vec<_> = verdict.faults.iter().map(|fault| &fault.what).collect();
    assert_eq!(what, [&Wrong::Missing, &Wrong::Changed, &Wrong::Another]);
    let stream = verdict.faults[0].stream.as_ref().unwrap();
    assert_eq!(*stream, mirror[1].stream, "the mirror knows whose it is");
    assert_eq!(verdict.verifier.done(), Position(6));
    assert_eq!(verdict.of("n0".to_owned()).report, None);
}

#[test]
fn without_a_mirror_the_first_fault_is_the_last_thing_that_is_known() {
    let commits = commits(3);
    let mut verdict = Verdict::default();
    verdict.judge(Position(1), Ok(commits[0].clone()), None);
    verdict.judge(Position(2), Err(Wrong::Missing), None);
    verdict.judge(Position(3), Ok(commits[2].clone()), None);
    assert_eq!(positions(&verdict), [2]);
    assert!(verdict.stopped && verdict.faults[0].stream.is_none());
}

#[test]
fn a_copy_without_a_fault_is_proven_to_be_the_mirror() {
    let commits = commits(4);
    let (mut alone, mut compared) = (Verdict::default(), Verdict::default());
    for commit in &commits {
        alone.judge(commit.position, Ok(commit.clone()), None);
        compared.judge(commit.position, Ok(commit.clone()), Some(commit.clone()));
    }
    let report = alone.of("n0".to_owned()).report.unwrap();
    assert_eq!(report.tail, Position(4));
    assert_eq!(compared.of("n1".to_owned()).report.unwrap(), report);
}

#[test]
fn a_commit_that_nobody_else_has_is_named_however_many_faults_there_are() {
    let last = NAMED as u64 + 20;
    let mirror = commits(last);
    let mut verdict = Verdict::default();
    for commit in &mirror {
        let found = match commit.position.0 {
            at if at == last => Ok(StoredCommit {
                position: commit.position,
                ..mirror[0].clone()
            }),
            _ => Err(Wrong::Missing),
        };
        verdict.judge(commit.position, found, Some(commit.clone()));
    }
    assert_eq!(verdict.faulty, last);
    assert_eq!(verdict.faults.len(), NAMED + 1);
    assert_eq!(verdict.faults[NAMED].what, Wrong::Another);
}

#[test]
fn a_commit_that_contradicts_those_before_it_is_a_fault_of_its_own() {
    let mut commits = commits(2);
    commits[1].revision.0 = 7;
    let mut verdict = Verdict::default();
    commits.iter().for_each(|commit| verdict.follow(commit));
    assert_eq!(positions(&verdict), [2]);
    assert!(verdict.stopped && matches!(verdict.faults[0].what, Wrong::Broken(_)));
}

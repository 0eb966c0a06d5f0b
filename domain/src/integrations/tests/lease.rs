//! The sync lease: one open run at a time, each with a fence one higher than the last.

use super::{
    super::{
        Fence, IntegrationCommand as Command, IntegrationEvent as Event, OpenRun, Outcome, Refusal,
        RequestSync, Status, SyncRequested, SyncSettled, Trigger, UploadRef,
    },
    active, fold, noon, request, requested, run, settle, settled, then_events, then_refused, with,
};
use crate::{
    kernel::{UploadId, derive},
    syncs::{Failure, FailureClass, SyncType},
};

#[test]
fn a_request_gets_the_lease_with_the_first_fence() {
    then_events(
        active(),
        Command::RequestSync(request("a")),
        vec![requested("a", 1)],
    );
}

#[test]
fn each_lease_has_a_fence_one_higher_than_the_last() {
    let mut given = active();
    given.extend([
        requested("a", 1),
        settled("a", Outcome::Completed),
        requested("b", 2),
        settled("b", Outcome::Failed),
    ]);
    then_events(
        given,
        Command::RequestSync(request("c")),
        vec![requested("c", 3)],
    );
}

#[test]
fn an_open_run_keeps_the_lease() {
    let mut given = active();
    given.push(requested("a", 1));
    then_refused(
        given,
        Command::RequestSync(request("b")),
        Refusal::AlreadyRunning(run("a")),
    );
}

#[test]
fn force_supersedes_the_open_run_in_the_same_commit() {
    let mut given = active();
    given.push(requested("a", 1));
    let mut request = request("b");
    request.force = true;
    then_events(
        given,
        Command::RequestSync(request),
        vec![settled("a", Outcome::Superseded), requested("b", 2)],
    );
}

#[test]
fn force_without_an_open_run_is_a_plain_request() {
    let mut request = request("a");
    request.force = true;
    then_events(
        active(),
        Command::RequestSync(request),
        vec![requested("a", 1)],
    );
}

#[test]
fn what_does_not_work_does_not_sync_whoever_asks() {
    for trigger in [Trigger::Manual, Trigger::Scheduled] {
        for (status, refusal) in [
            (Status::PendingAuth, Refusal::PendingAuth),
            (Status::NeedsReauth, Refusal::NeedsReauth),
            (Status::Paused, Refusal::Paused),
        ] {
            let mut request = request("a");
            request.trigger = trigger;
            // Force is about an open run, not about permission.
            request.force = true;
            then_refused(with(status), Command::RequestSync(request), refusal);
        }
    }
}

#[test]
fn an_import_needs_no_credential_but_not_a_paused_integration() {
    let upload = UploadRef {
        upload_id: UploadId(derive(&[b"upload"])),
        bytes: 42,
        sha256: "00".repeat(32),
        time_zone: Some("Europe/Vienna".into()),
    };
    let import = || {
        Command::RequestSync(RequestSync {
            trigger: Trigger::Import,
            upload: Some(upload.clone()),
            ..request("a")
        })
    };
    for status in [Status::Active, Status::PendingAuth, Status::NeedsReauth] {
        then_events(
            with(status),
            import(),
            vec![Event::SyncRequested(SyncRequested {
                run_id: run("a"),
                fence: Fence(1),
                sync_type: SyncType::Full,
                trigger: Trigger::Import,
                upload: Some(upload.clone()),
            })],
        );
    }
    then_refused(with(Status::Paused), import(), Refusal::Paused);
}

#[test]
fn settling_gives_the_lease_back() {
    let mut given = active();
    given.push(requested("a", 1));
    then_events(
        given.clone(),
        settle("a", Outcome::Completed, noon()),
        vec![settled("a", Outcome::Completed)],
    );
    assert_eq!(
        fold(given.clone()).live().unwrap().open_run,
        Some(OpenRun {
            run_id: run("a"),
            fence: Fence(1)
        })
    );
    given.push(settled("a", Outcome::Completed));
    assert_eq!(fold(given).live().unwrap().open_run, None);
}

#[test]
fn settling_says_why_a_run_failed() {
    let failure = Failure {
        class: FailureClass::Transient,
        message: "502".into(),
    };
    let mut given = active();
    given.push(requested("a", 1));
    then_events(
        given,
        Command::SettleSync {
            run_id: run("a"),
            outcome: Outcome::Failed,
            failure: Some(failure.clone()),
            now: noon(),
        },
        vec![Event::SyncSettled(SyncSettled {
            run_id: run("a"),
            outcome: Outcome::Failed,
            failure: Some(failure),
        })],
    );
}

#[test]
fn a_run_that_lost_its_lease_settles_nothing() {
    let mut given = active();
    given.extend([
        requested("a", 1),
        settled("a", Outcome::Superseded),
        requested("b", 2),
    ]);
    then_events(
        given.clone(),
        settle("a", Outcome::Completed, noon()),
        vec![],
    );
    // Nor does a copy of its end close the later run.
    given.push(settled("a", Outcome::Completed));
    assert_eq!(
        fold(given).live().unwrap().open_run.unwrap().run_id,
        run("b")
    );
}

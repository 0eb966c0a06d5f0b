//! Views that were made from another log are refused at the start, before anybody gets a wrong answer.

use std::{collections::BTreeMap, fs};

use serde_json::json;
use wharf_domain::access::Role;
use wharf_tests::{
    process::{Home, Wharf},
    storage::Storage,
};

async fn send(wharf: &Wharf, times: usize) {
    let client = wharf.client("p", Role::Admin);
    let mut position = 0;
    for _ in 0..times {
        let path = "/api/v1/webhooks/events/task.created";
        position = client.post(path, &json!({})).await.position();
    }
    let path = format!("/api/v1/integrations?after={position}");
    client.until(&path, |list| list["total"] == 0).await;
}

/// What a hub that does not start says.
fn refusal(home: &Home, more: &BTreeMap<&str, &str>) -> String {
    let refused = home.command(&["serve"]).envs(more).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    String::from_utf8(refused.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn views_of_another_log_are_refused_and_made_anew_once_they_are_moved_away() {
    let (ours, theirs) = (Home::files(), Home::files());
    for home in [&ours, &theirs] {
        let wharf = home.serve();
        send(&wharf, 3).await;
        assert_eq!(wharf.stop(), 0);
    }
    let views = ours.data().join("views");
    fs::remove_dir_all(&views).unwrap();
    fs::rename(theirs.data().join("views"), &views).unwrap();
    let errors = refusal(&ours, &BTreeMap::new());
    assert!(errors.contains("made from another log"), "{errors}");
    assert!(errors.contains("away"), "the remedy: {errors}");

    // As the remedy says.
    fs::rename(&views, ours.path().join("away")).unwrap();
    let wharf = ours.serve();
    send(&wharf, 1).await;
    assert_eq!(wharf.stop(), 0);
    // A log that lost its end is no better.
    for file in ["log.db", "log.db-wal", "log.db-shm"] {
        let _ = fs::remove_file(ours.data().join(file));
    }
    let errors = refusal(&ours, &BTreeMap::new());
    assert!(errors.contains("the log ends before it"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_base_of_another_log_is_refused() {
    let home = Home::on(Storage::new(true, true));
    let wharf = home.serve();
    send(&wharf, 3).await;
    // Another stream, the same data base.
    let other = home.another_node();
    let elsewhere = BTreeMap::from([("WHARF_LOG__NATS_PREFIX", "not-the-same")]);
    let errors = refusal(&other, &elsewhere);
    assert!(errors.contains("set database.url"), "{errors}");
    // Whoever it belongs to goes on, and another node of theirs joins.
    send(&wharf, 1).await;
    let joined = home.another_node().serve();
    send(&joined, 1).await;
    assert_eq!((wharf.stop(), joined.stop()), (0, 0));
}

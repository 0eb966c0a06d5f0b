//! `wharf log`: read-only, beside a running server and without one.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use wharf_domain::access::Role;
use wharf_tests::process::Home;

use super::{fails, integration, lines, ok, said};

fn ids(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_counted_verified_and_replayed_with_and_without_a_server() {
    let home = Home::default();
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    let id = integration(&client, "first").await;
    client
        .post("/api/v1/webhooks/events/task.created", &json!({ "n": 1 }))
        .await
        .ok();
    let other = wharf.client("other", Role::Admin);
    other
        .post("/api/v1/webhooks/events/task.updated", &json!({ "n": 2 }))
        .await
        .ok();

    let beside = everything(&home, &id);
    assert_eq!(wharf.stop(), 0);
    assert_eq!(everything(&home, &id), beside, "without a server");
}

/// All that can be asked; answers the replay.
#[track_caller]
fn everything(home: &Home, id: &str) -> Vec<Value> {
    let stats = &said(home, &["log", "stats"])[0];
    assert_eq!(
        (&stats["commits"], &stats["events"]),
        (&json!(3), &json!(3)),
        "{stats}"
    );
    let verified = &said(home, &["log", "verify"])[0];
    assert_eq!(
        (&verified["commits"], &verified["tail"]),
        (&json!(3), &json!(3)),
        "{verified}"
    );
    assert!(ok(home, &["log", "verify"]).starts_with("the log is whole"));

    let all = said(home, &["log", "replay"]);
    assert_eq!(ids(&all), ["1.0", "2.0", "3.0"]);
    assert_eq!(all[0]["type"], "integration.created");
    assert_eq!(all[0]["data"]["name"], "first");
    assert_eq!(all[0]["actor"], "user:tester");
    let chosen = |args: &[&str]| {
        let args: Vec<_> = ["log", "replay"].iter().chain(args).copied().collect();
        ids(&said(home, &args))
            .iter()
            .map(|id| (*id).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(chosen(&["--after", "1"]), ["2.0", "3.0"]);
    assert_eq!(chosen(&["--project", "p"]), ["1.0", "2.0"]);
    assert_eq!(chosen(&["--type", "message.accepted"]), ["2.0", "3.0"]);
    assert_eq!(chosen(&["--type", "integration.*"]), ["1.0"]);
    assert_eq!(
        chosen(&["--stream", &format!("p.integration.{id}")]),
        ["1.0"]
    );
    assert!(chosen(&["--project", "nobody"]).is_empty());
    let text = ok(home, &["log", "replay"]);
    assert_eq!(text.lines().count(), 3);
    assert!(!text.contains("\"sealed\":\"ey"), "{text}");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_prints_events_as_they_are_appended() {
    let home = Home::default();
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    integration(&client, "before").await;
    let mut tail = home
        .command(&["log", "tail", "--after", "0", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || {
        let line = out.next().unwrap().unwrap();
        lines(&line)[0]["data"]["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(next(), "before");
    for name in ["one", "two"] {
        integration(&client, name).await;
        assert_eq!(next(), name);
    }
    let pid = tail.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(tail.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_does_not_verify() {
    let home = Home::files();
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    for n in 0..3 {
        client
            .post("/api/v1/webhooks/events/task.created", &json!({ "n": n }))
            .await
            .ok();
    }
    assert_eq!(wharf.stop(), 0);
    // One flipped bit, as a bad disk would.
    let file = rusqlite::Connection::open(home.data().join("log.db")).unwrap();
    let triggers: Vec<String> = file
        .prepare("select name from sqlite_master where type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for trigger in triggers {
        file.execute_batch(&format!("drop trigger {trigger}"))
            .unwrap();
    }
    let changed = file
        .execute("update commits set headers = replace(headers, 'user:tester', 'user:testes') where position = 2", [])
        .unwrap();
    assert_eq!(changed, 1);
    drop(file);
    let (code, out, errors) = home.run(&["log", "verify"]);
    assert_eq!(code, 1, "{out}{errors}");
    assert!(
        out.contains('2') && out.contains("restore a backup"),
        "{out}"
    );
    let (code, out, _) = home.run(&["log", "verify", "--json"]);
    assert_eq!(code, 1);
    assert!(lines(&out)[0]["fault"].is_string(), "{out}");
}

#[test]
fn without_a_log_the_remedy_is_named() {
    let home = Home::default();
    for command in ["stats", "verify", "replay", "tail"] {
        let errors = fails(&home, &["log", command]);
        assert!(errors.contains(home.data().to_str().unwrap()), "{errors}");
        assert!(errors.contains("wharf serve"), "{errors}");
    }
    assert!(!home.data().exists(), "reading makes nothing");
}

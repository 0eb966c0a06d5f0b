//! `wharf doctor`: healthy, and each thing that is wrong with its remedy.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use serde_json::{Value, json};
use wharf_domain::access::Role;
use wharf_tests::process::Home;

use super::{integration, lines, ok, said};

/// The checks that fail; fails the test unless it is exactly one of those named.
#[track_caller]
fn bad(home: &Home, checks: &[&str]) -> Vec<Value> {
    let (code, out, errors) = home.run(&["doctor", "--json"]);
    assert_eq!(code, 1, "{out}{errors}");
    let bad: Vec<_> = lines(&out)
        .into_iter()
        .filter(|check| check["verdict"] == "fail")
        .collect();
    let names: Vec<_> = bad
        .iter()
        .map(|check| check["check"].as_str().unwrap())
        .collect();
    assert_eq!(names, checks, "{out}");
    for check in &bad {
        assert!(!check["remedy"].as_str().unwrap().is_empty(), "{check}");
    }
    bad
}

#[test]
fn a_healthy_hub_is_healthy_while_it_runs_and_after() {
    let home = Home::files();
    let wharf = home.serve();
    let checks = said(&home, &["doctor"]);
    let names: Vec<_> = checks
        .iter()
        .map(|check| check["check"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "server",
            "config",
            "data folder",
            "disk",
            "master key",
            "event log",
            "vault",
            "views",
            "webhooks",
            "clock"
        ]
    );
    // How full the machine's disk is, is not ours to say.
    let sound = |check: &Value| check["verdict"] == "ok" || check["check"] == "disk";
    assert!(checks.iter().all(sound), "{checks:?}");
    assert!(checks[4]["what"].as_str().unwrap().contains("mode 600"));
    assert_eq!(checks[0]["what"], "running");
    assert_eq!(wharf.stop(), 0);
    assert_eq!(said(&home, &["doctor"])[0]["what"], "not running");
    assert!(
        ok(&home, &["doctor"])
            .lines()
            .all(|line| line.starts_with("ok ") || line.contains("disk") || line.starts_with(' '))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_works_but_should_be_known_is_a_warning_and_no_failure() {
    let home = Home::files();
    assert_eq!(home.serve().stop(), 0);
    let warned = |name: &str, value: &str, remedy: &str| {
        let mut doctor = home.command(&["doctor", "--json"]);
        let output = doctor.env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "a warning is no failure");
        let checks = lines(&String::from_utf8(output.stdout).unwrap());
        let config = checks
            .iter()
            .find(|check| check["check"] == "config")
            .unwrap();
        assert_eq!(config["verdict"], "warn", "{config}");
        assert!(
            config["remedy"].as_str().unwrap().contains(remedy),
            "{config}"
        );
    };
    warned(
        "WHARF_SERVER__LISTEN",
        r#"["0.0.0.0:0"]"#,
        "sandbox.enabled",
    );
    warned("WHARF_EGRESS__ALLOW", r#"["0.0.0.0/0"]"#, "networks");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_wait_are_seen_without_a_server() {
    let home = Home::files();
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    // Nobody listens there, so the delivery goes on waiting for its outcome.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let webhook = json!({ "project_id": "p", "name": "w", "url": url, "events": ["*"] });
    client.post("/api/v1/webhooks", &webhook).await.ok();
    client
        .post("/api/v1/webhooks/events/task.created", &json!({}))
        .await
        .ok();
    // Taken, and known to be taken, but not acknowledged.
    let metrics = || async { wharf.stranger().get("/metrics").await.text };
    while !metrics()
        .await
        .contains("wharf_consumer_in_flight{consumer=\"deliver\"} 1")
    {
        tokio::task::yield_now().await;
    }
    let _ = wharf.stop();
    let checks = said(&home, &["doctor"]);
    let webhooks = checks
        .iter()
        .find(|check| check["check"] == "webhooks")
        .unwrap();
    assert_eq!(webhooks["verdict"], "ok", "{webhooks}");
    assert!(
        webhooks["what"].as_str().unwrap().contains("wait since"),
        "{webhooks}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_at_the_end_of_the_log_is_found() {
    let home = Home::files();
    let wharf = home.serve();
    integration(&wharf.client("p", Role::Admin), "one").await;
    assert_eq!(wharf.stop(), 0);
    let file = rusqlite::Connection::open(home.data().join("log.db")).unwrap();
    file.execute_batch(
        "drop trigger commits_keep_what_they_say;
         update commits set headers = replace(headers, 'user:tester', 'user:testes');",
    )
    .unwrap();
    drop(file);
    let damaged = bad(&home, &["event log"]);
    let what = damaged[0]["what"].as_str().unwrap();
    assert!(what.contains("position 1"), "{what}");
    assert!(
        damaged[0]["remedy"]
            .as_str()
            .unwrap()
            .contains("wharf restore")
    );
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    let home = Home::files();
    let nothing = bad(&home, &["data folder"]);
    assert!(
        nothing[0]["remedy"]
            .as_str()
            .unwrap()
            .contains("wharf serve")
    );
    assert!(!home.data().exists(), "looking makes nothing");

    assert_eq!(home.serve().stop(), 0);
    let key = home.data().join("master.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let open = bad(&home, &["master key", "vault"]);
    assert!(
        open[0]["what"].as_str().unwrap().contains("chmod 600"),
        "{open:?}"
    );
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();

    let saved = home.path().join("saved");
    fs::rename(&key, &saved).unwrap();
    let missing = bad(&home, &["master key", "vault"]);
    assert!(
        missing[0]["remedy"].as_str().unwrap().contains("backup"),
        "{missing:?}"
    );
    assert!(
        !key.exists(),
        "the doctor writes no prescriptions for new keys"
    );

    fs::write(&key, "5b".repeat(32)).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let wrong = bad(&home, &["vault"]);
    assert!(
        wrong[0]["remedy"].as_str().unwrap().contains("master key"),
        "{wrong:?}"
    );
    fs::rename(&saved, &key).unwrap();

    fs::set_permissions(home.data(), Permissions::from_mode(0o755)).unwrap();
    let open = bad(&home, &["data folder"]);
    assert!(
        open[0]["remedy"].as_str().unwrap().starts_with("chmod 700"),
        "{open:?}"
    );
    let text = home.run(&["doctor"]).1;
    assert!(
        text.contains("fail") && text.contains("what to do: chmod 700"),
        "{text}"
    );
    fs::set_permissions(home.data(), Permissions::from_mode(0o700)).unwrap();

    let db = home.data().join("log.db");
    fs::write(
        &db,
        b"this is no database, but it is long enough to look like one".repeat(100),
    )
    .unwrap();
    let torn = bad(&home, &["event log"]);
    assert!(
        torn[0]["remedy"].as_str().unwrap().contains("backup"),
        "{torn:?}"
    );
}

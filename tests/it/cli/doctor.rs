//! `wharf doctor`: healthy, and each thing that is wrong with its remedy.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use serde_json::Value;
use wharf_tests::process::Home;

use super::{lines, ok, said};

/// The check that is bad; fails the test unless it is exactly one of those named.
#[track_caller]
fn bad(home: &Home, checks: &[&str]) -> Vec<Value> {
    let (code, out, errors) = home.run(&["doctor", "--json"]);
    assert_eq!(code, 1, "{out}{errors}");
    let bad: Vec<_> = lines(&out)
        .into_iter()
        .filter(|check| check["ok"] == false)
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
    let home = Home::default();
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
            "data folder",
            "master key",
            "event log",
            "vault",
            "views",
            "clock"
        ]
    );
    assert!(checks.iter().all(|check| check["ok"] == true), "{checks:?}");
    assert_eq!(checks[0]["what"], "running");
    assert_eq!(wharf.stop(), 0);
    assert_eq!(said(&home, &["doctor"])[0]["what"], "not running");
    assert!(
        ok(&home, &["doctor"])
            .lines()
            .all(|line| line.starts_with("ok "))
    );
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    let home = Home::default();
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
        text.contains("BAD") && text.contains("what to do: chmod 700"),
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

//! Starting, stopping, and the demo.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use wharf_domain::access::Role;
use wharf_tests::process::Home;

use super::{fails, integration, lines};

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let home = Home::default();
    let wharf = home.serve();
    let errors = fails(&home, &["serve"]);
    assert!(errors.contains("in use by another wharf"), "{errors}");
    assert!(errors.contains(home.data().to_str().unwrap()), "{errors}");
    assert!(errors.contains("stop that one first"), "{errors}");
    // The first one is not impressed.
    assert_eq!(wharf.stop(), 0);
    drop(home.serve());
}

#[test]
fn a_taken_port_is_named() {
    let home = Home::default();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = home
        .command(&["serve"])
        .env("WHARF_SERVER__LISTEN", format!("[\"{address}\"]"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(
        errors.contains(&address) && errors.contains("server.listen"),
        "{errors}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_exits_with_0_at_once() {
    let home = Home::default();
    for round in 0..3 {
        let wharf = home.serve();
        let client = wharf.client("p", Role::Admin);
        integration(&client, &format!("{round}")).await;
        let began = Instant::now();
        assert_eq!(wharf.stop(), 0);
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        assert!(
            !home.data().join("admin.sock").exists(),
            "its socket goes with it"
        );
    }
    let wharf = home.serve();
    let list = wharf
        .client("p", Role::Admin)
        .get("/api/v1/integrations")
        .await
        .ok();
    assert_eq!(list["total"], 3);
}

#[test]
fn serve_says_where_it_listens() {
    let home = Home::default();
    let mut serve = home.command(&["serve"]);
    let mut serve = serve
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = serve.stdout.take().unwrap();
    let mut said = String::new();
    for line in std::io::BufRead::lines(std::io::BufReader::new(out)).take(4) {
        said.push_str(&line.unwrap());
        said.push('\n');
    }
    serve.kill().unwrap();
    serve.wait().unwrap();
    let url = said
        .split_whitespace()
        .find(|word| word.starts_with("http://127.0.0.1:"))
        .unwrap();
    assert!(!url.ends_with(":0"), "{said}");
    for hint in [
        format!("{url}/docs"),
        format!("{url}/api/v1/health"),
        "wharf token".to_owned(),
    ] {
        assert!(said.contains(&hint), "{said}");
    }
}

#[test]
fn the_demo_shows_the_whole_flow_within_a_minute() {
    let home = Home::default();
    let began = Instant::now();
    let (code, out, errors) = home.run(&["demo", "--once", "--json"]);
    assert_eq!(code, 0, "{out}{errors}");
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
    let steps = lines(&out);
    let told = |step: &str| {
        let found = steps.iter().find(|said| said["step"] == step);
        let found = found.unwrap_or_else(|| panic!("no {step} in {out}"));
        found["text"].as_str().unwrap().to_owned()
    };
    assert!(
        told("connected").contains("active"),
        "{}",
        told("connected")
    );
    assert!(
        told("synced").contains("250 records, completed"),
        "{}",
        told("synced")
    );
    let delivered: Vec<_> = steps
        .iter()
        .filter(|said| said["step"] == "delivered")
        .map(|said| said["text"].as_str().unwrap())
        .collect();
    for topic in ["deployment.completed", "sync.completed"] {
        let right = |text: &&str| text.starts_with(topic) && text.contains("signature right");
        assert!(delivered.iter().any(right), "{topic} in {delivered:?}");
    }
    let log: Vec<_> = steps.iter().filter(|said| said["step"] == "log").collect();
    for event in [
        "webhook.created",
        "sync_run.page_recorded",
        "message.accepted",
    ] {
        let has = |said: &&&serde_json::Value| said["text"].as_str().unwrap().ends_with(event);
        assert!(log.iter().any(|said| has(&said)), "{event} in {log:?}");
    }
    let end = steps.last().unwrap();
    assert!(end["docs"].as_str().unwrap().ends_with("/docs"), "{end}");
    assert!(!home.data().exists(), "the demo has a folder of its own");
}

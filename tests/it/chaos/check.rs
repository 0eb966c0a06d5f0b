//! The checker: it knows every accepted write and asks every node of the hub for each.
//!
//! When one node takes over from another, the log may hold copies of what both noted; the first counts, here as
//! for the hub. A hub alone makes none.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reqwest::Method;
use serde_json::Value;
use wharf_domain::access::Role;
use wharf_tests::{
    client::{Client, PATIENCE},
    process::{Home, Wharf},
};

use super::{
    blocking, files,
    load::{Load, text},
    shaky::Shaky,
};

/// Items of an untouched account of the sandbox.
const SANDBOX_ITEMS: usize = 250;

/// Asserts all that must be true once the faults are over.
pub(super) async fn everything(nodes: Vec<Wharf>, receiver: &Shaky, load: &Load, export: &[u8]) {
    // One run that nobody disturbs, and every message on its way.
    load.sync_once("sync-last", "full").await;
    let log = delivered(&nodes[0].home, receiver).await;
    messages(&log, load, receiver);
    let copies = copies(&log);
    assert!(
        copies == 0 || nodes.len() > 1,
        "a hub alone noted {copies} things twice"
    );
    for node in &nodes {
        follows(&node.home, &log).await;
        whole(&node.home).await;
        let client = node.client("p", Role::Admin);
        caught_up(&client).await;
        names(&client, load).await;
        runs(&client, &log, load).await;
        let sandbox = keys(&client, &load.sandbox).await;
        assert_eq!(sandbox.len(), SANDBOX_ITEMS);
        assert_eq!(keys(&client, &load.imports).await, files::keys(export));
        let health = client.get("/api/v1/health").await.ok();
        assert_eq!(health["parked"], 0, "a view could not read an event");
    }
    rebuilt(nodes, load).await;
}

/// Waits until the node's views are caught up.
pub(super) async fn ready(client: &Client) {
    let asked = || client.request(Method::GET, "/api/v1/health/ready");
    while !matches!(Client::try_send(asked()).await, Ok(answer) if answer.status == 200) {
        // The hub is another process: there is nothing to be woken by.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The node's views catch up, soon.
async fn caught_up(client: &Client) {
    let ready = tokio::time::timeout(4 * PATIENCE, ready(client)).await;
    assert!(ready.is_ok(), "the views never caught up");
}

/// Every event of the log, as `wharf log replay` tells it.
async fn replay(home: &Home) -> Vec<Value> {
    let home = home.clone();
    let (code, out, errors) =
        blocking(move || home.run(&["log", "replay", "--project", "p", "--json"])).await;
    assert_eq!(code, 0, "{errors}");
    out.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The messages that the log says were accepted.
pub(super) async fn accepted_messages(home: &Home) -> BTreeSet<String> {
    messages_of(&replay(home).await, "message.accepted")
}

fn of_type<'a>(log: &'a [Value], tag: &str) -> impl Iterator<Item = &'a Value> {
    log.iter()
        .filter(move |event| event["type"] == tag)
        .map(|event| &event["data"])
}

/// The messages of events with this type.
fn messages_of(log: &[Value], tag: &str) -> BTreeSet<String> {
    of_type(log, tag)
        .map(|data| text(&data["message_id"]))
        .collect()
}

/// Waits until each message of the log was heard, and the log knows it.
async fn delivered(home: &Home, receiver: &Shaky) -> Vec<Value> {
    let accepted = messages_of(&replay(home).await, "message.accepted");
    let all = |heard: &BTreeMap<String, u32>| accepted.iter().all(|id| heard.contains_key(id));
    let heard = receiver.until(all).await;
    let missing: Vec<_> = {
        let heard = receiver.heard();
        accepted
            .iter()
            .filter(|id| !heard.contains_key(*id))
            .collect()
    };
    assert!(heard, "never delivered: {missing:?}");
    let recorded = async {
        loop {
            let log = replay(home).await;
            if accepted.is_subset(&messages_of(&log, "delivery.attempt_succeeded")) {
                return log;
            }
        }
    };
    let recorded = tokio::time::timeout(4 * PATIENCE, recorded).await;
    recorded.expect("each delivery has its outcome in the log")
}

/// A node's log begins as another's does.
async fn follows(home: &Home, log: &[Value]) {
    let following = async {
        loop {
            let own = replay(home).await;
            if own.len() >= log.len() {
                return own;
            }
        }
    };
    let own = tokio::time::timeout(4 * PATIENCE, following).await;
    let own = own.expect("the node follows the log");
    assert!(own[..log.len()] == *log, "two nodes read different logs");
}

/// Each accepted event is in the log exactly once, and nothing else is.
fn messages(log: &[Value], load: &Load, receiver: &Shaky) {
    let mut once = BTreeSet::new();
    let mut posted = BTreeSet::new();
    for data in of_type(log, "message.accepted") {
        let id = text(&data["message_id"]);
        assert!(once.insert(id.clone()), "{id} is in the log twice");
        if data["topic"] == "task.created" {
            posted.insert(id);
        }
    }
    let accepted = load.accepted.lock().unwrap();
    let lost: Vec<_> = accepted.messages.difference(&posted).collect();
    assert!(lost.is_empty(), "accepted and lost: {lost:?}");
    assert_eq!(posted, accepted.messages, "nobody posted that");
    let times = receiver.heard();
    let strangers: Vec<_> = times.keys().filter(|id| !once.contains(*id)).collect();
    assert!(
        strangers.is_empty(),
        "delivered without being accepted: {strangers:?}"
    );
    let copies: u32 = times.values().map(|times| times - 1).sum();
    eprintln!(
        "{} events, {} integrations, {} runs accepted; {} requests repeated; {} messages delivered, \
         {copies} of them more than once",
        accepted.messages.len(),
        accepted.names.len(),
        accepted.runs.len(),
        accepted.repeated,
        times.len(),
    );
}

/// Each created integration is there under its last acknowledged name.
async fn names(client: &Client, load: &Load) {
    let wanted = load.accepted.lock().unwrap().names.clone();
    let mut shown = BTreeMap::new();
    for page in 1.. {
        let path = format!("/api/v1/integrations?size=100&page={page}");
        let list = client.get(&path).await.ok();
        let list = list["integrations"].as_array().unwrap();
        if list.is_empty() {
            break;
        }
        for integration in list {
            let name = shown.insert(text(&integration["id"]), text(&integration["name"]));
            assert_eq!(name, None, "an integration is listed twice");
        }
    }
    assert!(shown.remove(&load.sandbox).is_some() && shown.remove(&load.imports).is_some());
    assert_eq!(shown, wanted);
}

/// How many starts and pages of runs are copies of others.
fn copies(log: &[Value]) -> usize {
    let mut once = BTreeSet::new();
    let starts = of_type(log, "sync_run.started").map(|data| (text(&data["run_id"]), None));
    let pages = of_type(log, "sync_run.page_recorded")
        .map(|data| (text(&data["run_id"]), data["page"].as_u64()));
    starts
        .chain(pages)
        .filter(|noted| !once.insert(noted.clone()))
        .count()
}

/// Each accepted run came to its end, and its pages are 0, 1, 2, … each once.
async fn runs(client: &Client, log: &[Value], load: &Load) {
    let accepted = load.accepted.lock().unwrap().runs.clone();
    let mut requested = BTreeSet::new();
    for data in of_type(log, "integration.sync_requested") {
        let id = text(&data["run_id"]);
        assert!(requested.insert(id.clone()), "run {id} was requested twice");
    }
    assert_eq!(requested, accepted.keys().cloned().collect());
    let mut pages: BTreeMap<String, BTreeMap<u64, u64>> = BTreeMap::new();
    for data in of_type(log, "sync_run.page_recorded") {
        let number = |name: &str| data[name].as_u64().unwrap();
        let pages = pages.entry(text(&data["run_id"])).or_default();
        pages
            .entry(number("page"))
            .or_insert_with(|| number("records"));
    }
    for (run, integration) in accepted {
        let path = format!("/api/v1/integrations/{integration}/sync/runs/{run}");
        let shown = client.get(&path).await.ok();
        assert_eq!(shown["status"], "completed", "{shown}");
        let pages = pages.remove(&run).unwrap_or_default();
        let contiguous = (0..shown["pages"].as_u64().unwrap()).eq(pages.keys().copied());
        assert!(contiguous, "the pages of {shown} are {pages:?}");
        assert_eq!(shown["records"], pages.values().sum::<u64>());
    }
    assert!(pages.is_empty(), "pages of no run: {pages:?}");
    for integration in [&load.sandbox, &load.imports] {
        let path = format!("/api/v1/integrations/{integration}");
        let shown = client.get(&path).await.ok();
        assert!(shown["open_run_id"].is_null(), "a lease is left: {shown}");
    }
}

/// Each attempt is counted once, however often it was noted.
async fn attempts(client: &Client, log: &[Value]) {
    let mut outcomes = BTreeMap::new();
    for event in log {
        let succeeded = event["type"] == "delivery.attempt_succeeded";
        if succeeded || event["type"] == "delivery.attempt_failed" {
            let data = &event["data"];
            let attempt = (text(&data["message_id"]), data["attempt"].as_u64());
            outcomes.entry(attempt).or_insert(succeeded);
        }
    }
    let successes = outcomes.values().filter(|succeeded| **succeeded).count();
    let webhooks = client.get("/api/v1/webhooks").await.ok();
    let webhook = &webhooks["webhooks"][0];
    assert_eq!(webhook["success_count"], successes);
    assert_eq!(webhook["failure_count"], outcomes.len() - successes);
    let logs = format!("/api/v1/webhooks/{}/logs", text(&webhook["id"]));
    assert_eq!(client.get(&logs).await.ok()["total"], outcomes.len());
}

/// Pages through all records; none may come twice.
pub(super) async fn keys(client: &Client, integration: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/integrations/{integration}/records?size=100{cursor}");
        let page = client.get(&path).await.ok();
        for record in page["records"].as_array().unwrap() {
            let key = text(&record["key"]);
            assert!(keys.insert(key), "a record comes twice: {record}");
        }
        if page["has_more"] == false {
            return keys;
        }
        cursor = format!("&cursor={}", text(&page["next_cursor"]));
    }
}

/// The log verifies, beside the running hub.
async fn whole(home: &Home) {
    let home = home.clone();
    let (code, out, errors) = blocking(move || home.run(&["log", "verify", "--json"])).await;
    assert_eq!(code, 0, "{out}{errors}");
}

/// The views, built anew from the log, answer the same at every node.
async fn rebuilt(nodes: Vec<Wharf>, load: &Load) {
    // A clean stop records the outcomes of attempts under way; the next start finds nothing to do.
    let nodes = blocking(move || {
        let homes: Vec<_> = nodes.iter().map(|node| node.home.clone()).collect();
        for node in nodes {
            assert_eq!(node.stop(), 0);
        }
        homes.iter().map(Home::serve).collect::<Vec<_>>()
    })
    .await;
    let clients: Vec<_> = nodes
        .iter()
        .map(|node| node.client("p", Role::Admin))
        .collect();
    for client in &clients {
        caught_up(client).await;
    }
    let home = &nodes[0].home;
    attempts(&clients[0], &replay(home).await).await;
    let before = answers(&clients[0], load).await;
    let rebuilding = {
        let home = home.clone();
        blocking(move || home.run(&["views", "rebuild"]))
    };
    let (code, out, errors) = rebuilding.await;
    assert_eq!(code, 0, "{out}{errors}");
    for client in &clients {
        caught_up(client).await;
        let after = answers(client, load).await;
        for (after, before) in after.iter().zip(&before) {
            assert_eq!(after, before);
        }
    }
}

/// What the project can read, as bytes.
async fn answers(client: &Client, load: &Load) -> Vec<(String, String)> {
    let mut answers = vec![];
    let webhooks = client.get("/api/v1/webhooks").await;
    let webhook = text(&webhooks.body["content"]["webhooks"][0]["id"]);
    answers.push(("webhooks".to_owned(), webhooks.text));
    let (sandbox, imports) = (&load.sandbox, &load.imports);
    let first = "size=100".to_owned();
    let mut paths = vec![
        format!("/api/v1/integrations?{first}"),
        format!("/api/v1/integrations?{first}&page=3"),
        format!("/api/v1/webhooks/{webhook}/logs?{first}"),
        format!("/api/v1/webhooks/{webhook}/logs?{first}&page=7"),
    ];
    for id in [sandbox, imports] {
        paths.push(format!("/api/v1/integrations/{id}"));
        paths.push(format!("/api/v1/integrations/{id}/sync/logs?{first}"));
        paths.push(format!(
            "/api/v1/integrations/{id}/records?{first}&deleted=true"
        ));
        paths.push(format!(
            "/api/v1/integrations/{id}/records?{first}&deleted=true&model=steps"
        ));
    }
    for path in paths {
        let answer = client.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answers.push((path, answer.text));
    }
    answers
}

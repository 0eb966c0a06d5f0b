//! Several nodes: `wharf serve` twice, on one JetStream and one PostgreSQL.

mod away;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wharf_adapters::health::apple_health::generate::write_export;
use wharf_domain::access::Role;
use wharf_tests::{
    client::{Answer, Client},
    process::{Home, Wharf},
    receiver::Receiver,
    storage::Storage,
    subscription::Subscription,
};

/// Two nodes; the first holds every lease.
async fn nodes() -> [Wharf; 2] {
    blocking(|| {
        let home = Home::on(Storage::new(true, true));
        let first = home.serve();
        let second = home.another_node().serve();
        [first, second]
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it ends")
}

fn admin(node: &Wharf) -> Client {
    node.client("p", Role::Admin)
}

async fn webhook(client: &Client, receiver: &Receiver, more: Value) {
    let mut body = json!({
        "project_id": "p", "name": "all", "url": receiver.url, "events": ["*"],
    });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    client.post("/api/v1/webhooks", &body).await.ok();
}

async fn post(client: &Client, n: u32) -> String {
    let path = "/api/v1/webhooks/events/task.created";
    text(&client.post(path, &json!({ "n": n })).await.ok()["message_id"])
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The value of a metric of one node, all its labels added up.
async fn metric(node: &Wharf, name: &str) -> f64 {
    let text = admin(node).get("/metrics").await.text;
    text.lines()
        .filter(|line| line.starts_with(name))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_accepted_is_read_from_the_other() {
    let [first, second] = nodes().await;
    let clients = [admin(&first), admin(&second)];
    for n in 0..40 {
        let (here, there) = (&clients[n % 2], &clients[(n + 1) % 2]);
        let body = json!({
            "project_id": "p", "integration_type": "apple_health", "name": format!("{n}"),
            "configuration": {},
        });
        let created = here.post("/api/v1/integrations", &body).await;
        let position = created.position();
        let id = text(&created.ok()["id"]);
        // Read, changed and read again, each time where it was not written.
        let path = format!("/api/v1/integrations/{id}");
        let read = there.get(&format!("{path}?after={position}")).await;
        assert_eq!(read.ok()["name"], format!("{n}"));
        let renamed = json!({ "name": format!("{n}, renamed") });
        let renamed = there.json(Method::PATCH, &path, &renamed).await;
        let position = renamed.position();
        let read = here.get(&format!("{path}?after={position}")).await.ok();
        assert_eq!(read["name"], format!("{n}, renamed"));
    }
    let key = "the-same-key-at-both-nodes";
    let twice = clients.each_ref().map(|client| {
        let body = json!({
            "project_id": "p", "integration_type": "apple_health", "name": "once",
            "configuration": {},
        });
        let request = client
            .request(Method::POST, "/api/v1/integrations")
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(body.to_string());
        Client::send(request)
    });
    let [one, other] = twice;
    let (one, other): (Answer, Answer) = tokio::join!(one, other);
    assert_eq!(one.ok()["id"], other.ok()["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_is_replaced() {
    let [first, second] = nodes().await;
    let receiver = Receiver::start().await;
    let client = admin(&second);
    let retries = json!({ "retry_config": { "max_retries": 5, "retry_delay": 1 } });
    webhook(&client, &receiver, retries).await;
    post(&client, 0).await;
    receiver.wait(1).await;

    // It projects and ticks: without it there are neither views nor retries.
    blocking(move || first.kill()).await;
    let killed = Instant::now();
    receiver.reply([(axum::http::StatusCode::BAD_GATEWAY, vec![])]);
    let path = "/api/v1/webhooks/events/task.created";
    let posted = client.post(path, &json!({ "n": 1 })).await;
    let position = posted.position();
    let seen = async {
        while client
            .get(&format!("/api/v1/integrations?after={position}"))
            .await
            .status
            != 200
        {}
        killed.elapsed()
    };
    let (views, got) = tokio::join!(seen, receiver.wait(3));
    eprintln!("the views went on {views:?} after the kill");
    assert!(views < Duration::from_secs(15), "{views:?}");
    let ids: Vec<_> = got.iter().map(|got| got.header("webhook-id")).collect();
    assert_eq!(ids[1], ids[2], "the second try is of the same message");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_share_what_is_to_be_delivered() {
    const MESSAGES: u32 = 200;
    let [first, second] = nodes().await;
    let receiver = Receiver::start().await;
    let client = admin(&first);
    webhook(&client, &receiver, json!({})).await;
    let mut posted = BTreeSet::new();
    for n in 0..MESSAGES {
        posted.insert(post(&client, n).await);
    }
    let got = receiver.wait(MESSAGES as usize).await;
    let heard: BTreeSet<_> = got
        .iter()
        .map(|got| got.header("webhook-id").to_owned())
        .collect();
    assert_eq!(heard, posted);
    assert_eq!(got.len(), posted.len(), "nothing was sent twice");
    for node in [&first, &second] {
        let attempts = metric(node, "wharf_webhook_attempts_total").await;
        assert!(attempts > 0.0, "one node did everything");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_one_node_took_is_imported_by_whichever_gets_the_run() {
    const FILES: u64 = 6;
    let [first, second] = nodes().await;
    let clients = [admin(&first), admin(&second)];
    let mut export = vec![];
    write_export(&mut export, 200_000, 7).unwrap();
    let mut runs = vec![];
    for n in 0..FILES {
        let body = json!({
            "project_id": "p", "integration_type": "apple_health", "name": format!("{n}"),
            "configuration": {},
        });
        let created = clients[0].post("/api/v1/integrations", &body).await.ok();
        let path = format!("/api/v1/integrations/{}", text(&created["id"]));
        let upload = clients[n as usize % 2]
            .request(Method::POST, &format!("{path}/import"))
            .header("content-type", "application/octet-stream")
            .body(export.clone());
        let accepted = Client::send(upload).await;
        assert_eq!(accepted.status, 202, "{}", accepted.text);
        let run = text(&accepted.ok()["run_id"]);
        runs.push(format!("{path}/sync/runs/{run}"));
    }
    let mut records = BTreeSet::new();
    for path in &runs {
        let run = clients[0].until(path, |run| run["status"] != "running");
        let run = run.await;
        assert_eq!(run["status"], "completed", "{run}");
        records.insert(run["records"].as_u64().unwrap());
    }
    assert_eq!(records.len(), 1, "one file, one number of records");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_goes_on_at_the_other_node() {
    let [first, second] = nodes().await;
    let clients = [admin(&first), admin(&second)];
    let mut sent = vec![];
    for n in 0..20 {
        sent.push(post(&clients[n as usize % 2], n).await);
    }
    let mut stream = Subscription::open(&clients[0], "?after=0", None).await;
    let mut events = stream.take(12).await;
    blocking(move || first.kill()).await;
    let last = text(&events[11]["id"]);
    let mut stream = Subscription::open(&clients[1], "", Some(&last)).await;
    events.extend(stream.take(8).await);
    let heard: Vec<_> = events
        .iter()
        .map(|event| text(&event["data"]["message_id"]))
        .collect();
    assert_eq!(heard, sent, "in order, none missing, none twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv11_a_rolling_restart_under_load_loses_and_doubles_nothing() {
    let [first, second] = nodes().await;
    let receiver = Receiver::start().await;
    webhook(&admin(&first), &receiver, json!({})).await;
    let (over, callers) = (CancellationToken::new(), 4);
    // Whoever stops answers no more; callers then ask the other, as a balancer lets them.
    let (urls, addresses) = tokio::sync::watch::channel([admin(&first), admin(&second)]);
    let load = (0..callers).map(|caller| {
        let (over, addresses) = (over.clone(), addresses.clone());
        async move {
            let mut accepted = BTreeMap::new();
            let mut n = 0;
            while !over.is_cancelled() {
                let key = format!("{caller}-{n}");
                for turn in 0_usize.. {
                    let client = addresses.borrow()[(caller + turn) % 2].clone();
                    let request = client
                        .request(Method::POST, "/api/v1/webhooks/events/task.created")
                        .header("content-type", "application/json")
                        .header("idempotency-key", &key)
                        .body(json!({ "key": key }).to_string());
                    match Client::try_send(request).await {
                        Ok(answer) if answer.status == 503 => {}
                        Ok(answer) => {
                            let id = text(&answer.ok()["message_id"]);
                            assert_eq!(accepted.insert(id, key), None, "two events have one id");
                            break;
                        }
                        Err(_) => assert!(turn < 10_000, "neither node answers"),
                    }
                }
                n += 1;
            }
            accepted
        }
    });
    let rolling = async {
        let mut nodes = [Some(first), Some(second)];
        for n in 0..2 {
            let node = nodes[n].take().unwrap();
            let restarted = blocking(move || {
                let home = node.home.clone();
                assert_eq!(node.stop(), 0, "it drains and says so");
                home.serve()
            })
            .await;
            urls.send_modify(|clients| clients[n] = admin(&restarted));
            // It takes part before the other goes.
            let before = metric(&restarted, "wharf_webhook_attempts_total").await;
            while metric(&restarted, "wharf_webhook_attempts_total").await <= before {}
            nodes[n] = Some(restarted);
        }
        over.cancel();
        nodes
    };
    let (nodes, accepted) = tokio::join!(rolling, futures::future::join_all(load));
    let accepted: BTreeSet<String> = accepted.into_iter().flat_map(BTreeMap::into_keys).collect();
    let heard = |got: &[wharf_tests::receiver::Got]| -> BTreeSet<String> {
        got.iter()
            .map(|got| got.header("webhook-id").to_owned())
            .collect()
    };
    let mut got = receiver.wait(accepted.len()).await;
    while !accepted.is_subset(&heard(&got)) {
        got = receiver.wait(got.len() + 1).await;
    }
    assert_eq!(heard(&got), accepted, "delivered without being accepted");
    let node = nodes[0].as_ref().unwrap();
    let home = node.home.clone();
    let (code, out, errors) =
        blocking(move || home.run(&["log", "replay", "--project", "p", "--json"])).await;
    assert_eq!(code, 0, "{errors}");
    let logged: Vec<String> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["type"] == "message.accepted")
        .map(|event| text(&event["data"]["message_id"]))
        .collect();
    assert_eq!(
        logged.len(),
        accepted.len(),
        "one is in the log twice, or none"
    );
    assert_eq!(logged.into_iter().collect::<BTreeSet<_>>(), accepted);
    eprintln!(
        "{} events accepted during the restarts, {} requests to the receiver",
        accepted.len(),
        got.len()
    );
}

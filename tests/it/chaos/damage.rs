//! One flipped bit in a block that a NATS server stored: it is noticed, named, and repaired from a mirror.
//!
//! The server itself says nothing: with its index it leaves the message out, without it the rest of the block. What is asked here is what an operator asks: a fresh node, `wharf log verify`, `wharf log
//! repair`.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use reqwest::Method;
use serde_json::{Value, json};
use wharf_domain::access::Role;
use wharf_tests::{
    client::{Client, PATIENCE},
    nats::{Nats, Sync},
    process::{Home, Wharf},
    receiver::Receiver,
    storage::Storage,
};

use super::{blocking, load::text};

/// Name of the integration whose commit is damaged: it is nowhere else in the log.
const NEEDLE: &str = "the one with the flipped bit";
/// Messages before that commit, and again after it.
const MESSAGES: usize = 15;
/// Messages that fill the block that the commit is in (8 MB) and begin another one, and how large they are.
const MANY: usize = 130;
const LARGE: usize = 80_000;

/// What the server makes of the flipped bit when it starts again.
#[derive(Clone, Copy, PartialEq)]
enum Harm {
    /// It has its index and misses the one commit.
    OneCommit,
    /// Without its index it reads the block up to there; what follows in other blocks it has.
    Hole,
    /// The same, and there is no other block: the stream just ends earlier.
    Rest,
}

/// A hub that was stopped, and all that its callers know of it.
struct Hub {
    home: Home,
    receiver: Receiver,
    /// Where the needle lies, and whose commit it is.
    position: u64,
    stream: String,
    /// What the API answered.
    answers: Vec<String>,
    delivered: usize,
}

impl Hub {
    /// Lives on `servers`, has its share of commits, and stops.
    async fn lived(servers: &[Nats]) -> Self {
        Self::lived_long(servers, 0).await
    }

    /// The same, with so many large messages at its end.
    async fn lived_long(servers: &[Nats], large: usize) -> Self {
        let home = Home::on(Storage::on_servers(servers));
        let receiver = Receiver::start().await;
        let wharf = serve(&home, None).await;
        let client = wharf.client("p", Role::Admin);
        let webhook = json!({
            "project_id": "p", "name": "all", "url": receiver.url, "events": ["*"],
        });
        client.post("/api/v1/webhooks", &webhook).await.ok();
        send(&client).await;
        let needle = integration(&client, NEEDLE).await;
        let position = needle.0;
        integration(&client, "another one").await;
        send(&client).await;
        for _ in 0..large {
            let path = "/api/v1/webhooks/events/task.created";
            let text = "x".repeat(LARGE);
            client.post(path, &json!({ "text": text })).await.ok();
        }
        let delivered = 2 * MESSAGES + large;
        receiver.wait(delivered).await;
        client
            .until("/api/v1/webhooks", |list| {
                list["webhooks"][0]["success_count"] == delivered
            })
            .await;
        let answers = answers(&client).await;
        stop(wharf).await;
        Self {
            delivered: receiver.got().len(),
            home,
            receiver,
            position,
            stream: format!("p.integration.{}", needle.1),
            answers,
        }
    }

    /// What `wharf log verify` says, and whether it is content.
    async fn verify(&self, prefix: Option<&str>) -> (bool, Value) {
        let (code, said) = said(&self.home, &["log", "verify"], prefix).await;
        let report = serde_json::from_str(&said);
        (code == 0, report.unwrap_or(Value::String(said)))
    }
}

async fn send(client: &Client) {
    for n in 0..MESSAGES {
        let path = "/api/v1/webhooks/events/task.created";
        client.post(path, &json!({ "n": n })).await.ok();
    }
}

/// Creates an integration; its position and its id.
async fn integration(client: &Client, name: &str) -> (u64, String) {
    let body = json!({
        "project_id": "p", "integration_type": "apple_health", "name": name, "configuration": {},
    });
    let created = client.post("/api/v1/integrations", &body).await;
    (created.position(), text(&created.ok()["id"]))
}

async fn answers(client: &Client) -> Vec<String> {
    let mut answers = vec![];
    for path in [
        "/api/v1/integrations",
        "/api/v1/webhooks",
        "/api/v1/events?after=0&limit=500",
    ] {
        answers.push(client.get(path).await.text);
    }
    answers
}

async fn serve(home: &Home, prefix: Option<&str>) -> Wharf {
    let home = home.clone();
    let prefix = prefix.map(str::to_owned);
    blocking(move || match prefix {
        Some(prefix) => home.serve_with(&BTreeMap::from([("WHARF_LOG__NATS_PREFIX", &*prefix)])),
        None => home.serve(),
    })
    .await
}

async fn stop(wharf: Wharf) {
    assert_eq!(blocking(move || wharf.stop()).await, 0);
}

/// Runs a command with `--json`; its exit code, and what it prints or complains about.
async fn said(home: &Home, args: &[&str], prefix: Option<&str>) -> (i32, String) {
    let mut command = home.command(args);
    command.arg("--json");
    if let Some(prefix) = prefix {
        command.env("WHARF_LOG__NATS_PREFIX", prefix);
    }
    let output = blocking(move || command.output().expect("wharf runs")).await;
    let code = output.status.code().unwrap_or(-1);
    let told = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    (code, String::from_utf8_lossy(&told).trim().to_owned())
}

/// What a node that has no mirror yet says when it comes upon the damage: it stops there, or does not start.
async fn fresh_node(home: &Home) -> String {
    let node = home.another_node();
    blocking(move || {
        let mut serving = node
            .command(&["serve"])
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wharf starts");
        let errors = BufReader::new(serving.stderr.take().expect("it is piped"));
        let found = errors
            .lines()
            .map_while(Result::ok)
            .find(|line| line.contains("damaged"));
        let _ = serving.kill();
        let _ = serving.wait();
        found.expect("it says that the log is damaged")
    })
    .await
}

/// The files of the log's stream on a server.
fn blocks(server: &Nats) -> Vec<PathBuf> {
    let streams = server.store().join("jetstream/$G/streams");
    let of_the_log = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with("_WHARF")
    };
    let stream = entries(&streams).into_iter().find(of_the_log);
    entries(&stream.expect("there is a stream").join("msgs"))
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// Flips the lowest bit of a byte in the middle of the needle, which is in one of the server's blocks, once.
fn flip_a_bit(server: &Nats, harm: Harm) {
    let mut flipped = 0;
    let mut blocks_after = 0;
    for file in blocks(server) {
        if harm != Harm::OneCommit && file.ends_with("index.db") {
            std::fs::remove_file(&file).expect("it is there");
        }
        if file.extension().is_none_or(|kind| kind != "blk") {
            continue;
        }
        let mut bytes = std::fs::read(&file).expect("a block");
        let found = bytes
            .windows(NEEDLE.len())
            .position(|window| window == NEEDLE.as_bytes());
        if let Some(found) = found {
            bytes[found + NEEDLE.len() / 2] ^= 1;
            std::fs::write(&file, &bytes).expect("it can be written");
            flipped += 1;
        } else {
            blocks_after += 1;
        }
    }
    assert_eq!(flipped, 1, "the needle is in one block");
    assert_eq!(blocks_after > 0, harm == Harm::Hole);
}

/// Stops the server, flips the bit, and starts it again.
async fn harmed(mut server: Nats, harm: Harm) -> Nats {
    blocking(move || {
        server.stop();
        flip_a_bit(&server, harm);
        server.run();
        server
    })
    .await
}

/// The whole story, of one server that is all there is.
async fn found_and_repaired(harm: Harm) {
    let server = Nats::start(Sync::Always);
    let large = if harm == Harm::Hole { MANY } else { 0 };
    let hub = Hub::lived_long(std::slice::from_ref(&server), large).await;
    let (whole, before) = hub.verify(None).await;
    assert!(whole, "{before}");
    let (code, complaint) = said(&hub.home, &["log", "repair"], None).await;
    assert_eq!(code, 1);
    assert!(complaint.contains("nothing to repair"), "{complaint}");

    let server = harmed(server, harm).await;
    match harm {
        // Who follows for the first time stops there.
        Harm::OneCommit => {
            let noticed = fresh_node(&hub.home).await;
            let named = format!("position={}", hub.position);
            assert!(noticed.contains(&named), "{noticed}");
        }
        // Nobody starts at all.
        Harm::Hole => {
            let noticed = fresh_node(&hub.home).await;
            assert!(noticed.contains("wharf log repair"), "{noticed}");
        }
        // Only who was there before can know.
        Harm::Rest => {
            let (code, complaint) = said(&hub.home, &["serve"], None).await;
            assert_eq!(code, 1);
            assert!(complaint.contains("lost commits"), "{complaint}");
        }
    }
    // Whoever has it in the mirror is told where, and whose commit it is.
    let (whole, found) = hub.verify(None).await;
    assert!(!whole, "{found}");
    let fault = &found["servers"][0]["faults"][0];
    assert_eq!(fault["position"], hub.position, "{found}");
    assert_eq!(fault["stream"], *hub.stream, "{found}");
    let remedy = text(&found["remedy"]);
    assert!(remedy.contains("wharf log repair"), "{remedy}");
    assert_eq!(found["chain"], before["chain"], "the mirror is whole");

    let (code, told) = said(&hub.home, &["log", "repair"], None).await;
    assert_eq!(code, 0, "{told}");
    let repaired: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(repaired["chain"], before["chain"], "{repaired}");
    let consumers = ["deliver", "disable", "erase", "settle", "sync"];
    assert_eq!(repaired["consumers"], json!(consumers));
    let prefix = text(&repaired["nats_prefix"]);
    let (whole, after) = hub.verify(Some(&prefix)).await;
    assert!(whole, "{after}");
    assert_eq!(after["servers"][0]["chain"], before["chain"]);
    // A node that was forgotten does not go on with the damaged one.
    let (code, complaint) = said(&hub.home, &["serve"], None).await;
    assert_eq!(code, 1, "{complaint}");

    goes_on(&hub, &prefix, &before).await;
    drop(server);
}

/// A hub on the repaired log answers as before, delivers nothing again, and takes more.
async fn goes_on(hub: &Hub, prefix: &str, before: &Value) {
    let wharf = serve(&hub.home, Some(prefix)).await;
    let client = wharf.client("p", Role::Admin);
    super::check::ready(&client).await;
    assert_eq!(answers(&client).await, hub.answers);
    let (code, told) = said(&hub.home, &["views", "rebuild"], Some(prefix)).await;
    assert_eq!(code, 0, "{told}");
    super::check::ready(&client).await;
    assert_eq!(answers(&client).await, hub.answers, "after a rebuild");
    let (position, _) = integration(&client, "after the repair").await;
    assert_eq!(position, before["tail"].as_u64().unwrap() + 1);
    send(&client).await;
    let got = hub.receiver.wait(hub.delivered + MESSAGES).await;
    client
        .until("/api/v1/webhooks", |list| {
            list["webhooks"][0]["success_count"] == hub.delivered + MESSAGES
        })
        .await;
    assert_eq!(got.len(), hub.delivered + MESSAGES, "delivered again");
    stop(wharf).await;
    let (whole, found) = hub.verify(Some(prefix)).await;
    assert!(whole, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found_named_and_repaired_from_a_mirror() {
    found_and_repaired(Harm::OneCommit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_flipped_bit_takes_along_without_an_index_is_repaired_from_a_mirror() {
    found_and_repaired(Harm::Hole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_a_flipped_bit_cut_short_is_repaired_from_a_mirror() {
    found_and_repaired(Harm::Rest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_gone_altogether_comes_back_from_a_mirror() {
    let server = Nats::start(Sync::Always);
    let hub = Hub::lived(std::slice::from_ref(&server)).await;
    let (_, before) = hub.verify(None).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    context.delete_stream("faults_WHARF").await.unwrap();
    // The hub makes an empty one, and sees that it is not its own.
    let (code, complaint) = said(&hub.home, &["serve"], None).await;
    assert_eq!(code, 1);
    assert!(complaint.contains("wharf log repair"), "{complaint}");
    let (whole, found) = hub.verify(None).await;
    assert!(!whole, "{found}");
    assert_eq!(found["servers"][0]["faulty"], before["tail"], "{found}");
    let (code, told) = said(&hub.home, &["log", "repair"], None).await;
    assert_eq!(code, 0, "{told}");
    let repaired: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(repaired["chain"], before["chain"], "{repaired}");
    let consumers = ["deliver", "disable", "erase", "settle", "sync"];
    assert_eq!(repaired["lost"], json!(consumers), "with the stream");
    goes_on(&hub, &text(&repaired["nats_prefix"]), &before).await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_servers_lose_commits_while_it_runs_accepts_nothing_in_their_place() {
    let server = Nats::start(Sync::Always);
    let hub = Hub::lived(std::slice::from_ref(&server)).await;
    let home = hub.home.clone();
    let grace = BTreeMap::from([("WHARF_SERVER__SHUTDOWN_GRACE_SECONDS", "1")]);
    let wharf = blocking(move || home.serve_with(&grace)).await;
    let client = wharf.client("p", Role::Admin);
    super::check::ready(&client).await;
    let server = harmed(server, Harm::Rest).await;
    let gone = async {
        let path = "/api/v1/webhooks/events/task.created";
        let post = || {
            client
                .request(Method::POST, path)
                .header("content-type", "application/json")
                .body("{}")
        };
        while let Ok(answer) = Client::try_send(post()).await {
            assert_eq!(answer.status, 503, "{}", answer.text);
        }
    };
    let gone = tokio::time::timeout(4 * PATIENCE, gone).await;
    assert!(gone.is_ok(), "it goes on with a damaged log");
    let (whole, found) = hub.verify(None).await;
    assert!(!whole, "{found}");
    drop((wharf, server));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_servers_took_in_the_place_of_lost_commits_is_left_out_only_when_told() {
    let server = Nats::start(Sync::Always);
    let hub = Hub::lived(std::slice::from_ref(&server)).await;
    let (_, before) = hub.verify(None).await;
    let server = harmed(server, Harm::Rest).await;
    // Nothing tells a node without a mirror that there was more.
    let unaware = serve(&hub.home.another_node(), None).await;
    let client = unaware.client("p", Role::Admin);
    let (position, stranger) = integration(&client, "in the place of another").await;
    stop(unaware).await;
    assert_eq!(position, hub.position);

    let (whole, found) = hub.verify(None).await;
    assert!(!whole, "{found}");
    let fault = &found["servers"][0]["faults"][0];
    assert_eq!(fault["position"], position, "{found}");
    assert!(text(&fault["what"]).contains("another commit"), "{found}");
    let (code, complaint) = said(&hub.home, &["log", "repair"], None).await;
    assert_eq!(code, 1);
    assert!(complaint.contains("--leave-out"), "{complaint}");
    let (code, told) = said(&hub.home, &["log", "repair", "--leave-out"], None).await;
    assert_eq!(code, 0, "{told}");
    let repaired: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(repaired["chain"], before["chain"], "{repaired}");
    assert!(!told.contains(&stranger));
    goes_on(&hub, &text(&repaired["nats_prefix"]), &before).await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_leaves_nothing_behind_that_was_acknowledged() {
    let server = Nats::start(Sync::Always);
    let hub = Hub::lived(std::slice::from_ref(&server)).await;
    // A node that was away while more was accepted, and one that is still there.
    let away = hub.home.another_node();
    let wharf = serve(&away, None).await;
    super::check::ready(&wharf.client("p", Role::Admin)).await;
    stop(wharf).await;
    let wharf = serve(&hub.home, None).await;
    integration(&wharf.client("p", Role::Admin), "while it was away").await;
    let (code, complaint) = said(&away, &["log", "repair"], None).await;
    assert_eq!(code, 1);
    assert!(complaint.contains("stop every node"), "{complaint}");
    stop(wharf).await;
    let server = harmed(server, Harm::OneCommit).await;
    let (code, complaint) = said(&away, &["log", "repair"], None).await;
    assert_eq!(code, 1);
    assert!(complaint.contains("they would be lost"), "{complaint}");
    // The mirror that has everything is damaged itself.
    let file = hub.home.data().join("mirror/log.db");
    let mirror = rusqlite::Connection::open(file).unwrap();
    mirror
        .execute_batch(
            "drop trigger commits_keep_what_they_say;
             update commits set headers = replace(headers, 'user:tester', 'user:testes')
             where position = 2;",
        )
        .unwrap();
    drop(mirror);
    let (code, complaint) = said(&hub.home, &["log", "repair"], None).await;
    assert_eq!(code, 1);
    assert!(complaint.contains("damaged, too"), "{complaint}");
    let (whole, found) = hub.verify(None).await;
    assert!(
        !whole && text(&found["fault"]).contains("position 2"),
        "{found}"
    );
    assert_eq!(
        found["servers"][0]["faults"][0]["position"], hub.position,
        "without a mirror to compare with: {found}"
    );
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_servers_the_one_with_the_flipped_bit_is_named() {
    let servers = blocking(|| Vec::from(Nats::cluster(Sync::Always))).await;
    let hub = Hub::lived(&servers).await;
    let (whole, before) = hub.verify(None).await;
    assert!(
        whole && before["servers"].as_array().unwrap().len() == 3,
        "{before}"
    );
    // Any but the one that leads the stream.
    let leader = text(&before["servers"][0]["server"]);
    let mut servers = servers;
    let n = servers.iter().position(|it| it.name() != leader).unwrap();
    let damaged = harmed(servers.remove(n), Harm::OneCommit).await;
    let (whole, found) = hub.verify(None).await;
    assert!(!whole, "{found}");
    for copy in found["servers"].as_array().unwrap() {
        if copy["server"] == damaged.name() {
            assert_eq!(copy["faulty"], 1, "{found}");
            assert_eq!(copy["faults"][0]["position"], hub.position, "{found}");
        } else {
            assert_eq!(copy["chain"], before["chain"], "{found}");
        }
    }
    let remedy = text(&found["remedy"]);
    assert!(remedy.contains("whole copies"), "{remedy}");

    // As the manual says: without its copy it takes one from the others.
    let damaged = blocking(move || {
        let mut damaged = damaged;
        damaged.stop();
        let copy = blocks(&damaged)[0]
            .parent()
            .unwrap()
            .parent()
            .unwrap()
            .to_owned();
        std::fs::remove_dir_all(copy).unwrap();
        damaged.run();
        damaged
    })
    .await;
    let mut healed = hub.verify(None).await;
    for _ in 0..20 {
        if healed.0 {
            break;
        }
        healed = hub.verify(None).await;
    }
    assert!(healed.0, "{}", healed.1);
    assert_eq!(healed.1["servers"].as_array().unwrap().len(), 3);
    drop((servers, damaged));
}

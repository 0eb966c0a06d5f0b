//! A full disk under an embedded hub: writes are refused with the reason, reads go on, nothing that was accepted
//! is lost, and once there is room again the hub goes on by itself.
//!
//! The disk is a small file system of the test's own, which takes root; without, the test is skipped and says
//! so.

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use serde_json::json;
use wharf_domain::access::Role;
use wharf_tests::{
    client::{Answer, Client, PATIENCE},
    disk::{Ballast, Disk},
    process::Home,
    receiver::Receiver,
    storage::Storage,
};

use super::{blocking, check, load::text};

/// MiB of the disk.
const DISK_MIB: u64 = 96;
/// Times that it is filled.
const ROUNDS: usize = 3;
/// Bytes of a message, so that what little room a file has is gone soon.
const MESSAGE_BYTES: usize = 32 * 1024;
/// Most messages that may go into room that is taken already: pages of a file that are free.
const MOST: usize = 400;

/// Posts a message, with a key or without.
async fn post(client: &Client, key: Option<&str>) -> Answer {
    let body = json!({ "text": "x".repeat(MESSAGE_BYTES) });
    let mut request = client
        .request(Method::POST, "/api/v1/webhooks/events/task.created")
        .header("content-type", "application/json")
        .body(body.to_string());
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    Client::send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn inv11_a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing() {
    let name = "inv11_a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing";
    let Some(disk) = Disk::or_skip(name, DISK_MIB) else {
        return;
    };
    let home = Home::in_folder(&disk.path(), Storage::default());
    let receiver = Receiver::start().await;
    let wharf = blocking({
        let home = home.clone();
        move || home.serve()
    })
    .await;
    let client = wharf.client("p", Role::Admin);
    let webhook = json!({
        "project_id": "p", "name": "all", "url": receiver.url, "events": ["*"],
    });
    client.post("/api/v1/webhooks", &webhook).await.ok();
    // With the first message the vault makes a key: that takes room elsewhere.
    let first = post(&client, None).await.ok();
    let mut accepted = BTreeSet::from([text(&first["message_id"])]);
    for round in 0..ROUNDS {
        let disk_is_full: Ballast = disk.fill();
        let mut n = 0;
        let refused = loop {
            let answer = post(&client, None).await;
            if answer.status != 202 {
                break answer;
            }
            accepted.insert(text(&answer.ok()["message_id"]));
            n += 1;
            assert!(n < MOST, "the disk is full, and it takes {n} messages");
        };
        refused.is(503, "F50403");
        assert!(refused.headers.contains_key("retry-after"));
        let (code, told, errors) = blocking({
            let home = home.clone();
            move || home.run(&["doctor"])
        })
        .await;
        assert_eq!(code, 1, "{told}{errors}");
        assert!(told.contains("free some space"), "{told}{errors}");
        // Who repeats what is refused is refused again, perhaps because his key cannot be kept.
        let key = format!("key-{round}");
        for _ in 0..5 {
            let answer = post(&client, Some(&key)).await;
            assert_eq!(answer.status, 503, "{}", answer.text);
        }
        let listed = client.get("/api/v1/integrations").await;
        assert_eq!(listed.status, 200, "reads go on: {}", listed.text);
        let events = client.get("/api/v1/events?after=0&limit=10").await;
        assert_eq!(events.status, 200, "reads go on: {}", events.text);

        drop(disk_is_full);
        // Nobody restarts it; the caller repeats what was refused.
        let taken = async {
            loop {
                let answer = post(&client, Some(&key)).await;
                if answer.status == 202 {
                    return answer;
                }
                assert_eq!(answer.status, 503, "{}", answer.text);
                // The hub is another process: there is nothing to be woken by.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let taken = tokio::time::timeout(PATIENCE, taken).await;
        let taken = taken.expect("there is room again");
        let position = taken.position();
        accepted.insert(text(&taken.ok()["message_id"]));
        let ready = tokio::time::timeout(PATIENCE, check::ready(&client)).await;
        assert!(ready.is_ok(), "the views never caught up");
        let shown = client
            .get(&format!("/api/v1/integrations?after={position}"))
            .await;
        assert_eq!(shown.status, 200, "{}", shown.text);
    }
    // Every accepted message is delivered, and counted once.
    let heard = async {
        loop {
            let got = receiver.got();
            let heard: BTreeSet<_> = got
                .iter()
                .map(|got| got.header("webhook-id").to_owned())
                .collect();
            if accepted.is_subset(&heard) {
                return heard;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let heard = tokio::time::timeout(2 * PATIENCE, heard).await;
    assert_eq!(
        heard.expect("each is delivered"),
        accepted,
        "nothing else was"
    );
    client
        .until("/api/v1/webhooks", |list| {
            list["webhooks"][0]["success_count"] == accepted.len()
        })
        .await;
    let logged = check::accepted_messages(&home).await;
    assert_eq!(logged, accepted);
    assert_eq!(blocking(move || wharf.stop()).await, 0);
    let (code, out, errors) = blocking(move || home.run(&["log", "verify"])).await;
    assert_eq!(code, 0, "{out}{errors}");
}

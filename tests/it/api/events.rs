//! Events over HTTP: pages and streams of CloudEvents, in the log's order, without a gap or a repeat,
//! also across a restart.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wharf_tests::process::Home;

use super::{Shared, Subscription, admin, all_events, now, sandbox, send, sync, text, webhook};

static HUB: Shared = Shared::new();

fn ids(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| text(&event["id"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_a_cloud_event() {
    let hub = HUB.hub();
    let client = admin(&hub, "cloud");
    let id = sandbox(&client, "cloud").await;
    webhook(
        &client,
        "cloud",
        "https://example.com/",
        json!({ "is_active": false }),
    )
    .await;
    sync(&client, &id, &json!({})).await;
    send(&client, "task.created", &json!({})).await;
    let events = all_events(&client).await;
    let types: BTreeSet<_> = events.iter().map(|event| text(&event["type"])).collect();
    for wanted in [
        "credential.stored",
        "integration.created",
        "integration.sync_requested",
        "integration.sync_settled",
        "sync_run.started",
        "sync_run.page_recorded",
        "sync_run.completed",
        "webhook.created",
        "message.accepted",
    ] {
        assert!(types.contains(wanted), "{wanted} is not among {types:?}");
    }
    let mut unique = BTreeSet::new();
    let mut last = (0, 0);
    for event in &events {
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["datacontenttype"], "application/json");
        assert!(event["data"].is_object(), "{event}");
        assert!(
            text(&event["time"]).parse::<jiff::Timestamp>().is_ok(),
            "{event}"
        );
        assert!(text(&event["source"]).starts_with("/cloud/"), "{event}");
        for needed in ["subject", "actor", "correlationid", "commitid"] {
            assert!(!text(&event[needed]).is_empty(), "{needed} of {event}");
        }
        for (name, value) in event.as_object().unwrap() {
            // CloudEvents 1.0 §3.1: names of attributes and types of their values.
            let sane = name.len() <= 20
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            assert!(sane, "{name} is no name of an attribute");
            let scalar = value.is_string() || value.is_boolean() || value.is_i64();
            assert!(name == "data" || scalar, "{name} of {event}");
        }
        let (position, index) = event["id"].as_str().unwrap().split_once('.').unwrap();
        let at: (u64, u64) = (position.parse().unwrap(), index.parse().unwrap());
        assert!(at > last, "{at:?} after {last:?}");
        last = at;
        let source = text(&event["source"]);
        assert!(
            unique.insert((source, text(&event["id"]))),
            "source and id name one event"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_tell_the_same_story_and_a_cursor_goes_on() {
    let hub = HUB.hub();
    let client = admin(&hub, "story");
    for n in 0..12 {
        // A neighbour's events lie between.
        send(&admin(&hub, "story-neighbour"), "task.created", &json!(n)).await;
        send(&client, "task.created", &json!(n)).await;
    }
    sandbox(&client, "story").await;
    let whole = all_events(&client).await;
    assert!(whole.len() > 13, "{whole:?}");
    for limit in [1, 5, 13, 500] {
        let (mut all, mut after) = (vec![], "0".to_owned());
        loop {
            let page = client
                .get(&format!("/api/v1/events?limit={limit}&after={after}"))
                .await
                .ok();
            let events = page["events"].as_array().unwrap();
            assert!(events.len() <= limit);
            all.extend(events.iter().cloned());
            after = text(&page["next"]);
            if page["complete"] == true {
                break;
            }
        }
        assert!(all == whole, "pages of {limit}: {:?}", ids(&all));
        // Nothing is left, until something happens.
        let rest = client
            .get(&format!("/api/v1/events?after={after}"))
            .await
            .ok();
        assert_eq!(
            (&rest["events"], &rest["complete"]),
            (&json!([]), &json!(true))
        );
    }
    // After each event come exactly the later ones.
    for (n, event) in whole.iter().enumerate() {
        let path = format!("/api/v1/events?limit=500&after={}", text(&event["id"]));
        let rest = client.get(&path).await.ok();
        assert_eq!(
            ids(rest["events"].as_array().unwrap()),
            ids(&whole[n + 1..])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_filtered_by_type_and_by_integration() {
    let hub = HUB.hub();
    let client = admin(&hub, "filter");
    let one = sandbox(&client, "filter").await;
    sync(&client, &one, &json!({})).await;
    let two = sandbox(&client, "filter").await;
    send(&client, "task.created", &json!({})).await;
    let whole = all_events(&client).await;
    let chosen = |keep: &dyn Fn(&Value) -> bool| -> Vec<String> {
        let chosen: Vec<_> = whole.iter().filter(|event| keep(event)).cloned().collect();
        assert!(!chosen.is_empty());
        ids(&chosen)
    };
    let is = |event: &Value, type_tag: &str| event["type"] == type_tag;
    let begins = |event: &Value, prefix: &str| text(&event["type"]).starts_with(prefix);
    for (query, wanted) in [
        (
            "type=integration.created".to_owned(),
            chosen(&|e| is(e, "integration.created")),
        ),
        (
            "type=integration.*".to_owned(),
            chosen(&|e| begins(e, "integration.")),
        ),
        ("type=*".to_owned(), chosen(&|_| true)),
        ("type=integration".to_owned(), vec![]),
        (
            format!("integration_id={one}"),
            chosen(&|e| e["subject"] == *one),
        ),
        (
            format!("integration_id={two}"),
            chosen(&|e| e["subject"] == *two),
        ),
        (
            format!("integration_id={one}&type=sync_run.*"),
            chosen(&|e| e["subject"] == *one && begins(e, "sync_run.")),
        ),
    ] {
        let page = client
            .get(&format!("/api/v1/events?limit=500&{query}"))
            .await
            .ok();
        assert_eq!(ids(page["events"].as_array().unwrap()), wanted, "{query}");
        if !wanted.is_empty() {
            let mut stream = Subscription::open(&client, &format!("?after=0&{query}"), None).await;
            assert_eq!(ids(&stream.take(wanted.len()).await), wanted, "{query}");
        }
    }
    // An integration's own decisions have a route of their own.
    let own = client
        .get(&format!("/api/v1/integrations/{one}/events?size=100"))
        .await
        .ok();
    let decisions = chosen(&|e| e["subject"] == *one && begins(e, "integration."));
    assert_eq!(ids(own["events"].as_array().unwrap()), decisions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_what_happens_next_and_follows_live() {
    let hub = HUB.hub();
    let client = admin(&hub, "live");
    send(&client, "task.created", &json!("before")).await;
    let mut stream = Subscription::open(&client, "?type=message.*", None).await;
    for n in 0..5 {
        let message = send(&client, "task.created", &json!(n)).await;
        send(&admin(&hub, "live-neighbour"), "task.created", &json!(n)).await;
        let event = stream.next().await.unwrap();
        assert_eq!(event["data"]["message_id"], message, "event {n}");
    }
    // What was said is in the log's pages, too, in the same words.
    let page = client.get("/api/v1/events?type=message.*").await.ok();
    assert_eq!(page["events"].as_array().unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_goes_on_after_a_restart_without_a_gap_or_a_repeat() {
    let home = Home::default();
    let hub = home.serve();
    let client = admin(&hub, "resume");
    let mut stream = Subscription::open(&client, "?after=0", None).await;
    for n in 0..4 {
        send(&client, "task.created", &json!(n)).await;
    }
    // An integration's creation is one commit of more than one event: the break may lie inside it.
    let body = json!({
        "project_id": "resume", "integration_type": "sandbox", "name": "n", "configuration": {},
        "auth_config": { "auth_type": "bearer", "access_token": "sandbox_resume" },
        "sync_settings": { "sync_interval": "daily", "auto_sync": true },
    });
    client.post("/api/v1/integrations", &body).await.ok();
    let created = "integration.created";
    let mut seen = vec![];
    while seen
        .last()
        .is_none_or(|event: &Value| event["type"] != created)
    {
        seen.extend(stream.take(1).await);
    }
    let last = text(&seen.last().unwrap()["id"]);
    assert_eq!(
        last.split_once('.').unwrap().1,
        "0",
        "the schedule follows in the same commit"
    );
    drop(stream);
    assert_eq!(hub.stop(), 0);

    let hub = home.serve();
    let client = admin(&hub, "resume");
    for n in 4..8 {
        send(&client, "task.created", &json!(n)).await;
    }
    let whole = all_events(&client).await;
    let mut stream = Subscription::open(&client, "", Some(&last)).await;
    let rest = stream.take(whole.len() - seen.len()).await;
    assert_eq!(ids(&[seen, rest].concat()), ids(&whole));
    // The header goes before the parameter: a browser repeats the whole address.
    let mut stream = Subscription::open(&client, "?after=0", Some(&last)).await;
    assert_ne!(ids(&stream.take(1).await), ids(&whole[..1]));
    // And live again.
    let mut stream =
        Subscription::open(&client, "", Some(&text(&whole.last().unwrap()["id"]))).await;
    let message = send(&client, "task.created", &json!("live")).await;
    assert_eq!(stream.next().await.unwrap()["data"]["message_id"], message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_the_hub_stops_and_does_not_hold_it_up() {
    let home = Home::default();
    let hub = home.serve();
    let client = admin(&hub, "ends");
    let mut stream = Subscription::open(&client, "?after=0", None).await;
    send(&client, "task.created", &json!({})).await;
    stream.take(1).await;
    let stopping = tokio::task::spawn_blocking(move || hub.stop());
    assert_eq!(
        stream.next().await,
        None,
        "a clean end, not a broken connection"
    );
    assert_eq!(stopping.await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_token_expires() {
    let hub = HUB.hub();
    let soon = now().as_second() + 2;
    let token = super::tokens::signed(&json!({ "project": "expiry", "exp": soon }));
    let client = wharf_tests::client::Client::new(&hub.url, Some(token));
    let mut stream = Subscription::open(&client, "", None).await;
    assert_eq!(stream.next().await, None);
    assert!(now().as_second() >= soon);
}

//! `Idempotency-Key`: a POST repeated with its key has one effect and one answer, at once, later, and
//! after a crash.

use std::collections::BTreeSet;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{
    client::{Answer, Client},
    process::Home,
    receiver::Receiver,
};

use super::{Shared, admin, all_events, attempts, ended, sandbox, text, webhook};

static HUB: Shared = Shared::new();

const EVENT: &str = "/api/v1/webhooks/events/task.created";

async fn keyed(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    let request = client
        .request(Method::POST, path)
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(body.to_string());
    Client::send(request).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer
        .headers
        .get("idempotency-replayed")
        .is_some_and(|value| value == "true")
}

/// What the contract calls a write: a path and a body, in a project that has what it needs.
async fn writes(client: &Client, project: &str) -> Vec<(String, Value)> {
    let integration = sandbox(client, project).await;
    let receiver = Receiver::start().await;
    let hook = text(&webhook(client, project, &receiver.url, json!({})).await["id"]);
    vec![
        (
            "/api/v1/integrations".to_owned(),
            json!({
                "project_id": project, "integration_type": "sandbox", "name": "keyed",
                "configuration": {},
                "auth_config": { "auth_type": "bearer", "access_token": "sandbox_keyed" },
            }),
        ),
        (
            "/api/v1/webhooks".to_owned(),
            json!({
                "project_id": project, "name": "keyed", "url": "https://example.com/",
                "events": ["user.*"], "headers": { "X-Key": "value" },
            }),
        ),
        (EVENT.to_owned(), json!({ "n": 1 })),
        (
            format!("/api/v1/webhooks/{hook}/test"),
            json!({ "test_payload": 1 }),
        ),
        (
            format!("/api/v1/integrations/{integration}/sync"),
            json!({ "sync_type": "full" }),
        ),
    ]
}

/// The id that a write's answer names.
fn made(answer: &Answer) -> String {
    let content = &answer.body["content"];
    let id = ["run_id", "message_id", "id"]
        .iter()
        .find_map(|name| content[*name].as_str());
    id.unwrap_or_else(|| panic!("{}", answer.text)).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_first_answer_byte_for_byte_and_has_no_effect() {
    let hub = HUB.hub();
    let client = admin(&hub, "repeat");
    for (n, (path, body)) in writes(&client, "repeat").await.iter().enumerate() {
        let key = format!("key-{n}");
        let first = keyed(&client, path, &key, body).await;
        assert!((200..300).contains(&first.status), "{path}: {}", first.text);
        assert!(!is_replayed(&first), "{path}");
        if path.ends_with("/sync") {
            let integration = path.split('/').nth(4).unwrap();
            ended(&client, integration, &made(&first)).await;
        }
        let before = facts(&client).await;
        for _ in 0..2 {
            let again = keyed(&client, path, &key, body).await;
            assert_eq!(
                (again.status, &again.text),
                (first.status, &first.text),
                "{path}"
            );
            assert!(is_replayed(&again), "{path}");
            assert_eq!(again.position(), first.position(), "{path}");
        }
        assert_eq!(facts(&client).await, before, "{path} was done again");
    }
}

/// What callers did so far; what follows from it may still come in.
async fn facts(client: &Client) -> Vec<Value> {
    let mut events = all_events(client).await;
    events.retain(|event| event["actor"] == "user:tester");
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_with_the_same_key_is_f42310() {
    let hub = HUB.hub();
    let client = admin(&hub, "reuse");
    let writes = writes(&client, "reuse").await;
    let (path, body) = &writes[0];
    let first = keyed(&client, path, "one", body).await;
    let mut other = body.clone();
    other["name"] = json!("other");
    keyed(&client, path, "one", &other).await.is(422, "F42310");
    // The same bytes to another route are another request, too; and so is the same JSON otherwise
    // written: bytes are compared, not meanings.
    keyed(&client, EVENT, "one", body).await.is(422, "F42310");
    keyed(&client, &format!("{path}?"), "one", body)
        .await
        .is(422, "F42310");
    let request = client
        .request(Method::POST, path)
        .header("content-type", "application/json");
    let spaced = request
        .header("idempotency-key", "one")
        .body(format!(" {body}"));
    Client::send(spaced).await.is(422, "F42310");
    // The first answer is still there.
    let again = keyed(&client, path, "one", body).await;
    assert_eq!((again.text, again.status), (first.text, 201));
    let list = client.get("/api/v1/integrations").await.ok();
    assert_eq!(
        list["total"], 2,
        "the project's sandbox and the one that was made"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_kept() {
    let hub = HUB.hub();
    let client = admin(&hub, "refusal");
    let path = "/api/v1/webhooks";
    let mut body = json!({ "project_id": "refusal", "name": "", "url": "https://example.com/", "events": ["*"] });
    keyed(&client, path, "k", &body).await.is(422, "F40022");
    body["name"] = json!("good");
    let answer = keyed(&client, path, "k", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert!(!is_replayed(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_at_once_have_one_effect_and_one_answer() {
    let hub = HUB.hub();
    for (n, project) in [
        "at-once-0",
        "at-once-1",
        "at-once-2",
        "at-once-3",
        "at-once-4",
    ]
    .iter()
    .enumerate()
    {
        let client = admin(&hub, project);
        let (path, body) = writes(&client, project).await.swap_remove(n);
        let before = facts(&client).await.len();
        // Connections of their own, or one of them would carry all in turn.
        let clients: Vec<_> = (0..16).map(|_| admin(&hub, project)).collect();
        let answers = join_all(
            clients
                .iter()
                .map(|client| keyed(client, &path, "k", &body)),
        )
        .await;
        let texts: BTreeSet<_> = answers
            .iter()
            .map(|answer| (answer.status, &answer.text))
            .collect();
        assert_eq!(texts.len(), 1, "{path}: {texts:?}");
        assert!(
            (200..300).contains(&answers[0].status),
            "{path}: {}",
            answers[0].text
        );
        let first = answers.iter().filter(|answer| !is_replayed(answer)).count();
        assert_eq!(first, 1, "{path}: {first} were the first");
        let own: Vec<_> = facts(&client).await.drain(before..).collect();
        let commits: BTreeSet<_> = own
            .iter()
            .map(|event| (text(&event["type"]), text(&event["commitid"])))
            .collect();
        let types: BTreeSet<_> = commits.iter().map(|(type_tag, _)| type_tag).collect();
        assert_eq!(
            commits.len(),
            types.len(),
            "{path}: something happened twice: {commits:?}"
        );
        assert!(!commits.is_empty(), "{path} left nothing in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_survives_a_crash() {
    let home = Home::default();
    let hub = home.serve();
    let client = admin(&hub, "crash");
    let writes = writes(&client, "crash").await;
    let mut first = vec![];
    for (path, body) in &writes {
        first.push(keyed(&client, path, &format!("k{path}").replace('/', "-"), body).await);
    }
    hub.kill();

    let hub = home.serve();
    let client = admin(&hub, "crash");
    for ((path, body), first) in writes.iter().zip(&first) {
        let again = keyed(&client, path, &format!("k{path}").replace('/', "-"), body).await;
        assert_eq!(
            (again.status, &again.text),
            (first.status, &first.text),
            "{path}"
        );
        assert!(is_replayed(&again), "{path}");
    }
    drop(hub);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_whose_first_answer_was_lost_finds_its_own_work_in_the_log() {
    let home = Home::default();
    let hub = home.serve();
    let client = admin(&hub, "lost");
    let writes = writes(&client, "lost").await;
    let key = |path: &str| format!("k{path}").replace('/', "-");
    let mut first = vec![];
    for (path, body) in &writes {
        let answer = keyed(&client, path, &key(path), body).await;
        if path.ends_with("/sync") {
            ended(&client, path.split('/').nth(4).unwrap(), &made(&answer)).await;
        }
        first.push(answer);
    }
    // The event, the test and what the run told.
    attempts(&client, writes[3].0.split('/').nth(4).unwrap(), 3).await;
    let before = facts(&client).await;
    hub.kill();
    // As if the crash had come between the effect and the keeping of its answer.
    let forgotten = home.storage().forget_answers(&home.data()).await;
    assert_eq!(forgotten, writes.len());

    let hub = home.serve();
    let client = admin(&hub, "lost");
    for ((path, body), first) in writes.iter().zip(&first) {
        let again = keyed(&client, path, &key(path), body).await;
        assert!((200..300).contains(&again.status), "{path}: {}", again.text);
        assert!(!is_replayed(&again), "{path}");
        assert_eq!(made(&again), made(first), "{path}");
        assert_eq!(again.position(), first.position(), "{path}");
        let secret = |answer: &Answer| answer.body["content"]["secret"].clone();
        assert_eq!(
            secret(&again),
            secret(first),
            "{path}: another secret than the receiver knows"
        );
    }
    assert_eq!(facts(&client).await, before, "something was done again");
}

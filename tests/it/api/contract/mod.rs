//! The contract, driven as its documents write it: every row of [`table`] in order against one hub, with
//! the bodies and headers of the documents' own examples. Then every result code.

mod codes;
mod table;

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use wharf_domain::webhooks::EVENT_TYPES;
use wharf_tests::{
    client::{Answer, Client},
    process::Wharf,
    receiver::Receiver,
};

pub(super) use table::{Answers, ROWS, Row};

use super::{Shared, admin, send};

static HUB: Shared = Shared::new();

/// The project of the documents' examples.
const PROJECT: &str = "project123";

/// What a path, a query, a header or a body may name in braces.
type Known = BTreeMap<&'static str, String>;

fn filled(template: &str, known: &Known) -> String {
    let mut text = template.to_owned();
    for (name, value) in known {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    text
}

/// Sends the row as it is written.
async fn drive(hub: &Wharf, client: &Client, row: &Row, known: &Known) -> Answer {
    let stranger = hub.stranger();
    let client = if row.token { client } else { &stranger };
    let method: Method = row.method.parse().unwrap();
    let mut path = filled(row.path, known);
    if !row.query.is_empty() {
        path = format!("{path}?{}", filled(row.query, known));
    }
    let mut request = client.request(method, &path);
    if !row.headers.iter().any(|(name, _)| *name == "Content-Type") {
        // The documents' examples send it with every request, bodies or not.
        request = request.header("Content-Type", "application/json");
    }
    for (name, value) in row.headers {
        request = request.header(*name, filled(value, known));
    }
    if !row.body.is_empty() {
        request = request.body(filled(row.body, known));
    }
    if matches!(row.answers, Answers::Stream) {
        let response = request.send().await.unwrap();
        return Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            // It never ends.
            text: String::new(),
            body: Value::Null,
        };
    }
    Client::send(request).await
}

/// Whether the value is what a row of a shape says: a name, and a kind or a value.
#[track_caller]
fn check_fields(object: &Value, fields: &[&str], place: &str) {
    for field in fields {
        let (name, kind) = field.split_once(' ').unwrap();
        let value = object.pointer(&format!("/{}", name.replace('.', "/")));
        let value = value.unwrap_or_else(|| panic!("{place}: {name} is missing in {object}"));
        let is = |kind: &str| match kind {
            "text" => value.is_string(),
            "number" => value.is_number(),
            "flag" => value.is_boolean(),
            "list" => value.is_array(),
            "object" => value.is_object(),
            "id" => value
                .as_str()
                .is_some_and(|id| uuid::Uuid::try_parse(id).is_ok()),
            "instant" => value
                .as_str()
                .is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok()),
            literal => {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
                    == literal
            }
        };
        let right = match kind.strip_suffix('?') {
            Some(kind) => value.is_null() || is(kind),
            None => is(kind),
        };
        assert!(right, "{place}: {name} is {value}, not {kind}");
    }
}

#[track_caller]
fn check(row: &Row, answer: &Answer) {
    let place = format!("{} {} {}", row.is, row.method, row.path);
    let said = format!("{place}: {} {}", answer.status, answer.text);
    let content_type = || answer.headers["content-type"].to_str().unwrap().to_owned();
    match row.answers {
        Answers::One(status, fields) => {
            assert_eq!(answer.status, status, "{said}");
            check_fields(check_envelope(answer, &said), fields, &place);
        }
        Answers::Page(collection, fields) => {
            assert_eq!(answer.status, 200, "{said}");
            let content = check_envelope(answer, &said);
            check_fields(
                content,
                &["total number", "page number", "size number"],
                &place,
            );
            let rows = content[collection]
                .as_array()
                .unwrap_or_else(|| panic!("{said}"));
            assert!(!rows.is_empty(), "{said}: an empty page shows no field");
            for row in rows {
                check_fields(row, fields, &place);
            }
        }
        Answers::Problem(status, code) => {
            assert_eq!(
                (answer.status, answer.body["code"].as_str()),
                (status, Some(code)),
                "{said}"
            );
            check_fields(&answer.body, &["msg text", "content object"], &place);
            let fields = [
                "title text",
                "detail text?",
                "remedy text",
                "errors list",
                "request_id text",
            ];
            check_fields(&answer.body["content"], &fields, &place);
        }
        Answers::Bare(expected) => {
            assert_eq!(answer.status, 200, "{said}");
            assert!(content_type().starts_with(expected), "{said}");
            assert!(!answer.text.is_empty(), "{said}");
        }
        Answers::Nothing => {
            assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{said}");
        }
        Answers::Stream => {
            assert_eq!(answer.status, 200, "{said}");
            assert_eq!(content_type(), "text/event-stream");
        }
    }
}

/// Exactly `{code, msg, content}`; answers the content.
#[track_caller]
fn check_envelope<'a>(answer: &'a Answer, said: &str) -> &'a Value {
    let keys: Vec<_> = answer
        .body
        .as_object()
        .unwrap_or_else(|| panic!("{said}"))
        .keys()
        .collect();
    assert_eq!(keys.len(), 3, "{said}");
    assert_eq!(answer.body["code"], "S10000", "{said}");
    assert!(
        answer.body["msg"]
            .as_str()
            .is_some_and(|msg| !msg.is_empty()),
        "{said}"
    );
    assert_eq!(answer.headers["content-type"], "application/json", "{said}");
    &answer.body["content"]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_what_the_contract_says() {
    let hub = HUB.hub();
    let client = admin(&hub, PROJECT);
    let receiver = Receiver::start().await;
    let mut known = Known::from([
        ("receiver", receiver.url.clone()),
        ("event_type", "deployment.completed".to_owned()),
    ]);
    for row in ROWS {
        let answer = drive(&hub, &client, row, &known).await;
        check(row, &answer);
        for (name, pointer) in row.keeps {
            let value = answer.body["content"]
                .pointer(pointer)
                .and_then(Value::as_str);
            known.insert(
                name,
                value
                    .unwrap_or_else(|| panic!("{}", answer.text))
                    .to_owned(),
            );
        }
    }
    let got = receiver.got();
    let test = got
        .iter()
        .map(|got| (got, got.json()))
        .find(|(_, json)| json["type"] == "webhook.test");
    let (got, message) = test.expect("the test message arrived");
    assert_eq!(message["data"], json!({ "message": "測試消息" }));
    assert_eq!(
        got.header("authorization"),
        "Bearer token",
        "the documents' own header"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_eleven_event_types_is_accepted_and_no_other() {
    const DOCUMENTED: [&str; 11] = [
        "project.created",
        "project.updated",
        "project.deleted",
        "task.created",
        "task.updated",
        "task.completed",
        "user.registered",
        "user.updated",
        "deployment.started",
        "deployment.completed",
        "deployment.failed",
    ];
    assert_eq!(EVENT_TYPES, DOCUMENTED);
    let hub = HUB.hub();
    let client = admin(&hub, "eleven");
    let receiver = Receiver::start().await;
    super::webhook(&client, "eleven", &receiver.url, json!({})).await;
    let mut sent = vec![];
    for event_type in DOCUMENTED {
        let data = json!({ "event": event_type });
        sent.push((
            send(&client, event_type, &data).await,
            event_type.to_owned(),
            data,
        ));
    }
    let mut got: Vec<_> = receiver
        .wait(DOCUMENTED.len())
        .await
        .iter()
        .map(|got| {
            let json = got.json();
            (
                got.header("webhook-id").to_owned(),
                super::text(&json["type"]),
                json["data"].clone(),
            )
        })
        .collect();
    let by_id = |a: &(String, String, Value), b: &(String, String, Value)| a.0.cmp(&b.0);
    got.sort_by(by_id);
    sent.sort_by(by_id);
    assert_eq!(got, sent);
    for other in [
        "task.exploded",
        "sync.completed",
        "webhook.test",
        "*",
        "task.*",
        "Task.Created",
    ] {
        let path = format!("/api/v1/webhooks/events/{other}");
        client.post(&path, &json!({})).await.is(422, "F40022");
    }
}

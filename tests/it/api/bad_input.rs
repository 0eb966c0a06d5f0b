//! Bad input: each kind is refused with its own status and code, says which field is wrong, repeats no
//! value, leaks nothing of the hub, and leaves the process as it was.

use reqwest::Method;
use serde_json::json;
use wharf_tests::{
    client::{Answer, Client},
    process::Wharf,
};

use super::{Shared, admin, apple_health, is_well, raw, sandbox};

static HUB: Shared = Shared::new();

pub(super) const EVENT: &str = "/api/v1/webhooks/events/task.created";
pub(super) const INTEGRATIONS: &str = "/api/v1/integrations";
pub(super) const WEBHOOKS: &str = "/api/v1/webhooks";

/// The answer shows nothing of how the hub is made or where it lives.
#[track_caller]
pub(super) fn leaks_nothing(hub: &Wharf, answer: &str) {
    let lower = answer.to_lowercase();
    let data = hub
        .home
        .data()
        .to_string_lossy()
        .into_owned()
        .to_lowercase();
    for word in [
        data.as_str(),
        "sqlite",
        "select ",
        "insert into",
        "constraint",
        "panicked",
        "thread '",
        "backtrace",
        ".rs:",
        "src/",
        "/home/",
        "/tmp/",
        "::",
        "serde",
        "sqlx",
        "tokio",
        "hyper",
    ] {
        assert!(!lower.contains(word), "{word} leaks: {answer}");
    }
}

#[track_caller]
pub(super) fn refused(hub: &Wharf, what: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (status, Some(code)),
        "{what}: {}",
        answer.text
    );
    leaks_nothing(hub, &answer.text);
}

/// Refused with 422 because of `field`.
#[track_caller]
pub(super) fn names(hub: &Wharf, what: &str, answer: &Answer, field: &str) {
    refused(hub, what, answer, 422, "F40022");
    assert_eq!(
        answer.body["content"]["errors"][0]["field"], field,
        "{what}: {}",
        answer.text
    );
}

async fn post(
    client: &Client,
    path: &str,
    content_type: &str,
    body: impl Into<reqwest::Body>,
) -> Answer {
    let request = client
        .request(Method::POST, path)
        .header("content-type", content_type);
    Client::send(request.body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_malformed() {
    let hub = HUB.hub();
    let client = admin(&hub, "json");
    let deep = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
    for (what, body) in [
        ("cut off", b"{\"name\":".to_vec()),
        ("a comma too many", b"[1,]".to_vec()),
        ("two values", b"{} {}".to_vec()),
        ("single quotes", b"{'a': 1}".to_vec()),
        ("a word", b"undefined".to_vec()),
        ("not a number", b"NaN".to_vec()),
        ("a number too large", b"1e999".to_vec()),
        ("a comment", b"/* */ 1".to_vec()),
        ("a zero byte", b"\"a\0b\"".to_vec()),
        ("half a surrogate", br#""\ud800""#.to_vec()),
        ("invalid UTF-8", b"\"\xff\xfe\"".to_vec()),
        ("overlong UTF-8", b"\"\xc0\xaf\"".to_vec()),
        ("UTF-16", b"\xff\xfe{\0}\0".to_vec()),
        ("blanks", b"   ".to_vec()),
        ("XML", b"<json/>".to_vec()),
        ("arrays 100,000 deep", deep("[", "]").into_bytes()),
        ("arrays that never close", "[".repeat(500_000).into_bytes()),
        ("objects 100,000 deep", deep("{\"a\":", "}").into_bytes()),
    ] {
        for path in [EVENT, INTEGRATIONS, WEBHOOKS] {
            let answer = post(&client, path, "application/json", body.clone()).await;
            refused(&hub, what, &answer, 400, "F40000");
            assert!(
                answer.body["content"]["detail"].is_string(),
                "{what}: where?"
            );
        }
        is_well(&hub).await;
    }
    // The limit is generous: 100 levels are fine.
    let fine = ["[".repeat(100), "]".repeat(100)].concat();
    assert_eq!(
        post(&client, EVENT, "application/json", fine).await.status,
        202
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_type_is_not_guessed_at() {
    let hub = HUB.hub();
    let client = admin(&hub, "types");
    for content_type in [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonp",
        "application/json; charset=utf-16",
        "json",
        "*/*",
    ] {
        let answer = post(&client, EVENT, content_type, "{}").await;
        refused(&hub, content_type, &answer, 415, "F40015");
    }
    let none = client.request(Method::POST, EVENT).body("{}");
    refused(&hub, "none", &Client::send(none).await, 415, "F40015");
    for content_type in [
        "application/json",
        "APPLICATION/JSON; Charset=\"UTF-8\"",
        "application/cloudevents+json",
    ] {
        assert_eq!(
            post(&client, EVENT, content_type, "{}").await.status,
            202,
            "{content_type}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_limit_is_too_large_announced_or_not() {
    let hub = HUB.hub();
    let client = admin(&hub, "large");
    let large = format!("\"{}\"", "x".repeat(1024 * 1024));
    // Not an event: a message has a limit of its own.
    let announced = post(&client, WEBHOOKS, "application/json", large.clone()).await;
    refused(&hub, "announced", &announced, 413, "F40013");
    // Without a length: in chunks.
    let chunks: Vec<_> = large
        .as_bytes()
        .chunks(64 * 1024)
        .map(|c| Ok::<_, std::io::Error>(c.to_vec()))
        .collect();
    let stream = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let chunked = post(&client, WEBHOOKS, "application/json", stream).await;
    refused(&hub, "chunked", &chunked, 413, "F40013");
    // A length that nobody sends is not believed until it comes.
    let token = wharf_tests::process::token("large", wharf_domain::access::Role::Admin);
    let head = format!(
        "POST {EVENT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 9000000000000000000\r\n\r\n{{"
    );
    assert_eq!(raw(&hub, head.as_bytes()).await.0, 413);
    // And that one.
    let message = format!("\"{}\"", "x".repeat(256 * 1024));
    refused(
        &hub,
        "message",
        &post(&client, EVENT, "application/json", message).await,
        413,
        "F40013",
    );
    is_well(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_while_still_sending_hears_why() {
    let hub = HUB.hub();
    let (client, stranger) = (admin(&hub, "sending"), hub.stranger());
    let id = sandbox(&client, "sending").await;
    let import = format!("{INTEGRATIONS}/{id}/import");
    let large = vec![b'x'; 6 * 1024 * 1024];
    // Without lingering the connection is reset first, now and then.
    for _ in 0..10 {
        for (client, path, content_type, status, code) in [
            (&stranger, EVENT, "application/json", 401, "F40001"),
            (&client, "/nothing", "application/json", 404, "F40004"),
            (&client, WEBHOOKS, "application/json", 413, "F40013"),
            (&client, &import, "application/octet-stream", 409, "F42305"),
        ] {
            let answer = post(client, path, content_type, large.clone()).await;
            refused(&hub, path, &answer, status, code);
        }
    }
    is_well(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_none_answers_like_an_absent_one() {
    let hub = HUB.hub();
    let client = admin(&hub, "ids");
    let id = sandbox(&client, "ids").await;
    for no in [
        "1",
        "abc",
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "01890000-0000-7000-8000-00000000000",
        "01890000-0000-7000-8000-0000000000000",
        "01890000_0000_7000_8000_000000000000",
        "%27%20or%201%3D1",
        "null",
        "*",
        &"x".repeat(4000),
    ] {
        for (path, code) in [
            (format!("{INTEGRATIONS}/{no}"), "F42303"),
            (format!("{INTEGRATIONS}/{no}/records"), "F42303"),
            (format!("{INTEGRATIONS}/{no}/sync/logs"), "F42303"),
            (format!("{INTEGRATIONS}/{id}/sync/runs/{no}"), "F40004"),
            (format!("{WEBHOOKS}/{no}"), "F42301"),
            (format!("{WEBHOOKS}/{no}/logs"), "F42301"),
            (format!("/api/v1/integrations/types/{no}/schema"), "F40004"),
            (format!("/api/v1/{no}"), "F40004"),
        ] {
            refused(&hub, &path, &client.get(&path).await, 404, code);
        }
        refused(
            &hub,
            no,
            &client.delete(&format!("{WEBHOOKS}/{no}")).await,
            404,
            "F42301",
        );
        let sync = client
            .post(&format!("{INTEGRATIONS}/{no}/sync"), &json!({}))
            .await;
        refused(&hub, no, &sync, 404, "F42303");
    }
    is_well(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_mean_something_are_checked() {
    let hub = HUB.hub();
    let client = admin(&hub, "headers");
    let id = apple_health(&client, "headers").await;
    let one = format!("{INTEGRATIONS}/{id}");
    let import = format!("{one}/import");
    let long = "k".repeat(256);
    for (method, path, name, value, field) in [
        (
            Method::POST,
            EVENT,
            "idempotency-key",
            "",
            "Idempotency-Key",
        ),
        (
            Method::POST,
            EVENT,
            "idempotency-key",
            "two words",
            "Idempotency-Key",
        ),
        (
            Method::POST,
            EVENT,
            "idempotency-key",
            &long,
            "Idempotency-Key",
        ),
        (Method::PATCH, &one, "if-match", "3", "If-Match"),
        (Method::PATCH, &one, "if-match", "W/\"3\"", "If-Match"),
        (Method::DELETE, &one, "if-match", "\"1\", \"2\"", "If-Match"),
        (Method::POST, &import, "upload-offset", "x", "Upload-Offset"),
        (
            Method::POST,
            &import,
            "upload-offset",
            "-1",
            "Upload-Offset",
        ),
        (Method::POST, &import, "upload-offset", "7", "Upload-Offset"),
        (
            Method::POST,
            &import,
            "upload-complete",
            "true",
            "Upload-Complete",
        ),
        (
            Method::GET,
            "/api/v1/events/stream",
            "last-event-id",
            "x",
            "Last-Event-ID",
        ),
        (
            Method::GET,
            "/api/v1/events/stream",
            "last-event-id",
            "\u{fc}",
            "Last-Event-ID",
        ),
    ] {
        let request = client
            .request(method, path)
            .header("content-type", "application/json");
        let answer = Client::send(request.header(name, value).body("{}")).await;
        names(&hub, &format!("{name}: {value}"), &answer, field);
    }
    let twice = client
        .request(Method::POST, EVENT)
        .header("content-type", "application/json");
    let twice = twice
        .header("idempotency-key", "a")
        .header("idempotency-key", "b")
        .body("{}");
    names(&hub, "twice", &Client::send(twice).await, "Idempotency-Key");

    // A request id is taken over if it is sane, and replaced if it is not.
    for (sent, kept) in [
        ("a-1_b.c:d", true),
        ("a b", false),
        ("<script>", false),
        (&*long, false),
    ] {
        let request = client
            .request(Method::GET, &one)
            .header("x-request-id", sent);
        let answer = Client::send(request).await;
        assert_eq!(answer.headers["x-request-id"] == sent, kept, "{sent}");
        assert!(answer.headers["x-request-id"].len() <= 128);
    }
    let gone = client.get("/api/v1/nothing").await;
    assert_eq!(
        gone.body["content"]["request_id"],
        gone.headers["x-request-id"].to_str().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_refused_and_the_hub_lives_on() {
    let hub = HUB.hub();
    let many: String = (0..300).map(|n| format!("x-{n}: v\r\n")).collect();
    let long = "v".repeat(1024 * 1024);
    let get = "GET /api/v1/integrations HTTP/1.1\r\nhost: x\r\n";
    let close = "connection: close\r\n\r\n";
    for (what, request) in [
        (
            "noise",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(),
        ),
        ("a blank line", b"\r\n\r\n\r\n\r\nx\r\n\r\n".to_vec()),
        ("no version", b"GET /\r\n\r\n".to_vec()),
        ("version 9", b"GET / HTTP/9.0\r\n\r\n".to_vec()),
        (
            "a strange method",
            b"G\xc3\x9cT / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        ),
        (
            "a target with a blank",
            b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        ),
        (
            "a header without a colon",
            format!("{get}garbage\r\n{close}").into_bytes(),
        ),
        (
            "a header with a zero byte",
            format!("{get}x: a\0b\r\n{close}").into_bytes(),
        ),
        (
            "a folded header",
            format!("{get}x: a\r\n b\r\n{close}").into_bytes(),
        ),
        (
            "a header with a blank before the colon",
            format!("{get}x : a\r\n{close}").into_bytes(),
        ),
        ("300 headers", format!("{get}{many}{close}").into_bytes()),
        (
            "a header of a mebibyte",
            format!("{get}x: {long}\r\n{close}").into_bytes(),
        ),
        (
            "a target of a mebibyte",
            format!("GET /{long} HTTP/1.1\r\nhost: x\r\n{close}").into_bytes(),
        ),
        (
            "a negative length",
            format!("{get}content-length: -1\r\n{close}").into_bytes(),
        ),
        (
            "two lengths",
            format!("{get}content-length: 1\r\ncontent-length: 2\r\n{close}x").into_bytes(),
        ),
        (
            "a length in words",
            format!("{get}content-length: many\r\n{close}").into_bytes(),
        ),
        (
            "a strange coding",
            format!("{get}transfer-encoding: zip\r\n{close}").into_bytes(),
        ),
        (
            "chunks that are none",
            format!("{get}transfer-encoding: chunked\r\n{close}zzz\r\n").into_bytes(),
        ),
    ] {
        let (status, answer) = raw(&hub, &request).await;
        // No answer at all is an answer, too.
        assert!(
            status == 0 || (400..500).contains(&status),
            "{what}: {answer}"
        );
        leaks_nothing(&hub, &answer);
        is_well(&hub).await;
    }
}

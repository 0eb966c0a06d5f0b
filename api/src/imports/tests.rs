//! Uploads, in one piece and in many.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::json;

use crate::testing::{Answer, Hub, MemoryAnswers};

async fn hub() -> (Hub, String) {
    connected(Hub::new().await).await
}

async fn connected(hub: Hub) -> (Hub, String) {
    let body = json!({
        "project_id": "project123",
        "integration_type": "files",
        "name": "Files",
        "configuration": {"repository": "r"},
    });
    let answer = hub
        .call("POST", "/api/v1/integrations", body)
        .await
        .expect(201, "S10000");
    let id = answer.content()["id"].as_str().unwrap().to_owned();
    (hub, format!("/api/v1/integrations/{id}/import"))
}

async fn upload(
    hub: &Hub,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> Answer {
    let mut request = hub.request(method, uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    hub.send(request.body(body).unwrap()).await
}

/// A body that breaks off after `text`.
fn cut(text: &'static str) -> Body {
    Body::from_stream(stream::iter([
        Ok(Bytes::from_static(text.as_bytes())),
        Err(std::io::Error::other("the connection is gone")),
    ]))
}

#[tokio::test]
async fn a_file_in_one_go_starts_its_run() {
    let (hub, uri) = hub().await;
    let answer = upload(
        &hub,
        "POST",
        &format!("{uri}?time_zone=Europe/Berlin"),
        &[],
        Body::from("0123456789"),
    )
    .await;
    let answer = answer.expect(202, "S10000");
    let content = answer.content();
    assert_eq!(content["bytes"], 10);
    assert_eq!(answer.headers["x-wharf-position"], "2");
    let run = answer.headers["location"].to_str().unwrap().to_owned();
    let row = hub.get(&run).await.expect(200, "S10000").content();
    assert_eq!(
        (&row["run_id"], &row["trigger"]),
        (&content["run_id"], &json!("import"))
    );
    let commit = hub.log.all().pop().unwrap();
    assert!(String::from_utf8_lossy(&commit.body).contains("Europe/Berlin"));
}

#[tokio::test]
async fn a_file_goes_up_in_pieces() {
    let (hub, uri) = hub().await;
    let begun = upload(
        &hub,
        "POST",
        &uri,
        &[("upload-complete", "?0")],
        Body::from("01234"),
    )
    .await;
    let begun = begun.expect(201, "S10000");
    assert_eq!(begun.headers["upload-offset"], "5");
    let piece = begun.headers["location"].to_str().unwrap().to_owned();
    let head = upload(&hub, "HEAD", &piece, &[], Body::empty()).await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["upload-offset"]),
        (204, &"5".parse().unwrap())
    );
    let second = [("upload-offset", "5"), ("upload-complete", "?0")];
    let second = upload(&hub, "PATCH", &piece, &second, Body::from("56"))
        .await
        .expect(200, "S10000");
    assert_eq!(second.headers["upload-offset"], "7");
    let wrong = [("upload-offset", "5"), ("upload-complete", "?1")];
    let wrong = upload(&hub, "PATCH", &piece, &wrong, Body::from("x"))
        .await
        .expect(409, "F40009");
    assert_eq!(wrong.headers["upload-offset"], "7");
    let last = [("upload-offset", "7"), ("upload-complete", "?1")];
    let last = upload(&hub, "PATCH", &piece, &last, Body::from("789"))
        .await
        .expect(202, "S10000");
    assert_eq!(last.content()["bytes"], 10);
    // A client that did not hear the answer asks where it is, or repeats the end.
    let head = upload(&hub, "HEAD", &piece, &[], Body::empty()).await;
    assert_eq!(head.headers["upload-offset"], "10");
    assert_eq!(head.headers["upload-complete"], "?1");
    let end = [("upload-offset", "7"), ("upload-complete", "?1")];
    let again = upload(&hub, "PATCH", &piece, &end, Body::from("789"))
        .await
        .expect(202, "S10000");
    assert_eq!(again.content(), last.content());
}

#[tokio::test]
async fn a_repeat_whose_first_answer_was_lost_finds_its_run_while_that_is_open_and_after() {
    let answers = Arc::new(MemoryAnswers::default());
    let (hub, uri) = connected(Hub::with(|state| state.answers = answers.clone()).await).await;
    let key = [("idempotency-key", "k")];
    let first = upload(&hub, "POST", &uri, &key, Body::from("0123456789")).await;
    let first = first.expect(202, "S10000").content();
    // As a crash between the log and the answer would leave it.
    answers.forget();
    let again = upload(&hub, "POST", &uri, &key, Body::from("0123456789")).await;
    assert_eq!(again.expect(202, "S10000").content(), first);
    assert_eq!(hub.log.all().len(), 2, "one integration, one run");
}

#[tokio::test]
async fn what_arrived_before_a_cut_is_kept() {
    let (hub, uri) = hub().await;
    let begun = upload(
        &hub,
        "POST",
        &uri,
        &[("upload-complete", "?0")],
        Body::empty(),
    )
    .await;
    let piece = begun.expect(201, "S10000").headers["location"]
        .to_str()
        .unwrap()
        .to_owned();
    let first = [("upload-offset", "0"), ("upload-complete", "?1")];
    upload(&hub, "PATCH", &piece, &first, cut("0123"))
        .await
        .expect(400, "F40000");
    let head = upload(&hub, "HEAD", &piece, &[], Body::empty()).await;
    assert_eq!(head.headers["upload-offset"], "4");
    let rest = [("upload-offset", "4"), ("upload-complete", "?1")];
    let done = upload(&hub, "PATCH", &piece, &rest, Body::from("456"))
        .await
        .expect(202, "S10000");
    assert_eq!(done.content()["bytes"], 7);
}

#[tokio::test]
async fn a_keyed_file_that_broke_off_is_sent_again_and_goes_on() {
    let (hub, uri) = hub().await;
    let key = [("idempotency-key", "k")];
    upload(&hub, "POST", &uri, &key, cut("0123"))
        .await
        .expect(400, "F40000");
    let done = upload(&hub, "POST", &uri, &key, Body::from("0123456789"))
        .await
        .expect(202, "S10000");
    assert_eq!(done.content()["bytes"], 10);
    let whole = upload(&hub, "POST", &uri, &[], Body::from("0123456789")).await;
    // The run of the first file is still open.
    whole.expect(409, "F42305");
    let again = upload(&hub, "POST", &uri, &key, Body::from("0123456789"))
        .await
        .expect(202, "S10000");
    assert_eq!(again.bytes, done.bytes);
    assert_eq!(again.headers["idempotency-replayed"], "true");
}

#[tokio::test]
async fn a_bad_upload_is_refused() {
    let (hub, uri) = hub().await;
    for (headers, query) in [
        (("upload-complete", "yes"), ""),
        (("upload-offset", "5"), ""),
        (("upload-offset", "five"), ""),
        (("x-nothing", ""), "?time_zone=Europe/Nowhere"),
        (("x-nothing", ""), "?timezone=UTC"),
    ] {
        let answer = upload(
            &hub,
            "POST",
            &format!("{uri}{query}"),
            &[headers],
            Body::from("x"),
        )
        .await;
        answer.expect(422, "F40022");
    }
    let large = upload(&hub, "POST", &uri, &[], Body::from("x".repeat(1001))).await;
    large.expect(413, "F40013");
    let absent = format!("{uri}/0198f3c2-7c1e-7a52-9d57-1f6c2a3b4d5e");
    let piece = [("upload-offset", "0"), ("upload-complete", "?1")];
    upload(&hub, "PATCH", &absent, &piece, Body::empty())
        .await
        .expect(404, "F40004");
    upload(&hub, "PATCH", &absent, &piece[..1], Body::empty())
        .await
        .expect(422, "F40022");
}

#[tokio::test]
async fn an_upload_belongs_to_its_integration() {
    let (hub, uri) = hub().await;
    let begun = upload(
        &hub,
        "POST",
        &uri,
        &[("upload-complete", "?0")],
        Body::from("01"),
    )
    .await;
    let piece = begun.expect(201, "S10000").headers["location"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = json!({
        "project_id": "project123", "integration_type": "files", "name": "Second",
        "configuration": {"repository": "r"},
    });
    let second = hub
        .call("POST", "/api/v1/integrations", body)
        .await
        .content();
    let upload_id = piece.rsplit('/').next().unwrap();
    let foreign = format!(
        "/api/v1/integrations/{}/import/{upload_id}",
        second["id"].as_str().unwrap()
    );
    let piece = [("upload-offset", "2"), ("upload-complete", "?1")];
    upload(&hub, "PATCH", &foreign, &piece, Body::empty())
        .await
        .expect(404, "F40004");
}

#[tokio::test]
async fn an_idle_upload_is_given_up_and_kept() {
    let (hub, uri) = hub().await;
    let chunk = stream::once(async { Ok::<_, std::io::Error>(Bytes::from("0")) });
    let body = Body::from_stream(chunk.chain(stream::pending()));
    let send = upload(&hub, "POST", &uri, &[("idempotency-key", "k")], body);
    let mut send = std::pin::pin!(send);
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut send => break answer,
            () = tokio::task::yield_now() => hub.clock.advance(31),
        }
    };
    answer.expect(400, "F40000");
    let key = [("idempotency-key", "k")];
    let done = hub.request("POST", &uri).header(key[0].0, key[0].1);
    // The token of the first request has expired on the way; a new request has a new one.
    let done = hub
        .send(done.body(Body::from("012")).unwrap())
        .await
        .expect(202, "S10000");
    assert_eq!(done.content()["bytes"], 3);
}

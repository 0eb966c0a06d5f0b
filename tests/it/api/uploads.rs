//! Uploads in pieces: begun, broken off, resumed, across a crash too.

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use wharf_domain::access::Role;
use wharf_tests::{
    client::Client,
    process::{Home, token},
};

use super::{
    Shared, admin, apple_health, ended,
    imports::{brought, export, path, upload},
    text,
};

static HUB: Shared = Shared::new();

const COMPLETE: &str = "upload-complete";
const OFFSET: &str = "upload-offset";

/// Where the upload is.
async fn offset(client: &Client, upload: &str) -> usize {
    let answer = Client::send(client.request(Method::HEAD, upload)).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.headers[COMPLETE], "?0");
    answer.headers[OFFSET].to_str().unwrap().parse().unwrap()
}

/// The records of the export, imported in one piece by another project.
async fn expected(project: &str) -> Vec<Value> {
    let hub = HUB.hub();
    let project = format!("{project}-twin");
    let client = admin(&hub, &project);
    let id = apple_health(&client, &project).await;
    let started = upload(&client, Method::POST, &path(&id), &[], export())
        .await
        .ok();
    ended(&client, &id, &text(&started["run_id"])).await;
    brought(&client, &id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_pieces_goes_on_where_it_is_and_nowhere_else() {
    let hub = HUB.hub();
    let client = admin(&hub, "pieces");
    let id = apple_health(&client, "pieces").await;
    let export = export();
    let (first, rest) = export.split_at(1000);
    let (second, third) = rest.split_at(777);
    let begun = upload(
        &client,
        Method::POST,
        &path(&id),
        &[(COMPLETE, "?0")],
        first.to_vec(),
    )
    .await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    assert_eq!(
        (&begun.headers[OFFSET], &begun.headers[COMPLETE]),
        (&"1000".parse().unwrap(), &"?0".parse().unwrap())
    );
    let piece = begun.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(begun.ok()["offset"], 1000);
    assert_eq!(offset(&client, &piece).await, 1000);

    // A gap, an overlap, and the beginning again: where it is stands in the answer.
    for wrong in ["1001", "999", "0", "1777"] {
        let headers = [(OFFSET, wrong), (COMPLETE, "?0")];
        let refused = upload(&client, Method::PATCH, &piece, &headers, second.to_vec()).await;
        refused.is(409, "F40009");
        assert_eq!(refused.headers[OFFSET], "1000");
    }
    for (missing, headers) in [
        ("Upload-Offset", [(COMPLETE, "?0")]),
        ("Upload-Complete", [(OFFSET, "1000")]),
    ] {
        let refused = upload(&client, Method::PATCH, &piece, &headers, second.to_vec()).await;
        refused.is(422, "F40022");
        assert_eq!(refused.body["content"]["errors"][0]["field"], missing);
    }
    assert_eq!(
        offset(&client, &piece).await,
        1000,
        "a refused piece was kept"
    );
    let headers = [(OFFSET, "1000"), (COMPLETE, "?0")];
    let more = upload(&client, Method::PATCH, &piece, &headers, second.to_vec()).await;
    assert_eq!(
        (more.status, &more.headers[OFFSET]),
        (200, &"1777".parse().unwrap())
    );
    let headers = [(OFFSET, "1777"), (COMPLETE, "?1")];
    let done = upload(&client, Method::PATCH, &piece, &headers, third.to_vec()).await;
    assert_eq!(done.status, 202, "{}", done.text);
    let done = done.ok();
    assert_eq!(done["sha256"], hex::encode(Sha256::digest(&export)));
    let run = ended(&client, &id, &text(&done["run_id"])).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(brought(&client, &id).await, expected("pieces").await);
    // Who did not hear the answer asks where it is, or says the end again.
    let over = Client::send(client.request(Method::HEAD, &piece)).await;
    assert_eq!(
        (&over.headers[OFFSET], &over.headers[COMPLETE]),
        (
            &export.len().to_string().parse().unwrap(),
            &"?1".parse().unwrap()
        )
    );
    let headers = [(OFFSET, "1777"), (COMPLETE, "?1")];
    let again = upload(&client, Method::PATCH, &piece, &headers, third.to_vec()).await;
    assert_eq!(again.ok(), done);
    let logs = client
        .get(&format!("/api/v1/integrations/{id}/sync/logs"))
        .await
        .ok();
    assert_eq!(logs["total"], 1, "it was imported twice");
}

/// Sends a request that announces `announced` bytes, sends `sent` and hangs up.
async fn break_off(url: &str, head: &str, announced: usize, sent: &[u8]) {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))
        .await
        .unwrap();
    let head = format!("{head}host: x\r\ncontent-length: {announced}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrived_before_a_connection_broke_is_kept() {
    let hub = HUB.hub();
    let client = admin(&hub, "broken");
    let id = apple_health(&client, "broken").await;
    let export = export();
    let begun = upload(&client, Method::POST, &path(&id), &[(COMPLETE, "?0")], "").await;
    let piece = begun.headers["location"].to_str().unwrap().to_owned();
    let bearer = token("broken", Role::Member);
    let mut at = 0;
    for more in [700, 1, 900] {
        let head = format!(
            "PATCH {piece} HTTP/1.1\r\nauthorization: Bearer {bearer}\r\nupload-offset: {at}\r\n\
             upload-complete: ?1\r\n"
        );
        break_off(&hub.url, &head, export.len() - at, &export[at..at + more]).await;
        at += more;
        // The hub may still be reading what is in the pipe.
        let asking = async {
            while offset(&client, &piece).await != at {
                tokio::task::yield_now().await;
            }
        };
        let kept = tokio::time::timeout(wharf_tests::client::PATIENCE, asking).await;
        assert!(
            kept.is_ok(),
            "of {at} bytes {} were kept",
            offset(&client, &piece).await
        );
    }
    let logs = client
        .get(&format!("/api/v1/integrations/{id}/sync/logs"))
        .await
        .ok();
    assert_eq!(logs["total"], 0, "half a file was imported");
    let headers = [(OFFSET, &*at.to_string()), (COMPLETE, "?1")];
    let done = upload(
        &client,
        Method::PATCH,
        &piece,
        &headers,
        export[at..].to_vec(),
    )
    .await
    .ok();
    assert_eq!(done["sha256"], hex::encode(Sha256::digest(&export)));
    ended(&client, &id, &text(&done["run_id"])).await;
    assert_eq!(brought(&client, &id).await, expected("broken").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_a_crash_and_its_import_too() {
    let home = Home::default();
    let hub = home.serve();
    let client = admin(&hub, "crash");
    let id = apple_health(&client, "crash").await;
    let export = export();
    let headers = [(COMPLETE, "?0")];
    let begun = upload(
        &client,
        Method::POST,
        &path(&id),
        &headers,
        export[..1500].to_vec(),
    )
    .await;
    let piece = begun.headers["location"].to_str().unwrap().to_owned();
    hub.kill();

    let hub = home.serve();
    let client = admin(&hub, "crash");
    assert_eq!(offset(&client, &piece).await, 1500);
    let headers = [(OFFSET, "1500"), (COMPLETE, "?1")];
    let done = upload(
        &client,
        Method::PATCH,
        &piece,
        &headers,
        export[1500..].to_vec(),
    )
    .await
    .ok();
    hub.kill();

    let hub = home.serve();
    let client = admin(&hub, "crash");
    let run = ended(&client, &id, &text(&done["run_id"])).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(brought(&client, &id).await, expected("crash").await);
    drop(hub);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_upload_with_a_key_that_broke_off_is_sent_again_and_goes_on() {
    let hub = HUB.hub();
    let client = admin(&hub, "keyed");
    let id = apple_health(&client, "keyed").await;
    let export = export();
    let bearer = token("keyed", Role::Member);
    let head = format!(
        "POST {} HTTP/1.1\r\nauthorization: Bearer {bearer}\r\nidempotency-key: one\r\n",
        path(&id)
    );
    break_off(&hub.url, &head, export.len(), &export[..1000]).await;
    let key = [("idempotency-key", "one")];
    let done = upload(&client, Method::POST, &path(&id), &key, export.clone()).await;
    assert_eq!(done.status, 202, "{}", done.text);
    let again = upload(&client, Method::POST, &path(&id), &key, export.clone()).await;
    assert_eq!((again.status, &again.text), (202, &done.text));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let done = done.ok();
    assert_eq!(
        done["sha256"],
        hex::encode(Sha256::digest(&export)),
        "a part was kept twice"
    );
    ended(&client, &id, &text(&done["run_id"])).await;
    let logs = client
        .get(&format!("/api/v1/integrations/{id}/sync/logs"))
        .await
        .ok();
    assert_eq!(logs["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_nobody_uploads_into_another_project() {
    let hub = HUB.hub();
    let owner = admin(&hub, "owner");
    let id = apple_health(&owner, "owner").await;
    let begun = upload(
        &owner,
        Method::POST,
        &path(&id),
        &[(COMPLETE, "?0")],
        "<?xml",
    )
    .await;
    let piece = begun.headers["location"].to_str().unwrap().to_owned();
    let thief = admin(&hub, "intruder");
    let headers = [(OFFSET, "5"), (COMPLETE, "?1")];
    upload(&thief, Method::POST, &path(&id), &[], export())
        .await
        .is(404, "F42303");
    upload(&thief, Method::PATCH, &piece, &headers, "x")
        .await
        .is(404, "F42303");
    let seen = Client::send(thief.request(Method::HEAD, &piece)).await;
    assert_eq!(StatusCode::NOT_FOUND, seen.status);
    assert!(!seen.headers.contains_key(OFFSET));
    // Not by way of an integration of its own either.
    let own = apple_health(&thief, "intruder").await;
    let detour = piece.replace(&id, &own);
    upload(&thief, Method::PATCH, &detour, &headers, "x")
        .await
        .is(404, "F40004");
    assert_eq!(
        Client::send(thief.request(Method::HEAD, &detour))
            .await
            .status,
        404
    );
    assert_eq!(offset(&owner, &piece).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_beyond_the_limit_is_refused() {
    let home = Home::default();
    let limit = [("WHARF_IMPORT__MAX_UPLOAD_BYTES", "2000")];
    let hub = home.serve_with(&limit.into_iter().collect());
    let client = admin(&hub, "limit");
    let id = apple_health(&client, "limit").await;
    assert!(export().len() > 2000);
    upload(&client, Method::POST, &path(&id), &[], export())
        .await
        .is(413, "F40013");
    let headers = [(COMPLETE, "?0")];
    let begun = upload(
        &client,
        Method::POST,
        &path(&id),
        &headers,
        export()[..1999].to_vec(),
    )
    .await;
    let piece = begun.headers["location"].to_str().unwrap().to_owned();
    let headers = [(OFFSET, "1999"), (COMPLETE, "?0")];
    upload(&client, Method::PATCH, &piece, &headers, "xy")
        .await
        .is(413, "F40013");
    assert_eq!(
        upload(&client, Method::PATCH, &piece, &headers, "x")
            .await
            .status,
        200
    );
    super::is_well(&hub).await;
}

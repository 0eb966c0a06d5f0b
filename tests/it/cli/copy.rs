//! `wharf log copy`: every commit at its position, the checkpoints with it, proven, and begun again where
//! it was cut off.

use std::path::Path;

use serde_json::{Value, json};
use wharf_domain::access::Role;
use wharf_tests::{client::Client, nats::Nats, process::Home, storage::Storage};

use super::{fails, integration, ok, said};

fn url(home: &Home) -> String {
    format!("sqlite:{}", home.data().display())
}

async fn send(client: &Client, times: usize) {
    for n in 0..times {
        client
            .post("/api/v1/webhooks/events/task.created", &json!({ "n": n }))
            .await
            .ok();
    }
}

/// The rows that only the log's own tables have.
fn checkpoints(folder: &Path) -> Vec<(String, i64, i64, String)> {
    let file = rusqlite::Connection::open(folder.join("log.db")).unwrap();
    let mut select = file
        .prepare("select name, floor, upto, outstanding from consumers order by name")
        .unwrap();
    let rows = select.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_log_is_the_same_log() {
    let home = Home::files();
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    let id = integration(&client, "one").await;
    send(&client, 20).await;

    // Beside a running hub: what is there so far.
    let copy = Home::files();
    let (from, to) = (url(&home), url(&copy));
    let first = said(&copy, &["log", "copy", &from, &to]).remove(0);
    assert_eq!(first["tail"], 21, "{first}");
    client
        .delete(&format!("/api/v1/integrations/{id}"))
        .await
        .ok();
    send(&client, 5).await;
    assert_eq!(wharf.stop(), 0);

    // Again: it goes on, and the checkpoints are those of the end.
    let second = said(&copy, &["log", "copy", &from, &to]).remove(0);
    assert_eq!(second["behind"], 0);
    let verified = |home: &Home| said(home, &["log", "verify"]).remove(0);
    assert_eq!(verified(&home), verified(&copy));
    assert_eq!(second["chain"], verified(&copy)["chain"]);
    assert_eq!(
        ok(&home, &["log", "replay", "--json"]),
        ok(&copy, &["log", "replay", "--json"])
    );
    let carried = checkpoints(&copy.data());
    assert!(
        carried
            .iter()
            .any(|(name, floor, ..)| name == "deliver" && *floor > 21)
    );
    assert_eq!(carried, checkpoints(&home.data()));
    let told = ok(&copy, &["log", "copy", &from, &to]);
    assert!(told.starts_with("both logs are the same"), "{told}");

    // A hub runs on the copy, and appends to the same streams.
    for file in ["vault.db", "master.key"] {
        std::fs::copy(home.data().join(file), copy.data().join(file)).unwrap();
    }
    let wharf = copy.serve();
    let client = wharf.client("p", Role::Admin);
    send(&client, 1).await;
    let empty = |list: &Value| list["total"] == 0;
    client.until("/api/v1/integrations", empty).await;
    assert_eq!(wharf.stop(), 0);
    ok(&copy, &["log", "verify"]);
    let errors = fails(&home, &["log", "copy", &from, &to]);
    assert!(errors.contains("the copy ends at position"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_never_copied_over_another() {
    let (one, two) = (Home::files(), Home::files());
    for home in [&one, &two] {
        let wharf = home.serve();
        integration(&wharf.client("p", Role::Admin), "different ids").await;
        assert_eq!(wharf.stop(), 0);
    }
    let before = ok(&two, &["log", "replay", "--json"]);
    let errors = fails(&one, &["log", "copy", &url(&one), &url(&two)]);
    assert!(errors.contains("not the same"), "{errors}");
    assert_eq!(ok(&two, &["log", "replay", "--json"]), before);

    let errors = fails(&one, &["log", "copy", &url(&one), &url(&one)]);
    assert!(errors.contains("onto itself"), "{errors}");
    let errors = fails(&one, &["log", "copy", "somewhere", &url(&two)]);
    assert!(errors.contains("sqlite:"), "{errors}");
    let wharf = two.serve();
    let errors = fails(&one, &["log", "copy", &url(&one), &url(&two)]);
    assert!(errors.contains("in use"), "{errors}");
    assert_eq!(wharf.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_not_copied() {
    let (home, copy) = (Home::files(), Home::files());
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    send(&client, 3).await;
    assert_eq!(wharf.stop(), 0);
    let file = rusqlite::Connection::open(home.data().join("log.db")).unwrap();
    file.execute_batch(
        "drop trigger commits_keep_what_they_say;
         update commits set headers = replace(headers, 'user:tester', 'user:testes')
         where position = 2;",
    )
    .unwrap();
    drop(file);
    let errors = fails(&home, &["log", "copy", &url(&home), &url(&copy)]);
    assert!(errors.contains("position 2"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_moves_to_jetstream_and_back() {
    let embedded = Home::files();
    let wharf = embedded.serve();
    let client = wharf.client("p", Role::Admin);
    integration(&client, "one").await;
    send(&client, 20).await;
    let answers = async |client: &Client| {
        let list = client.get("/api/v1/integrations").await.text;
        list + &client.get("/api/v1/events?after=0&limit=100").await.text
    };
    let before = answers(&client).await;
    assert_eq!(wharf.stop(), 0);

    let moved = Home::on(Storage::new(true, false));
    let nats = Nats::shared().url();
    let there = said(&moved, &["log", "copy", &url(&embedded), &nats]).remove(0);
    assert_eq!(there["tail"], 21, "{there}");
    for file in ["vault.db", "master.key"] {
        std::fs::copy(embedded.data().join(file), moved.data().join(file)).unwrap();
    }
    let wharf = moved.serve();
    let client = wharf.client("p", Role::Admin);
    let shown = client.until("/api/v1/integrations?after=21", |list| list["total"] == 1);
    shown.await;
    assert_eq!(answers(&client).await, before, "every answer is the same");
    let next = client
        .post("/api/v1/webhooks/events/task.created", &json!({}))
        .await;
    assert_eq!(next.position(), 22, "positions go on where they were");
    assert_eq!(wharf.stop(), 0);

    let back = Home::files();
    let there = said(&moved, &["log", "copy", &nats, &url(&back)]).remove(0);
    assert_eq!(there["tail"], 22, "{there}");
    assert_eq!(said(&back, &["log", "verify"])[0]["chain"], there["chain"]);
    // What was there before is not told again: the checkpoints came along.
    let floors: Vec<_> = checkpoints(&back.data())
        .into_iter()
        .map(|(name, floor, ..)| (name, floor))
        .collect();
    assert_eq!(floors.len(), 5, "{floors:?}");
    assert!(floors.iter().all(|(_, floor)| *floor >= 21), "{floors:?}");
}

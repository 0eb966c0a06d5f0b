//! Pages: whole, in order, stable, whatever their size.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::client::Client;

use super::{Shared, admin, platform, sandbox, sync, text, webhook};

static HUB: Shared = Shared::new();

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_whole_newest_first_and_filtered() {
    let hub = HUB.hub();
    let client = admin(&hub, "pages");
    let mut made = vec![];
    for n in 0..7 {
        let body = json!({
            "project_id": "pages", "name": format!("n{n}"), "configuration": {},
            "integration_type": if n % 2 == 0 { "apple_health" } else { "sandbox" },
        });
        made.push(text(
            &client.post("/api/v1/integrations", &body).await.ok()["id"],
        ));
    }
    made.reverse();
    let mut listed = vec![];
    for page in 1..=4 {
        let content = client
            .get(&format!("/api/v1/integrations?page={page}&size=3"))
            .await
            .ok();
        assert_eq!(
            (&content["total"], &content["page"], &content["size"]),
            (&json!(7), &json!(page), &json!(3))
        );
        listed.extend(
            content["integrations"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| text(&one["id"])),
        );
    }
    assert_eq!(listed, made);
    for (query, total) in [
        ("integration_type=sandbox", 3),
        ("integration_type=apple_health", 4),
        ("integration_type=github", 0),
        ("status=active", 4),
        // Without a credential a sandbox waits for one.
        ("status=pending_auth", 3),
        ("status=inactive", 3),
        ("status=error", 0),
        ("status=active&integration_type=sandbox", 0),
        ("project_id=pages", 7),
    ] {
        let content = client
            .get(&format!("/api/v1/integrations?{query}"))
            .await
            .ok();
        assert_eq!(content["total"], total, "{query}");
        assert_eq!(
            content["integrations"].as_array().unwrap().len(),
            total,
            "{query}"
        );
    }
    for active in [true, true, false] {
        webhook(
            &client,
            "pages",
            "https://example.com/",
            json!({ "is_active": active }),
        )
        .await;
    }
    for (query, total) in [
        ("", 3),
        ("?is_active=true", 2),
        ("?is_active=false", 1),
        ("?project_id=pages", 3),
    ] {
        assert_eq!(
            client.get(&format!("/api/v1/webhooks{query}")).await.ok()["total"],
            total,
            "{query}"
        );
    }
}

/// All records from `cursor` on, in pages of `size`; answers the last cursor, too.
async fn records(
    client: &Client,
    id: &str,
    size: u32,
    cursor: Option<String>,
) -> (Vec<Value>, String) {
    let (mut all, mut cursor) = (vec![], cursor);
    loop {
        let from = cursor
            .as_ref()
            .map(|cursor| format!("&cursor={cursor}"))
            .unwrap_or_default();
        let path = format!("/api/v1/integrations/{id}/records?deleted=true&size={size}{from}");
        let page = client.get(&path).await.ok();
        let records = page["records"].as_array().unwrap();
        assert!(records.len() <= size as usize);
        all.extend(records.iter().cloned());
        cursor = page["next_cursor"].as_str().map(ToOwned::to_owned);
        if page["has_more"] == false {
            return (all, cursor.unwrap());
        }
        assert_eq!(
            records.len(),
            size as usize,
            "a page that is not the last is full"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_paged_whole_whatever_the_size_and_a_cursor_stays_good() {
    let hub = HUB.hub();
    let client = admin(&hub, "cursor");
    let id = sandbox(&client, "cursor").await;
    let run = sync(&client, &id, &json!({})).await;
    assert_eq!(
        (&run["status"], &run["records"]),
        (&json!("completed"), &json!(250)),
        "{run}"
    );

    let (all, end) = records(&client, &id, 100, None).await;
    assert_eq!(all.len(), 250);
    let keys: BTreeSet<_> = all.iter().map(|record| text(&record["key"])).collect();
    assert_eq!(keys.len(), 250);
    for size in [1, 37, 50] {
        let (again, same) = records(&client, &id, size, None).await;
        assert!(again == all, "pages of {size} differ");
        assert_eq!(same, end);
    }
    assert_eq!(
        records(&client, &id, 10, Some(end.clone())).await,
        (vec![], end.clone())
    );

    // What changes meanwhile comes at the end, and only that.
    platform(
        &hub,
        "cursor",
        Method::POST,
        "/advance",
        json!({ "steps": 30 }),
    )
    .await;
    let run = sync(&client, &id, &json!({ "sync_type": "incremental" })).await;
    assert_eq!(run["status"], "completed", "{run}");
    let (changed, _) = records(&client, &id, 7, Some(end)).await;
    assert_eq!(json!(changed.len()), run["records"]);
    assert!(
        (1..=30).contains(&changed.len()),
        "{} records changed",
        changed.len()
    );
    // Whoever followed the cursor has what a newcomer sees.
    let fold = |records: &[Value]| -> BTreeMap<String, (Value, bool)> {
        let state = |record: &Value| (record["data"].clone(), record["deleted"] == true);
        records
            .iter()
            .map(|record| (text(&record["key"]), state(record)))
            .collect()
    };
    let followed = fold(&[all, changed].concat());
    let (anew, _) = records(&client, &id, 100, None).await;
    assert_eq!(fold(&anew), followed);
    let items = platform(&hub, "cursor", Method::GET, "", json!({})).await["items"].as_u64();
    let live = followed.values().filter(|(_, deleted)| !deleted).count();
    assert_eq!(Some(live as u64), items, "as many as the platform has");
    assert_ne!(
        live,
        followed.len(),
        "nothing was deleted: the test shows too little"
    );
}

//! `wharf views`: how far they are, and built anew with and without a server.

use serde_json::json;
use wharf_domain::access::Role;
use wharf_tests::process::Home;

use super::{fails, integration, ok, said};

#[tokio::test(flavor = "multi_thread")]
async fn the_views_are_looked_at_and_rebuilt_with_and_without_a_server() {
    let home = Home::default();
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    for n in 0..3 {
        integration(&client, &format!("{n}")).await;
    }
    let up_to_date = json!({ "checkpoint": 3, "tail": 3, "lag": 0 });
    assert_eq!(said(&home, &["views", "status"])[0], up_to_date);
    assert!(ok(&home, &["views", "status"]).contains("0 behind"));
    let before = client.get("/api/v1/integrations").await.text;

    // Online, through the admin socket.
    assert_eq!(
        said(&home, &["views", "rebuild"]),
        [json!({ "rebuilt": true })]
    );
    assert_eq!(client.get("/api/v1/integrations").await.text, before);
    integration(&client, "after the rebuild").await;
    let list = client.get("/api/v1/integrations").await.ok();
    assert_eq!(list["total"], 4, "the new ones go on");
    assert_eq!(wharf.stop(), 0);

    // Offline, from views that are gone.
    home.storage().forget_views(&home.data()).await;
    assert_eq!(said(&home, &["views", "status"])[0]["lag"], 4);
    assert!(ok(&home, &["views", "rebuild"]).contains("built anew"));
    assert_eq!(said(&home, &["views", "status"])[0]["lag"], 0);
    let wharf = home.serve();
    let again = wharf
        .client("p", Role::Admin)
        .get("/api/v1/integrations")
        .await
        .ok();
    assert_eq!(again, list);
}

#[test]
fn without_a_log_there_is_nothing_to_look_at() {
    let home = Home::default();
    let errors = fails(&home, &["views", "status"]);
    assert!(errors.contains("wharf serve"), "{errors}");
    assert!(!home.data().exists(), "reading makes nothing");
}

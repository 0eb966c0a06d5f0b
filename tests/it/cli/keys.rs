//! Keys and tokens: made right, kept private, and refused when they do not fit.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, path::Path};

use wharf_domain::access::Role;
use wharf_tests::{client::Client, process::Home};

use super::{fails, integration, ok, said};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keygen_prints_a_fresh_master_key() {
    let home = Home::files();
    let key = ok(&home, &["keygen"]);
    let key = key.trim();
    assert_eq!(key.len(), 64);
    assert!(key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    assert_ne!(said(&home, &["keygen"])[0]["master_key"], key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_command_line_opens_its_project() {
    let home = Home::files();
    let wharf = home.serve();
    let token = ok(&home, &["token", "--project", "p", "--role", "member"]);
    let client = Client::new(&wharf.url, Some(token.trim().to_owned()));
    let event = serde_json::json!({});
    let sent = client
        .post("/api/v1/webhooks/events/task.created", &event)
        .await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    // No more than its role.
    let webhook = serde_json::json!({
        "project_id": "p", "name": "w", "url": "https://example.com/", "events": ["*"],
    });
    client
        .post("/api/v1/webhooks", &webhook)
        .await
        .is(403, "F40003");
    let errors = fails(&home, &["token", "--role", "king"]);
    assert!(errors.contains("--role"), "{errors}");
}

#[test]
fn inv04_keys_are_made_for_their_owner_alone() {
    let home = Home::files();
    let mut token = home.command(&["token", "--project", "p"]);
    let made = token.env_remove("WHARF_AUTH__JWT_SECRET").output().unwrap();
    assert!(made.status.success());
    let data = home.data();
    assert_eq!(mode(&data), 0o700, "the data folder");
    assert_eq!(mode(&data.join("jwt.key")), 0o600);
    drop(home.serve());
    for file in ["master.key", "jwt.key", "vault.db"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    // Whoever cannot enter the folder cannot read what lies in it.
    assert_eq!(mode(&data), 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hubs_own_token_secret_is_made_once_and_kept() {
    let home = Home::files();
    let own = BTreeMap::from([("WHARF_AUTH__JWT_SECRET", "")]);
    let token = |home: &Home| {
        let mut token = home.command(&["token", "--project", "p"]);
        let output = token.env("WHARF_AUTH__JWT_SECRET", "").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let before = token(&home);
    for _ in 0..2 {
        let wharf = home.serve_with(&own);
        for token in [before.clone(), token(&home)] {
            let client = Client::new(&wharf.url, Some(token));
            client.get("/api/v1/integrations").await.ok();
        }
        assert_eq!(wharf.stop(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_master_key_refuses_to_start_and_names_both() {
    let home = Home::files();
    let wharf = home.serve();
    integration(&wharf.client("p", Role::Admin), "kept").await;
    assert_eq!(wharf.stop(), 0);

    let key = "5b".repeat(32);
    let refused = home
        .command(&["serve"])
        .env("ENCRYPTION_KEY", &key)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&refused.stderr);
    let ids = errors.split_whitespace().filter(|word| {
        let word = word.trim_end_matches([',', ';']);
        word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    assert_eq!(ids.count(), 2, "{errors}");
    assert!(
        errors.contains("ENCRYPTION_KEY") && !errors.contains(&key),
        "{errors}"
    );

    let short = home
        .command(&["serve"])
        .env("ENCRYPTION_KEY", "abc")
        .output()
        .unwrap();
    assert_eq!(short.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&short.stderr);
    assert!(errors.contains("wharf keygen"), "{errors}");

    // A lost key file is not silently replaced by one that opens nothing.
    std::fs::rename(home.data().join("master.key"), home.path().join("backup")).unwrap();
    let errors = fails(&home, &["serve"]);
    assert!(
        errors.contains("master.key") && errors.contains("restore"),
        "{errors}"
    );
    assert!(
        !home.data().join("master.key").exists(),
        "no new key beside an old vault"
    );
    std::fs::rename(home.path().join("backup"), home.data().join("master.key")).unwrap();

    // The right one, given by the environment, is as good as the file.
    let key = std::fs::read_to_string(home.data().join("master.key")).unwrap();
    let right = BTreeMap::from([("ENCRYPTION_KEY", key.trim())]);
    let wharf = home.serve_with(&right);
    let list = wharf
        .client("p", Role::Admin)
        .get("/api/v1/integrations")
        .await
        .ok();
    assert_eq!(list["integrations"][0]["name"], "kept");
}

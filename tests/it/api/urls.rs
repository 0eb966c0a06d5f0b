//! Addresses that callers name and the hub must not call: refused when they are given, and again when
//! they would be called. Each hub here has no exceptions, unless a test says so.

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::json;
use wharf_tests::{process::Home, receiver::Receiver};

use super::{Shared, admin, attempts, ended, is_well, receiving, send, text, webhook};

static HUB: Shared = Shared::new();
static ALLOWING: Shared = Shared::new();

/// The operator has named no network.
const STRICT: (&str, &str) = ("WHARF_EGRESS__ALLOW", "[]");

const FORBIDDEN: &[&str] = &[
    // Loopback: by name, literal, in every spelling that a C library or a browser takes.
    "http://localhost/",
    "http://LOCALHOST:8093/",
    "http://localhost./",
    "http://anything.localhost/",
    "http://127.0.0.1/",
    "http://127.255.255.254/",
    "https://127.0.0.1:8443/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.1./",
    "http://１２７.０.０.１/",
    "http://①②⑦.⓪.⓪.①/",
    "http://%31%32%37.0.0.1/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[2002:7f00:1::]/",
    // This host.
    "http://0.0.0.0/",
    "http://0/",
    "http://[::]/",
    "http://[::ffff:0.0.0.0]/",
    // Private networks.
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:c0a8:1]/",
    "http://[fc00::1]/",
    "http://[fd12:3456:789a::1]/",
    "http://[fec0::1]/",
    // Link-local, and the metadata services of clouds.
    "http://169.254.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0xa9fea9fe/",
    "http://2852039166/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    // Nobody's.
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    // Another host than the one it seems to be.
    "http://user@example.com/",
    "http://user:planted-4242@example.com/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http://:planted-4242@example.com/",
    // Other protocols.
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "unix:///var/run/docker.sock",
    "javascript:alert(1)",
    "data:text/plain,x",
    "ws://example.com/",
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:6667/",
    // No addresses at all.
    "",
    " ",
    "/relative",
    "//example.com/",
    "example.com",
    "http://",
    "http://[::1/",
    "http://256.256.256.256/",
    "http://example.com:99999/",
    "http://exa mple.com/",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_webhook_goes_to_an_address_that_is_not_public() {
    let hub = HUB.hub_with(&[STRICT]);
    let client = admin(&hub, "urls");
    let good = webhook(
        &client,
        "urls",
        "https://api.example.com/webhook",
        json!({}),
    )
    .await;
    let good = format!("/api/v1/webhooks/{}", text(&good["id"]));
    for url in FORBIDDEN {
        let body = json!({ "project_id": "urls", "name": "n", "url": url, "events": ["*"] });
        let change = json!({ "url": url });
        for answer in [
            client.post("/api/v1/webhooks", &body).await,
            client.json(Method::PUT, &good, &change).await,
            client.json(Method::PATCH, &good, &change).await,
        ] {
            assert_eq!(
                (answer.status, &answer.body["code"]),
                (422, &json!("F40022")),
                "{url}"
            );
            assert_eq!(
                answer.body["content"]["errors"][0]["field"], "url",
                "{url}: {}",
                answer.text
            );
            assert!(
                !answer.text.contains("planted-4242"),
                "{url}: what is secret is repeated"
            );
        }
    }
    let list = client.get("/api/v1/webhooks").await.ok();
    assert_eq!(list["total"], 1, "a refused webhook exists");
    assert_eq!(
        list["webhooks"][0]["url"],
        "https://api.example.com/webhook"
    );
    is_well(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_addresses_are_accepted_in_every_spelling() {
    let hub = HUB.hub_with(&[STRICT]);
    let client = admin(&hub, "public");
    for url in [
        "https://example.com/hook?key=value",
        "http://example.com:8080/",
        "HTTPS://EXAMPLE.COM/",
        "https://bücher.example/",
        "http://93.184.215.14/",
        "http://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
        "http://[::ffff:93.184.215.14]/",
        "http://172.32.0.1/",
        "http://11.0.0.1/",
    ] {
        webhook(&client, "public", url, json!({ "is_active": false })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_became_forbidden_is_not_called_any_more() {
    let home = Home::default();
    let hub = home.serve();
    let client = admin(&hub, "later");
    let (receiver, webhook) = receiving(&client, "later", json!({})).await;
    send(&client, "task.created", &json!(1)).await;
    receiver.wait(1).await;
    attempts(&client, &text(&webhook["id"]), 1).await;
    assert_eq!(hub.stop(), 0);

    // The operator takes the network back: what was judged at creation is judged again at the call.
    let hub = home.serve_with(&[STRICT].into_iter().collect());
    let client = admin(&hub, "later");
    send(&client, "task.created", &json!(2)).await;
    let logs = attempts(&client, &text(&webhook["id"]), 2).await;
    assert_eq!(
        logs[0]["status"], "exhausted",
        "no retry makes it public: {}",
        logs[0]
    );
    assert!(logs[0]["response_status"].is_null());
    assert_eq!(receiver.got().len(), 1);
    let path = format!("/api/v1/webhooks/{}/test", text(&webhook["id"]));
    client.post(&path, &json!({})).await.is(502, "F42307");
    assert_eq!(receiver.got().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_failed_attempt_and_is_not_followed() {
    // Even where the target would be allowed.
    let hub = ALLOWING.hub();
    let client = admin(&hub, "redirect");
    let target = Receiver::start().await;
    let once = json!({ "retry_config": { "max_retries": 0, "retry_delay": 1 } });
    let (receiver, webhook) = receiving(&client, "redirect", once).await;
    let codes = [301, 302, 303, 307, 308];
    for code in codes {
        let location = vec![("location", target.url.clone())];
        receiver.reply([(StatusCode::from_u16(code).unwrap(), location)]);
        let sent = receiver.got().len();
        send(&client, "task.created", &json!({ "code": code })).await;
        receiver.wait(sent + 1).await;
    }
    let logs = attempts(&client, &text(&webhook["id"]), 5).await;
    let statuses: Vec<_> = logs
        .iter()
        .rev()
        .map(|log| log["response_status"].clone())
        .collect();
    assert_eq!(statuses, codes.map(|code| json!(code)));
    for log in &logs {
        assert_eq!(log["status"], "exhausted", "{log}");
    }
    assert_eq!(target.got().len(), 0, "a redirect was followed");
    assert_eq!(receiver.got().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platforms_address_from_a_configuration_is_judged_alike() {
    let hub = HUB.hub_with(&[STRICT]);
    let client = admin(&hub, "platform");
    let receiver = Receiver::start().await;
    for base_url in [
        receiver.url.as_str(),
        "http://169.254.169.254/latest",
        // The hub's own: allowed to the hub, not to its callers.
        &format!("{}/sandbox/v1", hub.url),
    ] {
        let body = json!({
            "project_id": "platform", "integration_type": "sandbox", "name": "n",
            "configuration": { "base_url": base_url },
            "auth_config": { "auth_type": "bearer", "access_token": "sandbox_platform" },
        });
        let id = text(&client.post("/api/v1/integrations", &body).await.ok()["id"]);
        let sync = format!("/api/v1/integrations/{id}/sync");
        let run = text(&client.post(&sync, &json!({})).await.ok()["run_id"]);
        let run = ended(&client, &id, &run).await;
        assert_eq!(run["status"], "failed", "{base_url}: {run}");
        assert_eq!(run["error"]["class"], "permanent", "{base_url}: {run}");
    }
    assert_eq!(receiver.got().len(), 0);
}

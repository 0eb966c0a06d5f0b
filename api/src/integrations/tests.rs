//! Integrations through the API.

use std::sync::{Arc, atomic::Ordering};

use axum::body::Body;
use serde_json::{Value, json};
use wharf_domain::{
    access::Role,
    credentials::AUTH_FIELD,
    kernel::IntegrationId,
    ports::{Scope, SecretRef},
};

use super::configuration::merge;
use crate::testing::{Answer, Hub, MemoryAnswers};

const PATH: &str = "/api/v1/integrations";

fn sandbox() -> Value {
    json!({
        "project_id": "project123",
        "integration_type": "sandbox",
        "name": "Main",
        "configuration": {"repository": "example/project", "limits": {"a": 1, "b": 2}},
        "auth_config": {"auth_type": "bearer", "access_token": "planted-secret-1"},
        "sync_settings": {"sync_interval": "hourly", "auto_sync": true},
    })
}

async fn created(hub: &Hub) -> String {
    let answer = hub
        .call("POST", PATH, sandbox())
        .await
        .expect(201, "S10000");
    answer.content()["id"].as_str().unwrap().to_owned()
}

fn secret(hub: &Hub, id: &str, generation: u64) -> Option<String> {
    let id: IntegrationId = id.parse().unwrap();
    hub.vault.peek(&SecretRef {
        scope: Scope::Integration("project123".parse().unwrap(), id),
        field: AUTH_FIELD,
        generation,
    })
}

#[test]
fn a_merge_patch_is_rfc_7396() {
    // The examples of its appendix A.
    for (target, patch, result) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (
            json!({"a": "b"}),
            json!({"b": "c"}),
            json!({"a": "b", "b": "c"}),
        ),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (
            json!({"a": "b", "b": "c"}),
            json!({"a": null}),
            json!({"b": "c"}),
        ),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (
            json!({"a": {"b": "c"}}),
            json!({"a": {"b": "d", "c": null}}),
            json!({"a": {"b": "d"}}),
        ),
        (
            json!({"a": [{"b": "c"}]}),
            json!({"a": [1]}),
            json!({"a": [1]}),
        ),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(["c"]), json!(["c"])),
        (
            json!({"e": null}),
            json!({"a": 1}),
            json!({"e": null, "a": 1}),
        ),
        (
            json!([1, 2]),
            json!({"a": "b", "c": null}),
            json!({"a": "b"}),
        ),
        (
            json!({}),
            json!({"a": {"bb": {"ccc": null}}}),
            json!({"a": {"bb": {}}}),
        ),
    ] {
        let mut merged = target.clone();
        merge(&mut merged, patch.clone());
        assert_eq!(merged, result, "{target} + {patch}");
    }
}

#[tokio::test]
async fn a_created_integration_has_the_contracts_shape() {
    let hub = Hub::new().await;
    let answer = hub
        .call("POST", PATH, sandbox())
        .await
        .expect(201, "S10000");
    let content = answer.content();
    let id = content["id"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("{PATH}/{id}"));
    assert_eq!(answer.headers["etag"], "\"2\"");
    assert_eq!(answer.headers["x-wharf-position"], "2");
    assert_eq!(
        content,
        json!({
            "id": id,
            "project_id": "project123",
            "integration_type": "sandbox",
            "name": "Main",
            "configuration": {"repository": "example/project", "limits": {"a": 1, "b": 2}},
            "auth_config": {"auth_type": "bearer", "token_encrypted": true},
            "sync_settings": {"sync_interval": "hourly", "auto_sync": true},
            "status": "active",
            "status_detail": "active",
            "open_run_id": null,
            "last_sync_at": null,
            "next_sync_at": "2026-01-31T13:00:00Z",
            "sync_error_message": null,
            "created_by": "alice",
            "created_at": "2026-01-31T12:00:00Z",
            "updated_at": "2026-01-31T12:00:00Z",
        })
    );
    let read = hub.get(&format!("{PATH}/{id}")).await.expect(200, "S10000");
    assert_eq!(read.content(), content);
    assert_eq!(read.headers["etag"], "\"2\"");
}

#[tokio::test]
async fn a_secret_is_in_the_vault_and_nowhere_else() {
    let hub = Hub::new().await;
    let answer = hub
        .call("POST", PATH, sandbox())
        .await
        .expect(201, "S10000");
    let id = answer.content()["id"].as_str().unwrap().to_owned();
    let planted = "planted-secret-1";
    assert_eq!(
        secret(&hub, &id, 1).unwrap(),
        format!(r#"{{"access_token":"{planted}"}}"#)
    );
    assert!(!String::from_utf8_lossy(&answer.bytes).contains(planted));
    for commit in hub.log.all() {
        assert!(!String::from_utf8_lossy(&commit.body).contains(planted));
    }
}

#[tokio::test]
async fn an_integration_without_its_credential_waits_for_it() {
    let hub = Hub::new().await;
    let mut body = sandbox();
    body.as_object_mut().unwrap().remove("auth_config");
    let content = hub
        .call("POST", PATH, body)
        .await
        .expect(201, "S10000")
        .content();
    assert_eq!(
        (&content["status"], &content["status_detail"]),
        (&json!("inactive"), &json!("pending_auth"))
    );
    let id = content["id"].as_str().unwrap();
    let sync = hub
        .call("POST", &format!("{PATH}/{id}/sync"), json!({}))
        .await;
    sync.expect(409, "F42308");
    let patch = json!({"auth_config": {"auth_type": "bearer", "access_token": "later"}});
    let content = hub
        .call("PATCH", &format!("{PATH}/{id}"), patch)
        .await
        .expect(200, "S10000");
    assert_eq!(content.content()["status"], "active");
    assert_eq!(secret(&hub, id, 1).unwrap(), r#"{"access_token":"later"}"#);
}

async fn refused(change: impl FnOnce(&mut Value)) -> Answer {
    let hub = Hub::new().await;
    let mut body = sandbox();
    change(&mut body);
    let answer = hub.call("POST", PATH, body).await;
    assert!(hub.log.all().is_empty(), "something was written");
    assert_eq!(hub.vault.len(), 0, "a secret was stored");
    answer
}

#[tokio::test]
async fn what_the_platform_does_not_take_is_refused_by_pointer() {
    let answer = refused(|body| body["integration_type"] = json!("nothing")).await;
    assert_eq!(answer.expect(422, "F42304").fields(), ["/integration_type"]);
    let answer = refused(|body| body["configuration"] = json!({"repository": 7})).await;
    assert_eq!(
        answer.expect(422, "F42304").fields(),
        ["/configuration/repository"]
    );
    let answer = refused(|body| body["configuration"] = json!({"branch": "x"})).await;
    assert_eq!(answer.expect(422, "F42304").fields(), ["/configuration"]);
    let answer =
        refused(|body| body["auth_config"] = json!({"auth_type": "oauth", "access_token": "x"}))
            .await;
    assert_eq!(
        answer.expect(422, "F42304").fields(),
        ["/auth_config/auth_type"]
    );
    let answer = refused(|body| body["auth_config"] = json!({"auth_type": "bearer"})).await;
    assert_eq!(
        answer.expect(422, "F42304").fields(),
        ["/auth_config/access_token"]
    );
    let answer = refused(|body| body["auth_config"]["more"] = json!("x")).await;
    assert_eq!(answer.expect(422, "F42304").fields(), ["/auth_config/more"]);
}

#[tokio::test]
async fn a_fault_in_the_configuration_does_not_repeat_the_value() {
    let answer = refused(|body| body["configuration"] = json!({"repository": ["hunter2"]})).await;
    let answer = answer.expect(422, "F42304");
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("hunter2"));
}

#[tokio::test]
async fn what_breaks_the_contract_is_refused_by_field() {
    for (field, value, named) in [
        ("name", json!(""), "name"),
        ("name", json!(7), "name"),
        (
            "sync_settings",
            json!({"sync_interval": "sometimes"}),
            "sync_settings.sync_interval",
        ),
        (
            "sync_settings",
            json!({"sync_interval": "hourly", "x": 1}),
            "sync_settings.x",
        ),
        ("platform", json!("sandbox"), "platform"),
    ] {
        let answer = refused(|body| body[field] = value).await;
        assert_eq!(answer.expect(422, "F40022").fields(), [named]);
    }
    let answer = refused(|body| body["project_id"] = json!("other")).await;
    answer.expect(404, "F40004");
}

#[tokio::test]
async fn a_change_merges_and_leaves_the_rest() {
    let hub = Hub::new().await;
    let id = created(&hub).await;
    let uri = format!("{PATH}/{id}");
    let patch = json!({
        "name": "New",
        "configuration": {"branch": "main", "limits": {"a": null}},
        "sync_settings": {"sync_interval": "daily"},
    });
    let answer = hub.call("PATCH", &uri, patch).await.expect(200, "S10000");
    let content = answer.content();
    assert_eq!(content["name"], "New");
    assert_eq!(
        content["configuration"],
        json!({"repository": "example/project", "branch": "main", "limits": {"b": 2}})
    );
    assert_eq!(
        content["sync_settings"],
        json!({"sync_interval": "daily", "auto_sync": true})
    );
    let put = hub
        .call("PUT", &uri, json!({"sync_settings": null}))
        .await
        .expect(200, "S10000");
    assert_eq!(
        put.content()["sync_settings"],
        json!({"sync_interval": null, "auto_sync": false})
    );
    assert_eq!(put.content()["name"], "New");
    let broken = json!({"configuration": {"repository": null}});
    hub.call("PATCH", &uri, broken).await.expect(422, "F42304");
    let removed = hub
        .call("PATCH", &uri, json!({"name": null}))
        .await
        .expect(422, "F40022");
    assert_eq!(removed.fields(), ["name"]);
}

#[tokio::test]
async fn status_is_active_or_inactive_and_never_error() {
    let hub = Hub::new().await;
    let uri = format!("{PATH}/{}", created(&hub).await);
    let paused = hub
        .call("PUT", &uri, json!({"status": "inactive"}))
        .await
        .expect(200, "S10000");
    assert_eq!(paused.content()["status_detail"], "paused");
    let active = hub
        .call("PUT", &uri, json!({"status": "active"}))
        .await
        .expect(200, "S10000");
    assert_eq!(active.content()["status"], "active");
    let error = hub
        .call("PUT", &uri, json!({"status": "error"}))
        .await
        .expect(422, "F40022");
    assert_eq!(error.fields(), ["status"]);
}

#[tokio::test]
async fn a_change_of_what_was_not_seen_is_refused() {
    let hub = Hub::new().await;
    let uri = format!("{PATH}/{}", created(&hub).await);
    let change = async |method: &str, etag: &str, body: Value| {
        let request = hub
            .request(method, &uri)
            .header("content-type", "application/json")
            .header("if-match", etag);
        hub.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    };
    let answer = change("PATCH", "\"2\"", json!({"name": "One"}))
        .await
        .expect(200, "S10000");
    assert_eq!(answer.headers["etag"], "\"3\"");
    change("PATCH", "\"2\"", json!({"name": "Two"}))
        .await
        .expect(409, "F40009");
    let auth = json!({"auth_config": {"auth_type": "bearer", "access_token": "two"}});
    change("PATCH", "\"2\"", auth).await.expect(409, "F40009");
    change("PATCH", "\"never-ours\"", json!({"name": "Two"}))
        .await
        .expect(409, "F40009");
    change("PATCH", "3", json!({"name": "Two"}))
        .await
        .expect(422, "F40022");
    change("DELETE", "\"2\"", json!({}))
        .await
        .expect(409, "F40009");
    assert_eq!(hub.get(&uri).await.content()["name"], "One");
    change("DELETE", "\"3\"", json!({}))
        .await
        .expect(200, "S10000");
}

#[tokio::test]
async fn a_new_credential_is_the_next_generation() {
    let hub = Hub::new().await;
    let id = created(&hub).await;
    let patch = json!({"auth_config": {"auth_type": "bearer", "access_token": "second"}});
    let request = hub
        .request("PATCH", &format!("{PATH}/{id}"))
        .header("content-type", "application/json")
        .header("if-match", "\"2\"");
    let answer = hub
        .send(request.body(Body::from(patch.to_string())).unwrap())
        .await;
    answer.expect(200, "S10000");
    assert_eq!(
        secret(&hub, &id, 2).unwrap(),
        r#"{"access_token":"second"}"#
    );
    assert!(secret(&hub, &id, 1).unwrap().contains("planted"));
}

#[tokio::test]
async fn a_deleted_integration_is_gone() {
    let hub = Hub::new().await;
    let uri = format!("{PATH}/{}", created(&hub).await);
    let answer = hub.call("DELETE", &uri, Value::Null).await;
    // A deletion takes no body; one that comes is not read.
    assert_eq!(answer.expect(200, "S10000").content()["deleted"], true);
    hub.get(&uri).await.expect(404, "F42303");
    hub.call("DELETE", &uri, json!({}))
        .await
        .expect(404, "F42303");
    hub.call("PATCH", &uri, json!({"name": "x"}))
        .await
        .expect(404, "F42303");
}

#[tokio::test]
async fn a_list_is_filtered_and_paged() {
    let hub = Hub::new().await;
    for name in ["a", "b", "c"] {
        let mut body = sandbox();
        body["name"] = json!(name);
        hub.call("POST", PATH, body).await.expect(201, "S10000");
    }
    let page = hub
        .get(&format!("{PATH}?size=2&page=2"))
        .await
        .expect(200, "S10000")
        .content();
    assert_eq!(
        (&page["total"], &page["page"], &page["size"]),
        (&json!(3), &json!(2), &json!(2))
    );
    assert_eq!(page["integrations"][0]["name"], "a");
    let total =
        async |query: &str| hub.get(&format!("{PATH}?{query}")).await.content()["total"].clone();
    assert_eq!(
        total("status=active&integration_type=sandbox&project_id=project123").await,
        3
    );
    assert_eq!(total("status=error").await, 0);
    assert_eq!(total("status=needs_reauth").await, 0);
    assert_eq!(total("integration_type=files").await, 0);
    for bad in ["status=broken", "size=101", "page=0", "service_name=x"] {
        hub.get(&format!("{PATH}?{bad}"))
            .await
            .expect(422, "F40022");
    }
    hub.get(&format!("{PATH}?project_id=other"))
        .await
        .expect(404, "F40004");
}

#[tokio::test]
async fn a_repeat_has_one_effect_and_the_first_answer() {
    let hub = Hub::new().await;
    let first = hub
        .call_once("k-1", PATH, sandbox())
        .await
        .expect(201, "S10000");
    let again = hub
        .call_once("k-1", PATH, sandbox())
        .await
        .expect(201, "S10000");
    assert_eq!(again.bytes, first.bytes);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(
        again.headers["x-wharf-position"],
        first.headers["x-wharf-position"]
    );
    assert!(!first.headers.contains_key("idempotency-replayed"));
    assert_eq!(hub.get(PATH).await.content()["total"], 1);
    let mut other = sandbox();
    other["name"] = json!("Other");
    hub.call_once("k-1", PATH, other)
        .await
        .expect(422, "F42310");
}

#[tokio::test]
async fn a_repeat_whose_answer_was_lost_names_the_same_integration() {
    let answers = Arc::new(MemoryAnswers::default());
    let hub = Hub::with(|state| state.answers = answers.clone()).await;
    let first = hub
        .call_once("k-1", PATH, sandbox())
        .await
        .expect(201, "S10000");
    answers.forget();
    let again = hub
        .call_once("k-1", PATH, sandbox())
        .await
        .expect(201, "S10000");
    assert_eq!(again.content()["id"], first.content()["id"]);
    assert_eq!(hub.get(PATH).await.content()["total"], 1);
}

#[tokio::test]
async fn the_same_key_at_the_same_time_has_one_effect() {
    let hub = Hub::new().await;
    let calls = (0..8).map(|_| hub.call_once("k-1", PATH, sandbox()));
    let answers = futures::future::join_all(calls).await;
    for answer in &answers {
        assert_eq!(answer.bytes, answers[0].bytes);
    }
    assert_eq!(hub.get(PATH).await.content()["total"], 1);
}

#[tokio::test]
async fn a_refusal_does_not_use_up_the_key() {
    let hub = Hub::new().await;
    let mut bad = sandbox();
    bad["configuration"] = json!({});
    hub.call_once("k-1", PATH, bad).await.expect(422, "F42304");
    hub.call_once("k-1", PATH, sandbox())
        .await
        .expect(201, "S10000");
    hub.call_once(&"k".repeat(256), PATH, sandbox())
        .await
        .expect(422, "F40022");
}

#[tokio::test]
async fn a_write_that_the_views_do_not_show_yet_is_accepted() {
    let hub = Hub::new().await;
    hub.projecting.store(false, Ordering::Relaxed);
    let answer = hub
        .call("POST", PATH, sandbox())
        .await
        .expect(202, "S10000");
    let content = answer.content();
    assert_eq!(content["position"], 2);
    let uri = format!("{PATH}/{}?after=2", content["id"].as_str().unwrap());
    let lagging = hub.get(&uri).await.expect(503, "F50403");
    assert_eq!(lagging.headers["retry-after"], "1");
}

#[tokio::test]
async fn a_role_that_is_too_low_is_told_which_it_needs() {
    let hub = Hub::new().await;
    let id = created(&hub).await;
    for (role, method, uri, expected) in [
        (Role::Viewer, "GET", PATH.to_owned(), 200),
        (Role::Member, "POST", PATH.to_owned(), 403),
        (Role::Viewer, "POST", format!("{PATH}/{id}/sync"), 403),
        (Role::Member, "POST", format!("{PATH}/{id}/sync"), 202),
        (Role::Member, "DELETE", format!("{PATH}/{id}"), 403),
    ] {
        let mut request = hub.request(method, &uri).body(Body::empty()).unwrap();
        let token = format!("Bearer {}", hub.token("project123", role));
        request
            .headers_mut()
            .insert("authorization", token.parse().unwrap());
        let answer = hub.send(request).await;
        assert_eq!(answer.status.as_u16(), expected, "{role:?} {method} {uri}");
        if expected == 403 {
            assert_eq!(answer.code(), "F40003");
        }
    }
}

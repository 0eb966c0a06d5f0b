//! Isolation: what a project's token can reach, and that nothing tells another project's things from
//! things that never were (invariant 13). And coverage: every route is in the contract's table, and
//! none lets a stranger in by mistake.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{
    client::{Answer, Client},
    process::Wharf,
};

use super::{
    Shared, Subscription, admin, all_events, apple_health, attempts, comparable, contract, named,
    receiving, sandbox, send, sync, text, webhook,
};

static HUB: Shared = Shared::new();

const ABSENT: &str = "01890000-0000-7000-8000-000000000000";

/// Routes that answer without a token, because their callers have none.
const PUBLIC: &[(&str, &str)] = &[
    ("GET", "/api/v1/health"),
    ("GET", "/api/v1/health/ready"),
    ("GET", "/api/v1/integrations/types"),
    (
        "GET",
        "/api/v1/integrations/types/{integration_type}/schema",
    ),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    // From this machine only.
    ("GET", "/metrics"),
];

/// Every operation of `/openapi.json`: method and path.
pub(super) async fn operations(hub: &Wharf) -> BTreeSet<(String, String)> {
    let description = hub.stranger().get("/openapi.json").await.body;
    let mut operations = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if ["get", "head", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                operations.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    assert!(operations.len() > 20, "the description was not understood");
    operations
}

/// A body that the operation takes.
pub(super) fn body(method: &str, path: &str, project: &str) -> Option<Value> {
    match (method, path) {
        ("POST", "/api/v1/integrations") => Some(json!({
            "project_id": project, "integration_type": "apple_health", "name": "n",
            "configuration": {},
        })),
        ("POST", "/api/v1/webhooks") => Some(json!({
            "project_id": project, "name": "n", "url": "https://example.com/", "events": ["*"],
        })),
        ("POST", _) => Some(json!({})),
        ("PUT" | "PATCH", path) if !path.contains("/import/") => Some(json!({ "name": "stolen" })),
        _ => None,
    }
}

/// Drives an operation with a body that it takes.
async fn drive(client: &Client, method: &str, path: &str, filled: &str, project: &str) -> Answer {
    let mut request = client
        .request(method.parse().unwrap(), filled)
        // The hub's own would differ from answer to answer.
        .header("x-request-id", "isolation")
        .header("upload-offset", "0")
        .header("upload-complete", "?1");
    if let Some(body) = body(method, path, project) {
        request = request
            .header("content-type", "application/json")
            .body(body.to_string());
    }
    Client::send(request).await
}

/// Ids of a project that has one of everything.
struct Tenant {
    client: Client,
    integration: String,
    run: String,
    phone: String,
    upload: String,
    webhook: String,
    message: String,
}

impl Tenant {
    async fn settle(hub: &Wharf, project: &str) -> Self {
        let client = admin(hub, project);
        let (receiver, webhook) =
            receiving(&client, project, json!({ "events": ["task.*"] })).await;
        let webhook = text(&webhook["id"]);
        let integration = sandbox(&client, project).await;
        let run = text(&sync(&client, &integration, &json!({})).await["run_id"]);
        let message = send(&client, "task.created", &json!({ "secret of": project })).await;
        receiver.wait(1).await;
        attempts(&client, &webhook, 1).await;
        // The run's own message comes last.
        let told = |page: &Value| page["events"].as_array().is_some_and(|all| all.len() == 2);
        client
            .until("/api/v1/events?type=message.accepted", told)
            .await;
        let phone = apple_health(&client, project).await;
        let path = format!("/api/v1/integrations/{phone}/import");
        let request = client
            .request(Method::POST, &path)
            .header("upload-complete", "?0");
        let upload = text(&Client::send(request.body("<?xml")).await.ok()["upload_id"]);
        Self {
            client,
            integration,
            run,
            phone,
            upload,
            webhook,
            message,
        }
    }

    fn fill(&self, path: &str) -> String {
        let integration = if path.contains("/import") {
            &self.phone
        } else {
            &self.integration
        };
        path.replace("{integration_id}", integration)
            .replace("{run_id}", &self.run)
            .replace("{upload_id}", &self.upload)
            .replace("{webhook_id}", &self.webhook)
    }

    /// Everything that its own token can read.
    async fn sees(&self) -> Vec<String> {
        let mut seen = vec![];
        for path in [
            "/api/v1/integrations",
            "/api/v1/webhooks",
            "/api/v1/events?limit=500",
            "/api/v1/integrations/{integration_id}",
            "/api/v1/integrations/{integration_id}/events",
            "/api/v1/integrations/{integration_id}/records?size=100",
            "/api/v1/integrations/{integration_id}/sync/logs",
            "/api/v1/integrations/{integration_id}/sync/runs/{run_id}",
            "/api/v1/webhooks/{webhook_id}",
            "/api/v1/webhooks/{webhook_id}/logs",
        ] {
            let answer = self.client.get(&self.fill(path)).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            let mut content = answer.ok();
            // How far the whole log is.
            content.as_object_mut().unwrap().remove("next");
            seen.push(content.to_string());
        }
        seen
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_another_projects_ids_answer_byte_for_byte_like_absent_ones() {
    let hub = HUB.hub();
    let victim = Tenant::settle(&hub, "iso-victim").await;
    let thief = admin(&hub, "iso-thief");
    let before = victim.sees().await;

    let mut driven = 0;
    for (method, path) in operations(&hub).await {
        let ids = [
            "{integration_id}",
            "{webhook_id}",
            "{run_id}",
            "{upload_id}",
        ];
        if !ids.iter().any(|id| path.contains(id)) {
            continue;
        }
        driven += 1;
        let absent = ids
            .iter()
            .fold(path.clone(), |path, id| path.replace(id, ABSENT));
        let foreign = drive(&thief, &method, &path, &victim.fill(&path), "iso-thief").await;
        let absent = drive(&thief, &method, &path, &absent, "iso-thief").await;
        let said = format!("{method} {path}: {}", foreign.text);
        assert_eq!(foreign.status, 404, "{said}");
        if method != "HEAD" {
            let code = if path.contains("{webhook_id}") {
                "F42301"
            } else {
                "F42303"
            };
            assert_eq!(foreign.body["code"], code, "{said}");
        }
        assert_eq!(foreign.text, absent.text, "{said}");
        assert_eq!(
            comparable(&foreign.headers),
            comparable(&absent.headers),
            "{said}"
        );
    }
    assert!(driven >= 18, "only {driven} operations with an id");
    assert_eq!(victim.sees().await, before, "the thief changed something");
    let path = victim.fill("/api/v1/integrations/{integration_id}/import/{upload_id}");
    let offset = victim.client.request(Method::HEAD, &path);
    assert_eq!(Client::send(offset).await.headers["upload-offset"], "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_an_own_id_is_no_key_to_anothers_run_upload_or_message() {
    let hub = HUB.hub();
    let victim = Tenant::settle(&hub, "key-victim").await;
    let thief = Tenant::settle(&hub, "key-thief").await;
    let (integration, phone) = (&thief.integration, &thief.phone);
    for (method, own, theirs, status) in [
        (
            Method::GET,
            format!("/api/v1/integrations/{integration}/sync/runs/"),
            &victim.run,
            404,
        ),
        (
            Method::HEAD,
            format!("/api/v1/integrations/{phone}/import/"),
            &victim.upload,
            404,
        ),
        (
            Method::PATCH,
            format!("/api/v1/integrations/{phone}/import/"),
            &victim.upload,
            404,
        ),
        // An upload of the same project, but of another integration, is another's, too.
        (
            Method::HEAD,
            format!("/api/v1/integrations/{integration}/import/"),
            &thief.upload,
            404,
        ),
    ] {
        let ask = |id: &str| {
            let request = thief.client.request(method.clone(), &format!("{own}{id}"));
            let request = request
                .header("upload-offset", "5")
                .header("upload-complete", "?1");
            Client::send(request.header("x-request-id", "isolation"))
        };
        let (foreign, absent) = (ask(theirs).await, ask(ABSENT).await);
        assert_eq!(foreign.status, status, "{method} {own}: {}", foreign.text);
        assert_eq!(foreign.text, absent.text, "{method} {own}");
    }
    let path = format!(
        "/api/v1/webhooks/{}/logs?message_id={}",
        thief.webhook, victim.message
    );
    assert_eq!(thief.client.get(&path).await.ok()["total"], 0);
    let path = format!("/api/v1/events?integration_id={}", victim.integration);
    assert_eq!(thief.client.get(&path).await.ok()["events"], json!([]));
    let path = format!("/api/v1/events?integration_id={integration}");
    assert_ne!(thief.client.get(&path).await.ok()["events"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_lists_events_and_streams_never_show_another_project() {
    let hub = HUB.hub();
    let neighbour = Tenant::settle(&hub, "list-neighbour").await;
    let own = Tenant::settle(&hub, "list-own").await;
    let strange = [
        &neighbour.integration,
        &neighbour.run,
        &neighbour.phone,
        &neighbour.webhook,
        &neighbour.message,
        &"list-neighbour".to_owned(),
    ]
    .map(ToOwned::to_owned);
    for seen in own.sees().await {
        for id in &strange {
            assert!(!seen.contains(id), "{id} in {seen}");
        }
    }
    let total = |list: Value| list["total"].as_u64().unwrap();
    assert_eq!(total(own.client.get("/api/v1/integrations").await.ok()), 2);
    assert_eq!(total(own.client.get("/api/v1/webhooks").await.ok()), 1);

    // From the log's beginning, past everything of the others, up to an event that is known.
    let listed = all_events(&own.client).await;
    let mut stream = Subscription::open(&own.client, "?after=0", None).await;
    let streamed = stream.take(listed.len()).await;
    assert_eq!(streamed, listed);
    for event in &listed {
        let source = event["source"].as_str().unwrap();
        assert!(source.starts_with("/list-own/"), "{event}");
    }
    let nobody = admin(&hub, "list-nobody");
    assert_eq!(all_events(&nobody).await, Vec::<Value>::new());
    assert_eq!(total(nobody.get("/api/v1/integrations").await.ok()), 0);
    assert_eq!(total(nobody.get("/api/v1/webhooks").await.ok()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_a_project_id_of_another_project_is_not_found() {
    let hub = HUB.hub();
    let client = admin(&hub, "named-own");
    let integration = apple_health(&client, "named-own").await;
    let webhook = webhook(&client, "named-own", "https://example.com/", json!({})).await;
    let webhook = text(&webhook["id"]);
    admin(&hub, "named-other")
        .post(
            "/api/v1/integrations",
            &json!({
                "project_id": "named-other", "integration_type": "apple_health", "name": "n",
                "configuration": {},
            }),
        )
        .await
        .ok();
    // One that exists and one that never was.
    for project in ["named-other", "named-nobody"] {
        let mut answers = vec![];
        for list in ["integrations", "webhooks"] {
            let path = format!("/api/v1/{list}?project_id={project}");
            answers.push(named(&client, Method::GET, &path, "r").await);
            let path = format!("/api/v1/{list}");
            let body = body("POST", &path, project).unwrap();
            answers.push(client.post(&path, &body).await);
        }
        let mine = json!({ "project_id": project, "name": "n" });
        for path in [
            format!("/api/v1/integrations/{integration}"),
            format!("/api/v1/webhooks/{webhook}"),
        ] {
            answers.push(client.json(Method::PUT, &path, &mine).await);
            answers.push(client.json(Method::PATCH, &path, &mine).await);
        }
        for answer in answers {
            answer.is(404, "F40004");
            assert!(!answer.text.contains(project), "{}", answer.text);
        }
    }
    for list in ["integrations", "webhooks"] {
        let own = client
            .get(&format!("/api/v1/{list}?project_id=named-own"))
            .await
            .ok();
        assert_eq!(own["total"], 1);
        assert_ne!(own[list][0]["name"], "stolen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_an_idempotency_key_of_another_project_is_another_key() {
    let hub = HUB.hub();
    let mut secrets = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for project in ["same-key-a", "same-key-b"] {
        let request = admin(&hub, project)
            .request(Method::POST, "/api/v1/webhooks")
            .header("content-type", "application/json")
            .header("idempotency-key", "the-same")
            .body(
                body("POST", "/api/v1/webhooks", project)
                    .unwrap()
                    .to_string(),
            );
        let answer = Client::send(request).await;
        assert!(!answer.headers.contains_key("idempotency-replayed"));
        let webhook = answer.ok();
        assert_eq!(webhook["project_id"], project);
        secrets.insert(text(&webhook["secret"]));
        ids.insert(text(&webhook["id"]));
    }
    assert_eq!((secrets.len(), ids.len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_in_the_contracts_table() {
    let hub = HUB.hub();
    let driven: BTreeSet<_> = contract::ROWS
        .iter()
        .map(|row| (row.method.to_owned(), row.path.to_owned()))
        .collect();
    // A refusal alone is no proof that a route works.
    for (method, path) in &driven {
        let works = |row: &contract::Row| !matches!(row.answers, contract::Answers::Problem(..));
        let mut rows = contract::ROWS
            .iter()
            .filter(|row| row.method == method && row.path == path);
        assert!(rows.any(works), "no row of {method} {path} succeeds");
    }
    assert_eq!(driven, operations(&hub).await);
    // The rows of the contract that this hub has so far.
    let rows: BTreeSet<_> = contract::ROWS.iter().map(|row| row.is).collect();
    let contract = [
        "E1", "E2", "E3", "E10", "E11", "E12", "E13", "E14", "E20", "E21", "E22", "E23", "E26",
        "E27", "E28", "E29", "E30", "E31", "E33", "E35",
    ];
    assert_eq!(rows, contract.into_iter().chain(["ours"]).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protected_operation_refuses_a_stranger_before_it_looks_at_anything() {
    let hub = HUB.hub();
    let stranger = hub.stranger();
    let description = stranger.get("/openapi.json").await.body;
    for (method, path) in operations(&hub).await {
        let said = format!("{method} {path}");
        let public = PUBLIC.contains(&(method.as_str(), path.as_str()));
        let security = &description["paths"][&path][method.to_lowercase()]["security"];
        let needs = security
            .as_array()
            .is_some_and(|all| !all.contains(&json!({})));
        assert_eq!(needs, !public, "{said}: the description says otherwise");
        // Neither id nor body nor parameters are right: none of it may be judged.
        let absent = path.replace("_id}", "}");
        let request = stranger.request(method.parse().unwrap(), &format!("{absent}?no=1"));
        let answer = Client::send(request.body("{")).await;
        if public {
            assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{said}");
            continue;
        }
        assert_eq!(
            answer.status,
            StatusCode::UNAUTHORIZED,
            "{said}: {}",
            answer.text
        );
        assert_eq!(
            answer.headers["www-authenticate"], "Bearer realm=\"wharf\"",
            "{said}"
        );
        if method != "HEAD" {
            answer.is(401, "F40001");
        }
    }
}

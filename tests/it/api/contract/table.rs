//! The table: one row a request, in the order in which a customer would send them. `E…` are the rows of
//! the contract's list of endpoints; `ours` completes it.
//!
//! A new route needs a row here, or `access` fails.

/// One request as the documents write it, and what answers it. `{name}` is replaced by what an earlier
/// row kept.
pub(in crate::api) struct Row {
    /// Which row of the contract.
    pub(in crate::api) is: &'static str,
    pub(in crate::api) method: &'static str,
    /// As `/openapi.json` spells it.
    pub(in crate::api) path: &'static str,
    pub(super) query: &'static str,
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) body: &'static str,
    /// Whether the documents send a token.
    pub(super) token: bool,
    pub(in crate::api) answers: Answers,
    /// Names for what later rows need, each with its JSON pointer into the content.
    pub(super) keeps: &'static [(&'static str, &'static str)],
}

/// What a row answers.
pub(in crate::api) enum Answers {
    /// A status, and an envelope whose content has these fields.
    One(u16, &'static [&'static str]),
    /// 200 and `{<collection>, total, page, size}`, each element with these fields.
    Page(&'static str, &'static [&'static str]),
    /// A status and a code.
    Problem(u16, &'static str),
    /// 200 and a body of this type without an envelope.
    Bare(&'static str),
    /// 204.
    Nothing,
    /// Server-sent events.
    Stream,
}

const HEALTH: &[&str] = &[
    "status healthy",
    "service integration-service",
    "timestamp instant",
    "version text",
    "database connected",
    "cache connected",
    "webhooks_active number",
    "integrations_active number",
    "plugins_installed number",
];

const WEBHOOK: &[&str] = &[
    "id id",
    "project_id project123",
    "name text",
    "url text",
    "events list",
    "headers object",
    "secret text",
    "is_active flag",
    "retry_config object?",
    "timeout_seconds number",
    "last_triggered_at instant?",
    "success_count number",
    "failure_count number",
    "created_by tester",
    "created_at instant",
];

const INTEGRATION: &[&str] = &[
    "id id",
    "project_id project123",
    "integration_type sandbox",
    "name text",
    "configuration object",
    "auth_config.auth_type bearer",
    "auth_config.token_encrypted true",
    "sync_settings.sync_interval text",
    "sync_settings.auto_sync true",
    "status active",
    "last_sync_at instant?",
    "sync_error_message text?",
    "created_by tester",
    "created_at instant",
    "updated_at instant",
];

const RUN: &[&str] = &[
    "run_id id",
    "integration_id id",
    "sync_type text",
    "trigger text",
    "status text",
    "started_at instant",
    "finished_at instant?",
    "pages number",
    "records number",
    "deleted number",
    "skipped object",
    "error object?",
    "position number",
];

const ATTEMPT: &[&str] = &[
    "id id",
    "webhook_id id",
    "message_id id",
    "event_type text",
    "attempt number",
    "status succeeded",
    "response_status 204",
    "error_message text?",
    "started_at instant",
    "duration_ms number",
    "next_attempt_at instant?",
    "position number",
];

const EVENTS: &[&str] = &["events list", "next text", "complete flag"];
const UPLOAD: &[&str] = &["upload_id id", "offset number"];
const TYPES: &[&str] = &["types list", "total number"];
const DELETED: &[&str] = &["id id", "deleted true"];

const ANY: Row = Row {
    is: "ours",
    method: "GET",
    path: "",
    query: "",
    headers: &[],
    body: "",
    token: true,
    answers: Answers::Nothing,
    keeps: &[],
};

/// Every operation of the API.
pub(in crate::api) const ROWS: &[Row] = &[
    Row {
        is: "E1",
        path: "/api/v1/health",
        token: false,
        answers: Answers::One(200, HEALTH),
        ..ANY
    },
    Row {
        is: "E2",
        path: "/api/v1/health/ready",
        token: false,
        answers: Answers::One(200, &["status ready", "position number"]),
        ..ANY
    },
    Row {
        is: "E3",
        path: "/docs",
        token: false,
        answers: Answers::Bare("text/html"),
        ..ANY
    },
    Row {
        path: "/openapi.json",
        token: false,
        answers: Answers::Bare("application/json"),
        ..ANY
    },
    Row {
        path: "/metrics",
        token: false,
        answers: Answers::Bare("text/plain"),
        ..ANY
    },
    // Integrations.
    Row {
        is: "E22",
        path: "/api/v1/integrations/types",
        token: false,
        answers: Answers::One(
            200,
            &["types.0.integration_type text", "types.0.category text"],
        ),
        ..ANY
    },
    Row {
        is: "E22",
        path: "/api/v1/integrations/types",
        query: "category=code_repository",
        token: false,
        answers: Answers::One(200, TYPES),
        ..ANY
    },
    Row {
        is: "E11",
        method: "POST",
        path: "/api/v1/integrations",
        body: r#"{
            "project_id": "project123",
            "integration_type": "github",
            "name": "主項目GitHub集成",
            "configuration": {
              "repository": "example/project",
              "branch": "main",
              "webhook_events": ["push", "pull_request"]
            },
            "auth_config": {
              "auth_type": "oauth",
              "access_token": "github_token"
            },
            "sync_settings": {
              "sync_interval": "hourly",
              "auto_sync": true
            }
          }"#,
        // The platform comes later; until then it is one that the hub does not know.
        answers: Answers::Problem(422, "F42304"),
        ..ANY
    },
    Row {
        is: "E11",
        method: "POST",
        path: "/api/v1/integrations",
        body: r#"{
            "project_id": "project123",
            "integration_type": "sandbox",
            "name": "主項目GitHub集成",
            "configuration": {
              "page_size": 100
            },
            "auth_config": {
              "auth_type": "bearer",
              "access_token": "sandbox_token"
            },
            "sync_settings": {
              "sync_interval": "hourly",
              "auto_sync": true
            }
          }"#,
        answers: Answers::One(201, INTEGRATION),
        keeps: &[
            ("integration_id", "/id"),
            ("integration_type", "/integration_type"),
        ],
        ..ANY
    },
    Row {
        is: "E23",
        path: "/api/v1/integrations/types/{integration_type}/schema",
        token: false,
        answers: Answers::One(
            200,
            &[
                "integration_type sandbox",
                "configuration_schema.properties object",
                "auth object",
                "setup list",
            ],
        ),
        ..ANY
    },
    Row {
        is: "E10",
        path: "/api/v1/integrations",
        answers: Answers::Page("integrations", INTEGRATION),
        ..ANY
    },
    Row {
        is: "E10",
        path: "/api/v1/integrations",
        query: "project_id=project123&integration_type=sandbox&status=active&page=1&size=20",
        answers: Answers::Page("integrations", INTEGRATION),
        ..ANY
    },
    Row {
        is: "E12",
        path: "/api/v1/integrations/{integration_id}",
        answers: Answers::One(200, INTEGRATION),
        ..ANY
    },
    Row {
        is: "E13",
        method: "PUT",
        path: "/api/v1/integrations/{integration_id}",
        body: r#"{
            "name": "renamed",
            "configuration": {"page_size": 50},
            "auth_config": {"auth_type": "bearer", "access_token": "sandbox_token"},
            "sync_settings": {"sync_interval": "daily", "auto_sync": true},
            "status": "active"
          }"#,
        answers: Answers::One(200, INTEGRATION),
        ..ANY
    },
    Row {
        method: "PATCH",
        path: "/api/v1/integrations/{integration_id}",
        headers: &[("Content-Type", "application/merge-patch+json")],
        body: r#"{"name": "renamed again"}"#,
        answers: Answers::One(200, INTEGRATION),
        ..ANY
    },
    // Syncs.
    Row {
        is: "E20",
        method: "POST",
        path: "/api/v1/integrations/{integration_id}/sync",
        body: r#"{
            "sync_type": "incremental",
            "force": false
          }"#,
        answers: Answers::One(
            202,
            &["run_id id", "integration_id id", "sync_type incremental"],
        ),
        keeps: &[("run_id", "/run_id")],
        ..ANY
    },
    Row {
        path: "/api/v1/integrations/{integration_id}/sync/runs/{run_id}",
        answers: Answers::One(200, RUN),
        ..ANY
    },
    Row {
        is: "E21",
        path: "/api/v1/integrations/{integration_id}/sync/logs",
        query: "page=1&size=20",
        answers: Answers::Page("logs", RUN),
        ..ANY
    },
    Row {
        path: "/api/v1/integrations/{integration_id}/records",
        answers: Answers::One(
            200,
            &[
                "records list",
                "has_more flag",
                "next_cursor text?",
                "size number",
            ],
        ),
        ..ANY
    },
    Row {
        path: "/api/v1/integrations/{integration_id}/events",
        answers: Answers::One(200, EVENTS),
        ..ANY
    },
    Row {
        is: "E14",
        method: "DELETE",
        path: "/api/v1/integrations/{integration_id}",
        answers: Answers::One(200, DELETED),
        ..ANY
    },
    // Imports.
    Row {
        is: "E11",
        method: "POST",
        path: "/api/v1/integrations",
        body: r#"{"project_id": "project123", "integration_type": "apple_health", "name": "phone",
            "configuration": {}}"#,
        answers: Answers::One(
            201,
            &[
                "id id",
                "integration_type apple_health",
                "auth_config object?",
            ],
        ),
        keeps: &[("integration_id", "/id")],
        ..ANY
    },
    Row {
        method: "POST",
        path: "/api/v1/integrations/{integration_id}/import",
        headers: &[
            ("Content-Type", "application/octet-stream"),
            ("Upload-Complete", "?0"),
        ],
        body: "<?xml",
        answers: Answers::One(201, UPLOAD),
        keeps: &[("upload_id", "/upload_id")],
        ..ANY
    },
    Row {
        method: "HEAD",
        path: "/api/v1/integrations/{integration_id}/import/{upload_id}",
        answers: Answers::Nothing,
        ..ANY
    },
    Row {
        method: "PATCH",
        path: "/api/v1/integrations/{integration_id}/import/{upload_id}",
        headers: &[
            ("Content-Type", "application/partial-upload"),
            ("Upload-Offset", "5"),
            ("Upload-Complete", "?1"),
        ],
        body: r#" version="1.0"?><HealthData locale="en_US"></HealthData>"#,
        answers: Answers::One(
            202,
            &["run_id id", "upload_id id", "bytes number", "sha256 text"],
        ),
        ..ANY
    },
    // Webhooks.
    Row {
        is: "E27",
        method: "POST",
        path: "/api/v1/webhooks",
        body: r#"{
            "project_id": "project123",
            "name": "部署通知",
            "url": "https://api.example.com/webhook",
            "events": ["deployment.completed", "deployment.failed"],
            "headers": {"Authorization": "Bearer token"},
            "secret": "webhook_secret",
            "is_active": true,
            "timeout_seconds": 30
          }"#,
        answers: Answers::One(201, WEBHOOK),
        keeps: &[("webhook_id", "/id")],
        ..ANY
    },
    Row {
        is: "E26",
        path: "/api/v1/webhooks",
        query: "project_id=project123",
        answers: Answers::Page("webhooks", WEBHOOK),
        ..ANY
    },
    Row {
        is: "E26",
        path: "/api/v1/webhooks",
        query: "project_id=project123&is_active=true&page=1&size=100",
        answers: Answers::Page("webhooks", WEBHOOK),
        ..ANY
    },
    Row {
        is: "E28",
        path: "/api/v1/webhooks/{webhook_id}",
        answers: Answers::One(200, WEBHOOK),
        ..ANY
    },
    Row {
        is: "E29",
        method: "PUT",
        path: "/api/v1/webhooks/{webhook_id}",
        body: r#"{"url": "{receiver}", "retry_config": {"max_retries": 3, "retry_delay": 5}}"#,
        answers: Answers::One(
            200,
            &["retry_config.max_retries 3", "retry_config.retry_delay 5"],
        ),
        ..ANY
    },
    Row {
        method: "PATCH",
        path: "/api/v1/webhooks/{webhook_id}",
        headers: &[("Content-Type", "application/merge-patch+json")],
        body: r#"{"timeout_seconds": 20}"#,
        answers: Answers::One(200, WEBHOOK),
        ..ANY
    },
    Row {
        is: "E31",
        method: "POST",
        path: "/api/v1/webhooks/{webhook_id}/test",
        body: r#"{
            "test_payload": {"message": "測試消息"}
          }"#,
        answers: Answers::One(200, &["message_id id", "attempt.status succeeded"]),
        ..ANY
    },
    Row {
        is: "E33",
        path: "/api/v1/webhooks/{webhook_id}/logs",
        query: "page=1&size=20",
        answers: Answers::Page("logs", ATTEMPT),
        ..ANY
    },
    Row {
        is: "E35",
        method: "POST",
        path: "/api/v1/webhooks/events/{event_type}",
        body: r#"{"version": "1.4.2"}"#,
        answers: Answers::One(
            202,
            &[
                "message_id id",
                "event_type deployment.completed",
                "position number",
            ],
        ),
        ..ANY
    },
    Row {
        is: "E30",
        method: "DELETE",
        path: "/api/v1/webhooks/{webhook_id}",
        answers: Answers::One(200, DELETED),
        ..ANY
    },
    // The log.
    Row {
        path: "/api/v1/events",
        answers: Answers::One(200, EVENTS),
        ..ANY
    },
    Row {
        path: "/api/v1/events/stream",
        answers: Answers::Stream,
        ..ANY
    },
];

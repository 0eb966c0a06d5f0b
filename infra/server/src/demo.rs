//! `wharf demo`: the whole flow in a minute, driven through the public API like a customer's product.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Request, StatusCode, header},
    routing::post,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt as _;
use wharf_domain::{access::Role, kernel::Secret, ports::Ids as _};
use wharf_runtime::{clock::SystemIds, work::sign};

use crate::{
    admin,
    boot::App,
    cli::{DemoArgs, Out, TokenArgs, mint},
    config::Config,
    stop::StopSignals,
    telemetry,
};

/// The demo's project.
const PROJECT: &str = "demo";
/// Messages received and not shown yet.
const SHOWN_LATE: usize = 64;
/// How long the demo waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the demo until Ctrl-C, or until it has shown everything.
///
/// # Errors
/// A step did not answer as it should.
pub async fn demo(mut config: Config, args: &DemoArgs, out: Out) -> anyhow::Result<ExitCode> {
    let signals = StopSignals::listen()?;
    let dir = Folder::new();
    config.data.dir.clone_from(&dir.0);
    config.egress.allow.push("127.0.0.0/8".to_owned());
    config.telemetry.level = "warn".to_owned();
    telemetry::start_logs(&config.telemetry)?;
    let token = |config: &Config| {
        let role = Role::Admin;
        mint(
            config,
            &TokenArgs {
                project: PROJECT.parse()?,
                sub: "you".into(),
                role: role.name().into(),
                hours: 24,
            },
        )
    };
    let app = App::open(config, telemetry::start_metrics()?, true).await?;
    admin::start(&app)?;
    let token = token(&app.config)?;
    let (arrived, messages) = mpsc::channel(SHOWN_LATE);
    let api = app.router();
    let router = api
        .clone()
        .route("/demo/sink", post(sink).with_state(arrived));
    let stop = app.hub.supervisor().stop_token();
    let tour = Tour {
        api,
        url: app.api.options.public_base_url.clone(),
        token,
        dir: dir.0.clone(),
        messages,
        out,
    };
    let once = args.once;
    let touring = async {
        let result = tour.run(once).await;
        if once || result.is_err() {
            stop.cancel();
        }
        result
    };
    let (served, toured) = tokio::join!(app.serve(router, signals), touring);
    toured?;
    served?;
    Ok(ExitCode::SUCCESS)
}

/// A data folder that goes with the demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("wharf-demo-{}", SystemIds.uuid())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A message as the receiver got it.
struct Arrived {
    id: String,
    timestamp: i64,
    signature: String,
    body: Bytes,
}

/// The webhook receiver of the demo. A real one checks the signature; the tour does it here.
async fn sink(
    State(arrived): State<mpsc::Sender<Arrived>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let message = Arrived {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp").parse().unwrap_or_default(),
        signature: text("webhook-signature"),
        body,
    };
    // Full: the tour is over and nobody looks.
    let _ = arrived.try_send(message);
    StatusCode::NO_CONTENT
}

struct Tour {
    api: Router,
    url: String,
    token: String,
    dir: PathBuf,
    messages: mpsc::Receiver<Arrived>,
    out: Out,
}

impl Tour {
    async fn run(mut self, once: bool) -> anyhow::Result<()> {
        let Self { url, .. } = &self;
        let hello =
            format!("wharf demo: everything below happens through the public API of {url}\n");
        self.out.tell(&hello)?;
        let webhook = self
            .call(
                "POST",
                "/api/v1/webhooks",
                &json!({
                    "project_id": PROJECT, "name": "demo receiver",
                    "url": format!("{url}/demo/sink"), "events": ["*"],
                }),
            )
            .await?;
        let secret = Secret::new(
            at(&webhook, "/secret")
                .as_str()
                .context("the webhook has no secret")?
                .as_bytes()
                .to_vec(),
        );
        self.say(
            "webhook",
            &format!("created {} for every event type", text(at(&webhook, "/id"))),
        )?;
        let integration = self
            .call(
                "POST",
                "/api/v1/integrations",
                &json!({
                    "project_id": PROJECT, "integration_type": "sandbox", "name": "demo sandbox",
                    "configuration": {},
                    "auth_config": { "auth_type": "bearer", "access_token": "sandbox_demo" },
                }),
            )
            .await?;
        let id = text(at(&integration, "/id"));
        self.say(
            "connected",
            &format!(
                "sandbox integration {id}, status {}",
                text(at(&integration, "/status"))
            ),
        )?;
        let run = self
            .call(
                "POST",
                &format!("/api/v1/integrations/{id}/sync"),
                &json!({}),
            )
            .await?;
        self.say(
            "sync",
            &format!("started run {}", text(at(&run, "/run_id"))),
        )?;
        let deployed = json!({ "service": "checkout", "version": "1.4.2" });
        self.call(
            "POST",
            "/api/v1/webhooks/events/deployment.completed",
            &deployed,
        )
        .await?;
        self.say("event", "sent deployment.completed")?;
        self.deliveries(&secret, &["deployment.completed", "sync.completed"])
            .await?;
        let logs = self
            .call(
                "GET",
                &format!("/api/v1/integrations/{id}/sync/logs"),
                &Value::Null,
            )
            .await?;
        self.say(
            "synced",
            &format!(
                "{} records, {}",
                at(&logs, "/logs/0/records"),
                text(at(&logs, "/logs/0/status"))
            ),
        )?;
        self.events().await?;
        self.hints(&id)?;
        if !once {
            // Keep taking what arrives while the visitor tries things.
            while let Some(message) = self.messages.recv().await {
                self.show(&secret, &message)?;
            }
        }
        Ok(())
    }

    /// Waits until each topic was delivered, signed right.
    async fn deliveries(
        &mut self,
        secret: &Secret<Vec<u8>>,
        topics: &[&str],
    ) -> anyhow::Result<()> {
        let mut missing: Vec<_> = topics.to_vec();
        while !missing.is_empty() {
            let message = tokio::time::timeout(PATIENCE, self.messages.recv())
                .await
                .with_context(|| format!("no message of {} came", missing.join(", ")))?
                .context("the receiver is gone")?;
            let topic = self.show(secret, &message)?;
            missing.retain(|wanted| *wanted != topic);
        }
        Ok(())
    }

    fn show(&self, secret: &Secret<Vec<u8>>, message: &Arrived) -> anyhow::Result<String> {
        let body: Value = serde_json::from_slice(&message.body)?;
        let id = message.id.parse().context("webhook-id is no id")?;
        let expected = sign::v1(secret, id, message.timestamp, &message.body);
        let verdict = if expected == message.signature {
            "signature right"
        } else {
            "SIGNATURE WRONG"
        };
        let topic = text(at(&body, "/type"));
        self.say(
            "delivered",
            &format!("{topic} to the receiver, {verdict}: {}", at(&body, "/data")),
        )?;
        Ok(topic)
    }

    async fn events(&self) -> anyhow::Result<()> {
        let page = self
            .call("GET", "/api/v1/events?limit=100", &Value::Null)
            .await?;
        self.out
            .tell("\nthe log so far, as GET /api/v1/events gives it:")?;
        for event in at(&page, "/events").as_array().context("no events")? {
            self.say(
                "log",
                &format!(
                    "{:>5}  {}",
                    text(at(event, "/id")),
                    text(at(event, "/type"))
                ),
            )?;
        }
        Ok(())
    }

    fn hints(&self, integration: &str) -> anyhow::Result<()> {
        let Self {
            url, token, dir, ..
        } = self;
        let dir = dir.display();
        self.out.say(
            &json!({ "url": url, "docs": format!("{url}/docs"), "token": token, "integration_id": integration }),
            || {
                format!(
                    "
open   {url}/docs             every route, with a form to try it
       {url}/api/v1/health

try    export TOKEN={token}
       curl -H \"Authorization: Bearer $TOKEN\" '{url}/api/v1/integrations/{integration}/records?size=3'
       curl -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\
            -d '{{\"order\": 42}}' {url}/api/v1/webhooks/events/task.created
       curl -N -H \"Authorization: Bearer $TOKEN\" {url}/api/v1/events/stream
       WHARF_DATA__DIR={dir} wharf log replay

Ctrl-C stops the demo and removes {dir}"
                )
            },
        )?;
        Ok(())
    }

    fn say(&self, what: &str, text: &str) -> std::io::Result<()> {
        self.out.say(&json!({ "step": what, "text": text }), || {
            format!("{what:>10}  {text}")
        })
    }

    /// One request to the API; answers the envelope's content.
    async fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json");
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let request = request.body(body)?;
        let response = self.api.clone().oneshot(request).await?;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 16 * 1024 * 1024).await?;
        let mut answer: Value = serde_json::from_slice(&bytes)?;
        anyhow::ensure!(
            status.is_success(),
            "{method} {path} answered {status}: {answer}"
        );
        Ok(answer
            .get_mut("content")
            .map(Value::take)
            .unwrap_or_default())
    }
}

/// What lies at a JSON pointer (RFC 6901); null if nothing does.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

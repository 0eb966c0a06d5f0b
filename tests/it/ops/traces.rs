//! Traces, as a collector receives them: decoded by the protocol's own types, which the hub has no part in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value as AnyValue,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use wharf_domain::access::Role;
use wharf_tests::{
    client::{Client, PATIENCE},
    process::{Home, Wharf},
    receiver::Receiver,
};

/// Of the standard's own example.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector on loopback.
#[derive(Clone)]
struct Collector {
    inner: Arc<Inner>,
    url: String,
}

#[derive(Default)]
struct Inner {
    /// Every request: its headers and its body.
    requests: Mutex<Vec<(HeaderMap, Bytes)>>,
    count: watch::Sender<usize>,
}

impl Collector {
    async fn start() -> Self {
        let inner = Arc::<Inner>::default();
        let router = Router::new()
            .route("/v1/traces", post(collect))
            .with_state(inner.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "tests have no supervisor")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { inner, url }
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.inner.requests.lock().unwrap();
        let decoded = requests
            .iter()
            .map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        decoded
            .flat_map(|request| request.resource_spans)
            .flat_map(|of_resource| of_resource.scope_spans)
            .flat_map(|of_scope| of_scope.spans)
            .collect()
    }

    /// The spans of one trace, once `done` says that they are all there.
    async fn trace(&self, trace: &str, done: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let of_trace = || {
            let mut spans = self.spans();
            spans.retain(|span| hex::encode(&span.trace_id) == trace);
            spans
        };
        let mut count = self.inner.count.subscribe();
        let waiting = async {
            while !done(&of_trace()) {
                count.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(
            waited.is_ok(),
            "of {trace} came only {:?}",
            names(&of_trace())
        );
        of_trace()
    }

    fn hub(&self, home: &Home) -> Wharf {
        home.serve_with(&BTreeMap::from([
            ("WHARF_TELEMETRY__OTLP_ENDPOINT", self.url.as_str()),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "x-collector-token=planted-collector-token",
            ),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=test",
            ),
        ]))
    }
}

async fn collect(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Bytes) {
    let count = {
        let mut requests = inner.requests.lock().unwrap();
        requests.push((headers, body));
        requests.len()
    };
    inner.count.send_replace(count);
    (StatusCode::OK, Bytes::new())
}

fn names(spans: &[Span]) -> BTreeSet<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

#[track_caller]
fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no {name} among {:?}", names(spans)))
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == name)?;
    let value = found.value.as_ref()?.value.as_ref()?;
    if let AnyValue::StringValue(text) = value {
        return Some(text.clone());
    }
    if let AnyValue::IntValue(number) = value {
        return Some(number.to_string());
    }
    panic!("{name} is {value:?}")
}

async fn traced(client: &Client, path: &str, body: &Value, headers: &[(&str, &str)]) -> HeaderMap {
    let mut request = client
        .request(reqwest::Method::POST, path)
        .header("content-type", "application/json")
        .body(body.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = Client::send(request).await;
    assert!((200..300).contains(&answer.status), "{}", answer.text);
    answer.headers
}

/// A sandbox integration with a planted secret, and a receiver of every message.
async fn prepared(wharf: &Wharf) -> (Client, String, Receiver) {
    let client = wharf.client("p", Role::Admin);
    let receiver = Receiver::start().await;
    let webhook = json!({ "project_id": "p", "name": "w", "url": receiver.url, "events": ["*"] });
    client.post("/api/v1/webhooks", &webhook).await.ok();
    let integration = json!({
        "project_id": "p", "integration_type": "sandbox", "name": "s", "configuration": {},
        "auth_config": { "auth_type": "bearer", "access_token": "sandbox_demo" },
    });
    let created = client.post("/api/v1/integrations", &integration).await.ok();
    (client, created["id"].as_str().unwrap().to_owned(), receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_caller_to_the_webhook() {
    let (collector, home) = (Collector::start().await, Home::default());
    let wharf = collector.hub(&home);
    let (client, id, receiver) = prepared(&wharf).await;
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let sync = format!("/api/v1/integrations/{id}/sync");
    traced(&client, &sync, &json!({}), &[("traceparent", &parent)]).await;

    let all = ["request", "dispatch", "append", "run", "page", "attempt"];
    let complete = |spans: &[Span]| all.iter().all(|name| names(spans).contains(name));
    let spans = collector.trace(TRACE, complete).await;
    let (request, dispatch) = (named(&spans, "request"), named(&spans, "dispatch"));
    assert_eq!(hex::encode(&request.parent_span_id), CALLER);
    assert_eq!(dispatch.parent_span_id, request.span_id);
    assert!(
        spans
            .iter()
            .any(|span| span.name == "append" && span.parent_span_id == dispatch.span_id)
    );
    let (run, page) = (named(&spans, "run"), named(&spans, "page"));
    assert_eq!(page.parent_span_id, run.span_id);
    assert!(run.start_time_unix_nano <= page.start_time_unix_nano);
    assert!(page.end_time_unix_nano <= run.end_time_unix_nano);
    assert_eq!(
        attribute(run, "wharf.outcome").as_deref(),
        Some("completed")
    );
    let route = attribute(request, "http.route");
    assert_eq!(
        route.as_deref(),
        Some("/api/v1/integrations/{integration_id}/sync")
    );
    assert_eq!(request.kind(), SpanKind::Server);
    let status: u16 = attribute(request, "http.response.status_code")
        .unwrap()
        .parse()
        .unwrap();
    assert!((200..300).contains(&status));

    // The receiver is told: its part of the trace hangs below the attempt.
    let attempt = named(&spans, "attempt");
    assert_eq!(attempt.kind(), SpanKind::Client);
    let got = receiver.wait(1).await;
    let expected = format!("00-{TRACE}-{}-01", hex::encode(&attempt.span_id));
    assert_eq!(got[0].header("traceparent"), expected);

    // The log keeps the trace as its correlation: what happens tomorrow finds it there.
    let correlation = uuid::Uuid::parse_str(TRACE).unwrap().to_string();
    let (_, replayed, _) = home.run(&["log", "replay", "--json"]);
    let of_trace = replayed.lines().filter(|line| line.contains(&correlation));
    assert!(of_trace.count() >= 5, "{replayed}");
    let unique: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(unique.len(), spans.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv04_a_collector_gets_no_secret_and_no_name() {
    let (collector, home) = (Collector::start().await, Home::default());
    let wharf = collector.hub(&home);
    let (client, id, receiver) = prepared(&wharf).await;
    let token = wharf_tests::process::token("p", Role::Admin);
    let path = format!("/api/v1/integrations/{id}?token=planted-in-the-query");
    client.get(&path).await;
    let message = json!({ "planted": "in-the-body" });
    traced(
        &client,
        "/api/v1/webhooks/events/task.created",
        &message,
        &[],
    )
    .await;
    let sync = format!("/api/v1/integrations/{id}/sync");
    let own = [
        ("x-request-id", "my-own-id"),
        ("tracestate", "planted=state"),
    ];
    traced(&client, &sync, &json!({}), &own).await;
    receiver.wait(2).await;
    assert_eq!(wharf.stop(), 0, "what waits is sent before the end");

    let allowed = [
        "wharf.correlation",
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "wharf.stream.category",
        "wharf.outcome",
    ];
    let spans = collector.spans();
    assert!(spans.len() >= 10, "{:?}", names(&spans));
    for span in &spans {
        for attribute in &span.attributes {
            assert!(
                allowed.contains(&attribute.key.as_str()),
                "{}",
                attribute.key
            );
        }
        assert!(span.events.is_empty() && span.trace_state.is_empty());
    }
    let requests = collector.inner.requests.lock().unwrap();
    for (headers, body) in requests.iter() {
        assert_eq!(headers["x-collector-token"], "planted-collector-token");
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let text = String::from_utf8_lossy(body);
        for secret in [
            "planted",
            "sandbox_demo",
            token.as_str(),
            receiver.url.as_str(),
            &id,
        ] {
            assert!(!text.contains(secret), "a collector was told {secret}");
        }
        assert!(text.contains("deployment.environment.name"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_decides_whether_its_trace_is_looked_at_and_keeps_its_own_id() {
    let (collector, home) = (Collector::start().await, Home::default());
    let wharf = collector.hub(&home);
    let client = wharf.client("p", Role::Admin);
    let path = "/api/v1/webhooks/events/task.created";
    let unsampled = format!("00-{TRACE}-{CALLER}-00");
    let headers = traced(&client, path, &json!({}), &[("traceparent", &unsampled)]).await;
    let correlation = uuid::Uuid::parse_str(TRACE).unwrap().to_string();
    assert_eq!(headers["x-request-id"], correlation.as_str());

    // Its own id stays, and what is no traceparent is as good as none.
    let own = [("x-request-id", "my-own-id"), ("traceparent", "nonsense")];
    let headers = traced(&client, path, &json!({}), &own).await;
    assert_eq!(headers["x-request-id"], "my-own-id");
    let has_own =
        |span: &Span| attribute(span, "wharf.correlation").as_deref() == Some("my-own-id");
    let headers = traced(&client, path, &json!({}), &[]).await;
    let given = uuid::Uuid::parse_str(headers["x-request-id"].to_str().unwrap()).unwrap();
    let trace = given.simple().to_string();
    collector
        .trace(&trace, |spans| names(spans).contains("request"))
        .await;
    let spans = collector.spans();
    assert!(spans.iter().any(has_own));
    let unwanted = |span: &Span| hex::encode(&span.trace_id) == TRACE;
    assert!(!spans.iter().any(unwanted), "{:?}", names(&spans));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_nothing_waits_for_one() {
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let home = Home::default();
    let settings = BTreeMap::from([("WHARF_TELEMETRY__OTLP_ENDPOINT", endpoint.as_str())]);
    let wharf = home.serve_with(&settings);
    let client = wharf.client("p", Role::Admin);
    for _ in 0..20 {
        traced(
            &client,
            "/api/v1/webhooks/events/task.created",
            &json!({}),
            &[],
        )
        .await;
    }
    let failed = |text: &str| {
        let line = text
            .lines()
            .find(|line| line.contains("spans_total{outcome=\"failed\"}"));
        line.is_some_and(|line| !line.ends_with(" 0"))
    };
    while !failed(&wharf.stranger().get("/metrics").await.text) {
        tokio::task::yield_now().await;
    }
    assert_eq!(wharf.stop(), 0);

    // One that takes connections and says nothing does not hold the hub when it stops.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let settings = BTreeMap::from([("WHARF_TELEMETRY__OTLP_ENDPOINT", endpoint.as_str())]);
    let wharf = home.serve_with(&settings);
    let client = wharf.client("p", Role::Admin);
    traced(
        &client,
        "/api/v1/webhooks/events/task.created",
        &json!({}),
        &[],
    )
    .await;
    let began = std::time::Instant::now();
    assert_eq!(wharf.stop(), 0);
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());

    // Off, which is the default: webhooks are told nothing.
    let wharf = home.serve();
    let (client, _, receiver) = prepared(&wharf).await;
    traced(
        &client,
        "/api/v1/webhooks/events/task.created",
        &json!({}),
        &[],
    )
    .await;
    assert_eq!(receiver.wait(1).await[0].header("traceparent"), "");
}

//! The API over memory: ports that do just enough for its own tests. Whole flows over the real ports are
//! tested in the `tests` crate.

mod dispatch;
mod log;
mod ports;

use std::sync::{Arc, atomic::AtomicBool};

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wharf_domain::{
    access::Role,
    kernel::{Secret, Timestamp},
    ports::Clock,
};
use wharf_projections::Views;

pub(crate) use self::{
    log::MemoryLog,
    ports::{MemoryAnswers, MemorySpool, MemoryVault, TestClock},
};
use crate::{
    ApiOptions, ApiState,
    auth::{Claims, TokenRules, Verifier, mint},
};

/// Key of the tokens of tests.
pub(crate) const SECRET: &[u8] = b"a test secret of at least 32 bytes";

/// A hub over memory.
pub(crate) struct Hub {
    pub(crate) router: Router,
    pub(crate) state: ApiState,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) vault: Arc<MemoryVault>,
    pub(crate) clock: Arc<TestClock>,
    /// Whether what is dispatched is projected at once.
    pub(crate) projecting: Arc<AtomicBool>,
    _dir: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// `code` of the envelope.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// `content` of the envelope.
    pub(crate) fn content(&self) -> Value {
        self.json()["content"].clone()
    }

    /// Status and code at once.
    #[track_caller]
    pub(crate) fn expect(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status.as_u16(), self.code().as_str()),
            (status, code),
            "{}",
            String::from_utf8_lossy(&self.bytes)
        );
        self
    }

    /// Fields named as wrong.
    pub(crate) fn fields(&self) -> Vec<String> {
        let errors = self.content()["errors"].clone();
        errors
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Hub {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(adjust: impl FnOnce(&mut ApiState)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Arc::new(MemoryLog::default());
        let vault = Arc::new(MemoryVault::default());
        let clock = Arc::new(TestClock::default());
        let views = Views::open(dir.path(), vault.clone()).await.unwrap();
        let projection = views.projection(0).await.unwrap();
        let projecting = Arc::new(AtomicBool::new(true));
        let dispatch = Arc::new(dispatch::Dispatcher::new(
            log.clone(),
            clock.clone(),
            projection,
            projecting.clone(),
        ));
        let secret = Secret::new(SECRET.to_vec());
        let mut state = ApiState {
            dispatch,
            log: log.clone(),
            views,
            vault: vault.clone(),
            answers: Arc::new(MemoryAnswers::default()),
            spool: Arc::new(MemorySpool::default()),
            http: Arc::new(ports::Guard),
            clock: clock.clone(),
            ids: Arc::new(ports::TestIds::default()),
            connectors: ports::connectors(),
            auth: Verifier::hs256(&secret, TokenRules::default()).unwrap(),
            metrics: Arc::new(|| "wharf_up 1\n".to_owned()),
            shutdown: CancellationToken::new(),
            options: ApiOptions {
                view_wait: std::time::Duration::from_millis(5),
                ..ApiOptions::default()
            },
        };
        adjust(&mut state);
        Self {
            router: crate::router(state.clone()),
            state,
            log,
            vault,
            clock,
            projecting,
            _dir: dir,
        }
    }

    /// A token of `project` with `role`.
    pub(crate) fn token(&self, project: &str, role: Role) -> String {
        let now = self.clock.now();
        let claims = Claims {
            subject: "alice".to_owned(),
            project: project.parse().unwrap(),
            roles: [role].into(),
            issued_at: now,
            expires_at: now + jiff::SignedDuration::from_hours(1),
            issuer: None,
            audience: None,
        };
        mint(&Secret::new(SECRET.to_vec()), &claims).unwrap()
    }

    /// A request as an admin of `project123`; `with` adds to it or replaces it.
    pub(crate) fn request(&self, method: &str, uri: &str) -> http::request::Builder {
        Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(uri)
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.token("project123", Role::Admin)),
            )
    }

    /// Sends a request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            bytes: axum::body::to_bytes(body, usize::MAX)
                .await
                .unwrap()
                .to_vec(),
        }
    }

    /// `GET uri` as an admin of `project123`.
    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.send(self.request("GET", uri).body(Body::empty()).unwrap())
            .await
    }

    /// `method uri` with a JSON body as an admin of `project123`.
    pub(crate) async fn call(&self, method: &str, uri: &str, body: Value) -> Answer {
        let request = self
            .request(method, uri)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.send(request).await
    }

    /// The same with an `Idempotency-Key`.
    pub(crate) async fn call_once(&self, key: &str, uri: &str, body: Value) -> Answer {
        let request = self
            .request("POST", uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Body::from(body.to_string()))
            .unwrap();
        self.send(request).await
    }

    /// The instant at which every test begins.
    pub(crate) fn epoch() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }
}

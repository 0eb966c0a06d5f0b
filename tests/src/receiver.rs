//! A webhook receiver on loopback that answers what it is told to and keeps what it got.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use tokio::sync::watch;

use crate::client::PATIENCE;

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct Got {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Got {
    /// A header as text; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a message is JSON")
    }
}

/// What it answers: a status, and headers.
pub type Reply = (StatusCode, Vec<(&'static str, String)>);

#[derive(Default)]
struct Inner {
    replies: Mutex<VecDeque<Reply>>,
    got: Mutex<Vec<Got>>,
    count: watch::Sender<usize>,
}

/// A receiver; it goes on until the test ends.
#[derive(Clone)]
pub struct Receiver {
    inner: Arc<Inner>,
    /// Where it listens.
    pub url: String,
}

impl Receiver {
    /// Starts one that answers 204.
    pub async fn start() -> Self {
        let inner = Arc::<Inner>::default();
        let router = Router::new().fallback(take).with_state(inner.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "tests have no supervisor")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { inner, url }
    }

    /// The next requests get these answers; after them 204 again.
    pub fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.inner.replies.lock().unwrap().extend(replies);
    }

    /// Everything so far.
    #[must_use]
    pub fn got(&self) -> Vec<Got> {
        self.inner.got.lock().unwrap().clone()
    }

    /// Waits until there are at least `n` requests.
    pub async fn wait(&self, n: usize) -> Vec<Got> {
        let mut count = self.inner.count.subscribe();
        let waited = tokio::time::timeout(PATIENCE, count.wait_for(|count| *count >= n)).await;
        assert!(
            waited.is_ok(),
            "{} of {n} requests arrived",
            self.got().len()
        );
        self.got()
    }
}

async fn take(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let count = {
        let mut got = inner.got.lock().unwrap();
        got.push(Got { headers, body });
        got.len()
    };
    inner.count.send_replace(count);
    let (status, headers) = inner
        .replies
        .lock()
        .unwrap()
        .pop_front()
        .unwrap_or((StatusCode::NO_CONTENT, vec![]));
    let mut answer = status.into_response();
    for (name, value) in headers {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}

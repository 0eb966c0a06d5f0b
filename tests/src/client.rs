//! A customer's product, as far as HTTP goes.

use std::time::Duration;

use reqwest::{Method, header::HeaderMap};
use serde_json::Value;

/// How long a test waits for something that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A caller of the API.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub body: Value,
}

impl Answer {
    /// `content` of a success; fails the test otherwise.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            self.text
        );
        assert_eq!(self.body["code"], "S10000", "{}", self.text);
        self.body["content"].clone()
    }

    /// The answer is this problem; fails the test otherwise.
    #[track_caller]
    pub fn is(&self, status: u16, code: &str) -> &Self {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text
        );
        self
    }

    /// `X-Wharf-Position`.
    #[track_caller]
    #[must_use]
    pub fn position(&self) -> u64 {
        self.headers["x-wharf-position"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    }
}

impl Client {
    /// A caller of the hub at `url`.
    #[must_use]
    pub fn new(url: &str, token: Option<String>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A connection each: one that the hub is about to close is never used again by accident.
        let http = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            http,
            url: url.to_owned(),
            token,
        }
    }

    /// A request to `path` that a test goes on to build.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request built by [`Self::request`].
    ///
    /// # Errors
    /// There was no answer.
    pub async fn try_send(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer {
            status,
            headers,
            text,
            body,
        })
    }

    /// Sends a request built by [`Self::request`]; fails the test if there is no answer.
    pub async fn send(request: reqwest::RequestBuilder) -> Answer {
        Self::try_send(request).await.expect("an answer")
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        Self::send(self.request(Method::GET, path)).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Answer {
        Self::send(self.request(Method::DELETE, path)).await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json(Method::POST, path, body).await
    }

    /// Any method with a JSON body.
    pub async fn json(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self
            .request(method, path)
            .header("content-type", "application/json")
            .body(body.to_string());
        Self::send(request).await
    }

    /// Asks again until `done` says so; fails the test after [`PATIENCE`].
    pub async fn until(&self, path: &str, mut done: impl FnMut(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let answer = self.get(path).await.ok();
                if done(&answer) {
                    return answer;
                }
                // The hub is another process: there is nothing to be woken by.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(answer) => answer,
            Err(_) => panic!(
                "{path} never became what was waited for: {}",
                self.get(path).await.text
            ),
        }
    }
}

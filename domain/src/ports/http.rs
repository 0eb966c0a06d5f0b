//! Outbound HTTP. Only `infra/egress` implements it; nothing else opens an outbound connection.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// Who chose the address; decides what the SSRF guard lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustClass {
    /// A caller of the API: public addresses only, or what the operator's allow-list adds.
    Caller,
    /// The hub itself: its own `sandbox`, on loopback.
    Hub,
}

/// One request. Redirects are never followed.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// Absolute, `http` or `https`, without user and password.
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Sent as it is.
    pub body: Bytes,
    /// For everything: resolve, connect, send, and read the answer's body.
    pub timeout: Duration,
    /// Bytes of the answer's body that are read; the rest is cut off and `truncated` is set.
    pub max_body_bytes: usize,
    /// Who chose the address.
    pub trust: TrustClass,
}

/// The answer, whatever its status.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most `max_body_bytes`.
    pub body: Bytes,
    /// There was more of it.
    pub truncated: bool,
}

impl HttpResponse {
    /// The first header of that name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The guard forbids the address; trying again will not help.
    #[error("address not allowed: {0}")]
    Blocked(String),
    /// Not a URL we can call.
    #[error("not a callable URL: {0}")]
    BadUrl(String),
    /// The name did not resolve, or nothing listens, or TLS failed.
    #[error("could not connect: {0}")]
    Connect(String),
    /// The deadline passed.
    #[error("no answer within the time limit")]
    Timeout,
    /// The connection broke after the request was (perhaps partly) sent.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// The only HTTP client.
#[async_trait]
pub trait Http: Send + Sync + 'static {
    /// Sends one request, tries once.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;

    /// Whether `url` could be called at all: its form and, for literal addresses, the guard. Names are
    /// judged again at connect time.
    ///
    /// # Errors
    /// [`HttpError::BadUrl`] or [`HttpError::Blocked`].
    fn check(&self, url: &str, trust: TrustClass) -> Result<(), HttpError>;
}

//! [`Egress`]: sends one request within its limits of time and size.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use ipnet::IpNet;
use reqwest::{Client, redirect};
use tokio::time::Instant;
use wharf_domain::ports::{Http, HttpError, HttpRequest, HttpResponse, TrustClass};

use crate::{
    addresses::Addresses,
    check::check,
    guard::{Guard, Resolve, SystemDns},
    outcome,
};

const USER_AGENT: &str = concat!("wharf/", env!("CARGO_PKG_VERSION"));
/// Room set aside for an answer's body before it comes; it grows up to the request's limit.
const FIRST_BODY_BYTES: usize = 4096;
/// Headers that belong to the connection. A caller who sets them talks to another host than the one
/// that was checked, or smuggles a second request.
const OURS: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How egress behaves.
#[derive(Clone)]
pub struct Options {
    /// Addresses that callers may name although they are not public: the operator's own network.
    pub allow: Vec<IpNet>,
    /// Where names are looked up.
    pub resolver: Arc<dyn Resolve>,
    /// For one lookup.
    pub resolve_timeout: Duration,
    /// For lookup, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Idle connections kept for one host.
    pub idle_per_host: usize,
    /// How long they are kept.
    pub idle_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            resolver: Arc::new(SystemDns),
            resolve_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            idle_per_host: 4,
            idle_timeout: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("allow", &self.allow)
            .field("resolve_timeout", &self.resolve_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_per_host", &self.idle_per_host)
            .field("idle_timeout", &self.idle_timeout)
            .finish_non_exhaustive()
    }
}

/// Why there is no egress.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client cannot be built; mostly there are no root certificates.
    #[error(
        "the HTTP client cannot be built; install the system's root certificates (ca-certificates)"
    )]
    Client(#[from] reqwest::Error),
}

/// The only HTTP client. One pool of connections for each trust class, so that no connection made for
/// one is used by the other.
#[derive(Debug)]
pub struct Egress {
    addresses: Arc<Addresses>,
    caller: Client,
    hub: Client,
}

impl Egress {
    /// Builds the clients. Makes ring the process's TLS provider if nobody chose one before.
    ///
    /// # Errors
    /// [`Error::Client`].
    pub fn new(options: Options) -> Result<Self, Error> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Fails only if another thread was faster; then there is one, too.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let addresses = Arc::new(Addresses::new(options.allow.clone()));
        Ok(Self {
            caller: client(&options, &addresses, TrustClass::Caller)?,
            hub: client(&options, &addresses, TrustClass::Hub)?,
            addresses,
        })
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = check(&request.url, request.trust, &self.addresses)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| HttpError::BadUrl("the method is none".to_owned()))?;
        let client = match request.trust {
            TrustClass::Caller => &self.caller,
            TrustClass::Hub => &self.hub,
        };
        let mut headers = headers(&request.headers)?;
        if request.body.is_empty() && matches!(method, Method::POST | Method::PUT | Method::PATCH) {
            // The client leaves it out; servers may answer 411 (RFC 9110 §8.6).
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let mut call = reqwest::Request::new(method, url);
        *call.headers_mut() = headers;
        *call.body_mut() = Some(request.body.into());
        let mut response = client
            .execute(call)
            .await
            .map_err(|error| outcome::error_of(&error))?;

        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        let mut body = Vec::with_capacity(request.max_body_bytes.min(FIRST_BODY_BYTES));
        let mut truncated = false;
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| outcome::error_of(&error))?
        {
            let room = request.max_body_bytes.saturating_sub(body.len());
            body.extend(chunk.iter().take(room));
            if chunk.len() > room {
                // Dropping the response closes the connection; nothing more is read.
                truncated = true;
                break;
            }
        }
        Ok(HttpResponse {
            status,
            headers,
            body: body.into(),
            truncated,
        })
    }
}

#[async_trait]
impl Http for Egress {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (trust, method, limit) = (request.trust, request.method, request.timeout);
        let began = Instant::now();
        let result = tokio::time::timeout(limit, self.exchange(request))
            .await
            .unwrap_or(Err(HttpError::Timeout));
        let duration = began.elapsed();
        outcome::count(trust, &result, duration);
        tracing::debug!(
            method,
            outcome = outcome::label(&result),
            duration_ms = duration.as_millis() as u64,
            "outbound request"
        );
        result
    }

    fn check(&self, url: &str, trust: TrustClass) -> Result<(), HttpError> {
        check(url, trust, &self.addresses).map(drop)
    }
}

fn client(
    options: &Options,
    addresses: &Arc<Addresses>,
    trust: TrustClass,
) -> Result<Client, reqwest::Error> {
    Client::builder()
        .user_agent(USER_AGENT)
        .dns_resolver(Guard::new(
            Arc::clone(&options.resolver),
            Arc::clone(addresses),
            trust,
            options.resolve_timeout,
        ))
        .connect_timeout(options.connect_timeout)
        .pool_max_idle_per_host(options.idle_per_host)
        .pool_idle_timeout(options.idle_timeout)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .build()
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        let bad = || HttpError::BadUrl("one of its headers cannot be sent".to_owned());
        let name = HeaderName::try_from(name.as_str()).map_err(|_| bad())?;
        if OURS.contains(&name.as_str()) {
            return Err(bad());
        }
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| bad())?;
        // Any of them may be a credential; keeps it out of the client's debug output.
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

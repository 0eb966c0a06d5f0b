//! JSON bodies.

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, Uri, header};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use wharf_domain::kernel::Hash;

use super::{header::IdempotencyKey, strict};
use crate::{
    idempotency::Once,
    problem::{Code, Error},
    state::App,
};

/// A JSON body as a closed struct. An empty body is an empty object.
pub(crate) struct Json<T>(pub(crate) T);

/// The body of a POST, and the request's identity for [`crate::idempotency`].
pub(crate) struct Post<T> {
    /// The body.
    pub(crate) body: T,
    /// Which request it is.
    pub(crate) once: Once,
}

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body, app.api.options.max_body_bytes).await?;
        parse(&parts.headers, &bytes).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Post<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(&mut parts, app).await?;
        let bytes = read(&parts.headers, body, app.api.options.max_body_bytes).await?;
        let body = parse(&parts.headers, &bytes)?;
        let once = Once {
            key,
            fingerprint: fingerprint("POST", &parts.uri, &bytes),
        };
        Ok(Self { body, once })
    }
}

/// What makes two requests the same: method, path and query, body.
pub(crate) fn fingerprint(method: &str, uri: &Uri, body: &[u8]) -> Hash {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    Hash::of(&[method.as_bytes(), target.as_bytes(), body])
}

async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Error> {
    let too_large =
        || Error::new(Code::TooLarge).detail(format!("a body has at most {limit} bytes"));
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Error::new(Code::Malformed)
                .detail("the body broke off")
                .because(error)
        })?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// The body as JSON, then as `T`.
pub(super) fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Error> {
    let value = if bytes.is_empty() {
        Value::Object(serde_json::Map::new())
    } else {
        if !is_json(headers) {
            return Err(Error::new(Code::MediaType));
        }
        serde_json::from_slice(bytes).map_err(|error| {
            Error::new(Code::Malformed).detail(format!(
                "{} at line {} column {}",
                match error.classify() {
                    serde_json::error::Category::Eof => "the JSON ends too early",
                    serde_json::error::Category::Syntax
                    | serde_json::error::Category::Data
                    | serde_json::error::Category::Io => "the JSON is malformed or too deep",
                },
                error.line(),
                error.column()
            ))
        })?
    };
    Ok(T::deserialize(strict::Json(value))?)
}

/// `application/json` or `application/*+json`; a charset may only be UTF-8.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let json = essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"));
    json && parts.all(|parameter| {
        parameter
            .to_ascii_lowercase()
            .strip_prefix("charset=")
            .is_none_or(|charset| charset.trim_matches('"') == "utf-8")
    })
}

/// For fields where `null` says "remove" and absence says "leave".
pub(crate) fn double<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

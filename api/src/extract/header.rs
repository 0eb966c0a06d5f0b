//! Headers that change what a request means.

use axum::extract::FromRequestParts;
use http::{header, request::Parts};
use wharf_domain::kernel::Revision;

use crate::{
    problem::{Code, Error},
    state::App,
};

/// The request's `Idempotency-Key`.
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Error> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        let key = value.as_bytes();
        if values.next().is_some()
            || !(1..=255).contains(&key.len())
            || !key.iter().all(u8::is_ascii_graphic)
        {
            return Err(Error::field(
                "Idempotency-Key",
                "expected one value of 1 to 255 visible ASCII characters",
            ));
        }
        Ok(Self(Some(String::from_utf8_lossy(key).into_owned())))
    }
}

/// The revision that a change builds upon, from `If-Match`; none without one, or with `*`.
pub(crate) struct IfMatch(pub(crate) Option<Revision>);

impl FromRequestParts<App> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Error> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        let tag = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        match tag {
            // A well-formed tag that was never ours matches nothing.
            Some(tag) if !tag.contains('"') => tag
                .parse()
                .map(|revision| Self(Some(Revision(revision))))
                .map_err(|_| {
                    Error::new(Code::Conflict).detail("the ETag in If-Match is not a current one")
                }),
            Some(_) | None => Err(Error::field(
                "If-Match",
                "expected one strong ETag such as \"3\", or *",
            )),
        }
    }
}

//! What a request says of its upload.

use axum::extract::FromRequestParts;
use http::{HeaderName, request::Parts};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    extract::{IdempotencyKey, fingerprint},
    idempotency::Once,
    problem::Error,
    state::App,
};

/// Where the upload is.
pub(super) const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// Whether this request ends it: a boolean of RFC 9651.
pub(super) const COMPLETE: HeaderName = HeaderName::from_static("upload-complete");

/// The headers of an upload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    /// `Upload-Offset`.
    pub(super) offset: Option<u64>,
    /// `Upload-Complete`.
    pub(super) complete: Option<bool>,
}

impl FromRequestParts<App> for Upload {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Error> {
        let text = |name: &HeaderName| {
            parts
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap_or_default().trim())
        };
        Ok(Self {
            offset: text(&OFFSET)
                .map(|text| {
                    text.parse()
                        .map_err(|_| Error::field("Upload-Offset", "expected a number of bytes"))
                })
                .transpose()?,
            complete: text(&COMPLETE)
                .map(|text| match text {
                    "?1" => Ok(true),
                    "?0" => Ok(false),
                    _ => Err(Error::field("Upload-Complete", "expected ?0 or ?1")),
                })
                .transpose()?,
        })
    }
}

/// What the first request of an upload says.
pub(crate) struct Begin {
    /// Its headers.
    pub(super) upload: Upload,
    /// Which request it is: by key, method and path. The file itself is not compared.
    pub(super) request: Once,
}

impl FromRequestParts<App> for Begin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(parts, app).await?;
        Ok(Self {
            upload: Upload::from_request_parts(parts, app).await?,
            request: Once {
                key,
                fingerprint: fingerprint("POST", &parts.uri, b""),
            },
        })
    }
}

/// How to read the file.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// IANA zone to assume where the file does not say, e.g. `Europe/Berlin`. In pieces: on the request
    /// that ends the upload.
    pub(super) time_zone: Option<String>,
}

impl ImportQuery {
    /// The zone, if it is one.
    ///
    /// # Errors
    /// `F40022`.
    pub(super) fn zone(self) -> Result<Option<String>, Error> {
        let Some(name) = self.time_zone else {
            return Ok(None);
        };
        let zones = jiff::tz::db();
        // A machine without a zone database cannot judge; the import will say so.
        if zones.is_definitively_empty() || zones.get(&name).is_ok() {
            Ok(Some(name))
        } else {
            Err(Error::field(
                "time_zone",
                "expected an IANA time zone such as Europe/Berlin",
            ))
        }
    }
}

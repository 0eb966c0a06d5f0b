//! Ids in paths. A malformed id names nothing, so it answers like an absent one.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use wharf_domain::kernel::{IntegrationId, RunId, UploadId, WebhookId};

use crate::{
    problem::{Code, Error},
    state::App,
};

/// The text of the path parameter `name`, if the path has it.
async fn parameter(parts: &mut Parts, app: &App, name: &str) -> Option<String> {
    let parameters = RawPathParams::from_request_parts(parts, app).await.ok()?;
    parameters
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
}

async fn id<T: FromStr>(
    parts: &mut Parts,
    app: &App,
    name: &str,
    absent: Code,
) -> Result<T, Error> {
    parameter(parts, app, name)
        .await
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::new(absent))
}

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident($($param:literal $type:ty, $absent:ident);+);)+) => {$(
        $(#[$doc])*
        pub(crate) struct $name($(pub(crate) $type),+);

        impl FromRequestParts<App> for $name {
            type Rejection = Error;

            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
                Ok(Self($(id::<$type>(parts, app, $param, Code::$absent).await?),+))
            }
        }
    )+};
}

paths! {
    /// `{integration_id}`.
    IntegrationPath("integration_id" IntegrationId, IntegrationNotFound);
    /// `{webhook_id}`.
    WebhookPath("webhook_id" WebhookId, WebhookNotFound);
    /// `{integration_id}` and `{run_id}`.
    RunPath("integration_id" IntegrationId, IntegrationNotFound; "run_id" RunId, NotFound);
    /// `{integration_id}` and `{upload_id}`.
    UploadPath("integration_id" IntegrationId, IntegrationNotFound; "upload_id" UploadId, NotFound);
}

/// The only text of a path that has one, e.g. `{event_type}`.
pub(crate) struct TextPath(pub(crate) String);

impl FromRequestParts<App> for TextPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let parameters = RawPathParams::from_request_parts(parts, app).await;
        parameters
            .ok()
            .and_then(|parameters| parameters.iter().next().map(|(_, text)| text.to_owned()))
            .map(Self)
            .ok_or_else(|| Error::new(Code::NotFound))
    }
}

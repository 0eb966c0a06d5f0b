//! Platforms: what can be integrated, as the manifests say it. Public and cacheable.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use wharf_domain::platforms::Manifest;

use crate::{
    extract::{Query, TextPath},
    problem::{Code, Error},
    reply::{Envelope, Reply},
    state::App,
};

/// Manifests change only with the program.
const CACHE: &str = "public, max-age=300";
/// The contract's categories; a hub without a platform in one still knows its name.
const CATEGORIES: [&str; 6] = [
    "code_repository",
    "project_management",
    "communication",
    "ci_cd",
    "container",
    "monitoring",
];

/// Which platforms to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TypesQuery {
    /// Only this category, e.g. `code_repository` or `health`.
    category: Option<String>,
}

/// The platforms of this hub.
#[derive(Serialize, ToSchema)]
pub(crate) struct Types {
    /// One a platform, by name.
    types: Vec<PlatformOut>,
    /// How many.
    total: usize,
}

/// A platform.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlatformOut {
    /// Names it in an integration.
    #[schema(example = "sandbox")]
    integration_type: String,
    /// For people.
    name: String,
    /// What it brings.
    description: String,
    /// Its category.
    #[schema(example = "code_repository")]
    category: String,
    /// Coarse kinds.
    service_types: Vec<String>,
    /// Its own documentation.
    documentation_url: String,
    /// How it is connected.
    auth: AuthOut,
    /// How data arrives.
    capabilities: CapabilitiesOut,
    /// Unified models that it fills.
    models: Vec<String>,
    /// Interval of scheduled syncs unless the integration says otherwise.
    #[schema(nullable)]
    default_sync_interval: Option<String>,
}

/// How a platform is connected.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuthOut {
    /// `auth_type` of `auth_config`; `none` takes no `auth_config`.
    #[schema(example = "bearer")]
    auth_type: String,
    /// Secret fields of `auth_config`, each with what it is.
    fields: BTreeMap<String, String>,
}

/// How data arrives.
#[derive(Serialize, ToSchema)]
pub(crate) struct CapabilitiesOut {
    /// By asking the platform.
    pull: bool,
    /// By uploading an export file.
    file_import: bool,
    /// By a change feed.
    delta: bool,
}

/// What an integration of one platform is configured with.
#[derive(Serialize, ToSchema)]
pub(crate) struct SchemaOut {
    /// The platform.
    #[schema(example = "sandbox")]
    integration_type: String,
    /// JSON Schema of `configuration`.
    #[schema(value_type = Object)]
    configuration_schema: Value,
    /// What `auth_config` takes.
    auth: AuthOut,
    /// What a person does to connect it, step by step, in Markdown.
    setup: Vec<String>,
}

fn auth(manifest: &Manifest) -> AuthOut {
    AuthOut {
        auth_type: manifest.auth.auth_type.clone(),
        fields: manifest.auth.secrets.clone(),
    }
}

fn platform(manifest: &Manifest) -> PlatformOut {
    PlatformOut {
        integration_type: manifest.slug.clone(),
        name: manifest.name.clone(),
        description: manifest.description.clone(),
        category: manifest.category.clone(),
        service_types: manifest.service_types.clone(),
        documentation_url: manifest.documentation_url.clone(),
        auth: auth(manifest),
        capabilities: CapabilitiesOut {
            pull: manifest.capabilities.pull,
            file_import: manifest.capabilities.file_import,
            delta: manifest.capabilities.delta,
        },
        models: manifest.models.clone(),
        default_sync_interval: manifest.default_sync_interval.clone(),
    }
}

/// List integration types
#[utoipa::path(
    get, path = "/api/v1/integrations/types", tag = "platforms",
    operation_id = "list_integration_types", params(TypesQuery),
    responses(
        (status = 200, description = "the platforms", body = Envelope<Types>),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Query(query): Query<TypesQuery>,
) -> Result<Response, Error> {
    let connectors = &app.api.connectors;
    if let Some(category) = &query.category {
        let known = CATEGORIES.contains(&category.as_str())
            || connectors
                .manifests()
                .any(|known| known.category == *category);
        if !known {
            return Err(Error::field("category", "no platform has this category"));
        }
    }
    let types: Vec<_> = connectors
        .manifests()
        .filter(|manifest| {
            query
                .category
                .as_ref()
                .is_none_or(|category| manifest.category == *category)
        })
        .map(platform)
        .collect();
    let content = Types {
        total: types.len(),
        types,
    };
    Ok(Reply::ok("integration types listed", content)
        .header(header::CACHE_CONTROL, CACHE)
        .into_response())
}

/// Show what an integration type is configured with
#[utoipa::path(
    get, path = "/api/v1/integrations/types/{integration_type}/schema", tag = "platforms",
    operation_id = "get_integration_type_schema",
    params(("integration_type" = String, Path, description = "e.g. `sandbox`")),
    responses(
        (status = 200, description = "its JSON Schema", body = Envelope<SchemaOut>),
        (status = 404, description = "F40004"),
    )
)]
pub(crate) async fn schema(
    State(app): State<App>,
    TextPath(slug): TextPath,
) -> Result<Response, Error> {
    let connector =
        app.api.connectors.get(&slug).ok_or_else(|| {
            Error::new(Code::NotFound).detail("there is no such integration type")
        })?;
    let manifest = connector.manifest();
    let content = SchemaOut {
        integration_type: manifest.slug.clone(),
        configuration_schema: manifest.configuration_schema.clone(),
        auth: auth(manifest),
        setup: manifest.setup.clone(),
    };
    Ok(Reply::ok("integration type schema", content)
        .header(header::CACHE_CONTROL, CACHE)
        .into_response())
}

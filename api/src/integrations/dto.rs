//! The contract's shapes of an integration.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use wharf_domain::integrations::SyncSettings;
use wharf_projections::integrations::Row;

use crate::extract::double;

/// Which integrations to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only the token's own project is ever shown; naming another answers 404.
    pub(super) project_id: Option<String>,
    /// Only this platform.
    pub(super) integration_type: Option<String>,
    /// `active`, `inactive`, `error`, or exactly `pending_auth`, `paused`, `needs_reauth`.
    pub(super) status: Option<String>,
    /// From 1.
    #[param(default = 1, minimum = 1)]
    pub(super) page: Option<u32>,
    /// Rows a page.
    #[param(default = 20, minimum = 1, maximum = 100)]
    pub(super) size: Option<u32>,
    /// Wait for the views to show what was written at this position.
    pub(super) after: Option<u64>,
}

/// When to read.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AfterQuery {
    /// Wait for the views to show what was written at this position.
    pub(crate) after: Option<u64>,
}

/// When an integration syncs by itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyncSettingsIn {
    /// `hourly`, `every_6_hours`, `daily`, `weekly`, or an ISO 8601 duration of at least a minute.
    #[schema(example = "hourly")]
    #[serde(default)]
    pub(super) sync_interval: Option<String>,
    /// Whether it syncs by itself at all.
    #[serde(default)]
    pub(super) auto_sync: bool,
}

/// An integration to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateIntegration {
    /// The token's own project.
    #[schema(example = "project123")]
    pub(super) project_id: String,
    /// A platform; see `GET /api/v1/integrations/types`.
    #[schema(example = "sandbox")]
    pub(super) integration_type: String,
    /// For people, 1 to 200 characters.
    #[schema(example = "Main account", min_length = 1, max_length = 200)]
    pub(super) name: String,
    /// By the platform's JSON Schema.
    #[schema(value_type = Object)]
    pub(super) configuration: Value,
    /// `auth_type` and the platform's secret fields. Kept in the vault, never shown again.
    #[schema(value_type = Option<Object>, example = json!({"auth_type": "bearer", "access_token": "…"}))]
    pub(super) auth_config: Option<Map<String, Value>>,
    /// When it syncs by itself.
    pub(super) sync_settings: Option<SyncSettingsIn>,
}

/// What may be asked of an integration's status.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StatusIn {
    /// Sync again.
    Active,
    /// Sync no more.
    Inactive,
    /// Refused: only the hub itself finds an integration in error.
    Error,
}

/// A change of an integration, a JSON merge patch (RFC 7396). What is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateIntegration {
    /// The token's own project; an integration never moves.
    pub(super) project_id: Option<String>,
    /// New name.
    #[serde(default, deserialize_with = "double")]
    #[schema(value_type = Option<String>)]
    pub(super) name: Option<Option<String>>,
    /// Merged into the configuration; `null` removes a member.
    #[serde(default, deserialize_with = "double")]
    #[schema(value_type = Option<Object>)]
    pub(super) configuration: Option<Option<Value>>,
    /// A new credential, whole.
    #[serde(default, deserialize_with = "double")]
    #[schema(value_type = Option<Object>)]
    pub(super) auth_config: Option<Option<Map<String, Value>>>,
    /// Merged into the schedule; `null` switches it off.
    #[serde(default, deserialize_with = "double")]
    #[schema(value_type = Option<SyncSettingsPatch>)]
    pub(super) sync_settings: Option<Option<SyncSettingsPatch>>,
    /// `active` or `inactive`.
    pub(super) status: Option<StatusIn>,
}

/// A change of a schedule.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyncSettingsPatch {
    /// New interval; `null` removes it.
    #[serde(default, deserialize_with = "double")]
    #[schema(value_type = Option<String>)]
    pub(super) sync_interval: Option<Option<String>>,
    /// Whether it syncs by itself.
    pub(super) auto_sync: Option<bool>,
}

/// Integrations of the project.
#[derive(Serialize, ToSchema)]
pub(crate) struct IntegrationPage {
    /// Newest first.
    pub(super) integrations: Vec<IntegrationOut>,
    /// How many there are in all.
    pub(super) total: u64,
    /// This page.
    pub(super) page: u32,
    /// Rows a page.
    pub(super) size: u32,
}

/// An integration.
#[derive(Serialize, ToSchema)]
pub(crate) struct IntegrationOut {
    id: Uuid,
    /// Whose it is.
    #[schema(example = "project123")]
    project_id: String,
    /// The platform.
    #[schema(example = "sandbox")]
    integration_type: String,
    /// For people.
    name: String,
    /// By the platform's JSON Schema.
    #[schema(value_type = Object)]
    configuration: Value,
    /// Which kind of credential is stored, if one is; never the credential.
    #[schema(nullable)]
    auth_config: Option<AuthConfigOut>,
    /// When it syncs by itself.
    sync_settings: SyncSettingsOut,
    /// `active`, `inactive` or `error`.
    #[schema(example = "active")]
    status: &'static str,
    /// Exactly: `pending_auth`, `active`, `paused` or `needs_reauth`.
    #[schema(example = "active")]
    status_detail: &'static str,
    /// The run that is open, if one is.
    #[schema(nullable)]
    open_run_id: Option<Uuid>,
    /// When a run last brought what there was.
    #[schema(value_type = Option<String>, format = DateTime, nullable)]
    last_sync_at: Option<Timestamp>,
    /// When the next scheduled run is due.
    #[schema(value_type = Option<String>, format = DateTime, nullable)]
    next_sync_at: Option<Timestamp>,
    /// Why the last run failed.
    #[schema(nullable)]
    sync_error_message: Option<String>,
    /// The `sub` of the token that created it.
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// What is shown of a credential.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuthConfigOut {
    /// Its kind.
    #[schema(example = "bearer")]
    auth_type: String,
    /// Always true: the secret rests sealed.
    token_encrypted: bool,
}

/// When an integration syncs by itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncSettingsOut {
    /// The interval.
    #[schema(example = "hourly", nullable)]
    sync_interval: Option<String>,
    /// Whether it syncs by itself.
    auto_sync: bool,
}

impl From<SyncSettingsIn> for SyncSettings {
    fn from(settings: SyncSettingsIn) -> Self {
        Self {
            sync_interval: settings.sync_interval,
            auto_sync: settings.auto_sync,
        }
    }
}

impl From<&Row> for IntegrationOut {
    fn from(row: &Row) -> Self {
        let live = &row.live;
        Self {
            id: row.id.0,
            project_id: row.project.to_string(),
            integration_type: live.integration_type.clone(),
            name: live.name.clone(),
            configuration: live.configuration.clone(),
            auth_config: row.auth.as_ref().map(|auth| AuthConfigOut {
                auth_type: auth.auth_type.clone(),
                token_encrypted: true,
            }),
            sync_settings: SyncSettingsOut {
                sync_interval: live.sync_settings.sync_interval.clone(),
                auto_sync: live.sync_settings.auto_sync,
            },
            status: live.status.coarse(),
            status_detail: live.status.as_str(),
            open_run_id: live.open_run.map(|open| open.run_id.0),
            last_sync_at: row.last_sync_at,
            next_sync_at: live.next_run_at,
            sync_error_message: row.sync_error_message.clone(),
            created_by: row.created_by.clone(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

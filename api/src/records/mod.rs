//! Records: what the syncs of an integration brought, in unified models.

use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use wharf_domain::{
    kernel::Position,
    syncs::{Granularity, Record, Recording, TimeQuality},
};
use wharf_projections::records;

use crate::{
    auth::{Granted, Read},
    extract::{IntegrationPath, Query, size_of},
    integrations::existing,
    problem::{Error, internal},
    reply::{Envelope, Reply},
    state::App,
};

#[cfg(test)]
mod tests;

/// Which records to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordsQuery {
    /// Only this unified model, e.g. `steps`.
    model: Option<String>,
    /// Only those that begin at or after this instant, RFC 3339.
    from: Option<String>,
    /// Only those that begin before this instant, RFC 3339.
    to: Option<String>,
    /// Deleted ones too, as tombstones.
    #[param(default = false)]
    deleted: Option<bool>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most records.
    #[param(default = 20, minimum = 1, maximum = 100)]
    size: Option<u32>,
    /// Wait for the views to show what was written at this position.
    after: Option<u64>,
}

/// Records of an integration.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordPage {
    /// In the order of arrival.
    records: Vec<RecordOut>,
    /// Whether there are more just now.
    has_more: bool,
    /// Give it as `cursor` to go on; it stays good, so it also finds what arrives later.
    #[schema(nullable, example = "42.7")]
    next_cursor: Option<String>,
    /// Most records a page.
    size: u32,
}

/// A record.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordOut {
    /// Names it within its integration: a later record with the same key replaces it.
    key: String,
    /// Its unified model.
    #[schema(example = "steps")]
    model: String,
    /// The platform's id of it.
    #[schema(nullable)]
    native_id: Option<String>,
    /// The platform's version of it.
    #[schema(nullable)]
    native_version: Option<String>,
    /// Begin.
    #[schema(value_type = Option<String>, format = DateTime, nullable)]
    start_at: Option<Timestamp>,
    /// End.
    #[schema(value_type = Option<String>, format = DateTime, nullable)]
    end_at: Option<Timestamp>,
    /// Offset from UTC at the record, seconds east.
    #[schema(nullable)]
    utc_offset_s: Option<i32>,
    /// IANA zone at the record.
    #[schema(nullable)]
    time_zone: Option<String>,
    /// Local day; for sleep the day of waking.
    #[schema(nullable, example = "2026-01-31")]
    civil_date: Option<String>,
    /// `instant`, `local_assumed_zone` or `date_only`.
    #[schema(value_type = String, example = "instant")]
    time_quality: TimeQuality,
    /// `sample`, `interval`, `session` or `daily_total`.
    #[schema(value_type = String, example = "interval")]
    granularity: Granularity,
    /// Where it comes from.
    source: SourceOut,
    /// It is no longer there; `data` is null.
    deleted: bool,
    /// The item in its model's shape and units.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    /// Position in the log of the page that brought it.
    position: u64,
}

/// Where a record comes from.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceOut {
    /// App or account that wrote it.
    #[schema(nullable)]
    app: Option<String>,
    /// E.g. `Watch2,4`.
    #[schema(nullable)]
    device_model: Option<String>,
    /// E.g. `Apple Inc.`.
    #[schema(nullable)]
    manufacturer: Option<String>,
    /// `watch`, `phone`, `scale`, …
    #[schema(nullable)]
    device_type: Option<String>,
    /// `auto`, `manual` or `unknown`.
    #[schema(value_type = String, example = "auto")]
    recording: Recording,
}

impl RecordOut {
    fn of(row: &records::Row) -> Result<Self, Error> {
        let record: Record<'_> = serde_json::from_str(row.body.get()).map_err(internal)?;
        let instant = |us: Option<i64>| us.and_then(|us| Timestamp::from_microsecond(us).ok());
        let text = |text: Option<std::borrow::Cow<'_, str>>| text.map(std::borrow::Cow::into_owned);
        Ok(Self {
            key: row.key.to_string(),
            model: record.model.into_owned(),
            native_id: text(record.native_id),
            native_version: text(record.native_version),
            start_at: instant(record.start_us),
            end_at: instant(record.end_us),
            utc_offset_s: record.utc_offset_s,
            time_zone: text(record.time_zone),
            civil_date: text(record.civil_date),
            time_quality: record.time_quality,
            granularity: record.granularity,
            source: SourceOut {
                app: text(record.source.app),
                device_model: text(record.source.device_model),
                manufacturer: text(record.source.manufacturer),
                device_type: text(record.source.device_type),
                recording: record.source.recording,
            },
            deleted: row.deleted,
            data: record.data.into_owned(),
            position: row.position.0,
        })
    }
}

fn instant(field: &str, text: Option<String>) -> Result<Option<Timestamp>, Error> {
    text.map(|text| {
        text.parse().map_err(|_| {
            Error::field(
                field,
                "expected an RFC 3339 instant such as 2026-01-31T00:00:00Z",
            )
        })
    })
    .transpose()
}

fn cursor(text: &str) -> Result<records::Cursor, Error> {
    text.split_once('.')
        .and_then(|(position, ordinal)| {
            Some(records::Cursor {
                position: Position(position.parse().ok()?),
                ordinal: ordinal.parse().ok()?,
            })
        })
        .ok_or_else(|| Error::field("cursor", "expected the next_cursor of an earlier page"))
}

/// List records
///
/// In the order of arrival. Going on from the last `next_cursor` misses nothing; a record that arrived
/// anew comes again at the end.
#[utoipa::path(
    get, path = "/api/v1/integrations/{integration_id}/records", tag = "records",
    operation_id = "list_records",
    params(("integration_id" = uuid::Uuid, Path), RecordsQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "a page", body = Envelope<RecordPage>),
        (status = 404, description = "F42303"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn list(
    by: Granted<Read>,
    State(app): State<App>,
    IntegrationPath(id): IntegrationPath,
    Query(query): Query<RecordsQuery>,
) -> Result<Reply<RecordPage>, Error> {
    let size = size_of(query.size, &app.api.options)?;
    let filter = records::Filter {
        model: query.model,
        start_from: instant("from", query.from)?,
        start_to: instant("to", query.to)?,
        include_deleted: query.deleted.unwrap_or(false),
    };
    let after = query.cursor.as_deref().map(cursor).transpose()?;
    app.reach(query.after).await?;
    existing(&app, by.project(), id).await?;
    // One more than asked for tells whether there are more.
    let mut rows = records::list(
        &app.api.views.db(),
        by.project(),
        id,
        &filter,
        after,
        size + 1,
    )
    .await?;
    let has_more = rows.len() > size as usize;
    rows.truncate(size as usize);
    let next = rows.last().map(records::Row::cursor).or(after);
    Ok(Reply::ok(
        "records listed",
        RecordPage {
            records: rows.iter().map(RecordOut::of).collect::<Result<_, _>>()?,
            has_more,
            next_cursor: next.map(|next| format!("{}.{}", next.position, next.ordinal)),
            size,
        },
    ))
}

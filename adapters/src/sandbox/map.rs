//! Items to records.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use serde::Serialize;
use wharf_domain::{
    ports::ConnectorError,
    syncs::{Page, PageBuilder, Record, RecordKey, Source},
};

use super::wire::{Change, Item};

const MODEL: &str = "sandbox_item";

/// The unified model.
#[derive(Serialize)]
struct Data<'i> {
    title: &'i str,
    body: &'i str,
    amount: f64,
    tags: &'i [String],
}

fn key(id: &str) -> RecordKey {
    RecordKey::of(&[MODEL.as_bytes(), id.as_bytes()])
}

fn push(page: &mut PageBuilder, item: &Item) -> Result<(), ConnectorError> {
    let Item {
        id,
        title,
        body,
        amount,
        tags,
        version,
        created_at,
        ..
    } = item;
    let data = serde_json::value::to_raw_value(&Data {
        title,
        body,
        amount: *amount,
        tags,
    })
    .map_err(unwritable)?;
    let created = created_at.as_microsecond();
    let record = Record {
        native_id: Some(Cow::Borrowed(id)),
        native_version: Some(Cow::Owned(version.to_string())),
        start_us: Some(created),
        end_us: Some(created),
        civil_date: Some(Cow::Owned(
            created_at.to_zoned(TimeZone::UTC).date().to_string(),
        )),
        source: Source {
            app: Some(Cow::Borrowed("sandbox")),
            ..Source::default()
        },
        deleted: false,
        data: Cow::Owned(data),
        ..Record::tombstone(key(id), MODEL)
    };
    page.push(&record).map_err(unwritable)
}

fn unwritable(_: serde_json::Error) -> ConnectorError {
    ConnectorError::Malformed("an item cannot be written as a record".to_owned())
}

/// A page of items.
pub(super) fn items(items: &[Item]) -> Result<Page, ConnectorError> {
    let mut page = PageBuilder::default();
    for item in items {
        push(&mut page, item)?;
    }
    Ok(page.take())
}

/// A page of changes; what is gone becomes a tombstone.
pub(super) fn changes(changes: &[Change]) -> Result<Page, ConnectorError> {
    let mut page = PageBuilder::default();
    for change in changes {
        match change {
            Change::Upsert { item, .. } => push(&mut page, item)?,
            Change::Delete { id, .. } => {
                let mut gone = Record::tombstone(key(id), MODEL);
                gone.native_id = Some(Cow::Borrowed(id));
                page.push(&gone).map_err(unwritable)?;
            }
        }
    }
    Ok(page.take())
}

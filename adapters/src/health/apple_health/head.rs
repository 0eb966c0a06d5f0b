//! What most elements say about themselves: type, times, source, value; and the key that follows
//! from it.

use std::borrow::Cow;

use wharf_domain::{
    ports::SkipReason,
    syncs::{RecordKey, Recording, Source},
};

use super::{device::Device, item::Item};
use crate::kit::{pages::fitting, time::Moment};

/// What most elements say about themselves.
#[derive(Debug, Default)]
pub(super) struct Head<'i> {
    pub(super) kind: Option<&'i str>,
    pub(super) app: Option<&'i str>,
    pub(super) device: Option<&'i str>,
    pub(super) unit: Option<&'i str>,
    pub(super) value: Option<&'i str>,
    pub(super) start: Option<&'i str>,
    pub(super) end: Option<&'i str>,
    pub(super) zone: Option<&'i str>,
    pub(super) entered: Option<&'i str>,
}

impl<'i> Head<'i> {
    pub(super) fn of(item: &'i Item) -> Self {
        let mut head = Self::default();
        for (name, value) in item.root().attributes() {
            let field = match name {
                "type" | "workoutActivityType" => &mut head.kind,
                "sourceName" => &mut head.app,
                "device" => &mut head.device,
                "unit" => &mut head.unit,
                "value" => &mut head.value,
                "startDate" | "receivedDate" | "dateIssued" => &mut head.start,
                "endDate" | "expirationDate" => &mut head.end,
                _ => continue,
            };
            *field = Some(value).filter(|value| !value.is_empty());
        }
        for (key, value) in item.metadata() {
            match key {
                "HKTimeZone" => head.zone = Some(value),
                "HKWasUserEntered" => head.entered = Some(value),
                _ => {}
            }
        }
        head
    }

    /// Begin and end; an element without an end is a moment.
    pub(super) fn span(&self) -> Result<(Moment, Moment), SkipReason> {
        let start = self.start.ok_or("missing_start_date")?;
        let start = Moment::parse(start).map_err(|_| "bad_start_date")?;
        let end = match self.end {
            Some(end) => Moment::parse(end).map_err(|_| "bad_end_date")?,
            None => start,
        };
        if end.seconds < start.seconds {
            return Err("ends_before_it_starts");
        }
        Ok((start, end))
    }

    pub(super) fn source(&self) -> Source<'i> {
        let device = self.device.map(Device::parse).unwrap_or_default();
        let text = |text: Option<&'i str>| text.map(|text| Cow::Borrowed(fitting(text)));
        Source {
            app: text(self.app),
            device_model: text(device.model),
            manufacturer: text(device.manufacturer),
            device_type: device.kind.map(Cow::Borrowed),
            recording: match self.entered {
                Some("1") => Recording::Manual,
                Some(_) => Recording::Auto,
                // A device that says what it is has measured.
                None if self.device.is_some() => Recording::Auto,
                None => Recording::Unknown,
            },
        }
    }

    pub(super) fn key(&self, start: Moment, end: Moment) -> RecordKey {
        RecordKey::of(&[
            self.kind.unwrap_or_default().as_bytes(),
            &start.micros().to_be_bytes(),
            &end.micros().to_be_bytes(),
            normalised(self.app.unwrap_or_default()).as_bytes(),
            self.value.unwrap_or_default().trim().as_bytes(),
            self.unit.unwrap_or_default().as_bytes(),
        ])
    }
}

/// A source's name as it is compared: `Simon’s iPhone` and `Simon's iPhone` are one. Apple has changed
/// quotes and spaces between versions.
pub(super) fn normalised(name: &str) -> Cow<'_, str> {
    if name.is_ascii() && !name.contains("  ") && name.trim() == name {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len());
    for word in name.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().map(|character| match character {
            '\u{2018}' | '\u{2019}' | '\u{02bc}' => '\'',
            '\u{201c}' | '\u{201d}' => '"',
            other => other,
        }));
    }
    Cow::Owned(out)
}

//! Elements to records: which model, whose, when, under which key.
//!
//! Day totals and the profile have no value in their key: a later export replaces them. The key of
//! everything else is made in `head.rs`.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::value::RawValue;
use wharf_domain::{
    ports::SkipReason,
    syncs::{Granularity, Record, RecordKey, TimeQuality},
};

use super::{
    days::{Days, Local},
    head::{Head, normalised},
    import::Tally,
    item::{Element, Item, Tag},
    nights::{Nights, Session},
    samples::{self, Content, number},
    workouts,
};
use crate::kit::{
    json::{self, Object},
    pages::{OVERSIZED, Pager, fitting},
    time::{CivilDate, Moment},
    units::Unit,
};

/// Most entries of metadata that are kept of an element.
const METADATA: usize = 128;

/// Makes records. Its buffers are used again for each.
#[derive(Debug)]
pub(super) struct Mapper {
    days: Days,
    data: Vec<u8>,
    exported: Option<Moment>,
}

/// What an element gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// A record of something measured or done.
    Record,
    /// The record of the person.
    Profile,
    /// Nothing of its own: it says when the export was made.
    Nothing,
}

impl Mapper {
    pub(super) const fn new(days: Days) -> Self {
        Self {
            days,
            data: Vec::new(),
            exported: None,
        }
    }

    /// Makes the record of an element.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn element(
        &mut self,
        item: &Item,
        nights: &mut Nights,
        pages: &mut Pager,
        tally: &mut Tally,
    ) -> Result<Made, SkipReason> {
        match item.root().element {
            Element::Record => self.record(item, nights, pages, tally)?,
            Element::Workout => self.workout(item, pages)?,
            Element::Correlation => self.correlation(item, pages)?,
            Element::ActivitySummary => self.activity_summary(item, pages)?,
            Element::ClinicalRecord => self.as_it_is("clinical_record", item, pages)?,
            Element::Audiogram => self.as_it_is("audiogram", item, pages)?,
            Element::VisionPrescription => self.as_it_is("vision_prescription", item, pages)?,
            Element::ExportDate => {
                let exported = item.root().get("value").map(Moment::parse);
                self.exported = exported.and_then(Result::ok);
                return Ok(Made::Nothing);
            }
            Element::Me => {
                self.profile(item, pages)?;
                return Ok(Made::Profile);
            }
            Element::MetadataEntry
            | Element::Beat
            | Element::BeatList
            | Element::FileReference
            | Element::WorkoutActivity
            | Element::WorkoutEvent
            | Element::WorkoutRoute
            | Element::WorkoutStatistics
            | Element::Other => return Err("unknown_element"),
        }
        Ok(Made::Record)
    }

    fn record(
        &mut self,
        item: &Item,
        nights: &mut Nights,
        pages: &mut Pager,
        tally: &mut Tally,
    ) -> Result<(), SkipReason> {
        let head = Head::of(item);
        let kind = head.kind.ok_or("missing_type")?;
        let (start, end) = head.span()?;
        self.data.clear();
        let Content { model, stage } = json::object(&mut self.data, |data| {
            let content = samples::write(kind, head.value, head.unit, item, data)?;
            tail(item, data);
            Ok::<_, SkipReason>(content)
        })?;
        // A stage of sleep belongs to the day of waking.
        let day_of = if stage.is_some() { end } else { start };
        self.push(
            model,
            Granularity::Interval,
            &head,
            (start, end),
            day_of,
            pages,
        )?;
        if let Some(stage) = stage {
            let app = fitting(head.app.unwrap_or_default());
            let source = normalised(app);
            if let Err(reason) = nights.add((&source, app), (start, end), stage, head.zone) {
                tally.skip(reason);
            }
        }
        Ok(())
    }

    fn workout(&mut self, item: &Item, pages: &mut Pager) -> Result<(), SkipReason> {
        let head = Head::of(item);
        let kind = head.kind.ok_or("missing_type")?;
        let (start, end) = head.span()?;
        self.data.clear();
        json::object(&mut self.data, |data| {
            workouts::write(kind, start, end, item, data);
            tail(item, data);
        });
        self.push(
            "workout",
            Granularity::Session,
            &head,
            (start, end),
            start,
            pages,
        )
    }

    /// The samples of a correlation stand at the top level too; here is what they have in common.
    fn correlation(&mut self, item: &Item, pages: &mut Pager) -> Result<(), SkipReason> {
        let head = Head::of(item);
        let kind = head.kind.ok_or("missing_type")?;
        let (start, end) = head.span()?;
        self.data.clear();
        json::object(&mut self.data, |data| {
            let name = kind
                .strip_prefix("HKCorrelationTypeIdentifier")
                .unwrap_or(kind);
            data.string("name", &samples::snake_case(name));
            tail(item, data);
        });
        self.push(
            "correlation",
            Granularity::Interval,
            &head,
            (start, end),
            start,
            pages,
        )
    }

    fn activity_summary(&mut self, item: &Item, pages: &mut Pager) -> Result<(), SkipReason> {
        let root = item.root();
        let date = root.get("dateComponents").ok_or("missing_date")?;
        let date = CivilDate::parse(date).map_err(|_| "bad_date")?;
        self.data.clear();
        json::object(&mut self.data, |data| {
            let energy = root.get("activeEnergyBurnedUnit").unwrap_or("kcal");
            for (field, attribute, unit, from) in [
                (
                    "active_kcal",
                    "activeEnergyBurned",
                    Unit::Kilocalories,
                    energy,
                ),
                (
                    "active_goal_kcal",
                    "activeEnergyBurnedGoal",
                    Unit::Kilocalories,
                    energy,
                ),
                ("move_s", "appleMoveTime", Unit::Seconds, "min"),
                ("move_goal_s", "appleMoveTimeGoal", Unit::Seconds, "min"),
                ("exercise_s", "appleExerciseTime", Unit::Seconds, "min"),
                (
                    "exercise_goal_s",
                    "appleExerciseTimeGoal",
                    Unit::Seconds,
                    "min",
                ),
                ("stand_hours", "appleStandHours", Unit::Count, "count"),
                (
                    "stand_goal_hours",
                    "appleStandHoursGoal",
                    Unit::Count,
                    "count",
                ),
            ] {
                let value = root.get(attribute).and_then(|text| number(text).ok());
                if let Some(value) = value.and_then(|value| unit.convert(value, from)) {
                    data.number(field, value);
                }
            }
        });
        let date = date.text();
        let mut record = blank("activity_summary");
        record.key = RecordKey::of(&[b"activity_summary", date.as_str().as_bytes()]);
        record.civil_date = Some(Cow::Borrowed(date.as_str()));
        record.time_quality = TimeQuality::DateOnly;
        record.granularity = Granularity::DailyTotal;
        finish(record, &self.data, pages)
    }

    /// Who wears it, as of the export.
    fn profile(&mut self, item: &Item, pages: &mut Pager) -> Result<(), SkipReason> {
        self.data.clear();
        json::object(&mut self.data, |data| {
            for (name, value) in item.root().attributes() {
                let Some(name) = name.strip_prefix("HKCharacteristicTypeIdentifier") else {
                    continue;
                };
                let short = name.strip_suffix("Use").unwrap_or(name);
                let value = value.strip_prefix("HK").map_or(value, |value| {
                    value
                        .strip_prefix(name)
                        .or_else(|| value.strip_prefix(short))
                        .unwrap_or(value)
                });
                if !matches!(value, "" | "NotSet" | "None") {
                    data.string(&samples::snake_case(name), &plain(value));
                }
            }
        });
        let mut record = blank("profile");
        record.key = RecordKey::of(&[b"profile"]);
        let local = self.exported.map(|moment| self.days.local(moment, None));
        match (&self.exported, &local) {
            (Some(exported), Some(local)) => {
                record.start_us = Some(exported.micros());
                record.civil_date = Some(Cow::Borrowed(local.date.as_str()));
                record.time_quality = local.quality;
            }
            _ => record.time_quality = TimeQuality::DateOnly,
        }
        finish(record, &self.data, pages)
    }

    /// An element whose meaning is not ours: its attributes, with times in UTC, since the offset they
    /// are written with is another in each export.
    fn as_it_is(
        &mut self,
        model: &'static str,
        item: &Item,
        pages: &mut Pager,
    ) -> Result<(), SkipReason> {
        let head = Head::of(item);
        let (start, end) = head.span()?;
        self.data.clear();
        json::object(&mut self.data, |data| {
            for (name, value) in own_attributes(item.root()) {
                data.string(name, &value);
            }
            tail(item, data);
        });
        let own: Vec<_> = own_attributes(item.root()).collect();
        let mut parts = vec![model.as_bytes()];
        parts.extend(
            own.iter()
                .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]),
        );
        let key = RecordKey::of(&parts);
        let local = self.days.local(start, head.zone);
        let mut record = timed(model, &head, (start, end), &local);
        record.key = key;
        record.granularity = Granularity::Sample;
        record.native_id = item
            .root()
            .get("identifier")
            .map(|id| Cow::Borrowed(fitting(id)));
        finish(record, &self.data, pages)
    }

    /// The record of a session of sleep.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn session(
        &mut self,
        session: &Session<'_>,
        pages: &mut Pager,
    ) -> Result<(), SkipReason> {
        self.data.clear();
        json::object(&mut self.data, |data| session.write(data));
        let local = self.days.local(session.end, session.zone);
        let head = Head {
            app: Some(session.app),
            zone: session.zone,
            ..Head::default()
        };
        let mut record = timed("sleep_session", &head, (session.start, session.end), &local);
        record.key = session.key;
        record.granularity = Granularity::Session;
        finish(record, &self.data, pages)
    }

    fn push(
        &mut self,
        model: &'static str,
        granularity: Granularity,
        head: &Head<'_>,
        (start, end): (Moment, Moment),
        day_of: Moment,
        pages: &mut Pager,
    ) -> Result<(), SkipReason> {
        let local = self.days.local(day_of, head.zone);
        let mut record = timed(model, head, (start, end), &local);
        record.key = head.key(start, end);
        record.granularity = if start.seconds == end.seconds && granularity == Granularity::Interval
        {
            Granularity::Sample
        } else {
            granularity
        };
        finish(record, &self.data, pages)
    }
}

fn blank(model: &'static str) -> Record<'static> {
    let mut record = Record::tombstone(RecordKey([0; 16]), model);
    record.deleted = false;
    record
}

fn timed<'r>(
    model: &'static str,
    head: &Head<'r>,
    (start, end): (Moment, Moment),
    local: &'r Local,
) -> Record<'r> {
    let mut record: Record<'r> = blank(model);
    record.start_us = Some(start.micros());
    record.end_us = Some(end.micros());
    record.utc_offset_s = local.offset_s;
    record.time_zone = local
        .offset_s
        .and(head.zone)
        .map(|zone| Cow::Borrowed(fitting(zone)));
    record.civil_date = Some(Cow::Borrowed(local.date.as_str()));
    record.time_quality = local.quality;
    record.source = head.source();
    record
}

fn finish(record: Record<'_>, data: &[u8], pages: &mut Pager) -> Result<(), SkipReason> {
    // `kit::json` writes nothing but JSON, so this only fails if it has a fault.
    let data: &RawValue = serde_json::from_slice(data).map_err(|_| OVERSIZED)?;
    let data = Cow::Borrowed(data);
    pages.push(&Record { data, ..record })
}

/// What is common to every element's data: its metadata, and whether something was left out.
fn tail(item: &Item, data: &mut Object<'_>) {
    let mut entries = item.metadata().take(METADATA).peekable();
    if entries.peek().is_some() {
        data.object("metadata", |metadata| {
            let mut n = 0;
            for (key, value) in entries {
                n += 1;
                // A key that comes again replaces: JSON has each name once.
                if item
                    .metadata()
                    .take(METADATA)
                    .skip(n)
                    .all(|(later, _)| later != key)
                {
                    metadata.string(key, value);
                }
            }
        });
    }
    if item.truncated {
        data.boolean("truncated", true);
    }
}

/// The attributes that are the same in each export.
fn own_attributes(tag: Tag<'_>) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let own = tag.attributes().filter(|(name, _)| *name != "device");
    own.map(|(name, value)| {
        let moment = Moment::parse(value).ok();
        let utc = moment.and_then(|moment| Timestamp::from_second(moment.seconds).ok());
        (
            name,
            utc.map_or(Cow::Borrowed(value), |utc| Cow::Owned(utc.to_string())),
        )
    })
}

/// `Male` as `male`, `APositive` as `a_positive`; dates and free text as they are.
fn plain(value: &str) -> Cow<'_, str> {
    if value.chars().all(|c| c.is_ascii_alphanumeric())
        && value.starts_with(|c: char| c.is_ascii_uppercase())
    {
        Cow::Owned(samples::snake_case(value))
    } else {
        Cow::Borrowed(value)
    }
}

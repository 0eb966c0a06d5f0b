//! Nights: the export has sleep stages but no sleep. Stages of one source with less than three hours
//! between them are one session.
//!
//! The stages of an export may come in any order, so sessions are made at its end. What is kept until
//! then is 24 bytes a stage, and at most [`STAGES`] of them: beyond, sessions are made of what is kept,
//! and the import says so.

use wharf_domain::{ports::SkipReason, syncs::RecordKey};

use crate::kit::{json::Object, time::Moment};

/// Most stages that are kept: thirty years with a watch that is never taken off.
const STAGES: usize = 1_000_000;
/// Most sources, and most zones.
const NAMES: usize = 4096;
/// Stages further apart belong to two sessions.
const GAP_S: i64 = 3 * 3600;
/// The longest session; a longer one is cut.
const LONGEST_S: i64 = 24 * 3600;
/// Most stages of a session; a longer list is cut into two sessions.
const STAGES_OF_SESSION: usize = 800;

/// Too many stages for sessions.
pub(super) const TOO_MANY_STAGES: SkipReason = "sleep_stage_not_in_a_session";

/// What a person does in bed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    InBed,
    Awake,
    Light,
    Deep,
    Rem,
    AsleepUnspecified,
}

impl Stage {
    /// By the value of `HKCategoryTypeIdentifierSleepAnalysis`. iOS 16 split `Asleep`; core is light.
    pub(super) fn named(value: &str) -> Option<Self> {
        Some(match value.strip_prefix("HKCategoryValueSleepAnalysis")? {
            "InBed" => Self::InBed,
            "Awake" => Self::Awake,
            "AsleepCore" => Self::Light,
            "AsleepDeep" => Self::Deep,
            "AsleepREM" => Self::Rem,
            "Asleep" | "AsleepUnspecified" => Self::AsleepUnspecified,
            _ => return None,
        })
    }

    /// As in the unified model.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::InBed => "in_bed",
            Self::Awake => "awake",
            Self::Light => "light",
            Self::Deep => "deep",
            Self::Rem => "rem",
            Self::AsleepUnspecified => "asleep_unspecified",
        }
    }

    const fn asleep(self) -> bool {
        matches!(
            self,
            Self::Light | Self::Deep | Self::Rem | Self::AsleepUnspecified
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    source: u16,
    start: i64,
    /// Fits: no stretch is longer than a session.
    length_s: u32,
    stage: Stage,
    zone: Option<u16>,
    offset_quarters: i8,
}

/// Collects stages, gives sessions.
#[derive(Debug, Default)]
pub(super) struct Nights {
    stretches: Vec<Stretch>,
    sources: Vec<(Box<str>, Box<str>)>,
    zones: Vec<Box<str>>,
    sorted: bool,
    next: usize,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session<'n> {
    /// As the export names it.
    pub(super) app: &'n str,
    pub(super) key: RecordKey,
    pub(super) start: Moment,
    pub(super) end: Moment,
    /// The zone of the last stage that names one.
    pub(super) zone: Option<&'n str>,
    stretches: &'n [Stretch],
}

impl Nights {
    /// Keeps a stage. `source` is its name as it is compared, `app` as it is written.
    ///
    /// # Errors
    /// [`TOO_MANY_STAGES`].
    pub(super) fn add(
        &mut self,
        (source, app): (&str, &str),
        (start, end): (Moment, Moment),
        stage: Stage,
        zone: Option<&str>,
    ) -> Result<(), SkipReason> {
        let length = end.seconds - start.seconds;
        if length <= 0 || length > LONGEST_S {
            return Ok(());
        }
        if self.stretches.len() >= STAGES {
            return Err(TOO_MANY_STAGES);
        }
        let source = intern(
            &mut self.sources,
            |(known, _)| **known == *source,
            || (source.into(), app.into()),
        )
        .ok_or(TOO_MANY_STAGES)?;
        let zone =
            zone.and_then(|zone| intern(&mut self.zones, |known| **known == *zone, || zone.into()));
        self.stretches.push(Stretch {
            source,
            start: start.seconds,
            length_s: u32::try_from(length).unwrap_or_default(),
            stage,
            zone,
            offset_quarters: i8::try_from(end.offset_s / 900).unwrap_or_default(),
        });
        Ok(())
    }

    /// The next session, by source and time. No stage may be added any more.
    pub(super) fn next_session(&mut self) -> Option<Session<'_>> {
        if !self.sorted {
            self.stretches.sort_unstable();
            self.stretches
                .dedup_by_key(|s| (s.source, s.start, s.length_s, s.stage));
            self.sorted = true;
        }
        let rest = self.stretches.get(self.next..)?;
        let first = rest.first()?;
        let mut end = first.end();
        let count = rest
            .iter()
            .take(STAGES_OF_SESSION)
            .take_while(|stretch| {
                let joins = stretch.source == first.source
                    && stretch.start - end < GAP_S
                    && stretch.end() - first.start <= LONGEST_S;
                if joins {
                    end = end.max(stretch.end());
                }
                joins
            })
            .count();
        self.next += count;
        let stretches = rest.get(..count)?;
        let last = stretches.iter().max_by_key(|stretch| stretch.end())?;
        let zone = stretches.iter().rev().find_map(|stretch| stretch.zone);
        let (source, app) = self.sources.get(usize::from(first.source))?;
        let start = Moment {
            seconds: first.start,
            offset_s: first.offset_s(),
        };
        Some(Session {
            app,
            key: RecordKey::of(&[
                b"sleep_session",
                &start.micros().to_be_bytes(),
                source.as_bytes(),
            ]),
            start,
            end: Moment {
                seconds: end,
                offset_s: last.offset_s(),
            },
            zone: zone
                .and_then(|zone| self.zones.get(usize::from(zone)))
                .map(|zone| &**zone),
            stretches,
        })
    }
}

impl Stretch {
    fn end(&self) -> i64 {
        self.start + i64::from(self.length_s)
    }

    fn offset_s(&self) -> i32 {
        i32::from(self.offset_quarters) * 900
    }
}

impl Session<'_> {
    /// The model's fields. Time that two stages cover counts once. HealthKit does not say what is a
    /// nap, so we do not.
    pub(super) fn write(&self, data: &mut Object<'_>) {
        let mut total = |name, of: &dyn Fn(Stage) -> bool| {
            let seconds = self.covered(of);
            if seconds > 0 {
                data.integer(name, seconds);
            }
        };
        total("asleep_s", &Stage::asleep);
        total("in_bed_s", &|stage| stage == Stage::InBed);
        total("awake_s", &|stage| stage == Stage::Awake);
        total("light_s", &|stage| stage == Stage::Light);
        total("deep_s", &|stage| stage == Stage::Deep);
        total("rem_s", &|stage| stage == Stage::Rem);
        data.list("stages", |stages| {
            for stretch in self.stretches {
                stages.object(|stage| {
                    stage.string("stage", stretch.stage.as_str());
                    stage.integer("start_us", stretch.start * 1_000_000);
                    stage.integer("end_us", stretch.end() * 1_000_000);
                });
            }
        });
    }

    /// Seconds in at least one of these stages.
    fn covered(&self, of: &dyn Fn(Stage) -> bool) -> i64 {
        let mut covered = 0;
        let mut until = i64::MIN;
        for stretch in self.stretches.iter().filter(|stretch| of(stretch.stage)) {
            covered += (stretch.end() - stretch.start.max(until)).max(0);
            until = until.max(stretch.end());
        }
        covered
    }
}

/// The number of a name; `None` if there are too many.
fn intern<T>(
    names: &mut Vec<T>,
    is: impl FnMut(&T) -> bool,
    new: impl FnOnce() -> T,
) -> Option<u16> {
    let at = match names.iter().position(is) {
        Some(at) => at,
        None if names.len() < NAMES => {
            names.push(new());
            names.len() - 1
        }
        None => return None,
    };
    u16::try_from(at).ok()
}

#[cfg(test)]
mod tests;

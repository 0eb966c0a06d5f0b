//! On which local day a sample falls.
//!
//! The export writes every time with the offset that the phone had when the file was made, not when
//! the sample was: the instant is right, the wall clock is not. So the day is taken, in this order,
//!
//! 1. from the sample's own `HKTimeZone`: zone and offset at the sample are known;
//! 2. from the zone of the integration: only the day is set, since the sample may be from a journey;
//! 3. from the written offset: the same, and the record says `local_assumed_zone`.

use jiff::{Timestamp, tz::TimeZone};
use wharf_domain::syncs::TimeQuality;

use crate::kit::time::{DateText, Moment};

/// Most zones that are remembered; there are about 600 names.
const ZONES: usize = 1000;

/// A day, and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) date: DateText,
    /// The offset at the sample, seconds east, if its zone is known.
    pub(super) offset_s: Option<i32>,
    pub(super) quality: TimeQuality,
}

/// A zone, with the last stretch of time in which its offset did not change.
#[derive(Debug)]
struct Zone {
    name: Box<str>,
    /// None: there is no such zone.
    zone: Option<TimeZone>,
    from: i64,
    until: i64,
    offset_s: i32,
}

impl Zone {
    fn new(name: &str) -> Self {
        let zone = TimeZone::get(name).ok();
        Self {
            name: name.into(),
            zone,
            from: 0,
            until: 0,
            offset_s: 0,
        }
    }

    fn offset_s(&mut self, seconds: i64) -> Option<i32> {
        let zone = self.zone.as_ref()?;
        if !(self.from..self.until).contains(&seconds) {
            let at = Timestamp::from_second(seconds).ok()?;
            self.offset_s = zone.to_offset(at).seconds();
            // `preceding` looks strictly before: begin one second later.
            let from = zone
                .preceding(Timestamp::from_second(seconds + 1).ok()?)
                .next();
            self.from = from.map_or(i64::MIN, |change| change.timestamp().as_second());
            let until = zone.following(at).next();
            self.until = until.map_or(i64::MAX, |change| change.timestamp().as_second());
        }
        Some(self.offset_s)
    }
}

/// The zones of one export.
#[derive(Debug)]
pub(super) struct Days {
    assumed: Option<Zone>,
    named: Vec<Zone>,
    last: usize,
}

impl Days {
    /// `assumed` is the zone of the integration. None if it names no zone.
    pub(super) fn new(assumed: Option<&str>) -> Option<Self> {
        let assumed = assumed.map(Zone::new);
        if assumed.as_ref().is_some_and(|zone| zone.zone.is_none()) {
            return None;
        }
        Some(Self {
            assumed,
            named: Vec::new(),
            last: 0,
        })
    }

    /// The day of `moment` for a sample with this `HKTimeZone`.
    pub(super) fn local(&mut self, moment: Moment, zone: Option<&str>) -> Local {
        if let Some(offset_s) = zone.and_then(|name| self.named(name)?.offset_s(moment.seconds)) {
            return Local {
                date: moment.civil_date(offset_s).text(),
                offset_s: Some(offset_s),
                quality: TimeQuality::Instant,
            };
        }
        let assumed = self
            .assumed
            .as_mut()
            .and_then(|zone| zone.offset_s(moment.seconds));
        Local {
            date: moment.civil_date(assumed.unwrap_or(moment.offset_s)).text(),
            offset_s: None,
            quality: match assumed {
                Some(_) => TimeQuality::Instant,
                None => TimeQuality::LocalAssumedZone,
            },
        }
    }

    fn named(&mut self, name: &str) -> Option<&mut Zone> {
        if self
            .named
            .get(self.last)
            .is_none_or(|zone| &*zone.name != name)
        {
            self.last = match self.named.iter().position(|zone| &*zone.name == name) {
                Some(at) => at,
                None if self.named.len() < ZONES => {
                    self.named.push(Zone::new(name));
                    self.named.len() - 1
                }
                None => return None,
            };
        }
        self.named.get_mut(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        Moment::parse(text).unwrap()
    }

    fn day(days: &mut Days, text: &str, zone: Option<&str>) -> (String, Option<i32>, TimeQuality) {
        let local = days.local(moment(text), zone);
        (
            local.date.as_str().to_owned(),
            local.offset_s,
            local.quality,
        )
    }

    #[test]
    fn the_samples_own_zone_wins_over_the_offset_of_the_export() {
        let mut days = Days::new(Some("Asia/Tokyo")).unwrap();
        // Exported in summer (+0200), measured in winter (+0100): 00:30 on the file is 23:30 in Paris.
        let winter = day(&mut days, "2021-01-05 00:30:00 +0200", Some("Europe/Paris"));
        assert_eq!(
            winter,
            ("2021-01-04".to_owned(), Some(3600), TimeQuality::Instant)
        );
        let summer = day(&mut days, "2021-07-05 00:30:00 +0200", Some("Europe/Paris"));
        assert_eq!(
            summer,
            ("2021-07-05".to_owned(), Some(7200), TimeQuality::Instant)
        );
    }

    #[test]
    fn without_it_the_integrations_zone_tells_the_day_but_not_the_offset() {
        let mut days = Days::new(Some("Asia/Tokyo")).unwrap();
        let tokyo = day(&mut days, "2021-01-05 20:00:00 +0200", None);
        assert_eq!(tokyo, ("2021-01-06".to_owned(), None, TimeQuality::Instant));
        let odd = day(&mut days, "2021-01-05 20:00:00 +0200", Some("Mars/Olympus"));
        assert_eq!(odd, tokyo);
    }

    #[test]
    fn without_any_zone_the_written_offset_is_taken_and_said() {
        let mut days = Days::new(None).unwrap();
        let local = day(&mut days, "2021-01-05 00:30:00 +0200", None);
        assert_eq!(
            local,
            ("2021-01-05".to_owned(), None, TimeQuality::LocalAssumedZone)
        );
        assert!(Days::new(Some("Mars/Olympus")).is_none());
    }

    #[test]
    fn a_remembered_offset_ends_where_the_clocks_change() {
        let mut days = Days::new(None).unwrap();
        // Paris 2021: forward on 28 March 01:00 UTC, back on 31 October 01:00 UTC.
        for (text, offset) in [
            ("2021-03-28 00:59:59 +0000", 3600),
            ("2021-03-28 01:00:00 +0000", 7200),
            ("2021-03-28 00:59:59 +0000", 3600),
            ("2021-10-31 00:59:59 +0000", 7200),
            ("2021-10-31 01:00:00 +0000", 3600),
            ("2021-03-28 00:59:59 +0000", 3600),
            ("1890-01-01 00:00:00 +0000", 561),
            ("2090-07-01 00:00:00 +0000", 7200),
            ("2090-12-31 00:00:00 +0000", 3600),
        ] {
            assert_eq!(
                day(&mut days, text, Some("Europe/Paris")).1,
                Some(offset),
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_with_endless_zone_names_costs_no_endless_memory() {
        let mut days = Days::new(None).unwrap();
        for n in 0..5000 {
            days.local(
                moment("2021-01-05 00:30:00 +0200"),
                Some(&format!("No/Zone{n}")),
            );
        }
        assert_eq!(days.named.len(), ZONES);
    }
}

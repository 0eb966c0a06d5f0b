//! Times as platforms write them, read into instants. No clock: the time is what the text says.

/// The text is not a time of the expected form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the form yyyy-MM-dd HH:mm:ss +hhmm")]
pub struct BadTime;

/// An instant, and the offset it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970 UTC.
    pub seconds: i64,
    /// Offset of the text, seconds east. Not always that of the place: see the platform.
    pub offset_s: i32,
}

impl Moment {
    /// Microseconds since 1970 UTC.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.seconds * 1_000_000
    }

    /// Reads `2016-11-14 07:25:41 -0700`: 25 bytes, no other form. Written for speed: an export has two
    /// to three of them a line, millions of lines.
    ///
    /// # Errors
    /// [`BadTime`]: another form, or a date or time that does not exist. Second 60 does not.
    pub fn parse(text: &str) -> Result<Self, BadTime> {
        let bytes: &[u8; 25] = text.as_bytes().try_into().map_err(|_| BadTime)?;
        let [
            y1,
            y2,
            y3,
            y4,
            b'-',
            m1,
            m2,
            b'-',
            d1,
            d2,
            b' ',
            h1,
            h2,
            b':',
            n1,
            n2,
            b':',
            s1,
            s2,
            b' ',
            sign @ (b'+' | b'-'),
            zh1,
            zh2,
            zm1,
            zm2,
        ] = *bytes
        else {
            return Err(BadTime);
        };
        let year = two(y1, y2)? * 100 + two(y3, y4)?;
        let (month, day) = (two(m1, m2)?, two(d1, d2)?);
        let (hour, minute, second) = (two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
        let (zone_hour, zone_minute) = (two(zh1, zh2)?, two(zm1, zm2)?);
        if year == 0
            || hour > 23
            || minute > 59
            || second > 59
            || zone_hour > 18
            || zone_minute > 59
        {
            return Err(BadTime);
        }
        let date = CivilDate::new(year, month, day).ok_or(BadTime)?;
        let east = zone_hour * 3600 + zone_minute * 60;
        let offset_s = if sign == b'-' { -east } else { east };
        let local = i64::from(date.days) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
        Ok(Self {
            seconds: local - i64::from(offset_s),
            offset_s,
        })
    }

    /// The day on the wall at `offset_s` east of UTC.
    #[must_use]
    pub fn civil_date(self, offset_s: i32) -> CivilDate {
        let days = (self.seconds + i64::from(offset_s)).div_euclid(86_400);
        CivilDate {
            days: i32::try_from(days).unwrap_or(i32::MAX),
        }
    }
}

fn two(tens: u8, ones: u8) -> Result<i32, BadTime> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    if tens > 9 || ones > 9 {
        return Err(BadTime);
    }
    Ok(i32::from(tens) * 10 + i32::from(ones))
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CivilDate {
    /// Days since 1970-01-01.
    pub days: i32,
}

impl CivilDate {
    /// This day, if it exists.
    #[must_use]
    pub fn new(year: i32, month: i32, day: i32) -> Option<Self> {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let last = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        if !(1..=last).contains(&day) {
            return None;
        }
        // Years begin in March, so that the leap day is the last; eras have 400 years, 146,097 days.
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(Self {
            days: era * 146_097 + day_of_era - 719_468,
        })
    }

    /// Reads `yyyy-MM-dd`.
    ///
    /// # Errors
    /// [`BadTime`].
    pub fn parse(text: &str) -> Result<Self, BadTime> {
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text.as_bytes() else {
            return Err(BadTime);
        };
        let year = two(y1, y2)? * 100 + two(y3, y4)?;
        Self::new(year, two(m1, m2)?, two(d1, d2)?).ok_or(BadTime)
    }

    /// The day as `yyyy-MM-dd`, without allocating.
    #[must_use]
    pub fn text(self) -> DateText {
        let shifted = i64::from(self.days) + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let digit = |value: i64| b'0' + u8::try_from(value.rem_euclid(10)).unwrap_or(0);
        DateText([
            digit(year / 1000),
            digit(year / 100),
            digit(year / 10),
            digit(year),
            b'-',
            digit(month / 10),
            digit(month),
            b'-',
            digit(day / 10),
            digit(day),
        ])
    }
}

/// A day as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateText([u8; 10]);

impl DateText {
    /// `yyyy-MM-dd`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, civil};

    use super::*;

    #[test]
    fn the_written_offset_is_taken_off_the_wall_clock() {
        let moment = Moment::parse("2016-11-14 07:25:41 -0700").unwrap();
        let expected: Timestamp = "2016-11-14T14:25:41Z".parse().unwrap();
        assert_eq!(moment.micros(), expected.as_microsecond());
        assert_eq!(moment.offset_s, -7 * 3600);
        let east = Moment::parse("2026-01-05 00:02:00 +0545").unwrap();
        let expected: Timestamp = "2026-01-04T18:17:00Z".parse().unwrap();
        assert_eq!(east.micros(), expected.as_microsecond());
    }

    #[test]
    fn what_is_not_exactly_the_form_or_does_not_exist_is_refused() {
        for text in [
            "",
            "2016-11-14 07:25:41",
            "2016-11-14T07:25:41 -0700",
            "2016-11-14 07:25:41 -07:00",
            " 2016-11-14 07:25:41 -070",
            "2016-13-14 07:25:41 -0700",
            "2015-02-29 07:25:41 -0700",
            "2016-11-31 07:25:41 -0700",
            "2016-11-00 07:25:41 -0700",
            "2016-11-14 24:25:41 -0700",
            "2016-11-14 07:60:41 -0700",
            "2016-11-14 07:25:60 -0700",
            "2016-11-14 07:25:41 -1960",
            "2016-11-14 07:25:41 ~0700",
            "0000-11-14 07:25:41 +0000",
            "２016-11-14 07:25:41 -07",
        ] {
            assert_eq!(Moment::parse(text), Err(BadTime), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_agrees_with_jiff() {
        let mut date = civil::date(1899, 12, 28);
        let epoch = civil::date(1970, 1, 1);
        while date.year() < 2301 {
            let ours =
                CivilDate::new(date.year().into(), date.month().into(), date.day().into()).unwrap();
            assert_eq!(ours.days, (date - epoch).get_days(), "{date}");
            assert_eq!(ours.text().as_str(), date.to_string());
            assert_eq!(CivilDate::parse(&date.to_string()), Ok(ours));
            date = date.tomorrow().unwrap();
        }
    }

    #[test]
    fn the_day_on_the_wall_follows_the_offset_also_before_1970() {
        let moment = Moment::parse("2026-01-05 00:30:00 +0200").unwrap();
        assert_eq!(moment.civil_date(7200).text().as_str(), "2026-01-05");
        assert_eq!(moment.civil_date(3600).text().as_str(), "2026-01-04");
        let old = Moment::parse("1969-12-31 23:00:00 +0000").unwrap();
        assert_eq!(old.civil_date(0).text().as_str(), "1969-12-31");
        assert_eq!(old.civil_date(3600).text().as_str(), "1970-01-01");
    }
}

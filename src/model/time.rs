//! Time as the engine sees it: milliseconds since the Unix epoch, always an argument.
//!
//! The only file of the library that reads a clock (`SystemClock`, `Stopwatch`); everything else is told what time it is.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, negative before. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A length of time in milliseconds. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Timestamp {
    /// Before every other time; also stands for "not given" where a field says so.
    pub const MIN: Self = Self(i64::MIN);
    /// After every other time: a deadline that never comes.
    pub const MAX: Self = Self(i64::MAX);

    /// Reads RFC 3339 with any offset and up to nanoseconds (cut to milliseconds, towards the past).
    ///
    /// `None` when the text is no such time or lies outside the years -9999 to 9999.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_bytes(text.as_bytes())
    }

    /// As `parse`, for bytes that need not be UTF-8.
    #[must_use]
    #[inline]
    pub fn parse_bytes(text: &[u8]) -> Option<Self> {
        parse_utc(text).or_else(|| {
            let parsed: jiff::Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
            Some(Self(parsed.as_nanosecond().div_euclid(1_000_000) as i64))
        })
    }
}

/// The common form `YYYY-MM-DDTHH:MM:SS[.fff...]Z` without the general parser, which costs several times as much.
fn parse_utc(text: &[u8]) -> Option<Timestamp> {
    let (head, tail) = text.split_at_checked(19)?;
    let digits = |from: usize, len: usize| -> Option<i64> {
        head.get(from..from + len)?
            .iter()
            .try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| head.get(*at) != Some(byte)) {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 2)?, digits(8, 2)?);
    let (hour, minute, second) = (digits(11, 2)?, digits(14, 2)?, digits(17, 2)?);
    if !(1..=12).contains(&month) || !(1..=28).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None; // Days 29 to 31 and leap seconds go to the general parser.
    }
    let millis = match tail {
        b"Z" => 0,
        [b'.', fraction @ .., b'Z'] if !fraction.is_empty() && fraction.len() <= 9 => {
            let mut value = 0_i64;
            for index in 0..3 {
                let digit = fraction.get(index).copied().unwrap_or(b'0');
                value = value * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
            }
            if !fraction.iter().all(u8::is_ascii_digit) {
                return None;
            }
            value
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(Timestamp(seconds * 1_000 + millis))
}

/// Days since 1970-01-01 of a proleptic Gregorian date, by counting in 400-year eras that start in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The way back: year, month and day of a number of days since 1970-01-01.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let from_era = days + 719_468;
    let (era, day_of_era) = (from_era.div_euclid(146_097), from_era.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

impl Timestamp {
    /// The text of a time in the years 0 to 9999, where every part has its fixed place. Events are full of times, and the
    /// general formatter costs several times as much.
    fn common_text(self) -> Option<[u8; 24]> {
        let (days, millis) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        if !(0..=9_999).contains(&year) {
            return None;
        }
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let (seconds, minutes) = (millis / 1_000, millis / 60_000);
        let parts = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, minutes / 60),
            (14, 2, minutes % 60),
            (17, 2, seconds % 60),
            (20, 3, millis % 1_000),
        ];
        for (from, len, mut value) in parts {
            for place in text.iter_mut().skip(from).take(len).rev() {
                *place = b'0' + (value % 10) as u8;
                value /= 10;
            }
        }
        Some(text)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds; times outside the calendar are shown as plain milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.common_text() {
            return f.write_str(std::str::from_utf8(&text).expect("digits and separators"));
        }
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.common_text() {
            Some(text) => serializer.serialize_str(std::str::from_utf8(&text).expect("digits and separators")),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format_args!("{text:?} is no RFC 3339 time")))
    }
}

impl Add<Millis> for Timestamp {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Millis> for Timestamp {
    type Output = Self;
    fn sub(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Sub for Timestamp {
    type Output = Millis;
    fn sub(self, other: Self) -> Millis {
        Millis(self.0.saturating_sub(other.0))
    }
}

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Whole seconds.
    #[must_use]
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * 1_000)
    }

    /// Whole minutes.
    #[must_use]
    pub const fn minutes(minutes: i64) -> Self {
        Self(minutes * 60_000)
    }

    /// Whole hours.
    #[must_use]
    pub const fn hours(hours: i64) -> Self {
        Self(hours * 3_600_000)
    }

    /// The same as a standard duration; negative lengths become zero.
    #[must_use]
    pub fn to_duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

/// Something that tells the wall-clock time. A trait because tests and the simulation bring their own.
pub trait Clock: Send + Sync {
    /// The wall-clock time now.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// A monotonic stopwatch, for pacing and latency; never for decisions of the engine.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_and_writes_rfc3339() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-22T08:00:00.5Z", 1_795_334_400_500),
            ("2026-11-22T10:00:00.500999+02:00", 1_795_334_400_500),
            ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
            ("1969-12-31T23:59:59.999Z", -1),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ] {
            assert_eq!(Timestamp::parse(text).unwrap(), Timestamp(millis), "{text}");
        }
        assert_eq!(Timestamp(1_795_334_400_500).to_string(), "2026-11-22T08:00:00.500Z");
        for bad in
            ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-22", "2026-02-30T00:00:00Z", "2026-11-22T08:00:00.Z"]
        {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn fast_and_general_text_agree() {
        let general = |millis| format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap());
        let edges =
            [0, -1, 1, 951_782_400_000, 951_868_799_999, -62_167_219_200_000, -62_167_219_200_001, 253_402_207_200_000];
        let spread = (0..20_000).map(|n: i64| n * 15_000_000_007 - 62_300_000_000_000);
        for millis in edges.into_iter().chain(spread) {
            let time = Timestamp(millis);
            assert_eq!(time.to_string(), general(millis), "{millis}");
            assert_eq!(serde_json::to_string(&time).unwrap(), format!("\"{time}\""));
        }
        assert_eq!(Timestamp::MAX.to_string(), i64::MAX.to_string());
    }

    #[test]
    fn fast_and_general_parser_agree() {
        for day in 0..20_000_i64 {
            let at = Timestamp(day * 86_400_000 + day * 7_919 % 86_400_000);
            assert_eq!(Timestamp::parse(&at.to_string()), Some(at));
        }
    }
}

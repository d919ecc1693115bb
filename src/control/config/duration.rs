//! Durations as `1m30s` and sizes as `8MiB`: reading and writing.

use crate::model::time::Millis;

/// Units of time, longest first, in milliseconds.
const TIME_UNITS: [(&str, i64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Units of size, largest first, in bytes.
const SIZE_UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
/// Longest duration taken, a hundred years: beyond it `never` is meant.
const LONGEST: Millis = Millis(100 * 365 * 86_400_000);

/// Reads a duration: whole numbers with units from the longest to the shortest, each once; or a bare `0`.
///
/// # Errors
/// A sentence that says what a duration looks like.
pub fn parse(text: &str) -> Result<Millis, String> {
    let fault = || format!("{text:?} is no duration (like 1m30s or 1500ms)");
    if text == "0" {
        return Ok(Millis::ZERO);
    }
    let (mut rest, mut sum, mut units) = (text, 0_i64, &TIME_UNITS[..]);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|len| *len > 0).ok_or_else(fault)?;
        let (number, tail) = rest.split_at(digits);
        let word = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (word, tail) = tail.split_at(word);
        let index = units.iter().position(|(name, _)| *name == word).ok_or_else(fault)?;
        let unit = units.get(index).map_or(1, |(_, millis)| *millis);
        units = units.get(index + 1..).unwrap_or_default();
        let number: i64 = number.parse().unwrap_or(i64::MAX);
        sum = sum.saturating_add(number.saturating_mul(unit));
        rest = tail;
    }
    match sum {
        _ if text.is_empty() => Err(fault()),
        sum if sum > LONGEST.0 => Err(format!("{text:?} is longer than 100 years")),
        sum => Ok(Millis(sum)),
    }
}

/// Writes a duration so that `parse` reads it back; negative lengths count as zero.
#[must_use]
pub fn show(span: Millis) -> String {
    let (mut rest, mut out) = (span.0.max(0), String::new());
    for (name, millis) in TIME_UNITS.into_iter().skip(1) {
        if rest >= millis {
            out.push_str(&format!("{}{name}", rest / millis));
            rest %= millis;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// Reads a size: a whole number with one binary unit.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes);
    match (number.parse::<u64>(), unit) {
        (Ok(number), Some(unit)) => number.checked_mul(unit).ok_or_else(|| format!("{text:?} is too large")),
        _ => Err(format!("{text:?} is no size (like 64KiB or 8MiB)")),
    }
}

/// Writes a size so that `parse_size` reads it back, in the largest unit that is exact.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    let unit = SIZE_UNITS.into_iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)).unwrap_or(("B", 1));
    format!("{}{}", bytes / unit.1, unit.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis, shown) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("1500ms", 1_500, "1s500ms"),
            ("1m30s", 90_000, "1m30s"),
            ("7d", 604_800_000, "7d"),
            ("1w", 604_800_000, "7d"),
            ("90m", 5_400_000, "1h30m"),
            ("1d12h", 129_600_000, "1d12h"),
        ] {
            assert_eq!(parse(text), Ok(Millis(millis)), "{text}");
            assert_eq!(show(Millis(millis)), shown);
            assert_eq!(parse(shown), Ok(Millis(millis)));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5x", "5", "m", "-5s", "1.5s", "5 s", "1s1m", "1m1m", "5S", "1ms1s", "٣s"] {
            assert_eq!(parse(text), Err(format!("{text:?} is no duration (like 1m30s or 1500ms)")));
        }
        assert_eq!(parse("99999999999999999999w").unwrap_err(), "\"99999999999999999999w\" is longer than 100 years");
        assert_eq!(parse("101w101w").unwrap_err(), "\"101w101w\" is no duration (like 1m30s or 1500ms)");
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("8MiB", 8 << 20), ("1GiB", 1 << 30), ("64KiB", 65_536), ("0B", 0), ("1000B", 1_000)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(show_size(bytes), text);
        }
        for text in ["", "8", "8MB", "MiB", "-1B", "1.5GiB", "8 MiB"] {
            assert_eq!(parse_size(text), Err(format!("{text:?} is no size (like 64KiB or 8MiB)")));
        }
        assert_eq!(parse_size("99999999TiB").unwrap_err(), "\"99999999TiB\" is too large");
    }
}

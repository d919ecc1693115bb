//! The time axis in numbers: how far its ticks are apart and what stands at them.

use crate::model::time::{Millis, Timestamp};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Distance of the ticks: the first with which their texts do not touch.
pub(super) fn step_of(length: Millis, width: f64) -> i64 {
    const STEPS: [i64; 18] = [
        SECOND,
        2 * SECOND,
        5 * SECOND,
        10 * SECOND,
        20 * SECOND,
        30 * SECOND,
        MINUTE,
        2 * MINUTE,
        5 * MINUTE,
        10 * MINUTE,
        20 * MINUTE,
        30 * MINUTE,
        HOUR,
        2 * HOUR,
        6 * HOUR,
        12 * HOUR,
        DAY,
        7 * DAY,
    ];
    let fits = |step: &i64| *step as f64 / length.0.max(1) as f64 * width >= if *step < MINUTE { 54.0 } else { 38.0 };
    STEPS.into_iter().find(fits).unwrap_or((length.0 / 5).max(1))
}

/// A tick: the time of day, with as much of it as the distance needs; the day where days are counted.
pub(super) fn clock(at: Timestamp, step: i64) -> String {
    let text = at.to_string();
    let Some((date, time)) = text.split_once('T') else { return text };
    let part = match step {
        step if step >= DAY => date.get(5..),
        step if step >= MINUTE => time.get(..5),
        _ => time.get(..8),
    };
    part.unwrap_or(&text).to_owned()
}

/// A length with its two largest units.
pub(super) fn rounded(Millis(millis): Millis) -> Millis {
    let unit = match millis {
        length if length >= DAY => HOUR,
        length if length >= HOUR => MINUTE,
        length if length >= MINUTE => SECOND,
        _ => 1,
    };
    Millis(millis / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_room_and_say_what_they_need() {
        let at = Timestamp::parse("2026-03-02T08:05:30Z").unwrap_or_default();
        for (length, step, text) in [
            (Millis::seconds(30), 5 * SECOND, "08:05:30"),
            (Millis::minutes(5), MINUTE, "08:05"),
            (Millis::hours(2), 20 * MINUTE, "08:05"),
            (Millis::hours(72), 12 * HOUR, "08:05"),
            (Millis::hours(24 * 7), DAY, "03-02"),
            (Millis::hours(24 * 365), 24 * 365 * HOUR / 5, "03-02"),
        ] {
            assert_eq!(step_of(length, 340.0), step, "{length:?}");
            assert_eq!(clock(at, step), text, "{length:?}");
        }
        assert_eq!(step_of(Millis::ZERO, 340.0), SECOND);
        assert_eq!(rounded(Millis(90_061_001)), Millis(90_000_000));
    }
}

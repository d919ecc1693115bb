//! Times as alerts bring them: most are in UTC, and in a minute that was named not long ago.

use crate::model::time::Timestamp;

/// `YYYY-MM-DDTHH:MM`.
const MINUTE_BYTES: usize = 16;

/// Minutes remembered, each in the place of its number in the hour.
const MINUTES: usize = 64;

/// A minute, and when it began, milliseconds since 1970. At first a text that is none.
#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    text: [u8; MINUTE_BYTES],
    began: i64,
}

/// Reads times, and remembers the minutes they were in.
#[derive(Debug)]
pub(super) struct Times {
    minutes: [Minute; MINUTES],
}

impl Default for Times {
    fn default() -> Self {
        Self { minutes: [Minute::default(); MINUTES] }
    }
}

impl Times {
    /// As `Timestamp::parse_bytes`.
    #[inline]
    pub(super) fn read(&mut self, text: &[u8]) -> Option<Timestamp> {
        let Some((minute, rest)) = text.split_first_chunk::<MINUTE_BYTES>() else {
            return Timestamp::parse_bytes(text);
        };
        let [.., tens, ones] = *minute;
        let known = self.minutes.get_mut(usize::from((tens & 7) * 10 + (ones & 15)) % MINUTES)?;
        let millis = millis_of_minute(rest);
        if let Some(millis) = millis
            && known.text == *minute
        {
            return Some(Timestamp(known.began + millis));
        }
        let time = Timestamp::parse_bytes(text)?;
        if let Some(millis) = millis {
            *known = Minute { text: *minute, began: time.0 - millis };
        }
        Some(time)
    }
}

/// `:SS` or `:SS.fff`, and `Z`, in milliseconds; other forms are for the general parser.
#[inline]
fn millis_of_minute(rest: &[u8]) -> Option<i64> {
    let digit = |byte: u8| Some(i64::from(byte.wrapping_sub(b'0'))).filter(|digit| *digit <= 9);
    let (tens, ones, fraction) = match *rest {
        [b':', tens, ones, b'Z'] => (tens, ones, 0),
        [b':', tens, ones, b'.', a, b, c, b'Z'] => (tens, ones, digit(a)? * 100 + digit(b)? * 10 + digit(c)?),
        _ => return None,
    };
    let seconds = Some(digit(tens)? * 10 + digit(ones)?).filter(|seconds| *seconds < 60)?;
    Some(seconds * 1_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_general_parser_reads_whatever_came_before() {
        let texts = [
            "2026-11-22T08:00:00Z",
            "2026-11-22T08:00:59.999Z",
            "2026-11-22T08:01:00.001Z",
            "2024-02-29T23:59:30.5Z",
            "2024-02-29T23:59:30.500Z",
            "2024-02-29T23:59:60Z",
            "2024-02-29T23:59:00+01:00",
            "2024-02-30T00:00:00Z",
            "2024-02-30T00:00:00.123Z",
            "0001-01-01T00:00:00Z",
            "2026-11-22T08:00:0aZ",
            "2026-11-22T08:00:00.0-1Z",
            "2026-11-22 08:00:00Z",
            "yesterday",
            "",
        ];
        for first in texts {
            for second in texts {
                let mut times = Times::default();
                for text in [first, second, first] {
                    assert_eq!(times.read(text.as_bytes()), Timestamp::parse(text), "{text} after {first}");
                }
            }
        }
    }
}

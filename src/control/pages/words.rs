//! How numbers, times, states and reasons are said on a page. Everything here returns text that is safe or gets escaped.

use std::fmt;

use askama::filters::HtmlSafe;

use crate::model::text::is_invisible;
use crate::model::time::Millis;
use crate::model::{EventReason, Severity, Timestamp};

/// A number with commas between the thousands.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate or a delay: two digits that matter for small numbers, none behind the point for large ones.
pub(crate) fn decimal(value: f64) -> String {
    match value {
        value if value <= 0.0 || !value.is_finite() => "0".to_owned(),
        value if value < 0.1 => format!("{value:.2}"),
        value if value < 10.0 => format!("{value:.1}").trim_end_matches(".0").to_owned(),
        value => number(value.round() as u64),
    }
}

/// A length of time in its two largest units.
pub(crate) fn span(span: Millis) -> String {
    let seconds = span.0.max(0) / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

/// How long ago something was. The script says the same words.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let passed = now - at;
    if passed.0 < 1_000 { "now".to_owned() } else { format!("{} ago", span(passed)) }
}

/// Text of unknown origin: at most `max` characters, and what cannot be seen or moves others is spelled out. Still has to be
/// escaped.
pub(crate) fn shown(text: &str, max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(max * 4));
    for (index, character) in text.chars().enumerate() {
        if index == max {
            shown.push('…');
            break;
        }
        match character {
            '\n' | '\t' => shown.push(character),
            '\r' => {}
            _ if character.is_control() || is_invisible(character) => {
                shown.extend(character.escape_unicode());
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// An address that a page may link to: http or https, nothing else, without anything that hides where it leads.
pub(crate) fn link(text: &str) -> Option<&str> {
    let is_web = ["https://", "http://"].iter().any(|scheme| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) && text.len() > scheme.len()
    });
    let is_plain = text.chars().all(|character| {
        !character.is_whitespace() && !character.is_control() && !is_invisible(character) && character != '\\'
    });
    (is_web && is_plain && text.len() <= 4_096).then_some(text)
}

/// A point in time: how long ago, with the absolute time for machines and on hover.
#[derive(Clone, Debug)]
pub(crate) struct When {
    at: Timestamp,
    now: Timestamp,
}

impl When {
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.to_string();
        write!(f, "<time datetime=\"{at}\" title=\"{}\">{}</time>", absolute(&at), ago(self.at, self.now))
    }
}

/// Digits and fixed words only.
impl HtmlSafe for When {}

/// RFC 3339 as people read it.
pub(crate) fn absolute(time: &str) -> String {
    match time.split_at_checked(19) {
        Some((head, _)) if time.ends_with('Z') => format!("{} UTC", head.replacen('T', " ", 1)),
        _ => time.to_owned(),
    }
}

/// Time of day of a step; the date is in the title.
#[derive(Clone, Debug)]
pub(crate) struct Clock(pub(crate) Timestamp);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0.to_string();
        let day = at.get(11..19).unwrap_or(&at);
        write!(f, "<time class=\"clock\" datetime=\"{at}\" title=\"{}\">{day}</time>", absolute(&at))
    }
}

impl HtmlSafe for Clock {}

/// A severity: a shape and a word, so that colour is never needed to tell two apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(pub(crate) Severity);

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self.0 {
            Severity::Critical => "M8 1 15 8 8 15 1 8Z",
            Severity::High => "M8 2 15 14H1Z",
            Severity::Warning => "M3 3h10v10H3Z",
            Severity::Low => "M8 14 1 3h14Z",
            Severity::Info => "M8 3a5 5 0 1 0 0 10 5 5 0 0 0 0-10Z",
            Severity::Unknown => "M2 7h12v2H2Z",
        };
        let name = self.0.name();
        write!(
            f,
            "<span class=\"mark {name}\"><svg viewBox=\"0 0 16 16\" aria-hidden=\"true\"><path d=\"{shape}\"/></svg>{name}</span>"
        )
    }
}

/// Fixed words and shapes only.
impl HtmlSafe for Mark {}

/// Why an event was emitted, as a sentence.
pub(crate) fn reason(reason: EventReason) -> &'static str {
    match reason {
        EventReason::FirstAlert => "The first alert of a group without an incident",
        EventReason::Threshold => "Enough alerts came within the time that the rule asks for",
        EventReason::AfterGap => "The group's earlier incident had been silent or over for too long to go on",
        EventReason::AfterCap => "The group's earlier window had reached its cap; this one goes on from there",
        EventReason::AfterPerson => "Alerts came after a person had resolved the group's earlier incident",
        EventReason::Grew => "Another alert joined",
        EventReason::SeverityRose => "The worst severity rose",
        EventReason::Counted => "Alerts were counted, nothing else changed",
        EventReason::WindowClosed => "The window closed: new alerts of the group no longer join",
        EventReason::MemberResolved => "Some members resolved, others still fire",
        EventReason::AllResolved => "Every member sent its resolve",
        EventReason::NotSeen => "The last firing member was not seen any more",
        EventReason::Expired => "The last firing member was silent for so long that it was forgotten",
        EventReason::Superseded => "The last firing member went on in a later incident",
        EventReason::Person => "A person said that it is over",
        EventReason::FiringAgain => "The group fires again",
        EventReason::Overflow => "Memory is short: new alerts of a source are counted together",
        EventReason::Overload => "Memory has run out: no source is read",
        EventReason::Eased => "Memory has room again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(n), text);
        }
        for (value, text) in [
            (-1.0, "0"),
            (0.0, "0"),
            (f64::NAN, "0"),
            (0.034, "0.03"),
            (1.0, "1"),
            (2.34, "2.3"),
            (12.6, "13"),
            (1_234.5, "1,235"),
        ] {
            assert_eq!(decimal(value), text, "{value}");
        }
    }

    #[test]
    fn times_are_said_in_two_units() {
        for (seconds, text) in [
            (-5, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (7_500, "2 h 5 min"),
            (86_400, "1 d"),
            (180_000, "2 d 2 h"),
        ] {
            assert_eq!(span(Millis::seconds(seconds)), text, "{seconds}");
        }
        let now = Timestamp(1_795_334_400_000);
        assert_eq!((ago(now, now).as_str(), ago(now + Millis(5), now).as_str()), ("now", "now"));
        assert_eq!(
            When::new(now - Millis::minutes(3), now).to_string(),
            "<time datetime=\"2026-11-22T07:57:00.000Z\" title=\"2026-11-22 07:57:00 UTC\">3 min ago</time>"
        );
    }

    #[test]
    fn what_cannot_be_seen_is_spelled_out() {
        for (text, expected) in [
            ("a\nb\tc\r\n", "a\nb\tc\n"),
            ("abcdefghijk", "abcdefghij…"),
            ("\u{202e}gpj", "\\u{202e}gpj"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("日本", "日本"),
        ] {
            assert_eq!(shown(text, 10), expected);
        }
    }

    #[test]
    fn links_lead_to_the_web_or_nowhere() {
        for good in ["http://a", "https://prom.example.org/graph?g0.expr=up+%3D%3D+0", "HTTPS://a/b#c"] {
            assert_eq!(link(good), Some(good));
        }
        for bad in [
            "",
            "https://",
            "javascript:alert(1)",
            " https://a",
            "https://a b",
            "data:text/html,x",
            "//a",
            "http:\\\\a",
            "https://a\u{202e}b",
            "vbscript:x",
            "java\nscript:x",
        ] {
            assert_eq!(link(bad), None, "{bad}");
        }
    }
}

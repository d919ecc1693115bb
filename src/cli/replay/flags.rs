//! Events as flags above the bars of a row: as many words as there is room for, the same for the whole row.

use crate::model::incident::{EventKind, EventReason, IncidentEvent};

/// Height of a flag with its distance, points.
pub(super) const FLAG: f64 = 14.0;
/// Levels that flags may be stacked in.
const LEVELS_MAX: usize = 3;
/// A character of a flag, points: digits and lower case of the usual fonts at 9 px.
const CHARACTER: f64 = 5.0;

/// A flag to be placed.
pub(super) struct Flag {
    /// Where its pole stands.
    pub(super) x: f64,
    pub(super) kind: EventKind,
    /// Texts from long to short.
    texts: [String; 3],
}

/// A flag in its place.
pub(super) struct Placed {
    pub(super) x: f64,
    /// Left edge of the box.
    pub(super) left: f64,
    pub(super) width: f64,
    /// 0 is the level right above the bar.
    pub(super) level: usize,
    pub(super) kind: EventKind,
    pub(super) text: String,
}

impl Flag {
    /// A flag for an event; `later`: how long after the end of the axis it was.
    pub(super) fn new(x: f64, event: &IncidentEvent, later: Option<&str>) -> Self {
        let short = format!("{} {}", event.revision, event.event.name());
        let lag = later.map_or_else(String::new, |lag| format!(" +{lag}"));
        let full = words(event.reason).map_or_else(|| short.clone(), |words| format!("{short}: {words}"));
        Self { x, kind: event.event, texts: [full + &lag, short + &lag, event.revision.to_string()] }
    }
}

/// What a reason adds to the name of its event.
fn words(reason: EventReason) -> Option<&'static str> {
    match reason {
        EventReason::FirstAlert | EventReason::AllResolved | EventReason::FiringAgain => None,
        EventReason::Threshold => Some("threshold"),
        EventReason::AfterGap => Some("after gap"),
        EventReason::AfterCap => Some("after cap"),
        EventReason::AfterPerson => Some("after person"),
        EventReason::Grew => Some("grew"),
        EventReason::SeverityRose => Some("severity"),
        EventReason::Counted => Some("counted"),
        EventReason::WindowClosed => Some("window closed"),
        EventReason::MemberResolved => Some("member resolved"),
        EventReason::NotSeen => Some("not seen"),
        EventReason::Expired => Some("expired"),
        EventReason::Superseded => Some("superseded"),
        EventReason::Person => Some("a person"),
    }
}

/// Places the flags of a row. Returns them with the number of levels they take.
pub(super) fn place(flags: &[Flag], left_edge: f64, right_edge: f64) -> (Vec<Placed>, usize) {
    let mut last = (Vec::new(), 1);
    for (length, levels) in [(0, 1), (1, 1), (1, 2), (2, 1), (2, LEVELS_MAX)] {
        let (placed, complete) = attempt(flags, length, levels, left_edge, right_edge);
        let taken = 1 + placed.iter().map(|flag| flag.level).max().unwrap_or(0);
        last = (placed, taken);
        if complete {
            break;
        }
    }
    last
}

/// One length of text for all. What finds no room is left out, which the last resort does; its pole stays.
fn attempt(flags: &[Flag], length: usize, levels: usize, left_edge: f64, right_edge: f64) -> (Vec<Placed>, bool) {
    let mut taken = vec![left_edge; levels];
    let mut placed: Vec<Placed> = Vec::new();
    let mut complete = true;
    for flag in flags {
        let text = flag.texts.get(length).cloned().unwrap_or_default();
        let width = text.chars().count() as f64 * CHARACTER + 7.0;
        let left = if flag.x + width > right_edge { (flag.x - width).min(right_edge - width) } else { flag.x };
        // A pole must not run through a flag below.
        let crossed = |level: usize| {
            placed.iter().any(|other| other.level < level && other.left < flag.x && flag.x < other.left + other.width)
        };
        let level = taken.iter().enumerate().position(|(level, edge)| *edge <= left && !crossed(level));
        let (level, width, text) = match level {
            Some(level) => (level, width, text),
            None => {
                complete = false;
                (0, 0.0, String::new())
            }
        };
        if let Some(edge) = taken.get_mut(level) {
            *edge = edge.max(left + width + if width > 0.0 { 2.0 } else { 0.0 });
        }
        placed.push(Placed { x: flag.x, left, width, level, kind: flag.kind, text });
    }
    (placed, complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(x: f64, revision: u32) -> Flag {
        let texts = [format!("{revision} updated: grew"), format!("{revision} updated"), revision.to_string()];
        Flag { x, kind: EventKind::Updated, texts }
    }

    fn check(places: &[f64], expected: &[&str], levels: usize) {
        let flags: Vec<Flag> = places.iter().zip(1..).map(|(x, revision)| flag(*x, revision)).collect();
        let (placed, taken) = place(&flags, 0.0, 200.0);
        assert_eq!(placed.iter().map(|flag| flag.text.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(taken, levels);
        for (at, one) in placed.iter().enumerate() {
            assert!(one.left + one.width <= 200.0 || one.width == 0.0);
            for other in placed.iter().skip(at + 1).filter(|other| other.level == one.level && other.width > 0.0) {
                assert!(one.left + one.width <= other.left, "{} {}", one.left, other.left);
            }
        }
    }

    #[test]
    fn words_give_way_where_it_is_narrow() {
        check(&[0.0, 100.0], &["1 updated: grew", "2 updated: grew"], 1);
        check(&[0.0, 60.0], &["1 updated", "2 updated"], 1);
        check(&[0.0, 20.0], &["1 updated", "2 updated"], 2);
        check(&[0.0, 20.0, 40.0, 60.0], &["1", "2", "3", "4"], 1);
        check(&[10.0, 10.0, 10.0], &["1", "2", "3"], 3);
        check(&[10.0; 5], &["1", "2", "3", "", ""], 3);
        check(&[195.0], &["1 updated: grew"], 1);
    }
}

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
    /// Texts from long to short; in the third, only updates are short.
    texts: [String; 4],
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
    /// A flag for an event; `later`: how long after the beginning of the axis it was, if it is beyond its end.
    pub(super) fn new(x: f64, event: &IncidentEvent, later: Option<&str>) -> Self {
        let lag = later.map_or_else(String::new, |lag| format!(" +{lag}"));
        let revision = event.revision.to_string();
        let short = format!("{revision} {}", event.event.name());
        let full = words(event).map_or_else(|| short.clone(), |words| format!("{short}: {words}"));
        let (full, short) = (full + &lag, short + &lag);
        let mixed = if event.event == EventKind::Updated { revision.clone() } else { short.clone() };
        Self { x, kind: event.event, texts: [full, short, mixed, revision] }
    }
}

/// What the reason adds to the name of the event.
fn words(event: &IncidentEvent) -> Option<String> {
    let words = match event.reason {
        EventReason::FirstAlert | EventReason::Threshold if event.members > 1 => {
            return Some(format!("{} members", event.members));
        }
        EventReason::Grew => return Some(format!("now {}", event.members)),
        EventReason::FirstAlert | EventReason::AllResolved | EventReason::FiringAgain => return None,
        EventReason::Threshold => "threshold",
        EventReason::Overflow => "overflow",
        EventReason::Overload => "overload",
        EventReason::Eased => "eased",
        EventReason::AfterGap => "after gap",
        EventReason::AfterCap => "after cap",
        EventReason::AfterPerson => "after person",
        EventReason::SeverityRose => "severity",
        EventReason::Counted => "counted",
        EventReason::WindowClosed => "window closed",
        EventReason::MemberResolved => "member resolved",
        EventReason::NotSeen => "not seen",
        EventReason::Expired => "expired",
        EventReason::Superseded => "superseded",
        EventReason::Person => "a person",
    };
    Some(words.to_owned())
}

/// Places the flags of a row. Returns them with the number of levels they take.
pub(super) fn place(flags: &[Flag], left_edge: f64, right_edge: f64) -> (Vec<Placed>, usize) {
    let mut last = (Vec::new(), 1);
    for (length, levels) in [(0, 1), (1, 1), (2, 1), (2, 2), (3, 1), (3, LEVELS_MAX)] {
        let (placed, complete) = attempt(flags, length, levels, (left_edge, right_edge));
        let taken = 1 + placed.iter().map(|flag| flag.level).max().unwrap_or(0);
        last = (placed, taken);
        if complete {
            break;
        }
    }
    last
}

/// One length of text for all, from right to left: who comes earlier flies higher, so that no pole runs through a flag.
/// What finds no room is left out, which only the last resort may do; its pole stays.
fn attempt(flags: &[Flag], length: usize, levels: usize, edges: (f64, f64)) -> (Vec<Placed>, bool) {
    let mut free_until = vec![edges.1; levels];
    let mut placed: Vec<Placed> = Vec::new();
    let mut complete = true;
    for flag in flags.iter().rev() {
        let text = flag.texts.get(length).cloned().unwrap_or_default();
        let width = text.chars().count() as f64 * CHARACTER + 7.0;
        let left = if flag.x + width > edges.1 { flag.x - width } else { flag.x };
        let crosses = |level: usize| {
            let inside = |other: &&Placed| other.left < flag.x && flag.x < other.left + other.width;
            placed.iter().filter(inside).any(|other| other.level < level)
        };
        let level = free_until.iter().enumerate().position(|(level, until)| left + width <= *until && !crosses(level));
        let Some(level) = level.filter(|_| left >= edges.0) else {
            complete = false;
            let text = String::new();
            placed.push(Placed { x: flag.x, left: flag.x, width: 0.0, level: 0, kind: flag.kind, text });
            continue;
        };
        if let Some(until) = free_until.get_mut(level) {
            *until = left - 2.0;
        }
        placed.push(Placed { x: flag.x, left, width, level, kind: flag.kind, text });
    }
    placed.reverse();
    (placed, complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(x: f64, revision: u32) -> Flag {
        let texts = [format!("{revision} updated: grew"), format!("{revision} updated")];
        let [full, short] = texts;
        let texts = [full, short, revision.to_string(), revision.to_string()];
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
        check(&[0.0, 20.0], &["1", "2"], 1);
        check(&[0.0, 20.0, 40.0, 60.0], &["1", "2", "3", "4"], 1);
        check(&[10.0, 10.0, 10.0], &["1", "2", "3"], 3);
        check(&[10.0; 5], &["", "", "3", "4", "5"], 3);
        check(&[195.0], &["1 updated: grew"], 1);
    }
}

//! From a scene to a picture: where everything stands. Sizes in points.

use std::collections::BTreeSet;

use crate::cli::replay::flags::{self, FLAG, Flag, Placed};
use crate::cli::replay::look::SHEET;
use crate::cli::replay::scene::{Group, Incident, Lane, Mark, Scene, Span, Window, end_words};
use crate::cli::replay::ticks::{clock, rounded, step_of};
use crate::cli::svg::{Anchor, Svg};
use crate::control::config::duration::show;
use crate::model::incident::{EventKind, EventReason};
use crate::model::time::{Millis, Timestamp};
use crate::pipeline::options::{ResolveAfter, WindowRule};

/// Wide enough for a few words, narrow enough for two side by side.
const WIDTH: f64 = 480.0;
const LEFT: f64 = 126.0;
const RIGHT: f64 = 14.0;
/// Room on the right for what happens long after the last alert.
const LATER: f64 = 78.0;
const LANE: f64 = 18.0;
const BAR: f64 = 14.0;
const MARGIN: f64 = 12.0;
/// A character, points, at 10 px.
const CHARACTER: f64 = 5.6;
const SETTINGS_CHARACTERS: usize = 78;
const SETTINGS_LINES: usize = 3;
/// Characters of a lane's or a group's label.
const LABEL_CHARACTERS: usize = 18;

/// The flags of a row of incidents, and the levels that they take.
type Row = (Vec<Placed>, usize);

/// What stands above the picture.
pub(super) struct Head {
    pub(super) title: String,
    pub(super) settings: Vec<String>,
    pub(super) result: String,
}

struct Canvas<'a> {
    svg: Svg,
    scene: &'a Scene,
    y: f64,
    /// Left and right end of the time axis.
    axis: (f64, f64),
    has_later: bool,
    legend: BTreeSet<Entry>,
}

/// What the legend explains, in its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    Mark(Mark),
    Stop,
    Window,
    Closed,
    Over,
    Reopen,
}

/// Draws.
pub(super) fn draw(scene: &Scene, head: &Head) -> String {
    let later = |group: &Group| {
        group.incidents.iter().flat_map(|incident| &incident.events).any(|event| event.record_time > scene.axis.1)
    };
    let has_later = scene.groups.iter().any(later);
    let right = WIDTH - RIGHT - if has_later { LATER } else { 0.0 };
    let mut canvas =
        Canvas { svg: Svg::default(), scene, y: 0.0, axis: (LEFT, right), has_later, legend: BTreeSet::new() };
    let settings = lines(&head.settings);
    // The height is known last and the paper lies first; so everything is drawn twice, which is cheap.
    canvas.all(head, &settings);
    let height = canvas.y;
    canvas.svg = Svg::default();
    canvas.y = 0.0;
    canvas.svg.rect("paper", (0.5, 0.5), (WIDTH - 1.0, height - 1.0), 6.0);
    canvas.all(head, &settings);
    let description = "Lanes are different alerts, bars and their tinted lanes are incidents, flags are incident events; \
                       time runs to the right.";
    let description = format!("{}. {}. {description}", head.settings.join(", "), head.result);
    canvas.svg.finish((WIDTH, height), &SHEET, &head.title, &description)
}

/// Settings in lines.
fn lines(settings: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in settings {
        match lines.last_mut() {
            Some(line) if line.chars().count() + part.chars().count() + 3 <= SETTINGS_CHARACTERS => {
                line.push_str(" · ");
                line.push_str(part);
            }
            _ => lines.push(part.clone()),
        }
    }
    if lines.len() > SETTINGS_LINES {
        lines.truncate(SETTINGS_LINES);
        if let Some(line) = lines.last_mut() {
            line.push_str(" …");
        }
    }
    lines
}

impl Canvas<'_> {
    fn all(&mut self, head: &Head, settings: &[String]) {
        self.y = 22.0;
        self.svg.text("title", Anchor::Start, (MARGIN, self.y), &head.title, 28);
        self.svg.text("strong", Anchor::End, (WIDTH - MARGIN, self.y), &head.result, 60);
        for line in settings {
            self.y += 15.0;
            self.svg.text("soft", Anchor::Start, (MARGIN, self.y), line, SETTINGS_CHARACTERS);
        }
        self.y += 8.0;
        let top = self.y;
        let scene = self.scene;
        let heights: Vec<(Vec<Row>, f64)> = scene.groups.iter().map(|group| self.measure(group)).collect();
        let bottom = top + heights.iter().map(|(_, height)| height).sum::<f64>();
        self.grid(top, bottom);
        for (group, (rows, height)) in scene.groups.iter().zip(&heights) {
            let y = self.y;
            self.group(group, rows);
            self.y = y + height;
        }
        self.y += 18.0;
        self.draw_legend();
    }

    fn x(&self, at: Timestamp) -> f64 {
        let (from, to) = self.scene.axis;
        let length = (to - from).0.max(1) as f64;
        let (left, right) = self.axis;
        let end = if self.has_later { right + LATER } else { right };
        if at > to { end } else { left + (at - from).0.max(0) as f64 / length * (right - left) }
    }

    /// Flags of each row, and the height of the group.
    fn measure(&self, group: &Group) -> (Vec<Row>, f64) {
        let mut rows = Vec::new();
        let mut height = 8.0 + group.lanes.len() as f64 * LANE;
        for row in 0..group.n_rows {
            let mut flags = Vec::new();
            for incident in group.incidents.iter().filter(|incident| incident.row == row) {
                for event in &incident.events {
                    let later = (event.record_time > self.scene.axis.1)
                        .then(|| show(rounded(event.record_time - self.scene.axis.0)));
                    flags.push(Flag::new(self.x(event.record_time), event, later.as_deref()));
                }
            }
            let (placed, levels) = flags::place(&flags, LEFT - 8.0, WIDTH - RIGHT + 4.0);
            height += levels as f64 * FLAG + BAR + 5.0;
            rows.push((placed, levels));
        }
        (rows, height)
    }

    fn grid(&mut self, top: f64, bottom: f64) {
        let (from, to) = self.scene.axis;
        let step = step_of(to - from, self.axis.1 - self.axis.0);
        let mut at = Timestamp(from.0.div_euclid(step) * step);
        while at <= to {
            if at >= from {
                let x = self.x(at);
                self.svg.line("grid", (x, top), (x, bottom));
                self.svg.text("soft tiny", Anchor::Middle, (x, bottom + 12.0), &clock(at, step), 12);
            }
            at = at + Millis(step);
        }
        let (left, right) = self.axis;
        self.svg.line("axis", (left, bottom), (right, bottom));
        let date = from.to_string();
        let date = date.split_once('T').map_or("", |(date, _)| date);
        self.svg.text("soft tiny", Anchor::Start, (MARGIN, bottom + 12.0), &format!("{date} UTC"), 18);
        if self.has_later {
            self.svg.line("dots", (right, bottom), (right + LATER, bottom));
            self.svg.text("soft tiny", Anchor::End, (right + LATER, bottom + 12.0), "later", 10);
        }
    }

    fn group(&mut self, group: &Group, rows: &[Row]) {
        let label = if group.label.is_empty() { "all" } else { &group.label };
        let mut bars = Vec::new();
        let mut y = self.y;
        for (row, (_, levels)) in rows.iter().enumerate() {
            y += *levels as f64 * FLAG;
            bars.push(y);
            if row == 0 {
                self.svg.text("strong", Anchor::Start, (MARGIN, y + 10.5), label, LABEL_CHARACTERS - 1);
                if self.scene.names_rules {
                    self.svg.text("tiny soft", Anchor::Start, (MARGIN, y - 2.0), &group.rule.name, LABEL_CHARACTERS);
                }
            }
            y += BAR + 5.0;
        }
        let lanes_top = y - 2.0;
        for incident in &group.incidents {
            if let Some(top) = bars.get(incident.row) {
                self.bar(incident, &group.rule, *top);
            }
        }
        for (lane, at) in group.lanes.iter().zip(0..) {
            let middle = lanes_top + (f64::from(at) + 0.5) * LANE;
            self.lane(lane, group, middle);
        }
        for ((placed, _), top) in rows.iter().zip(&bars) {
            placed.iter().for_each(|flag| self.flag(flag, *top));
        }
    }

    /// The bar of an incident: its windows, what it is when they are closed, and what decided.
    fn bar(&mut self, incident: &Incident, rule: &WindowRule, top: f64) {
        let tint = tint(incident);
        let opened = incident.events.iter().find(|event| event.event == EventKind::Opened);
        let told = opened.map_or(Timestamp::MIN, |event| event.record_time);
        let opening = incident.windows.first().map_or(self.scene.axis.0, |window| window.span.0);
        for (from, to) in &incident.open {
            self.stretch(&format!("bar {tint}2"), (*from.max(&opening), *to), top);
        }
        for (quiet, until) in &incident.reopens {
            let (from, to) = (self.x(*quiet), self.x(*until));
            self.svg.line("dots", (from, top + BAR / 2.0), (to, top + BAR / 2.0));
            self.legend.insert(Entry::Reopen);
            self.words_between(&format!("reopen {}", show(rule.reopen)), (from, to), top - 5.0);
        }
        for window in &incident.windows {
            self.stretch(&format!("bar {tint}3"), window.span, top);
            let mut is_over = true;
            for (from, to) in &incident.open {
                let both = (*from.max(&window.span.0), *to.min(&window.span.1));
                if both.0 < both.1 {
                    self.stretch(&format!("bar {tint}1"), both, top);
                    self.legend.insert(Entry::Window);
                    is_over &= both.1 < window.span.1;
                }
                if *to > window.span.1 && *from <= window.span.1 {
                    self.legend.insert(Entry::Closed);
                }
            }
            if is_over {
                self.legend.insert(Entry::Over);
            }
            self.reason(window, rule, told, top);
        }
        let from = self.x(opening);
        self.svg.text("strong", Anchor::Start, (from + 3.0, top + 10.5), &incident.name, 4);
        let wait = opened.map_or(Millis::ZERO, |event| rule.wait_for(event.severity_max));
        if wait > Millis::ZERO && told - opening == wait {
            self.words_between(&format!("wait {}", show(wait)), (from + 12.0, self.x(told)), top + 2.0);
        }
    }

    fn stretch(&mut self, class: &str, span: Span, top: f64) {
        let (from, to) = (self.x(span.0), self.x(span.1));
        self.svg.rect(class, (from, top), ((to - from).max(1.5), BAR), 2.0);
    }

    /// What ended a window, written into its last stretch.
    fn reason(&mut self, window: &Window, rule: &WindowRule, told: Timestamp, top: f64) {
        let Some(words) = end_words(window, rule) else { return };
        let to = self.x(window.span.1);
        let silent = words.starts_with("gap");
        let name_until = self.x(window.span.0) + 14.0;
        let from = if silent { self.x(window.silent_from.max(told)).max(name_until) } else { name_until };
        let width = words.chars().count() as f64 * 5.0 + 5.0;
        if to - from < width + 2.0 {
            return;
        }
        self.svg.text("tiny", Anchor::End, (to - 3.0, top + 10.0), &words, 24);
        if silent && to - from > width + 6.0 {
            self.svg.line("quiet", (from, top + 4.0), (from, top + BAR - 4.0));
            self.svg.line("quiet", (from, top + BAR / 2.0), (to - width, top + BAR / 2.0));
        }
    }

    fn words_between(&mut self, words: &str, (from, to): (f64, f64), y: f64) {
        if to - from >= words.chars().count() as f64 * 5.0 {
            self.svg.text("tiny soft", Anchor::Middle, ((from + to) / 2.0, y + 8.0), words, 24);
        }
    }

    fn flag(&mut self, flag: &Placed, bar_top: f64) {
        let bottom = bar_top - 1.0 - flag.level as f64 * FLAG;
        let class = match flag.kind {
            EventKind::Opened => "f-opened",
            EventKind::Updated => "f-updated",
            EventKind::Resolved => "f-resolved",
            EventKind::Reopened => "f-reopened",
            EventKind::Merged => "f-merged",
        };
        self.svg.line("pole", (flag.x, bar_top), (flag.x, bottom - FLAG + 2.0));
        if flag.width > 0.0 {
            let round = if flag.kind == EventKind::Resolved { 5.0 } else { 1.0 };
            self.svg.rect(&format!("f {class}"), (flag.left, bottom - FLAG + 2.0), (flag.width, FLAG - 2.0), round);
            let text = if matches!(flag.kind, EventKind::Opened | EventKind::Resolved) { "tiny on" } else { "tiny" };
            let middle = flag.left + flag.width / 2.0;
            self.svg.text(text, Anchor::Middle, (middle, bottom - 3.0), &flag.text, 40);
        }
    }

    fn lane(&mut self, lane: &Lane, group: &Group, middle: f64) {
        for (index, (from, to)) in &lane.bands {
            let Some(incident) = group.incidents.get(*index) else { continue };
            let (from, to) = (self.x(*from), self.x(*to));
            self.svg.rect(tint(incident), (from - 4.0, middle - LANE / 2.0), (to - from + 8.0, LANE), 0.0);
        }
        self.svg.line("lane", (self.axis.0, middle + LANE / 2.0), (self.axis.1, middle + LANE / 2.0));
        self.svg.text("", Anchor::Start, (MARGIN + 6.0, middle + 3.5), &lane.label, LABEL_CHARACTERS);
        for (from, to) in &lane.fires {
            let (from, to) = (self.x(*from), self.x(*to));
            self.svg.line("fires", (from, middle), (to, middle));
        }
        for (at, mark) in &lane.marks {
            self.legend.insert(Entry::Mark(*mark));
            self.svg.symbol(symbol(*mark), (self.x(*at), middle));
        }
        for (at, reason) in &lane.stops {
            self.legend.insert(Entry::Stop);
            let x = self.x(*at);
            self.svg.symbol("stop", (x, middle));
            let since = lane.marks.iter().map(|(at, _)| *at).filter(|mark| mark <= at).max().map_or(x, |at| self.x(at));
            let words = match (reason, group.rule.resolve_after, group.rule.forget_after) {
                (EventReason::Expired, _, Some(after)) => format!("forget_after {}", show(after)),
                (_, ResolveAfter::After(after), _) => format!("resolve_after {}", show(after)),
                _ => "not seen".to_owned(),
            };
            self.words_between(&words, (since + 5.0, x - 5.0), middle - 11.0);
        }
    }

    fn draw_legend(&mut self) {
        let mut x = MARGIN + 4.0;
        for entry in self.legend.clone() {
            let words = match entry {
                Entry::Mark(Mark::Opened) => "opens an incident",
                Entry::Mark(Mark::Joined) => "joins",
                Entry::Mark(Mark::Repeat) => "repeat",
                Entry::Mark(Mark::Held) => "held back, never told",
                Entry::Mark(Mark::Resolved) => "resolves",
                Entry::Mark(Mark::Idle) => "resolves nothing",
                Entry::Stop => "ended by time",
                Entry::Window => "window open",
                Entry::Closed => "closed, still firing",
                Entry::Over => "resolved, window open",
                Entry::Reopen => "may be reopened",
            };
            let width = words.chars().count() as f64 * CHARACTER + 34.0;
            if x + width > WIDTH {
                x = MARGIN + 4.0;
                self.y += 16.0;
            }
            let middle = self.y + 6.0;
            let bar = (x - 4.0, middle - 5.0);
            match entry {
                Entry::Mark(mark) => self.svg.symbol(symbol(mark), (x + 3.0, middle)),
                Entry::Stop => self.svg.symbol("stop", (x + 3.0, middle)),
                Entry::Window => self.svg.rect("bar a1", bar, (16.0, 10.0), 2.0),
                Entry::Closed => self.svg.rect("bar a2", bar, (16.0, 10.0), 2.0),
                Entry::Over => self.svg.rect("bar a3", bar, (16.0, 10.0), 2.0),
                Entry::Reopen => self.svg.line("dots", (x - 4.0, middle), (x + 12.0, middle)),
            }
            let text_at = if matches!(entry, Entry::Mark(_) | Entry::Stop) { x + 12.0 } else { x + 16.0 };
            self.svg.text("soft", Anchor::Start, (text_at, middle + 3.5), words, 40);
            x = text_at + words.chars().count() as f64 * CHARACTER + 14.0;
        }
        self.y += 22.0;
    }
}

fn tint(incident: &Incident) -> &'static str {
    if incident.is_even { "a" } else { "b" }
}

fn symbol(mark: Mark) -> &'static str {
    match mark {
        Mark::Opened => "opened",
        Mark::Joined => "joined",
        Mark::Repeat => "repeat",
        Mark::Held => "held",
        Mark::Resolved => "resolved",
        Mark::Idle => "idle",
    }
}

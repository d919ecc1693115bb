//! The picture of a storm: rate, lag and latency over the same time axis. Sizes in points.

use crate::cli::storm::course::Moment;
use crate::cli::storm::figures::{counted, megabytes, short};
use crate::cli::storm::record::Record;
use crate::cli::svg::{Anchor, Place, Sheet, Svg};

const WIDTH: f64 = 720.0;
const MARGIN: f64 = 16.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = WIDTH - 18.0;
const PANEL: f64 = 104.0;
/// From one panel's axis to the next one's top: its title stands there.
const BETWEEN: f64 = 36.0;
/// A character, points, at 10 px.
const CHARACTER: f64 = 5.6;
/// Texts below an axis need this much room each.
const TICK: f64 = 64.0;
/// Rates are means over so many seconds: a few epochs, so that they do not jitter, and short enough to show a stall where it
/// was.
const RATE_OVER: f64 = 0.45;
/// More dots than this are a line anyway.
const DOTS_MAX: usize = 150;

/// Vermilion and blue keep their distance for colour-blind eyes (after Okabe and Ito); the median is dashed.
const SHEET: Sheet = Sheet {
    light: "\
.offered{fill:none;stroke:#57606a;stroke-dasharray:4 3;stroke-width:1.3}\
.taken{fill:none;stroke:#0b5cad;stroke-width:1.8}.under{fill:#dcebf8}\
.behind{fill:none;stroke:#0b5cad;stroke-width:1.6}.unread{fill:none;stroke:#c2410c;stroke-width:1.4}\
.p99{fill:none;stroke-width:1.6}.p50{fill:none;stroke-width:1.2;stroke-dasharray:3 2}\
.ack{stroke:#0b5cad}.inc{stroke:#c2410c}.dot{fill:#c2410c}.end{stroke:#57606a;stroke-dasharray:1.5 2.5;stroke-width:1.5}\
.good{fill:#00755a}.bad{fill:#b42318}",
    dark: "\
.offered{stroke:#9da7b1}.taken,.behind,.ack{stroke:#6cb6ff}.under{fill:#14293d}.unread,.inc{stroke:#ff8a5c}\
.dot{fill:#ff8a5c}.end{stroke:#9da7b1}.good{fill:#3fcf9f}.bad{fill:#ff8a80}",
    symbols: "<circle id=\"dot\" class=\"dot\" r=\"1.7\"/>",
};

/// A line of a panel: its class, what it is called, and its values over time; without one the line has a gap.
struct Series {
    class: &'static str,
    name: String,
    values: Vec<(f64, Option<f64>)>,
    has_dots: bool,
    is_filled: bool,
}

/// How values become heights.
#[derive(Clone, Copy)]
enum Scale {
    Linear {
        top: f64,
    },
    /// From and to, powers of ten.
    Log {
        from: f64,
        to: f64,
    },
}

struct Canvas<'a> {
    svg: Svg,
    record: &'a Record,
    y: f64,
    /// Seconds of the whole axis.
    until: f64,
}

/// Draws the picture of a record.
pub(super) fn draw(record: &Record) -> String {
    let last = record.course.last().map_or(0.0, |moment| moment.at_s);
    let until = last.max(record.seconds).max(0.001);
    let mut canvas = Canvas { svg: Svg::default(), record, y: 0.0, until };
    let height = canvas.height();
    canvas.svg.rect("paper", (0.5, 0.5), (WIDTH - 1.0, height - 1.0), 6.0);
    let title = title(record);
    canvas.head(&title);
    for panel in [rate_panel(record), lag_panel(record), latency_panel(record)] {
        canvas.panel(&panel);
    }
    canvas.foot();
    let description = format!("{}. Rate, lag and latency over time, one above the other.", facts(record).join(". "));
    canvas.svg.finish((WIDTH, height), &SHEET, &title, &description)
}

fn title(record: &Record) -> String {
    let pace = if record.rate > 0.0 { format!(" at {}/s", round(record.rate)) } else { String::new() };
    format!("{}: {}{pace}", record.shape, counted(record.alerts, "alert"))
}

fn verdict(record: &Record) -> (&'static str, &'static str) {
    match (record.complete, record.exact) {
        (false, _) => ("bad", "not complete"),
        (true, Some(false)) => ("bad", "complete, not exact"),
        (true, Some(true)) => ("good", "complete and exact"),
        (true, None) => ("good", "complete"),
    }
}

/// What stands above the panels, line by line.
fn facts(record: &Record) -> Vec<String> {
    let mut how = format!("to {}, seed {}", record.to, record.seed);
    if let (Some(batch), Some(connections)) = (record.batch, record.connections) {
        how += &format!(
            ", {} a request, {}",
            counted(u64::from(batch), "alert"),
            counted(u64::from(connections), "connection")
        );
    }
    let mut lines = vec![how];
    let mut told = Vec::new();
    if let Some(acknowledged) = record.acknowledged {
        let [p50, p99, p999] = [acknowledged.p50_ms, acknowledged.p99_ms, acknowledged.p999_ms].map(short);
        told.push(format!("acknowledged {p50} p50, {p99} p99, {p999} p99.9"));
    }
    if let Some(incident) = record.daemon.as_ref().and_then(|daemon| daemon.alert_to_incident) {
        let [p50, p99, p999] = [incident.p50_ms, incident.p99_ms, incident.p999_ms].map(short);
        told.push(format!("alert to incident {p50} p50, {p99} p99, {p999} p99.9"));
    }
    lines.push(told.join("; "));
    if let Some(daemon) = &record.daemon {
        let mut cost = vec![counted(daemon.incidents, "incident")];
        cost.extend(daemon.cores.map(|cores| format!("{cores:.2} cores")));
        cost.extend(daemon.cpu_us_per_alert.map(|us| format!("{us:.1} µs of processor time an alert")));
        cost.extend(daemon.rss_peak_bytes.map(|peak| format!("memory {} at most", megabytes(peak))));
        cost.push(counted(daemon.epochs, "epoch"));
        cost.extend(daemon.commit_mean_ms.map(|mean| format!("commits of {}", short(mean))));
        lines.push(cost.join(", "));
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// A panel before it has a place.
struct Panel {
    title: &'static str,
    scale: Scale,
    unit: fn(f64) -> String,
    series: Vec<Series>,
}

fn series(record: &Record, class: &'static str, name: &str, of: impl Fn(&Moment) -> Option<f64>) -> Series {
    let values = record.course.iter().map(|moment| (moment.at_s, of(moment))).collect();
    Series { class, name: name.to_owned(), values, has_dots: false, is_filled: false }
}

fn rate_panel(record: &Record) -> Panel {
    let window = (record.seconds / 8.0).clamp(0.05, RATE_OVER);
    let rate_of = |count: fn(&Moment) -> Option<u64>| rates(&record.course, window, count);
    let named =
        |class, name: &str, values| Series { class, name: name.to_owned(), values, has_dots: false, is_filled: false };
    let is_watched = record.daemon.is_some();
    let done: fn(&Moment) -> Option<u64> =
        if is_watched { |moment| moment.taken } else { |moment| Some(moment.acknowledged) };
    let done = Series {
        is_filled: true,
        ..named("taken", if is_watched { "taken, durably" } else { "acknowledged" }, rate_of(done))
    };
    let offered = named("offered", "offered", rate_of(|moment| Some(moment.offered)));
    let series = vec![done, offered];
    Panel { title: "alerts per second", scale: linear(&series), unit: round, series }
}

fn lag_panel(record: &Record) -> Panel {
    let behind = series(record, "behind", "due and not taken", |moment| Some(moment.behind as f64));
    let mut all = vec![Series { is_filled: true, ..behind }];
    if record.course.iter().any(|moment| moment.lag_records.is_some_and(|lag| lag > 0)) {
        all.push(series(record, "unread", "unread in Kafka", |moment| moment.lag_records.map(|lag| lag as f64)));
    }
    Panel { title: "lag, alerts", scale: linear(&all), unit: round, series: all }
}

fn latency_panel(record: &Record) -> Panel {
    let mut all = vec![
        series(record, "p50 ack", "acknowledged p50", |moment| moment.acknowledged_p50_ms),
        series(record, "p99 ack", "p99", |moment| moment.acknowledged_p99_ms),
        series(record, "p50 inc", "alert to incident p50", |moment| moment.incident_p50_ms),
        series(record, "p99 inc", "p99", |moment| moment.incident_p99_ms),
    ];
    if let Some(p99) = all.last_mut() {
        // Incidents are opened now and then: a line through few of them would not be seen.
        p99.has_dots = p99.values.iter().filter(|(_, value)| value.is_some()).count() <= DOTS_MAX;
    }
    all.retain(|series| series.values.iter().any(|(_, value)| value.is_some()));
    let values = || all.iter().flat_map(|series| &series.values).filter_map(|(_, value)| *value).filter(|ms| *ms > 0.0);
    let from = 10_f64.powf(values().fold(f64::INFINITY, f64::min).min(1e3).log10().floor());
    let to = 10_f64.powf(values().fold(0.0, f64::max).max(from * 1.01).log10().ceil());
    let scale = Scale::Log { from, to: to.max(from * 10.0) };
    Panel { title: "latency", scale, unit: decade, series: all }
}

/// Growth per second over the last `window` seconds at each moment.
fn rates(course: &[Moment], window: f64, count: impl Fn(&Moment) -> Option<u64>) -> Vec<(f64, Option<f64>)> {
    let rate = |(index, now): (usize, &Moment)| {
        let before = course.get(..index)?.iter().rev().find(|then| now.at_s - then.at_s >= window);
        let before = before.or_else(|| course.first()).filter(|then| now.at_s > then.at_s)?;
        let grown = count(now)?.saturating_sub(count(before)?);
        Some(grown as f64 / (now.at_s - before.at_s))
    };
    course.iter().enumerate().map(|at| (at.1.at_s, rate(at))).collect()
}

fn linear(series: &[Series]) -> Scale {
    let most = series.iter().flat_map(|series| &series.values).filter_map(|(_, value)| *value).fold(0.0, f64::max);
    Scale::Linear { top: most.max(1.0) * 1.06 }
}

/// The first of 1, 2, 5, 10, 20 and so on that is at least this.
fn nice(least: f64) -> f64 {
    let decade = 10_f64.powf(least.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * decade).into_iter().find(|step| *step >= least * 0.999).unwrap_or(decade)
}

/// `250`, `40k`, `1.5M`.
fn round(value: f64) -> String {
    let (value, unit) = match value {
        ..1e3 => (value, ""),
        ..1e6 => (value / 1e3, "k"),
        _ => (value / 1e6, "M"),
    };
    let text = format!("{value:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// `0.1 ms`, `10 ms`, `1 s`.
fn decade(ms: f64) -> String {
    match ms {
        ..0.0999 => format!("{:.0} µs", ms * 1_000.0),
        ..0.999 => format!("{ms:.1} ms"),
        ..999.0 => format!("{ms:.0} ms"),
        _ => format!("{:.0} s", ms / 1_000.0),
    }
}

impl Scale {
    /// The share of the height at which a value stands.
    fn share(self, value: f64) -> f64 {
        match self {
            Self::Linear { top } => value / top,
            Self::Log { from, to } => (value.max(from).log10() - from.log10()) / (to.log10() - from.log10()),
        }
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { top } => {
                let step = nice(top / 4.5);
                (0..).map(|n| f64::from(n) * step).take_while(|tick| *tick <= top).collect()
            }
            Self::Log { from, to } => std::iter::successors(Some(from), |tick| Some(tick * 10.0))
                .take_while(|tick| *tick <= to * 1.001)
                .collect(),
        }
    }
}

impl Canvas<'_> {
    fn height(&self) -> f64 {
        let lines = facts(self.record).len() as f64;
        30.0 + lines * 15.0 + 3.0 * (BETWEEN + PANEL) + 38.0
    }

    /// Whether it went on for a while after the last acknowledgement.
    fn waited(&self) -> bool {
        self.until > self.record.seconds * 1.03
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (seconds / self.until).clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn head(&mut self, title: &str) {
        self.y = 24.0;
        let (class, verdict) = verdict(self.record);
        self.svg.text("title", Anchor::Start, (MARGIN, self.y), title, 70);
        self.svg.text(&format!("strong {class}"), Anchor::End, (WIDTH - MARGIN, self.y), verdict, 40);
        for line in facts(self.record) {
            self.y += 15.0;
            self.svg.text("soft", Anchor::Start, (MARGIN, self.y), &line, 122);
        }
    }

    fn panel(&mut self, panel: &Panel) {
        self.y += BETWEEN;
        let (top, bottom) = (self.y, self.y + PANEL);
        self.svg.text("strong", Anchor::Start, (MARGIN, top - 8.0), panel.title, 40);
        self.legend(panel, top - 8.0);
        let y = |value: f64| bottom - panel.scale.share(value).clamp(0.0, 1.0) * PANEL;
        let filled = panel.series.iter().filter(|series| series.is_filled);
        for places in filled.flat_map(|series| self.pieces(series, y)).collect::<Vec<_>>() {
            self.svg.area("under", &places, bottom);
        }
        for tick in panel.scale.ticks() {
            let class = if tick == 0.0 { "axis" } else { "grid" };
            self.svg.line(class, (LEFT, y(tick)), (RIGHT, y(tick)));
            self.svg.text("soft tiny", Anchor::End, (LEFT - 6.0, y(tick) + 3.0), &(panel.unit)(tick), 12);
        }
        self.svg.line("axis", (LEFT, bottom), (RIGHT, bottom));
        if self.waited() {
            let x = self.x(self.record.seconds);
            self.svg.line("end", (x, top), (x, bottom));
        }
        for series in &panel.series {
            for places in self.pieces(series, y) {
                self.svg.trace(series.class, &places);
                if series.has_dots {
                    places.iter().for_each(|place| self.svg.symbol("dot", *place));
                }
            }
        }
        self.y = bottom;
    }

    /// The stretches of a line that have no gap.
    fn pieces(&self, series: &Series, y: impl Fn(f64) -> f64) -> Vec<Vec<Place>> {
        let mut pieces: Vec<Vec<Place>> = vec![Vec::new()];
        for (at, value) in &series.values {
            match (value, pieces.last_mut()) {
                (Some(value), Some(piece)) => piece.push((self.x(*at), y(*value))),
                _ => pieces.push(Vec::new()),
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// Names of the lines, from the right.
    fn legend(&mut self, panel: &Panel, y: f64) {
        let mut x = RIGHT;
        for series in panel.series.iter().rev() {
            x -= series.name.chars().count() as f64 * CHARACTER;
            self.svg.text("soft", Anchor::Start, (x, y), &series.name, 40);
            x -= 26.0;
            self.svg.line(series.class, (x, y - 3.5), (x + 20.0, y - 3.5));
            x -= 14.0;
        }
    }

    /// The time axis, below the last panel.
    fn foot(&mut self) {
        let step = nice(self.until * TICK / (RIGHT - LEFT));
        let ticks = (0..).map(|n| f64::from(n) * step).take_while(|tick| *tick <= self.until);
        for tick in ticks.collect::<Vec<_>>() {
            let text = if step < 1.0 { format!("{tick:.2} s") } else { format!("{tick:.0} s") };
            let x = self.x(tick);
            self.svg.line("axis", (x, self.y), (x, self.y + 4.0));
            let anchor = if tick == 0.0 { Anchor::Start } else { Anchor::Middle };
            self.svg.text("soft tiny", anchor, (x, self.y + 15.0), &text, 12);
        }
        let note = if self.waited() {
            "seconds since the first alert was due; dotted line: the last alert was acknowledged"
        } else {
            "seconds since the first alert was due"
        };
        self.svg.text("soft tiny", Anchor::Start, (LEFT, self.y + 28.0), note, 100);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::storm::latency::Quantiles;
    use crate::cli::storm::record::{Daemon, RECORD_VERSION};

    /// A storm of ten seconds in which the daemon fell behind from second 4 to 6.
    pub(in crate::cli::storm) fn example() -> Record {
        let moment = |n: u64| {
            let slow = (16..=24).contains(&n);
            let behind = if slow { 90_000 - (20 - n.min(24) as i64).unsigned_abs() * 20_000 } else { 400 };
            Moment {
                at_s: n as f64 / 4.0,
                offered: n * 25_000,
                acknowledged: (n * 25_000).saturating_sub(behind),
                taken: Some((n * 25_000).saturating_sub(behind)),
                behind,
                acknowledged_p50_ms: Some(if slow { 300.0 } else { 4.2 }),
                acknowledged_p99_ms: Some(if slow { 910.0 } else { 11.0 }),
                incident_p50_ms: n.is_multiple_of(7).then_some(6.0),
                incident_p99_ms: n.is_multiple_of(7).then_some(19.0),
                ..Moment::default()
            }
        };
        let quantiles = Quantiles { count: 7, p50_ms: 4.2, p90_ms: 8.0, p99_ms: 910.0, p999_ms: 950.0, max_ms: 990.0 };
        Record {
            version: RECORD_VERSION,
            tidegate: "0.1.0".to_owned(),
            started_at: crate::model::Timestamp(0),
            to: "http://127.0.0.1:9093/<b>".to_owned(),
            shape: "corpus".to_owned(),
            seed: 1,
            tag: "k3".to_owned(),
            alerts: 1_000_000,
            rate: 100_000.0,
            batch: Some(1_000),
            connections: Some(4),
            linger_ms: 5,
            sent: 1_000_000,
            failed: 0,
            retries: 0,
            doubtful: 0,
            first_error: None,
            complete: true,
            seconds: 10.0,
            sent_per_second: 100_000.0,
            incidents: 200,
            fingerprints: 49_376,
            exact: Some(true),
            faults: Vec::new(),
            corrected: true,
            acknowledged: Some(quantiles),
            generator: crate::cli::storm::record::Generator::default(),
            daemon: Some(Daemon { incidents: 200, alert_to_incident: Some(quantiles), ..Daemon::default() }),
            course: (0..=40).map(moment).collect(),
        }
    }

    #[test]
    fn every_line_is_there_with_its_name_and_text_is_only_text() {
        let svg = draw(&example());
        for part in [
            "class=\"taken\"",
            "class=\"offered\"",
            "class=\"behind\"",
            "class=\"p99 ack\"",
            "class=\"p50 inc\"",
            ">complete and exact<",
            ">corpus: 1,000,000 alerts at 100k/s<",
            ">100k<",
            ">1 ms<",
            ">1 s<",
            "8 s</text>",
            "/&lt;b&gt;, seed 1",
            "<use href=\"#dot\"",
        ] {
            assert!(svg.contains(part), "{part} is not in\n{svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!svg.contains("unread in Kafka"), "there was no Kafka");
    }

    #[test]
    fn a_storm_that_nobody_watched_and_one_without_moments_have_a_picture_too() {
        let unwatched = Record { daemon: None, exact: None, ..example() };
        assert!(draw(&unwatched).contains(">acknowledged<"));
        let empty = Record { course: Vec::new(), seconds: 0.0, acknowledged: None, daemon: None, ..example() };
        let svg = draw(&empty);
        assert!(svg.contains("0 s") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn rates_are_means_over_the_window() {
        let course: Vec<Moment> = [(0.0, 0), (0.5, 100), (1.0, 200), (1.5, 700)]
            .map(|(at_s, offered)| Moment { at_s, offered, ..Moment::default() })
            .to_vec();
        let rates = rates(&course, 1.0, |moment| Some(moment.offered));
        assert_eq!(rates, [(0.0, None), (0.5, Some(200.0)), (1.0, Some(200.0)), (1.5, Some(600.0))]);
        assert_eq!([0.3, 1.0, 3.1, 70_000.0].map(nice), [0.5, 1.0, 5.0, 100_000.0]);
        assert_eq!([0.0, 1_500.0, 2e6].map(round), ["0", "1.5k", "2M"]);
        assert_eq!([0.01, 0.1, 10.0, 1_000.0].map(decade), ["10 µs", "0.1 ms", "10 ms", "1 s"]);
    }
}

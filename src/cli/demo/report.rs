//! What people look at in the end: the flood and what was made of it, the incidents beside the truth, the fate of every
//! alert, the verdict. At most 80 columns; colours are dropped by the writer where there is no terminal.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Color, Style};
use indicatif::HumanCount;

use crate::cli::demo::scene::{Plan, Seen};
use crate::cli::demo::verdict::Verdict;
use crate::cli::storm::short;
use crate::cli::terminal::excerpt;
use crate::model::{Severity, Status};
use crate::pipeline::outcome::Outcome;
use crate::storm::{FoundIncident, GroupTruth};

/// Incidents in the table; the others are counted.
const ROWS_MAX: usize = 20;
/// Characters of an incident's name.
const NAME_WIDTH: usize = 30;
/// Characters of the longest bar.
const BAR_WIDTH: u64 = 40;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const BAR: Style = colour(AnsiColor::Cyan);
const GOOD: Style = colour(AnsiColor::Green);
const BAD: Style = colour(AnsiColor::Red).bold();

/// Everything that the report tells.
pub(super) struct Telling<'a> {
    pub(super) plan: &'a Plan,
    pub(super) seen: &'a Seen,
    pub(super) verdict: &'a Verdict,
    /// The folder, if it was kept.
    pub(super) kept: Option<&'a Path>,
}

/// One line of the table: a true group and its incident, or what is there of the two.
struct Row<'a> {
    name: String,
    truth: Option<&'a GroupTruth>,
    found: Vec<&'a FoundIncident>,
    is_exact: bool,
}

impl Telling<'_> {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.headline(out)?;
        self.table(out)?;
        self.law(out)?;
        self.conclusion(out)?;
        if let Some(folder) = self.kept {
            writeln!(out, "\n {DIM}kept in{DIM:#} {}", folder.display())?;
        }
        Ok(())
    }

    fn headline(&self, out: &mut dyn Write) -> io::Result<()> {
        let Seen { truth, found, fates, latency, sending, .. } = self.seen;
        let ratio = truth.alerts / (found.len() as u64).max(1);
        let rate = truth.alerts as f64 / sending.as_secs_f64().max(0.001);
        let (alerts, incidents) = (HumanCount(truth.alerts), HumanCount(found.len() as u64));
        let Plan { shape, seed, .. } = self.plan;
        writeln!(
            out,
            "\n {BOLD}{alerts} alerts → {incidents} incidents{BOLD:#}   {} : 1   {DIM}{shape}, seed {seed}{DIM:#}",
            HumanCount(ratio)
        )?;
        let (p50, p99) = (short(latency.p50_ms), short(latency.p99_ms));
        let (rate, events) = (HumanCount(rate as u64), HumanCount(fates.events));
        writeln!(
            out,
            " {} · {rate} alerts/s · durable in {p50} (p50), {p99} (p99) · {events} events\n",
            short(sending.as_secs_f64() * 1_000.0)
        )
    }

    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.rows();
        let columns = ["WORST", "INCIDENT", "STATUS", "MEMBERS", "ALERTS", "EXPECTED"];
        write_columns(out, ' ', Style::new(), columns.map(str::to_owned), [DIM; 6])?;
        for row in rows.iter().take(ROWS_MAX) {
            row.write(out)?;
        }
        let rest = rows.get(ROWS_MAX..).unwrap_or_default();
        let wrong = rest.iter().filter(|row| !row.is_exact).count();
        match (rest.len(), wrong) {
            (0, _) => Ok(()),
            (n, 0) => writeln!(out, " {GOOD}✓{GOOD:#} {DIM}and {} more, all as expected{DIM:#}", HumanCount(n as u64)),
            (n, wrong) => {
                let (n, wrong) = (HumanCount(n as u64), HumanCount(wrong as u64));
                writeln!(out, " {BAD}✗{BAD:#} {DIM}and {n} more,{DIM:#} {BAD}{wrong} of them wrong{BAD:#}")
            }
        }
    }

    /// Truth and findings side by side: what is wrong first, then the worst, then the loudest.
    fn rows(&self) -> Vec<Row<'_>> {
        let mut found: std::collections::BTreeMap<String, Vec<&FoundIncident>> = std::collections::BTreeMap::new();
        for incident in &self.seen.found {
            found.entry(incident.name()).or_default().push(incident);
        }
        let comparison = &self.verdict.comparison;
        let differs: std::collections::BTreeSet<&str> =
            comparison.different.iter().map(|difference| difference.group.as_str()).collect();
        let mut rows: Vec<Row<'_>> = Vec::new();
        for truth in &self.seen.truth.groups {
            let name = truth.name();
            let found = found.remove(&name).unwrap_or_default();
            let is_exact = found.len() == 1 && !differs.contains(name.as_str());
            rows.push(Row { name, truth: Some(truth), found, is_exact });
        }
        rows.extend(found.into_iter().map(|(name, found)| Row { name, truth: None, found, is_exact: false }));
        rows.sort_by_cached_key(|row| (row.is_exact, std::cmp::Reverse((row.worst(), row.alerts())), row.name.clone()));
        rows
    }

    /// The conservation law: the fates of all alerts, and their sum.
    fn law(&self, out: &mut dyn Write) -> io::Result<()> {
        let counts = &self.seen.fates.counts;
        writeln!(out, "\n {BOLD}every alert has exactly one fate{BOLD:#}")?;
        let outcomes = Outcome::ALL.iter().zip(counts.outcomes).map(|(outcome, count)| (outcome.name(), count));
        let held = ("held", u64::try_from(counts.held).unwrap_or(0));
        for (name, count) in outcomes.chain([held]).filter(|(name, count)| *count > 0 || *name != "suppressed") {
            let share = count as f64 / counts.received.max(1) as f64;
            let cells = (share * BAR_WIDTH as f64).round() as usize;
            let bar = match (count, cells) {
                (0, _) => String::new(),
                (_, 0) => "▏".to_owned(),
                _ => "█".repeat(cells),
            };
            let (style, number) = (if count == 0 { DIM } else { Style::new() }, HumanCount(count).to_string());
            let line = format!("{style}{name:<9}{number:>12}  {:>5.1} %{style:#}", share * 100.0);
            writeln!(out, "   {line}{}", if bar.is_empty() { bar } else { format!("  {BAR}{bar}{BAR:#}") })?;
        }
        let received = HumanCount(counts.received).to_string();
        let (mark, style, word) =
            if counts.is_conserved() { ('✓', GOOD, "the sum, to the unit") } else { ('✗', BAD, "not the sum") };
        writeln!(out, " {style}{mark}{style:#} {:<9}{BOLD}{received:>12}{BOLD:#}  = {word}", "received")
    }

    fn conclusion(&self, out: &mut dyn Write) -> io::Result<()> {
        let n = HumanCount(self.verdict.comparison.exact as u64);
        if self.verdict.agrees() {
            return writeln!(
                out,
                "\n {GOOD}✓ all {n} incidents are exactly the truth: nothing lost, nothing twice{GOOD:#}"
            );
        }
        writeln!(out, "\n {BAD}✗ this is not the truth{BAD:#}")?;
        for fault in &self.verdict.faults {
            writeln!(out, "   {}", fault.replace('\n', "\n   "))?;
        }
        Ok(())
    }
}

impl Row<'_> {
    fn worst(&self) -> Severity {
        let counts = self.found.first().map(|incident| &incident.by_severity);
        let counts = counts.or(self.truth.map(|truth| &truth.by_severity));
        let occurring = counts.into_iter().flatten().filter(|(_, count)| **count > 0);
        occurring.map(|(name, _)| Severity::from_label(name)).max().unwrap_or(Severity::Unknown)
    }

    fn alerts(&self) -> u64 {
        self.found.iter().map(|incident| incident.alerts).sum::<u64>().max(self.truth.map_or(0, |truth| truth.alerts))
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let count = |number: u64| HumanCount(number).to_string();
        let (status, status_style) = match self.found.as_slice() {
            [] => ("missing".to_owned(), BAD),
            [one] if one.status == Status::Firing => ("firing".to_owned(), colour(AnsiColor::Yellow)),
            [_] => ("resolved".to_owned(), DIM),
            several => (format!("in {}", several.len()), BAD),
        };
        let worst = self.worst();
        let cells = [
            worst.name().to_owned(),
            excerpt(self.name.as_bytes(), NAME_WIDTH),
            status,
            count(self.found.iter().map(|incident| incident.members).sum()),
            count(self.found.iter().map(|incident| incident.alerts).sum()),
            self.truth.map_or("none".to_owned(), |truth| count(truth.alerts)),
        ];
        let (mark, style) = if self.is_exact { ('✓', GOOD) } else { ('✗', BAD) };
        let plain = Style::new();
        let expected = if self.is_exact { DIM } else { BAD };
        write_columns(out, mark, style, cells, [severity_style(worst), plain, status_style, plain, plain, expected])
    }
}

/// Texts to the left, numbers to the right.
fn write_columns(
    out: &mut dyn Write,
    mark: char,
    mark_style: Style,
    cells: [String; 6],
    styles: [Style; 6],
) -> io::Result<()> {
    let [worst, name, status, members, alerts, expected] = cells;
    let [worst_style, name_style, status_style, members_style, alerts_style, expected_style] = styles;
    write!(out, " {} ", Painted(mark_style, mark))?;
    write!(out, "{} ", Painted(worst_style, format_args!("{worst:<8}")))?;
    write!(out, "{} ", Painted(name_style, format_args!("{name:<NAME_WIDTH$}")))?;
    write!(out, "{} ", Painted(status_style, format_args!("{status:<8}")))?;
    write!(out, "{} ", Painted(members_style, format_args!("{members:>7}")))?;
    write!(out, "{} ", Painted(alerts_style, format_args!("{alerts:>9}")))?;
    writeln!(out, "{}", Painted(expected_style, format_args!("{expected:>9}")))
}

/// Something in a style, and the style ended after it.
struct Painted<T>(Style, T);

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = self.0;
        write!(f, "{style}{}{style:#}", self.1)
    }
}

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

const fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Critical => colour(AnsiColor::Red),
        Severity::High => colour(AnsiColor::Magenta),
        Severity::Warning => colour(AnsiColor::Yellow),
        Severity::Low => colour(AnsiColor::Blue),
        Severity::Info | Severity::Unknown => DIM,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::demo::verdict::tests::perfect;
    use crate::storm::Shape;

    fn text(seen: &Seen) -> String {
        let plan = Plan { shape: Shape::TicketStorm, alerts: 4_000, seed: 1 };
        let verdict = Verdict::new(seen);
        let mut out = Vec::new();
        Telling { plan: &plan, seen, verdict: &verdict, kept: None }.write(&mut out).unwrap();
        anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string()
    }

    #[test]
    fn fits_80_columns_and_shows_the_rest_as_a_number() {
        let seen = perfect();
        let text = text(&seen);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let rest = seen.found.len() - ROWS_MAX;
        assert!(text.contains(&format!("✓ and {rest} more, all as expected")), "{text}");
        assert!(text.contains("✓ received        4,000  = the sum, to the unit"), "{text}");
        assert!(text.contains("nothing lost, nothing twice"), "{text}");
        assert!(!text.contains('✗'), "{text}");
    }

    #[test]
    fn what_is_wrong_stands_first() {
        let mut seen = perfect();
        let quiet = seen.truth.groups.iter().map(|group| group.alerts).min().unwrap();
        let quietest = seen.found.iter_mut().find(|incident| incident.alerts == quiet).unwrap();
        quietest.alerts += 1;
        let name = quietest.name();
        let text = text(&seen);
        let first = text.lines().skip_while(|line| !line.contains("WORST")).nth(1).unwrap();
        assert!(first.starts_with(" ✗") && first.contains(&name), "{text}");
        assert!(text.contains("✗ this is not the truth"), "{text}");
        assert!(text.contains(&format!("alerts is {}, must be {quiet}", quiet + 1)), "{text}");
    }
}

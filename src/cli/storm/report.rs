//! The result for people: one line where nobody was watched, else a table. At most 80 columns; colours are dropped by the
//! writer where there is no terminal.

use std::io::{self, Write};

use anstyle::{AnsiColor, Color, Style};
use indicatif::HumanCount;

use crate::cli::storm::figures::{counted, megabytes, short};
use crate::cli::storm::latency::Quantiles;
use crate::cli::storm::record::{Daemon, Record};
use crate::cli::terminal::{Lines, safe};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Green)));
const BAD: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Red))).bold();

/// One line on what was sent.
pub(super) fn write_line(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let Record { sent, alerts, to, seconds, sent_per_second, .. } = record;
    write!(out, "sent {sent} of {alerts} alerts to {to} in {seconds:.1} s ({sent_per_second:.0}/s)")?;
    let (incidents, fingerprints) =
        (counted(record.incidents, "incident"), counted(record.fingerprints, "fingerprint"));
    write!(out, "; {incidents}, {fingerprints}")?;
    if record.retries > 0 {
        let retries = if record.retries == 1 { "1 retry".to_owned() } else { format!("{} retries", record.retries) };
        write!(out, "; {retries}, {} may have arrived twice", counted(record.doubtful, "alert"))?;
    }
    if record.failed > 0 {
        write!(out, "; {} failed", counted(record.failed, "alert"))?;
    }
    if let Some(error) = &record.first_error {
        write!(out, "; first error: {}", safe(error.as_bytes(), Lines::One))?;
    }
    writeln!(out)
}

/// Everything that was measured of a daemon.
pub(super) fn write(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let Some(daemon) = &record.daemon else { return write_line(record, out) };
    let pace = match record.rate {
        0.0 => "as fast as it takes them".to_owned(),
        rate => format!("{}/s", HumanCount(rate as u64)),
    };
    let Record { shape, seed, tag, .. } = record;
    let alerts = counted(record.alerts, "alert");
    writeln!(out, "\n {BOLD}{alerts}, {pace}{BOLD:#}   {DIM}{shape}, seed {seed}, tag {tag}{DIM:#}")?;
    writeln!(out, " {DIM}to{DIM:#} {}\n", safe(record.to.as_bytes(), Lines::One))?;
    counts(record, daemon, out)?;
    latencies(record, daemon, out)?;
    costs(record, daemon, out)?;
    verdict(record, daemon, out)
}

fn counts(record: &Record, daemon: &Daemon, out: &mut dyn Write) -> io::Result<()> {
    let per_second = |rate: f64| format!("{}/s", HumanCount(rate as u64));
    let mut row = |name: &str, count: u64, more: &str| {
        writeln!(out, " {name:<14}{:>13}   {DIM}{more}{DIM:#}", HumanCount(count).to_string())
    };
    let due = if record.rate > 0.0 {
        format!("due in {:.1} s", record.alerts as f64 / record.rate)
    } else {
        "as fast as they went".to_owned()
    };
    row("offered", record.alerts, &due)?;
    row("acknowledged", record.sent, &format!("in {:.1} s, {}", record.seconds, per_second(record.sent_per_second)))?;
    let taken = daemon.taken_after_s.zip(daemon.taken_per_second);
    let taken = taken.map(|(after, rate)| format!("in {after:.1} s, {}", per_second(rate)));
    row("taken", daemon.received, &taken.unwrap_or_else(|| "not all in time".to_owned()))?;
    let names = ["opened", "joined", "folded", "resolved", "suppressed", "rejected"];
    let occurring = names.iter().filter_map(|name| daemon.outcomes.get_key_value(*name)).filter(|(_, n)| **n > 0);
    for (name, count) in occurring {
        let share = 100.0 * *count as f64 / daemon.received.max(1) as f64;
        row(&format!("  {name}"), *count, &format!("{share:.1} %"))?;
    }
    let exact = format!("{} exact, {} true", HumanCount(daemon.incidents_exact), HumanCount(record.incidents));
    row("incidents", daemon.incidents, &format!("{exact}; {}", counted(daemon.events, "event")))
}

fn latencies(record: &Record, daemon: &Daemon, out: &mut dyn Write) -> io::Result<()> {
    let since = if record.corrected { "from due" } else { "from sending" };
    writeln!(
        out,
        "\n {DIM}{:<22}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}{DIM:#}",
        format!("latency, {since}"),
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "of"
    )?;
    let answer = if record.batch.is_some() { "durable answer" } else { "the broker's answer" };
    let rows = [
        (answer, record.acknowledged),
        ("alert to incident", daemon.alert_to_incident),
        ("left the generator", record.generator.late),
    ];
    for (name, quantiles) in rows {
        let Some(Quantiles { count, p50_ms, p90_ms, p99_ms, p999_ms, max_ms }) = quantiles else { continue };
        let times: String =
            [p50_ms, p90_ms, p99_ms, p999_ms, max_ms].iter().map(|ms| format!("{:>9}", short(*ms))).collect();
        writeln!(out, " {name:<22}{times}{:>10}", HumanCount(count).to_string())?;
    }
    if daemon.openings_unseen > 0 {
        let unseen = counted(daemon.openings_unseen, "opening");
        writeln!(out, " {DIM}{unseen} not seen on the daemon's stream{DIM:#}")?;
    }
    Ok(())
}

fn costs(record: &Record, daemon: &Daemon, out: &mut dyn Write) -> io::Result<()> {
    let cpu = |cpu: Option<f64>, cores: Option<f64>| match cpu.zip(cores) {
        Some((cpu, cores)) => format!("{cpu:.2} s of processor time, {cores:.2} cores"),
        None => "processor time not known".to_owned(),
    };
    let per_alert = daemon.cpu_us_per_alert.map(|us| format!(", {us:.1} µs an alert")).unwrap_or_default();
    writeln!(out, "\n {:<14}{}{per_alert}", "daemon", cpu(daemon.cpu_seconds, daemon.cores))?;
    if let Some((rss, peak)) = daemon.rss_bytes.zip(daemon.rss_peak_bytes) {
        let from = if daemon.rss_peak_from == "kernel" { "peak" } else { "most seen" };
        writeln!(out, " {:<14}{} in memory, {from} {}", "", megabytes(rss), megabytes(peak))?;
    }
    let mut lag = format!("behind by {} at most", counted(daemon.behind_max, "alert"));
    if daemon.lag_records_max > 0 {
        lag += &format!("; {} unread in Kafka", HumanCount(daemon.lag_records_max));
    }
    writeln!(out, " {:<14}{lag}", "")?;
    let mut epochs = counted(daemon.epochs, "epoch");
    if let Some(mean) = daemon.commit_mean_ms {
        epochs += &format!(", a commit takes {}", short(mean));
    }
    if let Some(most) = daemon.commit_p99_at_most_ms {
        epochs += &format!(", 99 % at most {}", short(most));
    }
    writeln!(out, " {:<14}{epochs}", "")?;
    writeln!(out, " {:<14}{}", "generator", cpu(record.generator.cpu_seconds, record.generator.cores))
}

fn verdict(record: &Record, daemon: &Daemon, out: &mut dyn Write) -> io::Result<()> {
    if !daemon.revisions_seen {
        writeln!(out, "\n {DIM}revisions were not judged: the stream of events was not read in full{DIM:#}")?;
    }
    if record.faults.is_empty() {
        let n = HumanCount(daemon.incidents_exact);
        return writeln!(out, "\n {GOOD}✓ complete, and all {n} incidents are exactly the truth{GOOD:#}");
    }
    let what = if record.complete { "not exact" } else { "not complete" };
    writeln!(out, "\n {BAD}✗ {what}{BAD:#}")?;
    for fault in &record.faults {
        writeln!(out, "   {}", safe(fault.as_bytes(), Lines::Many).replace('\n', "\n   "))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::storm::picture::tests::example;
    use crate::cli::storm::record::Generator;

    fn text(record: &Record) -> String {
        let mut out = Vec::new();
        write(record, &mut out).unwrap();
        anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string()
    }

    #[test]
    fn the_report_fits_80_columns_and_ends_with_the_verdict() {
        let record = example();
        let text = text(&record);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(text.contains("offered           1,000,000"), "{text}");
        assert!(text.contains("durable answer           4.2 ms   8.0 ms   910 ms   950 ms   990 ms"), "{text}");
        assert!(text.ends_with(" ✓ complete, and all 0 incidents are exactly the truth\n"), "{text}");
        assert!(text.contains("revisions were not judged"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_said_and_steers_no_terminal() {
        let faults = vec!["2 alerts sent, 1 received\nand \u{1b}[2J".to_owned()];
        let generator = Generator { late: Some(example().acknowledged.unwrap()), ..Generator::default() };
        let wrong = Record { exact: Some(false), faults, generator, ..example() };
        let told = text(&wrong);
        assert!(told.contains("✗ not exact\n   2 alerts sent, 1 received\n   and \\x1b[2J"), "{told}");
        assert!(told.contains(" left the generator "), "{told}");
        let incomplete = Record { complete: false, ..wrong };
        assert!(text(&incomplete).contains("✗ not complete"));
    }

    #[test]
    fn the_line_knows_one_from_many() {
        let line = |record: &Record| {
            let mut out = Vec::new();
            write_line(record, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let one = Record { incidents: 1, fingerprints: 1, retries: 1, doubtful: 1, failed: 1, ..example() };
        assert!(
            line(&one)
                .ends_with("; 1 incident, 1 fingerprint; 1 retry, 1 alert may have arrived twice; 1 alert failed\n")
        );
        let many = Record { retries: 2, first_error: Some("\u{7}".to_owned()), ..example() };
        let many = line(&many);
        assert!(many.contains("; 200 incidents, 49,376 fingerprints; 2 retries"), "{many}");
        assert!(many.ends_with("first error: \\x07\n"), "{many}");
    }
}

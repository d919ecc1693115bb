//! How findings look: grouped for people, an array of objects for programs.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::cli::doctor::finding::{Finding, Level};
use crate::control::config::fault::counted;

const BOLD: Style = Style::new().bold();

/// Everything by group, and a line that sums it up.
pub(super) fn as_text(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    let mut group = None;
    for finding in findings {
        let of = finding.check.group();
        if group != Some(of) {
            let gap = if group.is_some() { "\n" } else { "" };
            writeln!(out, "{gap}{BOLD}{}{BOLD:#}", of.name())?;
            group = Some(of);
        }
        let style = style(finding.level);
        writeln!(out, "  {style}{:<8}{style:#} {}: {}", finding.level.name(), finding.check.name(), finding.what)?;
        if !finding.why.is_empty() {
            writeln!(out, "           why: {}", finding.why)?;
        }
        if !finding.remedy.is_empty() {
            writeln!(out, "           do:  {}", finding.remedy)?;
        }
    }
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    let style = style(worst);
    writeln!(out, "\n{style}{}{style:#}", summary(findings))
}

/// `[{check, group, level, what, why, do}]`; `why` and `do` are null where there is nothing to say.
pub(super) fn as_json(findings: &[Finding]) -> Value {
    let text = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    findings
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check.name(),
                "group": finding.check.group().name(),
                "level": finding.level,
                "what": finding.what,
                "why": text(&finding.why),
                "do": text(&finding.remedy),
            })
        })
        .collect()
}

fn summary(findings: &[Finding]) -> String {
    let number = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    let [ok, notes, warnings, problems] = Level::ALL.map(number);
    format!("{}, {}, {}, {ok} ok", counted(problems, "problem"), counted(warnings, "warning"), counted(notes, "note"))
}

const fn style(level: Level) -> Style {
    match level {
        Level::Ok => AnsiColor::Green.on_default(),
        Level::Note => AnsiColor::Cyan.on_default(),
        Level::Warning => AnsiColor::Yellow.on_default().bold(),
        Level::Problem => AnsiColor::Red.on_default().bold(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::doctor::checks::Check;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::ok(Check::OpenFiles, "65536"),
            Finding::note(Check::ClockSync, "nobody says", "", ""),
            Finding::problem(Check::Store, "state.db is \x1b[31mdamaged", "nothing can be started", "restore it"),
        ]
    }

    #[test]
    fn text_is_grouped_and_summed_up() {
        let mut out = anstream::StripStream::new(Vec::new());
        as_text(&findings(), &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out.into_inner()).unwrap(), @r"
        host
          ok       open_files: 65536
          note     clock_sync: nobody says

        data
          problem  store: state.db is \x1b[31mdamaged
                   why: nothing can be started
                   do:  restore it

        1 problem, 0 warnings, 1 note, 1 ok
        ");
    }

    #[test]
    fn json_has_the_same_fields_for_every_finding() {
        insta::assert_snapshot!(format!("{:#}", as_json(&findings()[1..])), @r#"
        [
          {
            "check": "clock_sync",
            "do": null,
            "group": "host",
            "level": "note",
            "what": "nobody says",
            "why": null
          },
          {
            "check": "store",
            "do": "restore it",
            "group": "data",
            "level": "problem",
            "what": "state.db is \\x1b[31mdamaged",
            "why": "nothing can be started"
          }
        ]
        "#);
    }
}

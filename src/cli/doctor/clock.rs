//! Time zone data and the wall clock of this machine.

use std::path::Path;
use std::process::Command;

use jiff::tz::{TimeZone, db};

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::Finding;

/// Where Debian and most others install zone data, and the file in it that names the release.
const ZONE_RELEASE: &str = "/usr/share/zoneinfo/tzdata.zi";
/// Exists once systemd-timesyncd has set the clock since the boot.
const TIMESYNCD_MARK: &str = "/run/systemd/timesync/synchronized";
/// By its full path: nothing that a changed PATH finds is run here.
const TIMEDATECTL: &str = "/usr/bin/timedatectl";

/// What is known of zones.
#[derive(Clone, Debug)]
struct Zones {
    /// How many the data has.
    n_zones: usize,
    release: Option<String>,
    /// The variable TZ, if set.
    variable: Option<String>,
    /// The machine's zone, or why there is none.
    system: Result<String, String>,
}

pub(super) fn time_zone() -> Vec<Finding> {
    let release = std::fs::read_to_string(ZONE_RELEASE).ok();
    let system = TimeZone::try_system()
        .map(|zone| zone.iana_name().unwrap_or("without a name").to_owned())
        .map_err(|error| error.to_string());
    let zones = Zones {
        n_zones: db().available().count(),
        release: release.as_deref().and_then(release_of).map(str::to_owned),
        variable: std::env::var("TZ").ok(),
        system,
    };
    vec![judge_zones(&zones)]
}

/// `# version 2025b` in the first line.
fn release_of(text: &str) -> Option<&str> {
    text.lines().next()?.strip_prefix("# version ").map(str::trim)
}

fn judge_zones(zones: &Zones) -> Finding {
    let Zones { n_zones, release, variable, system } = zones;
    let release = release.as_deref().unwrap_or("unknown");
    if *n_zones == 0 {
        return Finding::warning(
            Check::TimeZone,
            "this machine has no time zone data",
            "times are kept and shown in UTC, but no zone by name can be understood",
            "apt install tzdata",
        );
    }
    match (variable, system) {
        (Some(variable), Err(fault)) => Finding::warning(
            Check::TimeZone,
            format!("TZ={variable:?} is no zone of the data (release {release}): {fault}"),
            "programs of this machine disagree on what its local time is",
            "set TZ to a name like Europe/Berlin, or unset it",
        ),
        (None, Err(fault)) => Finding::note(
            Check::TimeZone,
            format!("{n_zones} zones, release {release}; the machine's own zone is not known: {fault}"),
            "times are kept and shown in UTC, so nothing depends on it",
            "timedatectl set-timezone Etc/UTC",
        ),
        (_, Ok(system)) => {
            Finding::ok(Check::TimeZone, format!("{n_zones} zones, release {release}; this machine: {system}"))
        }
    }
}

pub(super) fn clock_sync() -> Vec<Finding> {
    let answer = Command::new(TIMEDATECTL).args(["show", "--property=NTPSynchronized", "--value"]).output();
    let told = answer.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let told = told.as_deref().map(<[u8]>::trim_ascii);
    let synchronised = match told {
        Some(b"yes") => Some(true),
        Some(b"no") => Some(false),
        _ => Path::new(TIMESYNCD_MARK).exists().then_some(true),
    };
    vec![judge_sync(synchronised)]
}

fn judge_sync(synchronised: Option<bool>) -> Finding {
    match synchronised {
        Some(true) => Finding::ok(Check::ClockSync, "the kernel says that the clock is synchronised"),
        Some(false) => Finding::warning(
            Check::ClockSync,
            "the kernel says that the clock is not synchronised",
            "record times of HTTP are the time of arrival: windows of several sources, or of a standby, drift apart",
            "timedatectl set-ntp true, or install chrony",
        ),
        None => Finding::note(
            Check::ClockSync,
            "nobody on this machine says whether its clock is synchronised (in a container that is the host's matter)",
            "record times of HTTP are the time of arrival",
            "compare with another clock; with Kafka, see broker_clock",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Level;

    #[test]
    fn zones_are_judged_by_data_and_variable() {
        assert_eq!(release_of("# version 2025b\n# ddeps\n"), Some("2025b"));
        assert_eq!(release_of(""), None);
        let good =
            Zones { n_zones: 597, release: Some("2025b".to_owned()), variable: None, system: Ok("UTC".to_owned()) };
        let unknown = || Err("not found".to_owned());
        let cases = [
            good.clone(),
            Zones { n_zones: 0, ..good.clone() },
            Zones { variable: Some("Mars/\x1bBase".to_owned()), system: unknown(), ..good.clone() },
            Zones { system: unknown(), ..good },
        ];
        let shown = cases.map(|zones| judge_zones(&zones)).map(|one| format!("{} {}", one.level.name(), one.what));
        insta::assert_snapshot!(shown.join("\n"), @r#"
        ok 597 zones, release 2025b; this machine: UTC
        warning this machine has no time zone data
        warning TZ="Mars/\u{1b}Base" is no zone of the data (release 2025b): not found
        note 597 zones, release 2025b; the machine's own zone is not known: not found
        "#);
    }

    #[test]
    fn a_clock_that_nobody_speaks_for_is_no_fault() {
        let levels = [Some(true), Some(false), None].map(|told| judge_sync(told).level);
        assert_eq!(levels, [Level::Ok, Level::Warning, Level::Note]);
    }
}

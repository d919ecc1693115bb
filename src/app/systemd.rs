//! What systemd hears of us while we run: signs of life, and a line for `systemctl status`.

use std::fmt::Write as _;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::control::pulse::Sample;
use crate::control::status::Status;
use crate::model::Timestamp;
use crate::model::time::Millis;

/// Time between two status lines at least; only a line that changed is sent.
const STATUS_EVERY: Millis = Millis::seconds(5);

/// The line to the service manager; silent where there is none.
pub(super) struct Systemd {
    /// The longest silence that it bears.
    watchdog: Option<Duration>,
    fed_at: Timestamp,
    told: String,
    told_at: Timestamp,
}

impl Systemd {
    pub(super) fn new(now: Timestamp) -> Self {
        let watchdog = sd_notify::watchdog_enabled();
        Self { watchdog, fed_at: Timestamp::MIN, told: String::new(), told_at: now }
    }

    /// A sign of life, three times as often as asked for.
    pub(super) fn feed(&mut self, now: Timestamp) {
        let Some(limit) = self.watchdog else { return };
        let due = Millis(i64::try_from(limit.as_millis() / 3).unwrap_or(i64::MAX));
        if now - self.fed_at >= due {
            self.fed_at = now;
            notify(NotifyState::Watchdog);
        }
    }

    /// The line for `systemctl status`.
    pub(super) fn tell(&mut self, status: &Status, sample: Option<&Sample>, now: Timestamp) {
        if now - self.told_at < STATUS_EVERY {
            return;
        }
        let line = line(status, sample);
        if line != self.told {
            self.told_at = now;
            notify(NotifyState::Status(&line));
            self.told = line;
        }
    }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("systemd cannot be told that we live: {error}");
    }
}

/// One line, the most urgent first.
fn line(status: &Status, sample: Option<&Sample>) -> String {
    let mut line = match &status.trouble {
        Some(trouble) => format!("{trouble}; "),
        None => String::new(),
    };
    if status.last_reload_fault.is_some() {
        line.push_str("reload refused, the configuration in force stays; ");
    }
    line.push_str(status.phase.name());
    if let Some(sample) = sample {
        // Writing to a `String` cannot fail.
        let _ = write!(line, ", {} incidents open in {} windows", sample.open_incidents, sample.open_windows);
        if sample.lag_records > 0.0 {
            let _ = write!(line, ", {} records behind", sample.lag_records);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::status::{Phase, StatusBoard};

    #[test]
    fn the_line_says_first_what_is_wrong() {
        let board = StatusBoard::new(Timestamp(0));
        board.enter(Phase::Running);
        let sample = Sample { open_incidents: 3.0, open_windows: 2.0, ..Sample::default() };
        assert_eq!(line(&board.read(), Some(&sample)), "running, 3 incidents open in 2 windows");
        assert_eq!(line(&board.read(), None), "running");
        board.update(|status| {
            status.trouble = Some("the pipeline stands".to_owned());
            status.last_reload_fault = Some("x:1:2".to_owned());
        });
        let sample = Sample { lag_records: 40.0, ..sample };
        assert_eq!(
            line(&board.read(), Some(&sample)),
            "the pipeline stands; reload refused, the configuration in force stays; running, 3 incidents open in 2 \
             windows, 40 records behind"
        );
    }
}

//! Colours, or none: what a colour says is said by a word or a shape as well.

use ratatui::style::{Color, Modifier, Style};

use crate::control::busiest::GroupStatus;
use crate::model::Severity;

/// How things look. Only the sixteen colours that every terminal has, in its own shades.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    colours: bool,
}

impl Theme {
    pub(super) const COLOURS: Self = Self { colours: true };
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { colours: false };

    /// No colours where `NO_COLOR` is set to anything (<https://no-color.org>).
    pub(super) fn of_surroundings() -> Self {
        Self { colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    fn coloured(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    /// What stands back.
    pub(super) fn dim(self) -> Style {
        if self.colours { Style::new().fg(Color::DarkGray) } else { Style::new().add_modifier(Modifier::DIM) }
    }

    pub(super) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Names of what follows.
    pub(super) fn label(self) -> Style {
        self.coloured(Color::Gray)
    }

    pub(super) fn accent(self) -> Style {
        self.coloured(Color::Cyan)
    }

    pub(super) fn good(self) -> Style {
        self.coloured(Color::Green)
    }

    pub(super) fn warning(self) -> Style {
        self.coloured(Color::Yellow)
    }

    pub(super) fn bad(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// A line that must be read.
    pub(super) fn notice(self) -> Style {
        if self.colours {
            Style::new().fg(Color::Black).bg(Color::Yellow)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    pub(super) fn alarm(self) -> Style {
        if self.colours {
            Style::new().fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD)
        } else {
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
        }
    }

    /// The row that a key would open.
    pub(super) fn selected(self) -> Style {
        if self.colours {
            Style::new().fg(Color::White).bg(Color::DarkGray).add_modifier(Modifier::BOLD)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    /// A word on a frame, which would take the frame's colour otherwise.
    pub(super) fn title(self) -> Style {
        self.coloured(Color::White).add_modifier(Modifier::BOLD)
    }

    /// A key in a list of keys.
    pub(super) fn key(self) -> Style {
        self.coloured(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// Plots: alerts, incident events, open incidents.
    pub(super) fn plot(self, number: usize) -> Style {
        let colours = [Color::Cyan, Color::Magenta, Color::Yellow];
        self.coloured(colours.get(number).copied().unwrap_or(Color::White))
    }

    pub(super) fn severity(self, severity: Severity) -> Style {
        match severity {
            Severity::Critical => self.bad(),
            Severity::High => self.coloured(Color::LightRed),
            Severity::Warning => self.warning(),
            Severity::Low => self.coloured(Color::Blue),
            Severity::Info => self.accent(),
            Severity::Unknown => self.label(),
        }
    }

    pub(super) fn status(self, status: GroupStatus) -> Style {
        match status {
            GroupStatus::Firing => self.coloured(Color::Red),
            GroupStatus::Waiting | GroupStatus::Held => self.warning(),
            GroupStatus::Resolved => self.good(),
        }
    }

    /// Colour and shape of an outcome, by its name. Without colours the shapes tell them apart.
    pub(super) fn outcome(self, name: &str) -> (Style, &'static str) {
        let (colour, shape) = match name {
            "opened" => (Color::Red, "█"),
            "joined" => (Color::Yellow, "▓"),
            "folded" => (Color::Blue, "▒"),
            "resolved" => (Color::Green, "░"),
            "suppressed" => (Color::Gray, "≡"),
            _ => (Color::Magenta, "×"),
        };
        (self.coloured(colour), if self.colours { "█" } else { shape })
    }
}

/// The shape of a status.
pub(super) const fn mark(status: GroupStatus) -> &'static str {
    match status {
        GroupStatus::Firing => "●",
        GroupStatus::Waiting => "◐",
        GroupStatus::Held => "◌",
        GroupStatus::Resolved => "○",
    }
}

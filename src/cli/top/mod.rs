//! `tidegate top`: a running daemon on a terminal screen, or one picture of it as text, JSON or SVG.
//!
//! `feed` asks the daemon on a thread of its own; `state` is what is shown and what keys do to it, `numbers` what samples
//! say, both pure; `draw` paints a state into a buffer; `screen` owns the terminal; `once` and `svg` write without one.

mod draw;
mod feed;
mod figures;
mod filter;
mod keys;
mod numbers;
mod once;
mod screen;
mod state;
mod svg;
#[cfg(test)]
mod tests;
mod theme;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::client::Reach;
use crate::cli::output::Output;
use crate::control::api::groups::Sort;
use state::State;
use theme::Theme;

/// Arguments of `tidegate top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    #[command(flatten)]
    reach: Reach,
    /// Print one picture as text and end; also where standard output is no terminal.
    #[arg(long)]
    once: bool,
    /// Form of the one picture; `json` implies `--once`.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Write the screen as an SVG picture into this file and end.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["once", "output"])]
    svg: Option<PathBuf>,
    /// What stands first in the table of groups.
    #[arg(long, value_name = "ORDER", default_value = "rate", value_parser = parse_sort)]
    sort: Sort,
    /// Show only groups with this text in them, or with these labels: `service="x"`.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Groups in the one picture.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
}

fn parse_sort(word: &str) -> Result<Sort, String> {
    let known = Sort::ALL.into_iter().find(|sort| sort.name() == word);
    known.ok_or_else(|| format!("must be one of {}", Sort::ALL.map(Sort::name).join(", ")))
}

/// Shows the daemon until a key or a signal ends it, or prints one picture.
///
/// # Errors
/// When the daemon does not answer the first question, or the terminal cannot be used.
pub fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    let client = args.reach.client()?;
    let url = client.url().to_string();
    let state = State::new(&url, args.sort, &args.filter);
    if let Some(file) = &args.svg {
        return once::picture(&client, state, file);
    }
    if args.once || args.output == Output::Json || !std::io::stdout().is_terminal() {
        return once::print(&client, state, args.output, usize::from(args.limit));
    }
    screen::run(client, state, Theme::of_surroundings())
}

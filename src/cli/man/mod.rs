//! `tidegate man`: the manual in roff, written by the program from its own arguments.
//!
//! What the arguments do not say (exit status, files, environment) is in `sections`; `--help` ends with the same words.

mod sections;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::man::sections::{MAIN, Section, exit_status};
use crate::cli::{NAME, command, terminal};

/// The chapter of the manual: commands that anybody may call.
const CHAPTER: &str = "1";

/// What the main page leads to: how the service is handled, and where its log is.
const BEYOND: [&str; 2] = ["systemctl", "journalctl"];

/// Arguments of `tidegate man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write all pages into this folder, one per subcommand; without it the main page goes to standard output.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A page of the manual.
struct Page {
    /// As in `tidegate-topics-create`.
    name: String,
    roff: Vec<u8>,
}

/// Writes the manual.
///
/// # Errors
/// When the folder or standard output cannot be written.
pub fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    match &args.out {
        Some(folder) => write_all(folder)?,
        None => terminal::hand_over(&page(&built(), &[]).roff)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The command line with the ends of its help texts: what a subcommand's exit codes mean, and for the program as a whole
/// everything that `man tidegate` says beyond the arguments.
pub(crate) fn with_ends(command: Command) -> Command {
    let command = command.after_long_help(plain(MAIN));
    command.mut_subcommands(|subcommand| {
        let end = exit_status(subcommand.get_name()).map(|section| plain(&[section])).unwrap_or_default();
        subcommand.mut_subcommands(|inner| inner.after_long_help(end.clone())).after_long_help(end)
    })
}

fn write_all(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    for page in pages() {
        let file = folder.join(format!("{}.{CHAPTER}", page.name));
        fs::write(&file, &page.roff).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// Complete: names such as `tidegate-topics-create`, and the arguments that subcommands inherit.
fn built() -> Command {
    let mut command = command();
    command.build();
    command
}

fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    gather(&built(), &[], &mut pages);
    pages
}

/// `above` are the commands that lead here, the program first.
fn gather(command: &Command, above: &[&Command], pages: &mut Vec<Page>) {
    pages.push(page(command, above));
    let path: Vec<&Command> = above.iter().copied().chain([command]).collect();
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        gather(subcommand, &path, pages);
    }
}

fn page(command: &Command, above: &[&Command]) -> Page {
    let name = page_name(command);
    let subcommand = above.get(1).copied().unwrap_or(command).get_name();
    let sections = match above {
        [] => MAIN.to_vec(),
        _ => exit_status(subcommand).into_iter().collect(),
    };
    let man = Man::new(command.clone().after_long_help(None).version(env!("CARGO_PKG_VERSION")))
        .title(name.to_uppercase())
        .section(CHAPTER)
        // The page is as old as the version it names; an empty date would be left out, and shift what follows.
        .date(" ")
        .source(format!("{NAME} {}", env!("CARGO_PKG_VERSION")))
        .manual("tidegate manual");
    let mut roff = Vec::new();
    render(&man, command, &mut roff)
        .and_then(|()| beyond_the_arguments(&sections, &see_also(command, above)).to_writer(&mut roff))
        .expect("writing to a vector cannot fail");
    Page { name, roff }
}

/// `Man::render` without the sections EXTRA, whose place our own take, and VERSION, which stands at the foot.
fn render(man: &Man, command: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    Ok(())
}

fn beyond_the_arguments(sections: &[Section], see_also: &[String]) -> Roff {
    let mut roff = Roff::new();
    for section in sections {
        roff.control("SH", [section.title]);
        for (what, meaning) in section.entries {
            roff.control("TP", []);
            roff.text([bold(*what)]);
            roff.text([roman(*meaning)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    let last = see_also.len().saturating_sub(1);
    for (number, name) in see_also.iter().enumerate() {
        let comma = if number == last { "" } else { "," };
        roff.text([bold(name), roman(format!("({CHAPTER}){comma}"))]);
    }
    roff
}

/// The pages above and beside: whoever reads one command of a group finds the others. Those below are in SUBCOMMANDS.
fn see_also(command: &Command, above: &[&Command]) -> Vec<String> {
    if above.is_empty() {
        return BEYOND.map(str::to_owned).to_vec();
    }
    let group = above.get(1..).and_then(<[_]>::last);
    let beside = group.into_iter().flat_map(|group| group.get_subcommands());
    let others = beside.filter(|other| !other.is_hide_set() && other.get_name() != command.get_name());
    above.iter().copied().chain(others).map(page_name).collect()
}

fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// The sections as the end of a help text. What is explained has a line of its own where it is long, as with options.
fn plain(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        text.push_str(&format!("{}:\n", capitalised(section.title)));
        let is_short = section.entries.iter().all(|(what, _)| what.len() <= 2);
        let between = if is_short { "  " } else { "\n          " };
        for (what, meaning) in section.entries {
            text.push_str(&format!("  {what}{between}{meaning}\n"));
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// `EXIT STATUS` as the headings of a help text are written: `Exit status`.
fn capitalised(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map(|first| format!("{first}{}", letters.as_str().to_lowercase())).unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! `tidegate completion SHELL`: completions of the command line, written by the program from its own arguments.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use crate::cli::{NAME, command, terminal};

/// Arguments of `tidegate completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell that shall complete.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Writes the completions to standard output.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &CompletionArgs) -> anyhow::Result<ExitCode> {
    terminal::hand_over(&script(args.shell))?;
    Ok(ExitCode::SUCCESS)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), NAME, &mut script);
    script
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_learns_every_subcommand() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for subcommand in command().get_subcommands() {
                assert!(script.contains(subcommand.get_name()), "{shell}: {}", subcommand.get_name());
            }
            assert!(script.contains("data-dir"), "{shell}");
        }
    }

    #[test]
    fn bash_can_read_them() {
        let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        bash.stdin.take().unwrap().write_all(&script(Shell::Bash)).unwrap();
        let ended = bash.wait_with_output().unwrap();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
}

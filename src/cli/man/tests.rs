#![allow(clippy::unwrap_used)]

use super::*;

fn text(page: &Page) -> String {
    String::from_utf8(page.roff.clone()).unwrap()
}

#[test]
fn every_subcommand_has_a_page() {
    let names: Vec<String> = pages().into_iter().map(|page| page.name).collect();
    assert_eq!(names.first().map(String::as_str), Some("tidegate"));
    for subcommand in command().get_subcommands() {
        let name = format!("tidegate-{}", subcommand.get_name());
        assert!(names.contains(&name), "{name} is not among {names:?}");
        for inner in subcommand.get_subcommands() {
            let name = format!("{name}-{}", inner.get_name());
            assert!(names.contains(&name), "{name} is not among {names:?}");
        }
    }
}

#[test]
fn every_subcommand_says_what_its_exit_codes_mean() {
    for subcommand in command().get_subcommands() {
        let name = subcommand.get_name();
        assert!(exit_status(name).is_some(), "src/cli/man/sections.rs has no exit status of {name}");
    }
}

#[test]
fn a_page_has_the_usual_sections() {
    for page in pages() {
        let text = text(&page);
        let foot = format!("\"tidegate {}\" \"tidegate manual\"", env!("CARGO_PKG_VERSION"));
        let head = format!("\n.TH {} 1 \" \" {foot}\n", page.name.to_uppercase());
        assert!(text.contains(&head), "{text}");
        let titles: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        for title in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"EXIT STATUS\"", "\"SEE ALSO\""] {
            assert_eq!(titles.iter().filter(|other| **other == title).count(), 1, "{}: {title}: {titles:?}", page.name);
        }
    }
}

#[test]
fn a_page_leads_to_those_around_it() {
    let page = pages().into_iter().find(|page| page.name == "tidegate-dlq-list").unwrap();
    let (_, see_also) =
        text(&page).split_once(".SH \"SEE ALSO\"\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    insta::assert_snapshot!(see_also, @r"
    \fBtidegate\fR(1),
    \fBtidegate\-dlq\fR(1),
    \fBtidegate\-dlq\-show\fR(1),
    \fBtidegate\-dlq\-requeue\fR(1)
    ");
}

#[test]
fn the_folder_gets_all_pages() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man1");
    run(&ManArgs { out: Some(out.clone()) }).unwrap();
    assert_eq!(fs::read_dir(&out).unwrap().count(), pages().len());
    assert_eq!(fs::read(out.join("tidegate.1")).unwrap(), page(&built(), &[]).roff);
}

#[test]
fn the_help_of_the_program() {
    insta::assert_snapshot!(command().term_width(100).render_long_help(), @"
    Alert stream processor: takes the flood, hands on a small, exact stream of incidents.

    Alerts come in from Prometheus, Alertmanager, Kafka or files. Those that repeat are folded and
    counted; those that belong together become one incident, which is opened, updated, resolved and, if
    it comes back, reopened. What follows from a stretch of input becomes durable together or not at
    all, in Kafka or in one SQLite file.

    Usage: tidegate <COMMAND>

    Commands:
      run           Run the daemon
      check-config  Read a configuration and name every fault in it
      demo          See it work: a storm of alerts and tickets into a daemon of its own, checked to the
                    unit
      storm         Send a seeded flood of alerts with known truth, and measure the daemon that takes it
      replay        Run a file of alerts through a configuration, outputs off
      topics        Create or check the Kafka topics that a configuration needs
      incident      Look at incidents, and resolve one
      tap           Watch a live sample of what passes a stage of a running daemon
      top           Watch a running daemon on a screen
      dlq           Look at dead letters, and put them in again
      state         Check the saved state, or write it out
      doctor        Look for what is wrong around the daemon: why it matters, what to do
      version       Print versions of the program and the libraries it is linked to
      completion    Write completions of this command line for a shell
      man           Write the manual, in the format of man pages

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Exit status:
      0  Done, and nothing to complain about.
      1  Something failed, or was found to be wrong.
      2  The command line cannot be used as it is.
      3  Fenced: another instance has taken over (run only).

    Files:
      /etc/tidegate/tidegate.yaml
              The configuration of the service; systemctl reload tidegate reads it again.
      /var/lib/tidegate
              The service's data directory: state, incidents and dead letters in state.db.
      /usr/share/doc/tidegate
              The documentation; examples/reference.yaml lists every key with its default.
      /usr/share/tidegate/dashboards
              Rules for Prometheus, dashboards for Grafana, runbooks.

    Environment:
      RUST_LOG
              What run logs, over log.level of the configuration: tidegate=debug, for instance.
      CREDENTIALS_DIRECTORY
              Where {credential: NAME} in a configuration is looked up; systemd sets it.
      NOTIFY_SOCKET, WATCHDOG_USEC
              Set by systemd: where run says that it is ready and alive, and how often.
      NO_COLOR
              If set, nothing is coloured.
    ");
}

#[test]
fn the_help_of_a_subcommand_ends_with_its_exit_codes() {
    let mut command = command().term_width(100);
    command.build();
    let dlq = command.find_subcommand_mut("dlq").unwrap();
    let end = "\n\nExit status:\n  0  Done.\n  1  There is no such letter, one was not put in again, or it \
               failed.\n  2  There is no store where the arguments say, or they cannot be used.\n";
    assert!(dlq.render_long_help().to_string().ends_with(end));
    assert!(dlq.find_subcommand_mut("show").unwrap().render_long_help().to_string().ends_with(end));
    let help = command.find_subcommand_mut("run").unwrap().render_long_help();
    insta::assert_snapshot!(help, @"
    Run the daemon

    Usage: tidegate run [OPTIONS]

    Options:
          --config <FILE>
              Configuration file; without it every default holds: HTTP in, SQLite in the data folder

          --listen <ADDR>
              Address to listen on, over what the file says

          --data-dir <DIR>
              Folder for everything that must survive a restart, over what the file says

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Exit status:
      0  Stopped by SIGTERM or SIGINT; what was taken is durable.
      1  It did not come up, or failed; the next start goes on from the last durable epoch.
      3  Fenced: another instance has taken over.
    ");
}

//! What the manual and `--help` say beyond the arguments.

/// A section: its title, and what is explained with its explanation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) entries: &'static [(&'static str, &'static str)],
}

/// Of the program as a whole.
pub(super) const MAIN: &[Section] = &[
    Section {
        title: EXIT_STATUS,
        entries: &[
            ("0", "Done, and nothing to complain about."),
            ("1", "Something failed, or was found to be wrong."),
            ("2", "The command line cannot be used as it is."),
            ("3", "Fenced: another instance has taken over (run only)."),
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            (
                "/etc/tidegate/tidegate.yaml",
                "The configuration of the service; systemctl reload tidegate reads it again.",
            ),
            ("/var/lib/tidegate", "The service's data directory: state, incidents and dead letters in state.db."),
            ("/usr/share/doc/tidegate", "The documentation; examples/reference.yaml lists every key with its default."),
            ("/usr/share/tidegate/dashboards", "Rules for Prometheus, dashboards for Grafana, runbooks."),
        ],
    },
    Section {
        title: "ENVIRONMENT",
        entries: &[
            ("RUST_LOG", "What run logs, over log.level of the configuration: tidegate=debug, for instance."),
            ("CREDENTIALS_DIRECTORY", "Where {credential: NAME} in a configuration is looked up; systemd sets it."),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC",
                "Set by systemd: where run says that it is ready and alive, and how often.",
            ),
            ("NO_COLOR", "If set, nothing is coloured."),
        ],
    },
];

const EXIT_STATUS: &str = "EXIT STATUS";

/// What the exit codes of a subcommand mean; `None` for an unknown one. 2 is the same for all: see the main page.
pub(super) fn exit_status(subcommand: &str) -> Option<Section> {
    let entries: &[_] = match subcommand {
        "run" => &[
            ("0", "Stopped by SIGTERM or SIGINT; what was taken is durable."),
            ("1", "It did not come up, or failed; the next start goes on from the last durable epoch."),
            ("3", "Fenced: another instance has taken over."),
        ],
        "check-config" => &[("0", "The file can be used."), ("1", "It has faults.")],
        "demo" => &[("0", "The incidents agree with the truth of the storm."), ("1", "They do not, or it failed.")],
        "storm" => &[
            ("0", "All alerts arrived; with --watch, the daemon took all and its incidents are exact."),
            ("1", "Not so, or it failed."),
        ],
        "topics" => &[
            ("0", "All is well."),
            ("1", "Something is wrong with a topic, or the cluster does not answer."),
            ("2", "The configuration cannot be used, or names no topics."),
        ],
        "incident" => &[
            ("0", "Done."),
            ("1", "There is no such incident, the daemon does not answer, or it failed."),
            ("2", "The arguments cannot be used as they are."),
        ],
        "tap" => &[
            ("0", "The limit was reached, or somebody stopped it."),
            ("1", "The daemon refused, stopped or fell silent."),
        ],
        "top" => &[
            ("0", "Somebody ended it, or the picture is written."),
            ("1", "The daemon does not answer, or it failed."),
        ],
        "dlq" => &[
            ("0", "Done."),
            ("1", "There is no such letter, one was not put in again, or it failed."),
            ("2", "There is no store where the arguments say, or they cannot be used."),
        ],
        "state" => &[
            ("0", "The state is whole, or was written."),
            ("1", "It has faults, or cannot be read."),
            ("2", "There is no state where the arguments say, or they cannot be used."),
        ],
        "doctor" => &[
            ("0", "No problem was found; warnings do not count."),
            ("1", "There is a problem or, with --deny-warnings, a warning."),
            ("2", "The configuration cannot be used, so there is nothing to examine."),
        ],
        "replay" | "version" | "completion" | "man" => &[("0", "Done."), ("1", "It failed.")],
        _ => return None,
    };
    Some(Section { title: EXIT_STATUS, entries })
}

"""What the dashboards show. `build` makes Grafana's JSON of it; nothing else is edited by hand.

In queries `{@}` stands for the chosen job and instance, `[~]` for Grafana's rate interval. Sums are `without` the labels
they add up over, or `by` those they keep.
"""

# Instances are told apart wherever there may be several.
WHO = "{{instance}}"


def quantiles(metric):
    """Median and tail of a histogram, all chosen instances together."""
    buckets = f"sum by (le) (rate({metric}_bucket{{@}}[~]))"
    return [(f"histogram_quantile({q}, {buckets})", name) for q, name in ((0.5, "half"), (0.9, "9 of 10"), (0.99, "99 of 100"))]


DASHBOARDS = [
    {
        "file": "overview.json",
        "uid": "tidegate-overview",
        "title": "tidegate: overview",
        "description": "Whether tidegate does its work: what comes in, what comes out, how late, and what it costs.",
        "from": "now-6h",
        "refresh": "30s",
        "rows": [
            ("Now", [
                {
                    "title": "Ready", "kind": "stat", "unit": "bool_yes_no", "runbook": "TidegateNotReady",
                    "description": "Whether every chosen instance takes alerts: its state is restored and its pipeline moves.",
                    "queries": [("min(tidegate_ready{@})", "ready")],
                    "steps": [("red", None), ("green", 1)],
                },
                {
                    "title": "Alerts unaccounted for", "kind": "stat", "unit": "none", "runbook": "TidegateConservationBroken",
                    "description": "Alerts received, less those with an outcome and those held. Anything but 0 is a fault.",
                    "queries": [(
                        "sum(tidegate_alerts_received_total{@}) - sum(tidegate_alerts_outcome_total{@}) - sum(tidegate_alerts_held{@})",
                        "unaccounted",
                    )],
                    "steps": [("red", None), ("green", 0), ("red", 1)],
                },
                {
                    "title": "Open incidents", "kind": "stat", "unit": "locale",
                    "description": "Incidents that are not resolved.",
                    "queries": [("sum(tidegate_open_incidents{@})", "open")],
                },
                {
                    "title": "Alerts per incident", "kind": "stat", "unit": "short",
                    "description": "How many alerts came, in the last hour, for each incident that was opened.",
                    "queries": [(
                        "sum(increase(tidegate_alerts_received_total{@}[1h]))"
                        ' / sum(increase(tidegate_incident_events_total{@, event="opened"}[1h]))',
                        "alerts",
                    )],
                },
                {
                    "title": "Repeats folded", "kind": "stat", "unit": "percentunit",
                    "description": "Share of the alerts of the last hour that were repeats of what was known already.",
                    "queries": [(
                        'sum(increase(tidegate_alerts_outcome_total{@, outcome="folded"}[1h]))'
                        " / sum(increase(tidegate_alerts_received_total{@}[1h]))",
                        "folded",
                    )],
                },
                {
                    "title": "Slowest clock", "kind": "stat", "unit": "s", "runbook": "TidegateSourceClockBehind",
                    "description": "How far the slowest source lies behind the wall clock.",
                    "queries": [("max(tidegate_source_clock_delay_seconds{@})", "behind")],
                    "steps": [("green", None), ("orange", 60), ("red", 300)],
                },
                {
                    "title": "Alerts about tidegate", "kind": "table", "unit": "none", "runbook": "TidegateWatchdog", "width": 16,
                    "description": "The shipped rules that are pending or firing. TidegateWatchdog fires always; an empty table"
                    " means that the rules are not loaded.",
                    "queries": [('ALERTS{alertname=~"Tidegate.+", alertstate=~"pending|firing"}', "")],
                },
                {
                    "title": "Versions", "kind": "table", "unit": "none", "width": 8,
                    "description": "The version that each instance runs.",
                    "queries": [("tidegate_build_info{@}", "")],
                },
            ]),
            ("Alerts", [
                {
                    "title": "Alerts received", "unit": "cps",
                    "description": "Alerts a second by source; what could not be read counts as one.",
                    "queries": [("sum by (source) (rate(tidegate_alerts_received_total{@}[~]))", "{{source}}")],
                },
                {
                    "title": "Outcomes", "unit": "cps", "stack": True,
                    "description": "What became of the alerts. Every alert has exactly one outcome, so the stack is as high as"
                    " what was received, less what is held.",
                    "queries": [("sum by (outcome) (rate(tidegate_alerts_outcome_total{@}[~]))", "{{outcome}}")],
                },
                {
                    "title": "Incident events", "unit": "cps", "stack": True,
                    "description": "What is handed on, by kind: this is all that people and programs behind tidegate see.",
                    "queries": [("sum by (event) (rate(tidegate_incident_events_total{@}[~]))", "{{event}}")],
                },
                {
                    "title": "Incidents and windows", "unit": "locale",
                    "description": "Incidents that are not resolved, and windows that take new members.",
                    "queries": [
                        ("sum(tidegate_open_incidents{@})", "open incidents"),
                        ("sum(tidegate_open_windows{@})", "open windows"),
                    ],
                },
                {
                    "title": "Held back", "unit": "locale",
                    "description": "Alerts below the threshold of their window rule (`open_after`).",
                    "queries": [("sum by (source) (tidegate_alerts_held{@})", "{{source}}")],
                },
                {
                    "title": "From alert to incident", "unit": "s",
                    "description": "Time from the record that caused an event to its commit. The `wait` of the window rules is in"
                    " it. Not counted while catching up.",
                    "queries": quantiles("tidegate_alert_to_incident_seconds"),
                },
                {
                    "title": "Rejected, by reason", "unit": "cps", "stack": True, "runbook": "TidegateAlertsRejected",
                    "description": "Alerts and records that could not be read.",
                    "queries": [("sum by (source, reason) (rate(tidegate_rejected_total{@}[~]))", "{{source}}: {{reason}}")],
                },
                {
                    "title": "Dead letters, last hour", "unit": "locale", "runbook": "TidegateDeadLetters",
                    "description": "Dead letters written within the hour before. `tidegate dlq list` shows them.",
                    "queries": [("sum by (source) (increase(tidegate_dead_letters_total{@}[1h]))", "{{source}}")],
                },
                {
                    "title": "Suspects", "unit": "locale", "runbook": "TidegateDeadLetters",
                    "description": "Records known to have made the program panic; where they come again they are dead letters with the"
                    " reason `panic`.",
                    "queries": [("max by (instance) (tidegate_suspects{@})", "{{instance}}")],
                },
                {
                    "title": "Members that expired", "unit": "cps",
                    "description": "Alerts that neither came again nor resolved for `forget_after` and left their incident.",
                    "queries": [("rate(tidegate_expired_members_total{@}[~])", WHO)],
                },
            ]),
            ("HTTP", [
                {
                    "title": "Requests, by answer", "unit": "reqps", "stack": True,
                    "description": "400 names what could not be read, 401 is a wrong token, 503 asks to come again.",
                    "queries": [("sum by (code) (rate(tidegate_http_requests_total{@}[~]))", "{{code}}")],
                },
                {
                    "title": "Requests, by route", "unit": "reqps",
                    "description": "What is asked for: doors for alerts, API, metrics, probes.",
                    "queries": [("sum by (route) (rate(tidegate_http_requests_total{@}[~]))", "{{route}}")],
                },
                {
                    "title": "Turned away", "unit": "reqps", "runbook": "TidegateHttpRefusing",
                    "description": "Requests with alerts that were told to come again, and connections closed because there were"
                    " too many.",
                    "queries": [
                        ("rate(tidegate_http_refused_total{@}[~])", f"{WHO}: requests"),
                        ("rate(tidegate_http_connections_refused_total{@}[~])", f"{WHO}: connections"),
                    ],
                },
            ]),
            ("Overload", [
                {
                    "title": "How short memory is", "unit": "none", "runbook": "TidegateMemoryTight",
                    "description": "0 there is room, 1 small batches, 2 the heaviest source is paused, 3 new alerts of the offender are"
                    " folded, 4 of all, and resolved groups leave early, 5 nothing is read. And how often each level was entered.",
                    "queries": [
                        ("tidegate_memory_level{@}", f"{WHO}: level"),
                        ("sum by (level) (increase(tidegate_memory_level_entered_total{@}[~]))", "entered: {{level}}"),
                    ],
                },
                {
                    "title": "Memory, by what it is for", "unit": "bytes", "stack": True, "runbook": "TidegateMemoryTight",
                    "description": "Memory as the engine counts it, about; without code, the store's cache and what the C library keeps.",
                    "queries": [("sum by (component) (tidegate_memory_used_bytes{@})", "{{component}}")],
                },
                {
                    "title": "Sources held back", "unit": "none", "runbook": "TidegateSourcePaused",
                    "description": "1 while a source is read for a sixth of the time only, because memory is short.",
                    "queries": [("tidegate_source_paused{@}", f"{WHO}: {{{{source}}}}")],
                },
                {
                    "title": "What is given up", "unit": "cps", "runbook": "TidegateOverflowing",
                    "description": "New alerts that are only counted, samples that are not kept, resolved groups that leave early.",
                    "queries": [
                        ("rate(tidegate_overflowed_alerts_total{@}[~])", f"{WHO}: alerts folded"),
                        ("rate(tidegate_samples_shed_total{@}[~])", f"{WHO}: samples"),
                        ("rate(tidegate_evicted_groups_total{@}[~])", f"{WHO}: groups"),
                    ],
                },
                {
                    "title": "Values of labels", "unit": "locale", "runbook": "TidegateLabelBomb",
                    "description": "Distinct values in new alerts within this minute, of labels that the configuration names; the largest"
                    " of all others as other.",
                    "queries": [
                        ("max by (source, label) (tidegate_label_values{@})", "{{source}} {{label}}"),
                        ("sum by (source) (increase(tidegate_label_bombs_total{@}[~]))", "{{source}}: labels named"),
                    ],
                },
            ]),
            ("Process and configuration", [
                {
                    "title": "Memory", "unit": "bytes", "runbook": "TidegateMemoryNearLimit",
                    "description": "Memory in RAM, the budget, and what the control group allows (left out where there is no limit).",
                    "queries": [
                        ("process_resident_memory_bytes{@}", WHO),
                        ("tidegate_memory_budget_bytes{@}", f"{WHO}: budget"),
                        ("tidegate_memory_limit_bytes{@} > 0", f"{WHO}: limit"),
                    ],
                },
                {
                    "title": "Processors", "unit": "percentunit",
                    "description": "Processor time per second; 100 % is one processor.",
                    "queries": [("rate(process_cpu_seconds_total{@}[~])", WHO)],
                },
                {
                    "title": "File descriptors", "unit": "percentunit",
                    "description": "Open descriptors, as a share of how many there may be. Each sender's connection is one.",
                    "queries": [("process_open_fds{@} / process_max_fds{@}", WHO)],
                },
                {
                    "title": "Up time", "kind": "stat", "unit": "s", "runbook": "TidegateCrashlooping",
                    "description": "Time since the start.",
                    "queries": [("time() - process_start_time_seconds{@}", WHO)],
                },
                {
                    "title": "Last reload", "kind": "stat", "unit": "bool_yes_no", "runbook": "TidegateReloadFailed",
                    "description": "Whether the last reload of the configuration was taken.",
                    "queries": [("tidegate_config_last_reload_successful{@}", WHO)],
                    "steps": [("red", None), ("green", 1)],
                },
                {
                    "title": "Configuration in force since", "kind": "stat", "unit": "dateTimeAsIso",
                    "description": "When the configuration in use was taken.",
                    "queries": [("tidegate_config_last_reload_success_timestamp_seconds{@} * 1000", WHO)],
                },
                {
                    "title": "Configurations in use", "kind": "stat", "unit": "none", "runbook": "TidegateConfigInconsistent",
                    "description": "How many different configurations the chosen instances run with; 1 unless they are meant to"
                    " differ.",
                    "queries": [('count(count_values("hash", tidegate_config_hash{@}))', "configurations")],
                    "steps": [("green", None), ("orange", 2)],
                },
                {
                    "title": "Certificates expire in", "kind": "stat", "unit": "s", "runbook": "TidegateCredentialExpiring",
                    "description": "Time until the certificates that tidegate shows others expire; only those there are.",
                    "queries": [(
                        "(tidegate_credential_expiry_timestamp_seconds{@} > 0) - time()", f"{WHO}: {{{{credential}}}}",
                    )],
                    "steps": [("red", None), ("orange", 172800), ("green", 1209600)],
                },
            ]),
        ],
    },
    {
        "file": "storm.json",
        "uid": "tidegate-storm",
        "title": "tidegate: storm",
        "description": "A flood while it lasts: how hard it comes, what is left of it, where it waits, what it costs.",
        "from": "now-30m",
        "refresh": "10s",
        "rows": [
            ("The flood", [
                {
                    "title": "In and out", "unit": "cps", "log": True, "width": 12,
                    "description": "Alerts received and incident events handed on, on a logarithmic scale: the gap between the"
                    " lines is what nobody has to read.",
                    "queries": [
                        ("sum(rate(tidegate_alerts_received_total{@}[~]))", "alerts in"),
                        ("sum(rate(tidegate_incident_events_total{@}[~]))", "events out"),
                    ],
                },
                {
                    "title": "Repeats folded", "unit": "percentunit", "width": 12,
                    "description": "Share of the alerts that were repeats. In a flood of the same it nears 100 %, in a flood of"
                    " different alerts it falls.",
                    "queries": [(
                        'sum by (source) (rate(tidegate_alerts_outcome_total{@, outcome="folded"}[~]))'
                        " / (sum by (source) (rate(tidegate_alerts_received_total{@}[~])) > 0)",
                        "{{source}}",
                    )],
                },
                {
                    "title": "New and not", "unit": "cps", "stack": True,
                    "description": "What the flood is made of: `opened` and `joined` are new, `folded` is known, `resolved` ends.",
                    "queries": [("sum by (outcome) (rate(tidegate_alerts_outcome_total{@}[~]))", "{{outcome}}")],
                },
                {
                    "title": "Incidents opened and resolved", "unit": "cps",
                    "description": "Incident events that open, reopen or end an incident.",
                    "queries": [(
                        'sum by (event) (rate(tidegate_incident_events_total{@, event=~"opened|reopened|resolved"}[~]))',
                        "{{event}}",
                    )],
                },
                {
                    "title": "Live fingerprints", "unit": "locale",
                    "description": "Different alerts in the tables. They cost memory; repeats do not.",
                    "queries": [("tidegate_live_fingerprints{@}", WHO)],
                },
            ]),
            ("Where it waits", [
                {
                    "title": "Queues", "unit": "percentunit",
                    "description": "How full the queues are. Full is not loss: Kafka is read more slowly, HTTP is asked to come"
                    " again.",
                    "queries": [("tidegate_queue_depth{@} / tidegate_queue_capacity{@}", f"{WHO}: {{{{queue}}}}")],
                },
                {
                    "title": "Waiting for room", "unit": "percentunit", "runbook": "TidegateBackpressure",
                    "description": "Share of the time that writers waited because a queue was full.",
                    "queries": [("rate(tidegate_backpressure_seconds_total{@}[~])", f"{WHO}: {{{{queue}}}}")],
                },
                {
                    "title": "Requests told to come again", "unit": "reqps", "runbook": "TidegateHttpRefusing",
                    "description": "HTTP requests with alerts that were answered with 503.",
                    "queries": [("rate(tidegate_http_refused_total{@}[~])", WHO)],
                },
                {
                    "title": "Clock of the sources", "unit": "s", "runbook": "TidegateSourceClockBehind",
                    "description": "How far each source lies behind the wall clock.",
                    "queries": [("tidegate_source_clock_delay_seconds{@}", f"{WHO}: {{{{source}}}}")],
                },
                {
                    "title": "From alert to incident", "kind": "heatmap", "unit": "s",
                    "description": "Time from the record that caused an event to its commit, how often which.",
                    "queries": [("sum by (le) (increase(tidegate_alert_to_incident_seconds_bucket{@}[~]))", "{{le}}")],
                },
                {
                    "title": "Commits", "unit": "s",
                    "description": "Time that the store took to make an epoch durable.",
                    "queries": quantiles("tidegate_commit_seconds"),
                },
            ]),
            ("What is odd about it", [
                {
                    "title": "Late records", "unit": "cps",
                    "description": "Records older than the last of their group; they count as at that last.",
                    "queries": [("rate(tidegate_late_records_total{@}[~])", WHO)],
                },
                {
                    "title": "Times that cannot be", "unit": "cps",
                    "description": "Records from the future, taken as of their arrival, and times inside alerts that were ignored."
                    " Somebody's clock is wrong.",
                    "queries": [
                        ("rate(tidegate_future_timestamp_clamped_total{@}[~])", f"{WHO}: from the future"),
                        ("rate(tidegate_unusable_times_total{@}[~])", f"{WHO}: ignored"),
                    ],
                },
                {
                    "title": "Slow parsing", "unit": "cps",
                    "description": "Records that the fast parser refused, so that the general one was asked.",
                    "queries": [("rate(tidegate_parse_fallback_total{@}[~])", WHO)],
                },
            ]),
            ("What it costs", [
                {
                    "title": "Memory", "unit": "bytes", "runbook": "TidegateMemoryNearLimit",
                    "description": "Memory of the process in RAM.",
                    "queries": [("process_resident_memory_bytes{@}", WHO)],
                },
                {
                    "title": "Processors", "unit": "percentunit",
                    "description": "Processor time per second; 100 % is one processor.",
                    "queries": [("rate(process_cpu_seconds_total{@}[~])", WHO)],
                },
                {
                    "title": "Records per epoch", "unit": "locale",
                    "description": "How much becomes durable at once: more under load.",
                    "queries": quantiles("tidegate_epoch_records"),
                },
                {
                    "title": "Samples of the tap left out", "unit": "cps",
                    "description": "Samples that nobody was shown because the listener at the tap read too slowly. No alert is"
                    " touched by that.",
                    "queries": [("rate(tidegate_tap_dropped_total{@}[~])", WHO)],
                },
            ]),
        ],
    },
    {
        "file": "kafka-epochs.json",
        "uid": "tidegate-kafka-epochs",
        "title": "tidegate: Kafka and epochs",
        "description": "Reading, committing, restoring: whether what came in becomes durable, and how long a restart would take.",
        "from": "now-6h",
        "refresh": "30s",
        "rows": [
            ("Reading", [
                {
                    "title": "Age of the lag", "unit": "s", "runbook": "TidegateLagGrowing",
                    "description": "Age of the last record read of each partition; 0 when nothing is left to read.",
                    "queries": [("max by (source, partition) (tidegate_consumer_lag_seconds{@})", "{{source}}: {{partition}}")],
                },
                {
                    "title": "Lag", "unit": "locale",
                    "description": "Records of each partition that are not read yet.",
                    "queries": [("max by (source, partition) (tidegate_consumer_lag_records{@})", "{{source}}: {{partition}}")],
                },
                {
                    "title": "Records", "unit": "cps",
                    "description": "Records taken and durable, by partition; for HTTP a request is a record.",
                    "queries": [(
                        "sum by (source, partition) (rate(tidegate_records_consumed_total{@}[~]))", "{{source}}: {{partition}}",
                    )],
                },
                {
                    "title": "Bytes", "unit": "Bps",
                    "description": "Bytes of those records.",
                    "queries": [("sum by (source) (rate(tidegate_consumed_bytes_total{@}[~]))", "{{source}}")],
                },
                {
                    "title": "Partitions read", "unit": "locale",
                    "description": "Partitions that each instance reads, and those that wait because the pipeline is full or their"
                    " clock runs ahead of the others.",
                    "queries": [
                        ("sum by (instance, source) (tidegate_partition_assigned{@})", "{{instance}}: {{source}}"),
                        ("tidegate_paused_partitions{@}", "{{instance}}: {{source}} waiting"),
                    ],
                },
                {
                    "title": "Changes of partitions, and offsets lost", "unit": "locale", "runbook": "TidegateOffsetsLost",
                    "description": "How often the set of partitions changed within the hour before (a start is a change), and"
                    " partitions whose next records were gone.",
                    "queries": [
                        ("increase(tidegate_rebalances_total{@}[1h])", "{{instance}}: {{source}} changes"),
                        ("increase(tidegate_offsets_lost_total{@}[1h])", "{{instance}}: {{source}} lost"),
                    ],
                },
            ]),
            ("Committing", [
                {
                    "title": "Transactions", "unit": "cps", "runbook": "TidegateCommitFailing",
                    "description": "Epochs by how their commit ended. `fenced` means that another instance has taken over.",
                    "queries": [("sum by (instance, result) (rate(tidegate_transactions_total{@}[~]))", "{{instance}}: {{result}}")],
                },
                {
                    "title": "Time of a commit", "kind": "heatmap", "unit": "s",
                    "description": "Time that the store took to make an epoch durable, how often which.",
                    "queries": [("sum by (le) (increase(tidegate_commit_seconds_bucket{@}[~]))", "{{le}}")],
                },
                {
                    "title": "Records per epoch", "unit": "locale",
                    "description": "How much becomes durable at once.",
                    "queries": quantiles("tidegate_epoch_records"),
                },
                {
                    "title": "Producers made anew", "unit": "locale",
                    "description": "Kafka producers that had to be replaced within the hour before, because of trouble.",
                    "queries": [("increase(tidegate_producer_recreated_total{@}[1h])", "{{instance}}: {{reason}}")],
                },
                {
                    "title": "Removed by retention", "unit": "cps",
                    "description": "Rows that became older than their retention (SQLite; in Kafka the topics see to it).",
                    "queries": [("sum by (what) (rate(tidegate_retention_removed_total{@}[~]))", "{{what}}")],
                },
            ]),
            ("State and restart", [
                {
                    "title": "What a restore would read", "unit": "bytes", "runbook": "TidegateSweepStale",
                    "description": "Bytes of state blocks since the last complete sweep began, beside the size of the state. They"
                    " rise and fall like a saw; a line that only rises is a restart that takes longer and longer.",
                    "queries": [
                        ("tidegate_state_log_bytes{@}", f"{WHO}: to be read"),
                        ("tidegate_state_bytes{@}", f"{WHO}: state"),
                    ],
                },
                {
                    "title": "Last sweep", "kind": "stat", "unit": "dateTimeAsIso", "runbook": "TidegateSweepStale",
                    "description": "When the last complete sweep of the state ended. A sweep starts when 8 MiB, and twice the"
                    " state, have been written since the one before; 1970 means none since the start.",
                    "queries": [("tidegate_state_sweep_timestamp_seconds{@} * 1000", WHO)],
                },
                {
                    "title": "Local snapshot", "unit": "locale", "runbook": "TidegateSnapshotNotWritten",
                    "description": "What went wrong with the local snapshot of a Kafka store within the hour before: not written,"
                    " epochs left out because its disk is too slow, not used at a start.",
                    "queries": [("increase(tidegate_snapshot_failures_total{@}[1h])", "{{instance}}: {{reason}}")],
                },
                {
                    "title": "Local snapshot up to", "kind": "stat", "unit": "dateTimeAsIso", "runbook": "TidegateSnapshotNotWritten",
                    "description": "When the newest epoch in the local snapshot was committed; 1970 means that this process has"
                    " written none, as with SQLite.",
                    "queries": [("tidegate_snapshot_timestamp_seconds{@} * 1000", WHO)],
                },
                {
                    "title": "Leads", "unit": "bool_yes_no", "runbook": "TidegateNoStandby",
                    "description": "Which instance is active; shown by those with kafka.standby. One of them leads at any time,"
                    " save for the seconds of a take-over.",
                    "queries": [("tidegate_leader{@}", WHO)],
                },
                {
                    "title": "Standby behind", "unit": "locale", "runbook": "TidegateStandbyBehind",
                    "description": "Records of the state topic that a standby has still to read before it could take over.",
                    "queries": [("tidegate_standby_lag_records{@}", WHO)],
                },
                {
                    "title": "Restore at the start", "kind": "stat", "unit": "s",
                    "description": "How long the restore at the last start took.",
                    "queries": [(
                        "tidegate_restore_duration_seconds_sum{@} / tidegate_restore_duration_seconds_count{@}", WHO,
                    )],
                },
            ]),
        ],
    },
]

//! Broken files. In each text a `§` stands before the place that a fault must name, in order.

use insta::assert_snapshot;

use super::load;
use crate::control::config::fault::Fault;
use crate::control::config::{Config, Overrides, Surroundings};

/// The text without its marks, and where they stood.
fn marked(text: &str) -> (String, Vec<(usize, usize)>) {
    let (mut line, mut column, mut places, mut clean) = (1, 1, Vec::new(), String::new());
    for c in text.chars() {
        match c {
            '§' => {
                places.push((line, column));
                continue;
            }
            '\n' => (line, column) = (line + 1, 1),
            _ => column += 1,
        }
        clean.push(c);
    }
    (clean, places)
}

fn compare(text: &str, found: &[Fault], places: &[(usize, usize)], expected: &[&str]) {
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    let wanted: Vec<String> =
        places.iter().zip(expected).map(|((line, column), message)| format!("{line}:{column}: {message}")).collect();
    assert_eq!(places.len(), expected.len(), "marks in {text}");
    assert_eq!(shown, wanted, "{text}");
}

/// Exactly these faults, at exactly the marked places.
fn faults(text: &str, expected: &[&str]) {
    let (clean, places) = marked(text);
    let faults = load(&clean).map(|loaded| loaded.config).unwrap_err();
    compare(text, &faults.faults, &places, expected);
}

/// No fault, and exactly these warnings.
fn warnings(text: &str, expected: &[&str]) {
    let (clean, places) = marked(text);
    let loaded = load(&clean).unwrap_or_else(|faults| panic!("{text}: {faults}"));
    compare(text, &loaded.warnings, &places, expected);
}

#[test]
fn keys() {
    faults("§lisen: 127.0.0.1:1\n", &["lisen: unknown key (did you mean \"listen\"?)"]);
    faults("epoch: {§intervall: 1s}", &["epoch.intervall: unknown key (did you mean \"interval\"?)"]);
    faults("log:\n  §colour: red\n", &["log.colour: unknown key (known: level, format)"]);
    faults("data_dir: a\n§data_dir: b\n", &["data_dir: is given twice"]);
    faults("§epoch:\n", &["epoch: has no value; a map is wanted (or leave the key out)"]);
    faults("epoch: §[1]\n", &["epoch: a list is not a map"]);
    faults("§- a\n- b\n", &["a list is not a map"]);
    faults("§just text", &["\"just text\" is not a map"]);
    faults(
        "windows:\n  - {name: a, §grup_by: [x], §wiat: 1s}\n",
        &[
            "windows[0].grup_by: unknown key (did you mean \"group_by\"?)",
            "windows[0].wiat: unknown key (did you mean \"wait\"?)",
        ],
    );
}

#[test]
fn scalars() {
    faults("insecure_listen: §yes", &["insecure_listen: \"yes\" is not true or false"]);
    faults("insecure_listen: §'true'", &["insecure_listen: \"true\" is not true or false"]);
    faults("epoch: {interval: §5x}", &["epoch.interval: \"5x\" is no duration (like 1m30s or 1500ms)"]);
    faults("epoch: {interval: §2s}", &["epoch.interval: \"2s\" is not between 20ms and 1s"]);
    faults("epoch: {interval: §10ms}", &["epoch.interval: \"10ms\" is not between 20ms and 1s"]);
    faults("epoch: {interval: §[1s]}", &["epoch.interval: a list is not a duration (like 1m30s)"]);
    faults("epoch: {records: §many}", &["epoch.records: \"many\" is not a whole number"]);
    faults("epoch: {records: §0}", &["epoch.records: \"0\" is not between 1 and 10000000"]);
    faults("epoch: {output: §8MB}", &["epoch.output: \"8MB\" is no size (like 64KiB or 8MiB)"]);
    faults("epoch: {output: §1KiB}", &["epoch.output: \"1KiB\" is not between 64KiB and 256MiB"]);
    faults("engine: {shards: §-1}", &["engine.shards: \"-1\" is not a whole number"]);
    faults("engine: {shards: §65}", &["engine.shards: \"65\" is not between 1 and 64"]);
    faults("engine: {samples: §101}", &["engine.samples: \"101\" is not between 0 and 100"]);
    faults("retention: {incidents: §5m}", &["retention.incidents: \"5m\" is less than 1h"]);
    faults("log: {level: §inof}", &["log.level: \"inof\" is unknown (did you mean \"info\"?)"]);
    faults("log: {format: §xml}", &["log.format: \"xml\" is unknown (known: text, json)"]);
    faults("data_dir: §''", &["data_dir: \"\" is not a text"]);
}

#[test]
fn listening() {
    faults("listen: §9093", &["listen: \"9093\" is no address (like 127.0.0.1:9093 or [::]:9093)"]);
    faults(
        "listen: §0.0.0.0:9093",
        &["listen: 0.0.0.0:9093 can be reached by others: set token, or insecure_listen: true if that is meant"],
    );
    faults(
        "admin_listen: §'[::]:9094'",
        &["admin_listen: [::]:9094 can be reached by others: set token, or insecure_listen: true if that is meant"],
    );
    faults(
        "token: §hunter2",
        &["token: a secret does not belong into this file; write {file: PATH}, {credential: NAME} or {env: NAME}"],
    );
}

#[test]
fn a_standby_needs_what_both_can_reach() {
    let wanted = "needs `store: kafka`: a standby goes on from the state of the active instance, which must be there";
    faults(
        "kafka: {brokers: [a:1], standby: §true}\nsources: [{name: in, type: http}]",
        &[&format!("kafka.standby: {wanted}")],
    );
    faults(
        "store: kafka\nkafka: {brokers: [a:1], standby: §true}\nsources: [{name: in, type: file, path: /x, format: native}]",
        &["kafka.standby: source \"in\" is read on one machine only, and a standby could not go on with it"],
    );
}

#[test]
fn secrets() {
    faults("token: §{file: empty}", &["token: the secret is empty"]);
    faults("token: §{}", &["token: takes exactly one of file, credential or env"]);
    faults("token: §{file: token, env: TOKEN}", &["token: takes exactly one of file, credential or env"]);
    faults("token: {env: §NOTSET}", &["token.env: the environment variable NOTSET is not set"]);
    faults(
        "tls: {certificate: §cert.pem, key: {file: tls_key}}",
        &["tls.certificate: must say where it is kept: {file: PATH} or {credential: NAME}"],
    );
    faults("tls: §{certificate: {file: tls_certificate}}", &["tls: key is missing"]);
    let missing = load("token: {file: gone}").unwrap_err().to_string();
    assert!(
        missing.starts_with("c.yaml:1:8: token: ") && missing.contains("gone cannot be read: No such"),
        "{missing}"
    );
}

#[test]
fn an_inline_secret_is_not_repeated() {
    let shown = load("token: hunter2\nlisen: x\nkafka: {sasl: {password: hunter2}, broker: x}\n").unwrap_err();
    let shown = shown.details(false);
    assert!(!shown.contains("hunter2") && shown.contains("token: *******"), "{shown}");
}

#[test]
fn stores_and_clusters() {
    faults("store: §redis", &["store: \"redis\" is unknown (known: sqlite, kafka)"]);
    faults("store: §kafka", &["store: needs the section kafka, with its brokers"]);
    faults("store: kafka\nkafka: §{namespace: x}", &["kafka: brokers is missing"]);
    faults("store: kafka\nkafka: {brokers: §[]}", &["kafka.brokers: at least one broker is needed"]);
    faults(
        "store: kafka\nkafka: {brokers: [§localhost]}",
        &["kafka.brokers[0]: \"localhost\" is no broker (like kafka-1.example.org:9092)"],
    );
    faults(
        "store: kafka\nkafka:\n  brokers: [a:1]\n  options:\n    acks: §1\n    ssl.key.pem: §xyz\n",
        &[
            "kafka.options.acks: cannot be set here: the delivery promise needs it as it is",
            "kafka.options.ssl.key.pem: a secret does not belong into this file",
        ],
    );
    faults(
        "store: kafka\nkafka:\n  brokers: [a:1]\n  sasl: §{mechanism: §GSSAPI, username: u}\n",
        &[
            "kafka.sasl: password is missing",
            "kafka.sasl.mechanism: \"GSSAPI\" is unknown (known: SCRAM-SHA-512, SCRAM-SHA-256, PLAIN)",
        ],
    );
    faults(
        "store: kafka\nkafka: {brokers: [a:1], tls: §{key: {file: kafka_key}}}",
        &["kafka.tls: certificate and key belong together"],
    );
}

#[test]
fn sources() {
    faults("sources:\n  - §name: a\n", &["sources[0]: type is missing"]);
    faults("sources:\n  - {name: a, type: §htp}\n", &["sources[0].type: \"htp\" is unknown (did you mean \"http\"?)"]);
    faults(
        "sources: [{name: a, type: http}, {name: §a, type: stdin}]",
        &["sources[1].name: a source before this has the name \"a\""],
    );
    faults(
        "sources: [{name: a, type: http}, {name: b, type: §http}]",
        &["sources[1].type: a source before this is http already; there can be only one"],
    );
    faults(
        "sources: [{name: a, type: §kafka, topics: [{name: t}]}]",
        &["sources[0].type: needs the section kafka, with its brokers"],
    );
    faults(
        "kafka: {brokers: [a:1]}\nsources:\n  - {name: k, type: kafka, topics: [§{name: tidegate.state}, {name: §a/b}]}\n",
        &[
            "sources[0].topics[0]: topic \"tidegate.state\" is what tidegate itself writes",
            "sources[0].topics[1].name: \"a/b\" is no topic name (at most 249 of a-z, A-Z, 0-9, -, _ and .)",
        ],
    );
    faults("sources: [§{name: f, type: file}]", &["sources[0]: path is missing"]);
    faults(
        "sources: [{name: f, type: http, §path: x}]",
        &["sources[0].path: unknown key (known: identity, resend_interval, name, type)"],
    );
    faults(
        "sources: [{name: §a b, type: stdin, format: §json}]",
        &[
            "sources[0].name: \"a b\" is no name (at most 64 of a-z, A-Z, 0-9, -, _ and .)",
            "sources[0].format: \"json\" is unknown (known: native, alertmanager_v2, alertmanager_webhook)",
        ],
    );
}

#[test]
fn identities() {
    faults("identity: {drop: [a, §[b]]}", &["identity.drop[1]: a list is not a text"]);
    faults(
        "identity:\n  mask:\n    - {label: pod, pattern: §'['}\n",
        &["identity.mask[0].pattern: bad regular expression: unclosed character class"],
    );
    faults(
        "identity: {mask: [{pattern: §'x*'}]}",
        &["identity.mask[0].pattern: \"x*\" finds empty text everywhere; it must find at least one character"],
    );
    faults(
        "identity: {alias: {a: [§b], b: [c, d], e: [§d]}}",
        &[
            "identity.alias.a[0]: \"b\" has aliases itself; an alias leads to one name",
            "identity.alias.e[0]: \"d\" already stands for \"b\"",
        ],
    );
    faults(
        "identity: {labels: §[a], drop: [a]}",
        &["identity.labels: all of them are in drop: no label would be left to tell alerts apart"],
    );
}

#[test]
fn windows() {
    faults("windows: [§{gap: 5m}]", &["windows[0]: name is missing"]);
    faults("windows: [{name: a}, {name: §a}]", &["windows[1].name: a rule before this has the name \"a\""]);
    faults(
        "windows:\n  - name: a\n    match: severity=~§(a\n",
        &["windows[0].match: bad regular expression: unclosed group"],
    );
    faults(
        "windows:\n  - name: a\n    match: ['severity=\"x\"', 'team§']\n",
        &["windows[0].match[1]: expected one of =, !=, =~, !~"],
    );
    faults("windows:\n  - name: a\n    match: §\"a=\\\"b\\\" c\"\n", &["windows[0].match: expected \",\" or the end"]);
    faults("windows: [{name: a, group_by: [§'a|']}]", &["windows[0].group_by[0]: a label name is missing beside |"]);
    faults(
        "windows: [{name: a, open_after: {count: §0, within: §0s}}]",
        &[
            "windows[0].open_after.count: \"0\" is not between 1 and 1000",
            "windows[0].open_after.within: \"0s\" is less than 1ms",
        ],
    );
    faults(
        "windows: [{name: a, wait_by_severity: {§crit: 0s, high: §now}}]",
        &[
            "windows[0].wait_by_severity.crit: unknown key (known: unknown, info, low, warning, high, critical)",
            "windows[0].wait_by_severity.high: \"now\" is no duration (like 1m30s or 1500ms)",
        ],
    );
    faults(
        "windows: [§{name: a, kind: fixed}]",
        &["windows[0]: max_age is missing: it is the length of a fixed window"],
    );
    faults(
        "windows: [{name: a, kind: fixed, max_age: §never}]",
        &["windows[0].max_age: a fixed window needs a length: max_age cannot be never"],
    );
    faults(
        "windows: [{name: a, kind: §sliding}]",
        &["windows[0].kind: \"sliding\" is unknown (known: session, fixed, until_resolved)"],
    );
    faults("windows: [{name: a, max_alerts: §0}]", &["windows[0].max_alerts: \"0\" is not between 1 and 1000000000"]);
    faults("windows: [{name: a, gap: §0}]", &["windows[0].gap: \"0\" is less than 1ms"]);
    faults(
        "windows: [§{name: default, match: a=b}]",
        &["windows[0]: the last rule does not match everything, so one of this name is added at the end: \
           take another name here, or write a last rule without match"],
    );
}

#[test]
fn text_itself() {
    faults("a: [1, 2\nb§: 3\n", &["no YAML: illegal placement of ':' indicator"]);
    faults("a: 'b\n§", &["no YAML: invalid indentation in multiline quoted scalar"]);
    faults("a: §1\n\tb: 1\n", &["no YAML: while scanning a plain scalar, found a tab"]);
    faults("a: 1\n b§: 1\n", &["no YAML: mapping values are not allowed in this context"]);
    faults("a: §@b\n", &["no YAML: unexpected character: `@'"]);
    faults("epoch: {interval: 1s, records: §*gone}\n", &["no anchor &gone stands before this"]);
    faults("data_dir: §!!str x\n", &["tags (!name) have no meaning here"]);
}

#[test]
fn odd_but_legal() {
    warnings("listen: localhost:9093", &[]);
    warnings(
        "token: {env: §TOKEN}",
        &["token.env: other processes of this user can read the environment; a file or a credential is safer"],
    );
    warnings(
        "listen: §0.0.0.0:9093\ntoken: {file: token}",
        &["listen: the token and all alerts cross the network unencrypted: set tls, or encrypt in front of it"],
    );
    warnings("kafka: §{brokers: [a:1]}", &["kafka: is not used: neither the store nor a source is kafka"]);
    warnings(
        "windows: [{name: a, wait: §10m}]",
        &["windows[0].wait: is longer than gap (5m): sessions may end before they speak"],
    );
    warnings(
        "windows: [{name: a}, §{name: b, match: x=y}, §{name: c}]",
        &[
            "windows[1]: no alert comes here: rule \"a\" above matches everything",
            "windows[2]: no alert comes here: rule \"a\" above matches everything",
        ],
    );
    warnings(
        "windows: [{name: a, kind: until_resolved, gap: §1m}]",
        &["windows[0].gap: is not looked at: the kind is until_resolved"],
    );
    warnings("windows: [{name: a, group_by: []}]", &[]);
}

#[test]
fn the_whole_report() {
    let text = "windows:\n  - name: a\n    gap: 5x\n    mtach: a=b\n";
    let faults = load(text).unwrap_err();
    assert_snapshot!(faults.details(false) + &faults.summary(), @r#"
    c.yaml:3:10: windows[0].gap: "5x" is no duration (like 1m30s or 1500ms)
      |
    3 |     gap: 5x
      |          ^^
    c.yaml:4:5: windows[0].mtach: unknown key (did you mean "match"?)
      |
    4 |     mtach: a=b
      |     ^^^^^
    2 faults, nothing was started
    "#);
    assert_snapshot!(faults, @r#"
    c.yaml:3:10: windows[0].gap: "5x" is no duration (like 1m30s or 1500ms)
    c.yaml:4:5: windows[0].mtach: unknown key (did you mean "match"?)
    2 faults, nothing was started
    "#);
}

#[test]
fn faults_of_arguments_have_no_place() {
    let overrides = Overrides { listen: Some("0.0.0.0:1".to_owned()), data_dir: None };
    let faults = Config::without_file(&overrides).unwrap_err();
    assert_snapshot!(
        faults.details(false),
        @"--listen: 0.0.0.0:1 can be reached by others: set token, or insecure_listen: true if that is meant"
    );
    let overrides = Overrides { listen: Some("nine".to_owned()), data_dir: None };
    assert_snapshot!(Config::without_file(&overrides).unwrap_err(), @r#"
    --listen: "nine" is no address (like 127.0.0.1:9093 or [::]:9093)
    1 fault, nothing was started
    "#);
}

#[test]
fn what_is_no_text_is_refused() {
    let around = Surroundings { folder: ".".into(), credentials: None, environment: |_| None };
    let refused = |bytes: &[u8]| {
        Config::from_bytes(bytes, None, &Overrides::default(), &around).map(|_| ()).unwrap_err().faults.remove(0)
    };
    assert_eq!(refused(b"listen: x\ndata_dir: a\xff\n").to_string(), "2:12: no UTF-8 from here on");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.yaml");
    std::fs::write(&file, "# large\n".repeat(10 << 17)).unwrap();
    let faults = Config::load(&file, &Overrides::default()).map(|_| ()).unwrap_err();
    assert_eq!(faults.faults[0].to_string(), "larger than 1MiB, no configuration is");
    assert!(Config::load(&folder.path().join("none.yaml"), &Overrides::default()).is_err());
}

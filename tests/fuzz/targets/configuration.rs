//! The configuration: every fault has a place in the text, the same text has the same meaning, and it takes no time to speak of.

use std::path::Path;
use std::time::Duration;

use tidegate::control::config::fault::Fault;
use tidegate::control::config::{Config, Overrides, Surroundings};
use tidegate::model::time::Stopwatch;

/// Far more than the largest text here takes on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(10);

/// What stands for something in a configuration.
pub(crate) const PIECES: &[&str] = &[
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\n- ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "!x ",
    "|",
    ">",
    "%",
    "@",
    "`",
    "? ",
    "---\n",
    "...\n",
    "\t",
    "null",
    "~",
    "true",
    "-1",
    "1e999",
    "0x10",
    "99999999999999999999",
    "1m30s",
    "1500ms",
    "9999999999d",
    "10MiB",
    "listen: ",
    "sources: ",
    "windows: ",
    "name: ",
    "match: ",
    "group_by: ",
    "gap: ",
    "type: ",
    "kafka: ",
    "topics: ",
    "store: sqlite\n",
    "severity=\"critical\"",
    "a=~\"(\"",
    "{env: X}",
    "{file: x}",
    "{credential: x}",
    "127.0.0.1:9093",
    "[::1]:0",
    "größe",
    "\u{feff}",
    "\u{1b}",
    "\u{2028}",
    "\u{0}",
];

/// What is shipped, and a part of it.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        include_str!("../../../config/tidegate.yaml"),
        include_str!("../../../config/kafka.yaml"),
        include_str!("../../../config/tickets-and-alerts.yaml"),
        include_str!("../../../config/reference.yaml"),
        "windows: [{name: a, match: 'a=\"b\"', group_by: [x, y|z], open_after: {count: 3, within: 1m}}]\n",
        "listen: 0.0.0.0:1\ntoken: {env: X}\nidentity: {drop: [a], mask: [{label: b, pattern: '[0-9]+', replace: x}]}\n",
        "",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn load(input: &[u8]) -> Result<(u64, Vec<Fault>), Vec<Fault>> {
    let around = Surroundings { folder: "/nowhere".into(), credentials: None, environment: |_| None };
    let loaded = Config::from_bytes(input, Some(Path::new("c.yaml")), &Overrides::default(), &around);
    loaded.map(|loaded| (loaded.config.hash, loaded.warnings)).map_err(|faults| {
        assert!(faults.to_string().contains("c.yaml"), "{faults}");
        faults.faults
    })
}

pub(crate) fn check(input: &[u8]) {
    let watch = Stopwatch::start();
    let loaded = load(input);
    assert!(watch.elapsed() < PATIENCE, "it took {:?}", watch.elapsed());
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let (faults, is_sound) = match &loaded {
        Ok((_, warnings)) => (warnings, true),
        Err(faults) => (faults, false),
    };
    assert!(is_sound || !faults.is_empty(), "a refusal says why");
    for fault in faults {
        assert!(fault.line >= 1 && fault.column >= 1, "a fault without a place: {fault}");
        assert!(fault.line <= lines.len() && fault.column <= input.len() + 1, "a place outside of the text: {fault}");
        assert!(!fault.excerpt(false).is_empty(), "a place, and nothing to show of it: {fault}");
    }
    assert_eq!(load(input).map(|(hash, _)| hash).ok(), loaded.map(|(hash, _)| hash).ok());
}

//! The guides `docs/tuning.md` and `docs/starting-points.md`: their pictures are what `tidegate replay` draws today, every
//! setting has its paragraph and its picture, and every block of YAML and JSON in them can be used as it stands.
//!
//! `TIDEGATE_BLESS=1 cargo test --test it tuning` writes the pictures anew; look at them before they are committed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::tidegate;

/// A configuration may begin with a line like this: further arguments of `replay` for its picture.
const ARGUMENTS: &str = "# replay: ";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The files of `docs/tuning` with this ending, without it.
fn stems(ending: &str) -> BTreeSet<String> {
    let names = fs::read_dir(root().join("docs/tuning")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect()
}

/// Draws the picture of a configuration into that file.
fn draw(stem: &str, into: &Path) {
    let folder = root().join("docs/tuning");
    let config = folder.join(format!("{stem}.yaml"));
    let scenario = stem.split_once('-').map_or(stem, |(setting, _)| setting);
    let from = folder.join(format!("{scenario}.jsonl"));
    let text = fs::read_to_string(&config).unwrap();
    let further = text.lines().next().and_then(|line| line.strip_prefix(ARGUMENTS)).unwrap_or_default();
    let mut arguments = vec!["replay", "--config", config.to_str().unwrap(), "--from", from.to_str().unwrap()];
    arguments.extend(["--picture", into.to_str().unwrap()]);
    arguments.extend(further.split_whitespace());
    let output = tidegate(&arguments);
    assert!(output.status.success(), "{stem}: {}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains(" 0 rejected, 0 held"), "{stem}: {told}");
}

#[test]
fn the_pictures_are_what_replay_draws() {
    let folder = tempfile::tempdir().unwrap();
    let blesses = std::env::var_os("TIDEGATE_BLESS").is_some();
    let stems_of_pictures = stems(".yaml");
    assert!(stems_of_pictures.len() > 30, "{stems_of_pictures:?}");
    let mut stale = Vec::new();
    for stem in &stems_of_pictures {
        let kept = root().join(format!("docs/tuning/{stem}.svg"));
        let drawn = folder.path().join("picture.svg");
        draw(stem, &drawn);
        let drawn = fs::read(&drawn).unwrap();
        if blesses {
            fs::write(&kept, &drawn).unwrap();
        } else if fs::read(&kept).ok() != Some(drawn) {
            stale.push(stem);
        }
    }
    assert!(
        stale.is_empty(),
        "look at these and take them over with TIDEGATE_BLESS=1 cargo test --test it tuning: {stale:?}"
    );
    assert_eq!(stems(".svg"), stems_of_pictures, "a picture without a configuration, or the other way round");
}

#[test]
fn every_picture_and_scenario_is_used() {
    let guide = read("docs/tuning.md");
    for stem in stems(".svg") {
        assert!(guide.contains(&format!("](tuning/{stem}.svg)")), "docs/tuning.md does not show {stem}");
    }
    let scenarios: BTreeSet<String> =
        stems(".yaml").iter().map(|stem| stem.split_once('-').unwrap().0.to_owned()).collect();
    assert_eq!(stems(".jsonl"), scenarios);
}

/// The keys that the reference has below `identity` and below a rule of `windows`.
fn settings() -> Vec<String> {
    let reference = read("config/reference.yaml");
    let mut section = "";
    let mut keys = Vec::new();
    for line in reference.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let Some((key, _)) = line.split_once(':') else { continue };
        let depth = key.len() - key.trim_start().len();
        match (section, depth) {
            (_, 0) => section = key,
            ("identity", 2) => keys.push(key.trim().to_owned()),
            ("windows", 2 | 4) => keys.push(key.trim().trim_start_matches("- ").to_owned()),
            _ => {}
        }
    }
    keys
}

#[test]
fn every_setting_has_its_paragraph_and_its_picture() {
    let guide = read("docs/tuning.md");
    let keys = settings();
    assert!(keys.len() >= 18 && keys.contains(&"wait_by_severity".to_owned()), "{keys:?}");
    for key in keys {
        let section = guide
            .split("\n### ")
            .skip(1)
            .find(|section| section.lines().next().is_some_and(|head| head.contains(&format!("`{key}`"))))
            .unwrap_or_else(|| panic!("docs/tuning.md has no heading with `{key}`"));
        let section = section.split("\n## ").next().unwrap();
        assert!(section.contains("](tuning/"), "no picture beside `{key}`");
        assert!(section.contains("Too s") || section.contains("Symptom"), "no symptom is named beside `{key}`");
    }
}

/// The blocks of a page in this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn replay(config: &Path, alerts: &str, folder: &Path) -> String {
    let from = folder.join("alerts.jsonl");
    fs::write(&from, alerts).unwrap();
    let output = tidegate(&["replay", "--config", config.to_str().unwrap(), "--from", from.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_block_of_the_guides_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("block.yaml");
    let (mut n_yaml, mut n_json) = (0, 0);
    for page in ["docs/tuning.md", "docs/starting-points.md"] {
        let text = read(page);
        // What belongs into a file of another program says so in its first line.
        let ours = |block: &&String| !block.starts_with("# prometheus.yml") && !block.starts_with("# alertmanager.yml");
        for block in blocks(&text, "yaml").iter().filter(ours) {
            fs::write(&file, block).unwrap();
            let output = tidegate(&["check-config", file.to_str().unwrap()]);
            let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{page}:\n{block}\n{told}");
            n_yaml += 1;
        }
        for block in blocks(&text, "json") {
            let line = block.replace('\n', " ");
            let told = replay(&root().join("config/tidegate.yaml"), &line, folder.path());
            assert!(told.contains(" 0 rejected"), "{page}:\n{block}\n{told}");
            n_json += 1;
        }
    }
    assert!(n_yaml >= 1 && n_json >= 1, "{n_yaml} blocks of YAML, {n_json} of JSON");
}

#[test]
fn tickets_and_alerts_of_a_service_are_one_incident() {
    let page = read("docs/starting-points.md");
    let ticket = blocks(&page, "json").into_iter().find(|block| block.contains("\"ticket\"")).unwrap();
    let ticket: serde_json::Value = serde_json::from_str(&ticket).unwrap();
    let at = |minute: u32| format!("2026-03-02T08:{minute:02}:00Z");
    let numbered = |minute: u32, number: &str| {
        let mut ticket = ticket.clone();
        ticket["labels"]["ticket"] = number.into();
        ticket["receivedAt"] = at(minute).into();
        ticket.to_string()
    };
    let service = ticket["labels"]["service"].as_str().unwrap();
    let alert = |minute: u32, severity: &str| {
        let labels = serde_json::json!({"alertname": "HighLatency", "service": service, "severity": severity});
        serde_json::json!({ "labels": labels, "receivedAt": at(minute) }).to_string()
    };
    let folder = tempfile::tempdir().unwrap();
    let config: PathBuf = root().join("config/tickets-and-alerts.yaml");
    let check = |lines: &[String], expected: &str| {
        let told = replay(&config, &lines.join("\n"), folder.path());
        assert!(told.contains(expected), "{lines:#?}\n{told}");
    };
    // Two customers are not an incident; nor is one who wrote twice, whatever the spelling of the number.
    check(&[numbered(0, "T-4711"), numbered(4, "T-4712")], "0 incidents");
    // With an alert of the same service they are, and the next ticket joins it.
    let three = [numbered(0, "T-4711"), alert(3, "warning"), numbered(4, "T-4712"), numbered(6, "T-4713")];
    check(&three, "1 opened 3 joined");
    check(&three, "1 incidents");
    // The same ticket in another spelling is a repeat.
    check(&[numbered(0, "T-4711"), numbered(1, "#4711"), numbered(2, "T-4712")], "1 opened 1 joined 1 folded");
    // What is critical waits for nobody.
    check(&[alert(0, "critical")], "1 opened 0 joined");
}

#[test]
fn a_person_may_resolve_in_a_replay() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.jsonl");
    let tuning = root().join("docs/tuning");
    let (config, from) = (tuning.join("person-waits.yaml"), tuning.join("person.jsonl"));
    let mut arguments = vec!["replay", "--config", config.to_str().unwrap(), "--from", from.to_str().unwrap()];
    arguments.extend(["--incidents", events.to_str().unwrap(), "--resolve-at", "2026-03-02T08:05:00Z"]);
    assert!(tidegate(&arguments).status.success());
    let events = fs::read_to_string(&events).unwrap();
    let resolved: Vec<serde_json::Value> = events
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["event"] == "resolved")
        .collect();
    assert_eq!(resolved[0]["reason"], "person");
    assert_eq!(resolved[0]["record_time"], "2026-03-02T08:05:00.000Z");
    assert_eq!(resolved[0]["resolved_by"], "replay");
    assert_eq!(tidegate(&["replay", "--resolve-at", "soon"]).status.code(), Some(2));
}

/// What replay says of a file that no picture can hold.
fn refusal(alerts: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("alerts.jsonl");
    let picture = folder.path().join("picture.svg");
    fs::write(&from, alerts).unwrap();
    let config = root().join("config/tidegate.yaml");
    let mut arguments = vec!["replay", "--config", config.to_str().unwrap(), "--from", from.to_str().unwrap()];
    arguments.extend(["--picture", picture.to_str().unwrap()]);
    let output = tidegate(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(!picture.exists());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_a_picture_cannot_hold_is_refused_with_a_way_out() {
    let alerts = |n: usize| -> String {
        let line = |at: usize| format!("{{\"labels\": {{\"alertname\": \"A\", \"host\": \"h{at}\"}}}}\n");
        (0..n).map(line).collect()
    };
    let told = refusal(&alerts(1_001));
    assert!(told.contains("at most 1000 alerts") && told.contains("draw a shorter time"), "{told}");
    let told = refusal(&alerts(41));
    assert!(told.contains("at most 40 different alerts and this file has 41") && told.contains("`identity`"), "{told}");
    let told = refusal("no alert\n");
    assert!(told.contains("nothing to draw"), "{told}");
}

#[test]
fn a_picture_takes_hostile_text_for_text() {
    let folder = tempfile::tempdir().unwrap();
    let (from, picture) = (folder.path().join("alerts.jsonl"), folder.path().join("picture.svg"));
    let hostile = "</text><script>alert(1)</script>\\u001b[2J\\u202e";
    let line = |host: &str| format!("{{\"labels\": {{\"service\": \"{hostile}\", \"host\": \"{host}{hostile}\"}}}}\n");
    fs::write(&from, line("a") + &line("b")).unwrap();
    let config = root().join("config/tidegate.yaml");
    let mut arguments = vec!["replay", "--config", config.to_str().unwrap(), "--from", from.to_str().unwrap()];
    arguments.extend(["--picture", picture.to_str().unwrap()]);
    assert!(tidegate(&arguments).status.success());
    let svg = fs::read_to_string(&picture).unwrap();
    assert!(svg.contains("&lt;/text&gt;") && !svg.contains("<script"), "{svg}");
    assert!(!svg.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'));
}

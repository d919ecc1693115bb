//! The files in `config/`: all load, and `reference.yaml` is the truth about keys and defaults.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{around, load};
use crate::control::config::fault::Findings;
use crate::control::config::raw::{self, Kind, Node};
use crate::control::config::section::Value;
use crate::control::config::{Config, Overrides, check, meaning};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn reference() -> String {
    fs::read_to_string(folder().join("reference.yaml")).unwrap()
}

#[test]
fn every_file_loads_without_a_warning() {
    let files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "yaml")) {
        let loaded = Config::load(file, &Overrides::default()).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(loaded.warnings.is_empty(), "{}: {:?}", file.display(), loaded.warnings);
    }
}

#[test]
fn the_reference_equals_the_defaults() {
    let written = load(&reference()).unwrap().config;
    let default = load("").unwrap().config;
    assert_eq!(format!("{:#}", meaning::of(&written)), format!("{:#}", meaning::of(&default)));
    assert_eq!(written.hash, default.hash);
    assert_eq!(written.pipeline.config_version, default.pipeline.config_version);
    assert_eq!(
        (written.pipeline.decoders, written.pipeline.shards),
        (default.pipeline.decoders, default.pipeline.shards)
    );
}

/// The reference with every `#key` taken into force. An alternative replaces the line with the same key above it.
pub(super) fn everything() -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in reference().lines() {
        let spaces = line.len() - line.trim_start().len();
        let Some(rest) = line.trim_start().strip_prefix('#') else {
            lines.push(line.to_owned());
            continue;
        };
        let sentence = rest.is_empty() || rest.starts_with(' ') && !rest.starts_with("  ");
        if sentence || rest.trim_start().starts_with('#') {
            continue;
        }
        let key = format!("{}{}:", &line[..spaces], rest.split(':').next().unwrap());
        if let Some(replaced) = lines.iter().rev().take(3).position(|earlier| earlier.starts_with(&key)) {
            lines.remove(lines.len() - 1 - replaced);
        }
        lines.push(format!("{}{rest}", &line[..spaces]));
    }
    lines.join("\n")
}

fn keys(node: &Node, path: &str, into: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                let below = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                into.insert(below.clone());
                keys(&entry.value, &below, into);
            }
        }
        Kind::List(items) => items.iter().for_each(|item| keys(item, &format!("{path}[]"), into)),
        Kind::Empty | Kind::Scalar { .. } => {}
    }
}

#[test]
fn every_known_key_is_in_the_reference() {
    let text = everything();
    let (_folder, around) = around();
    let (root, problems) = raw::parse(&text).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let findings = Findings::new(&text);
    check::check(&Value::root(&root, &findings, &around), &Overrides::default());
    let index = regex::Regex::new(r"\[\d+\]").unwrap();
    let known: BTreeSet<String> = findings
        .known_keys()
        .iter()
        .map(|key| index.replace_all(key, "[]").replace("sources[].identity.", "identity."))
        .collect();
    let warnings = findings.finish("everything").unwrap_or_else(|faults| panic!("{}", faults.details(false)));
    assert!(warnings.is_empty(), "{warnings:?}");

    let mut written = BTreeSet::new();
    keys(&root, "", &mut written);
    // The identity of a source has the keys of the one for all. A secret has one of three homes; the reference explains them once, at its head.
    let home = |key: &&String| [".file", ".credential", ".env"].iter().any(|home| key.ends_with(home));
    let missing: Vec<&String> = known.difference(&written).filter(|key| !home(key)).collect();
    assert!(missing.is_empty(), "not in config/reference.yaml: {missing:?}");
    assert!(known.len() > 70, "{}", known.len());
}

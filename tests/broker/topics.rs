//! `tidegate topics`: makes what is missing, says what is wrong with what is there.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use tidegate::cli::topics::{TopicsArgs, run};

use crate::Test;
use crate::cluster::{Cluster, block_on};

pub const TESTS: [Test; 1] = [("topics::are_created_and_checked", are_created_and_checked)];

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    topics: TopicsArgs,
}

fn topics(file: &Path, words: &[&str]) -> Result<bool, String> {
    let file = file.to_string_lossy();
    let line = ["topics"].into_iter().chain(words.iter().copied()).chain(["--config", &*file]);
    let code = run(&Line::try_parse_from(line).unwrap().topics).map_err(|error| format!("{error:#}"))?;
    Ok(code == ExitCode::SUCCESS)
}

fn are_created_and_checked(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.yaml");
    let (namespace, input) = (cluster.name("pipeline"), cluster.name("input"));
    let brokers = &cluster.connection().brokers[0];
    let text = format!(
        "store: kafka\nkafka: {{brokers: [{brokers:?}], namespace: {namespace}}}\n\
         sources: [{{name: in, type: kafka, topics: [{{name: {input}, format: native}}]}}]\n"
    );
    std::fs::write(&file, text).unwrap();
    assert_eq!(topics(&file, &["check", "--replication", "1"]), Ok(false), "all are missing");
    let too_many = topics(&file, &["create"]).unwrap_err();
    assert!(too_many.contains("3 copies need as many brokers"), "{too_many}");
    assert_eq!(topics(&file, &["create", "--replication", "1"]), Ok(false), "the input is missing still");
    assert_eq!(topics(&file, &["create", "--replication", "1", "--inputs", "--partitions", "4"]), Ok(true));
    assert_eq!(topics(&file, &["check", "--replication", "1"]), Ok(true));
    assert_eq!(topics(&file, &["check", "--replication", "1", "--output", "json"]), Ok(true));
    assert_eq!(topics(&file, &["check"]), Ok(false), "one copy is not enough");
    let state = format!("{namespace}.state");
    let change = AlterConfig::new(ResourceSpecifier::Topic(&state)).set("retention.ms", "3600000");
    block_on(cluster.admin().alter_configs([&change], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
    assert_eq!(topics(&file, &["check", "--replication", "1"]), Ok(false), "state would expire");
}

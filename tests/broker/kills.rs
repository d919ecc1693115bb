//! A daemon that is killed again and again, at random and at named places, leaves what an undisturbed one would have left.
//!
//! `TIDEGATE_KILLS` says how often (20), `TIDEGATE_KILL_RATE` how many alerts a second come meanwhile (20,000).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate::model::incident::IncidentEvent;
use tidegate::model::time::Stopwatch;
use tidegate::pipeline::crash::Place;

use crate::Test;
use crate::cluster::Cluster;
use crate::end_to_end::{Daemon, binary, events, setting};

pub const TESTS: [Test; 1] = [("kills::change_nothing", kills_change_nothing)];

/// Where a daemon with a Kafka store may die.
const PLACES: [Place; 20] = [
    Place::EpochEnded,
    Place::EpochGathered,
    Place::EpochSent,
    Place::Begun,
    Place::OffsetsAsked,
    Place::FirstRecord,
    Place::RecordsSent,
    Place::Flushed,
    Place::OffsetsAdded,
    Place::CommitAsked,
    Place::CommitAnswered,
    Place::Durable,
    Place::Published,
    Place::Answered,
    Place::TakeOver,
    Place::Fenced,
    Place::OwnerSent,
    Place::StateRead,
    Place::Tidying,
    Place::Tidied,
];
const TOPICS: usize = 3;
const PARTITIONS: i32 = 6;
/// One that does not come to its place within this time is killed where it is.
const LONGEST_LIFE: Duration = Duration::from_secs(6);
/// About how long a kill takes with the start after it: the flood must last so long.
const SECONDS_PER_KILL: u64 = 3;

/// At which pass of a place it dies.
fn pass(place: Place, kill: u64) -> u64 {
    match place {
        Place::TakeOver | Place::Fenced | Place::OwnerSent | Place::StateRead | Place::Tidying | Place::Tidied => 1,
        _ => 1 + kill * 7 % 20,
    }
}

fn configure(cluster: &Cluster, folder: &Path, namespace: &str, inputs: &[String]) -> PathBuf {
    let file = folder.join(format!("{namespace}.yaml"));
    let brokers = &cluster.connection().brokers[0];
    let topics: Vec<String> = inputs.iter().map(|input| format!("{{name: {input}, format: native}}")).collect();
    let text = format!(
        "store: kafka\nkafka: {{brokers: [{brokers:?}], namespace: {namespace}}}\n\
         sources: [{{name: in, type: kafka, topics: [{}]}}]\n\
         windows: [{{name: all, wait: 1s, update_every: 2s, gap: 15s, reopen: 1m}}]\n",
        topics.join(", ")
    );
    std::fs::write(&file, text).unwrap();
    let words = ["topics", "create", "--replication", "1", "--config", &file.to_string_lossy()];
    assert!(Command::new(binary()).args(words).stdout(Stdio::null()).status().unwrap().success());
    file
}

/// A flood into one of the topics, with groups that no other has.
fn storm(cluster: &Cluster, input: &str, alerts: u64, rate: u64) -> Child {
    let to = format!("kafka://{}/{input}", cluster.connection().brokers[0]);
    Command::new(binary())
        .args(["storm", "--shape", "ticket-storm", "--seed", "7", "--to", &to, "--tag", input])
        .args(["--alerts", &alerts.to_string(), "--rate", &rate.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What must be equal between a disturbed and an undisturbed run.
pub fn essence(events: &[IncidentEvent]) -> BTreeSet<String> {
    let mut last: BTreeMap<String, &IncidentEvent> = BTreeMap::new();
    for event in events {
        last.insert(event.incident_id.to_string(), event);
    }
    let text = |event: &&IncidentEvent| {
        let IncidentEvent { rule, group_labels, first_seen, last_seen, members, counts, status, .. } = event;
        format!("{rule} {group_labels:?} {first_seen} {last_seen} {members} {counts:?} {status:?}")
    };
    last.values().map(text).collect()
}

fn kills_change_nothing(cluster: &Cluster) {
    let (kills, rate) = (setting("TIDEGATE_KILLS", 20), setting("TIDEGATE_KILL_RATE", 20_000));
    let each = rate / TOPICS as u64 * (kills * SECONDS_PER_KILL + 5);
    let folder = tempfile::tempdir().unwrap();
    let (disturbed, quiet) = (cluster.name("killed"), cluster.name("quiet"));
    let inputs: Vec<String> = (0..TOPICS).map(|n| cluster.topic(&format!("kill-in-{n}"), PARTITIONS)).collect();
    let config = configure(cluster, folder.path(), &disturbed, &inputs);
    let watch = Stopwatch::start();
    let mut senders: Vec<Child> =
        inputs.iter().map(|input| storm(cluster, input, each, rate / TOPICS as u64)).collect();
    let (mut at_places, mut lived) = (BTreeMap::new(), BTreeMap::new());
    for kill in 0..kills {
        // Two at named places, then one 0.2 to 3 s after READY, spread evenly by the golden ratio.
        if kill % 3 < 2 {
            let place = PLACES[(kill / 3 * 2 + kill % 3) as usize % PLACES.len()];
            let daemon = Daemon::start_to_die(&config, folder.path(), place, pass(place, kill));
            let died = daemon.die(LONGEST_LIFE);
            *if died { &mut at_places } else { &mut lived }.entry(place.name()).or_insert(0) += 1;
        } else {
            let daemon = Daemon::start(&config, folder.path());
            std::thread::sleep(Duration::from_secs_f64(0.2 + 2.8 * (kill as f64 * 0.618_034).fract()));
            daemon.kill();
        }
    }
    let killing = watch.elapsed();
    for sender in &mut senders {
        assert!(sender.wait().unwrap().success());
    }
    let alerts = each * TOPICS as u64;
    Daemon::start(&config, folder.path()).finish(alerts);
    let config = configure(cluster, folder.path(), &quiet, &inputs);
    Daemon::start(&config, folder.path()).finish(alerts);
    let (killed, undisturbed) = (events(cluster, &disturbed), events(cluster, &quiet));
    let (killed_set, quiet_set) = (essence(&killed), essence(&undisturbed));
    let differences: Vec<&String> = killed_set.symmetric_difference(&quiet_set).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    let n_at_places: u64 = at_places.values().sum();
    println!("  {kills} kills in {killing:.0?}, {n_at_places} at {} places, {alerts} alerts", at_places.len());
    println!("  {} incidents, equal to an undisturbed run; not reached: {lived:?}", killed_set.len());
    assert!(n_at_places >= kills / 3, "too few died at their place: {at_places:?}, not {lived:?}");
}

//! A daemon that is killed again and again, at random and at named places, leaves what an undisturbed one would have left.
//!
//! `TIDEGATE_KILLS` says how often (20), `TIDEGATE_KILL_RATE` how many alerts a second come meanwhile (20,000).

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate::model::time::Stopwatch;
use tidegate::pipeline::crash::Place;

use crate::Test;
use crate::cluster::Cluster;
use crate::end_to_end::{Daemon, setting};
use crate::flood::{Flood, spread};

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

fn kills_change_nothing(cluster: &Cluster) {
    let (kills, rate) = (setting("TIDEGATE_KILLS", 20), setting("TIDEGATE_KILL_RATE", 20_000));
    let mut flood = Flood::start(cluster, "kill", rate, kills * SECONDS_PER_KILL + 5);
    let (disturbed, folder) = (cluster.name("killed"), flood.folder().to_path_buf());
    let config = flood.configure(&disturbed);
    let watch = Stopwatch::start();
    let (mut at_places, mut lived) = (BTreeMap::new(), BTreeMap::new());
    for kill in 0..kills {
        // Two at named places, then one 0.2 to 3 s after READY, spread evenly by the golden ratio.
        if kill % 3 < 2 {
            let place = PLACES[(kill / 3 * 2 + kill % 3) as usize % PLACES.len()];
            let daemon = Daemon::start_to_die(&config, &folder, place, pass(place, kill));
            let died = daemon.die(LONGEST_LIFE);
            *if died { &mut at_places } else { &mut lived }.entry(place.name()).or_insert(0) += 1;
        } else {
            let daemon = Daemon::start(&config, &folder);
            std::thread::sleep(Duration::from_secs_f64(0.2 + 2.8 * spread(kill)));
            daemon.kill();
        }
    }
    let killing = watch.elapsed();
    let alerts = flood.finish();
    Daemon::start(&config, &folder).finish(alerts);
    let n_incidents = flood.assert_as_in_peace(&disturbed, alerts);
    let n_at_places: u64 = at_places.values().sum();
    println!("  {kills} kills in {killing:.0?}, {n_at_places} at {} places, {alerts} alerts", at_places.len());
    println!("  {n_incidents} incidents, equal to an undisturbed run; not reached: {lived:?}");
    assert!(n_at_places >= kills / 3, "too few died at their place: {at_places:?}, not {lived:?}");
}

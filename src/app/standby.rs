//! Waiting for the lead: another instance is active, and this one follows its state until it is gone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use crossbeam::channel::{Sender, TryRecvError};

use crate::app::engine::Engine;
use crate::app::reload::Order;
use crate::app::store::cluster;
use crate::control::config::{Config, Store};
use crate::control::status::Phase;
use crate::metrics::{Metric, Metrics};
use crate::model::time::Stopwatch;
use crate::pipeline::options::Options;
use crate::pipeline::sink::kafka::standby::{Follower, Leader, Rank, Warm};

/// How long one look at the state topic may take: as soon as the lead comes, nothing else must wait.
const TURN: Duration = Duration::from_millis(50);
/// Time between two looks at how far the copy is behind.
const LAG_EVERY: Duration = Duration::from_secs(5);
/// The file with our name in the group, in the data folder: the same over restarts, another for each instance.
const MEMBER_FILE: &str = "member";

/// This instance is the active one.
pub(super) struct Lead {
    /// Membership in the group; none where there is no standby.
    pub(super) leader: Option<Leader>,
    /// The state that was followed until now.
    pub(super) warm: Option<Warm>,
}

/// Waits until this instance leads, with a copy of the state kept up meanwhile. Returns at once where there is no standby.
/// `None` when it was told to stop. A reload meanwhile changes `options`.
pub(super) fn wait_for_lead(
    engine: &mut Engine,
    options: &mut Arc<Options>,
    told: &mut Option<Sender<anyhow::Result<()>>>,
) -> anyhow::Result<Option<Lead>> {
    let Some(leader) = join(&engine.config)? else { return Ok(Some(Lead { leader: None, warm: None })) };
    tell(&engine.metrics, Rank::Unknown);
    let mut follower: Option<Follower> = None;
    let mut lag_told: Option<Stopwatch> = None;
    loop {
        match engine.inbox.try_recv() {
            Ok(Order::Exchange(changed, done)) => {
                *options = changed;
                let _ = done.send(()); // Whoever asked may have given up waiting.
            }
            Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) => {}
        }
        if let Some(fault) = leader.fault() {
            return Err(anyhow!("take part in the election of the active instance: {fault}"));
        }
        match (leader.rank(), &mut follower) {
            (Rank::Leads, _) => break,
            (Rank::Unknown, None) => std::thread::sleep(TURN), // Not in the group yet: nobody knows who leads.
            (Rank::Follows, None) => {
                tracing::info!("another instance is active: following its state");
                follower = Some(Follower::new(cluster(&engine.config)?.followed(), engine.readers.keeper.clone()));
                engine.board.enter(Phase::Standby);
                if let Some(told) = told.take() {
                    let _ = told.send(Ok(())); // Whoever started us is gone only when all of the process is.
                }
            }
            (Rank::Follows | Rank::Unknown, Some(follower)) => {
                follower.turn(TURN);
                if lag_told.as_ref().is_none_or(|told| told.elapsed() >= LAG_EVERY) {
                    lag_told = Some(Stopwatch::start());
                    tell_copy(&engine.metrics, follower);
                }
            }
        }
        tell(&engine.metrics, leader.rank());
        engine.upkeep.stand_by();
    }
    tell(&engine.metrics, Rank::Leads);
    let epoch = follower.as_ref().map_or(0, Follower::epoch);
    if follower.is_some() {
        tracing::info!(epoch, "taking over: the state is followed up to epoch {epoch}");
        engine.metrics.set(Metric::StandbyLag, &[], 0.0);
    }
    Ok(Some(Lead { leader: Some(leader), warm: follower.and_then(Follower::into_warm) }))
}

/// Shows whether this instance leads.
pub(super) fn tell(metrics: &Metrics, rank: Rank) {
    metrics.set(Metric::Leader, &[], if rank == Rank::Leads { 1.0 } else { 0.0 });
}

fn tell_copy(metrics: &Metrics, follower: &Follower) {
    if let Some(lag) = follower.lag() {
        metrics.set(Metric::StandbyLag, &[], lag as f64);
    }
    metrics.set(Metric::LiveFingerprints, &[], follower.n_members() as f64);
}

/// Joins the group where the configuration wants a standby.
fn join(config: &Config) -> anyhow::Result<Option<Leader>> {
    let (Store::Kafka, Some(kafka)) = (&config.store, &config.kafka) else { return Ok(None) };
    if !kafka.standby {
        return Ok(None);
    }
    let member = member(config)?;
    let leader = Leader::join(&kafka.election(member)).context("take part in the election of the active instance")?;
    Ok(Some(leader))
}

/// Our name in the group: drawn once, and kept in the data folder.
fn member(config: &Config) -> anyhow::Result<String> {
    let file = config.data_dir.join(MEMBER_FILE);
    let context = || format!("our name in the group, {}", file.display());
    match std::fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() => return Ok(name.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(context),
    }
    let name = format!("{:032x}", u128::from_le_bytes(crate::app::engine::fresh_key().0));
    std::fs::create_dir_all(&config.data_dir).with_context(context)?;
    std::fs::write(&file, format!("{name}\n")).with_context(context)?;
    Ok(name)
}

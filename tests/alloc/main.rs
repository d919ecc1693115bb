//! The hot path is lock-light, and this is the proof by counting: a repeated alert allocates nothing in its shard, and next
//! to nothing on the way there.
//!
//! No lock is taken either, and that needs no counting: `Shard` and `Exchange` own all they touch. `apply` and `route` take
//! `&mut self` and a chunk or a part by value or by reference; neither type holds a mutex, a channel, an atomic that others
//! write to or a reference to anything shared but the rules, which are read-only (`Arc<[WindowRule]>`, cloned at the start).
//! Threads meet in the bounded channels of `pipeline/run`, once per chunk of up to thousands of records.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

mod counting;
#[path = "../../benches/input/mod.rs"]
mod input;

use counting::{Counting, calls};
use input::{ALERTS, Input};
use tidegate::model::fingerprint::HashKey;
use tidegate::model::time::Millis;
use tidegate::pipeline::exchange::{Exchange, Placement};
use tidegate::pipeline::shard::Shard;
use tidegate::pipeline::shard::event::Out;
use tidegate::storm::Shape;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A flood, and the same fingerprints two seconds later, and later again: all repeats.
fn passes(shape: Shape) -> [Input; 3] {
    [0, 2, 4].map(|seconds| Input::later(shape, Millis::seconds(seconds)))
}

#[test]
fn a_repeat_allocates_nothing_in_its_shard() {
    let options = input::options(1);
    let mut shard = Shard::new(&options, HashKey::FIXED);
    let mut out = Out::new(1, false);
    let mut asked = Vec::new();
    for (at, pass) in (0..).zip(passes(Shape::AllDistinct)) {
        let parts = pass.parts(&options, at * u64::from(ALERTS));
        let before = calls();
        for part in &parts {
            shard.apply(part, &mut out);
        }
        asked.push(calls() - before);
        shard.save(false); // The end of an epoch: what changes next is noted anew.
    }
    assert_eq!(out.counts[0].outcomes[2], 2 * u64::from(ALERTS), "two of three passes are folded");
    // The first repeats make room for the notes of what changed, which the later ones use again.
    assert!(asked[0] > u64::from(ALERTS), "a new fingerprint allocates: the allocator counts");
    assert!(asked[1] < 100, "{asked:?}");
    assert_eq!(asked[2], 0, "{asked:?}");
}

#[test]
fn the_way_to_the_shard_allocates_by_the_chunk_not_by_the_alert() {
    let options = input::options(1);
    let mut exchange = Exchange::new(options.clone(), HashKey::FIXED, Placement::default(), true);
    let mut asked = [0; 3];
    for (at, pass) in (0..).zip(passes(Shape::TicketStorm)) {
        for chunk in pass.chunks(&options, at as u64 * u64::from(ALERTS)) {
            let before = calls();
            let routed = exchange.route(chunk);
            asked[at] += calls() - before;
            drop(routed);
        }
    }
    // A part, its arrivals, its arena, the steps, the report grow a few times in each chunk of 1,000 alerts; and label sets
    // that share a place in the cache of identities push each other out and are identified anew.
    assert!(asked[2] > 0 && asked[2] * 5 < u64::from(ALERTS), "{asked:?}");
}

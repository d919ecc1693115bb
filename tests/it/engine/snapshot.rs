//! A start from a local snapshot and what the store has behind it is a start from the store: whatever was sealed, lost in a
//! crash, torn or deleted.

use std::sync::Arc;

use proptest::prelude::*;

use tidegate::model::alert::Format;
use tidegate::model::fingerprint::HashKey;
use tidegate::model::incident::IncidentEvent;
use tidegate::model::time::Timestamp;
use tidegate::pipeline::chunk::StepKind;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::Options;
use tidegate::pipeline::sink::memory::{MemorySink, MemoryStore};
use tidegate::pipeline::sink::{Epoch, EpochSink as _};
use tidegate::pipeline::snapshot::{Crash, Durable, MemoryDisk, Recorder, load, read_back};
use tidegate::pipeline::source::{Batch, RecordRef, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::storm::Shape;

use crate::engine::flood::{Cut, Run, assert_same, lively, options, records, without_epochs};

/// A stretch of epochs, and how it ends.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    epochs: usize,
    /// After so many of them the snapshot is added to.
    sealed_after: usize,
    /// A sweep starts with it.
    sweep: bool,
    crash: Crash,
    deleted: bool,
    shards: usize,
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let crash = prop_oneof![Just(Crash::LosesAll), Just(Crash::LosesNothing), any::<u64>().prop_map(Crash::Tears)];
    let flags = (any::<bool>(), prop::bool::weighted(0.1));
    (1_usize..12, 0_usize..12, flags, crash, 1_usize..5).prop_map(
        |(epochs, sealed_after, (sweep, deleted), crash, shards)| Stretch {
            epochs,
            sealed_after,
            sweep,
            crash,
            deleted,
            shards,
        },
    )
}

/// A daemon with a store that outlives it, and a disk that may not.
struct World {
    options: Options,
    store: MemoryStore,
    disk: MemoryDisk,
    sink: MemorySink,
    recorder: Recorder<MemoryDisk>,
    engine: Engine,
    position: u64,
    /// Starts that used the snapshot.
    n_used: usize,
}

impl World {
    fn new(options: Options) -> Self {
        let (store, disk) = (MemoryStore::new(), MemoryDisk::new());
        let (sink, recorder) = (store.sink(), Recorder::new(disk.clone(), "ours"));
        let engine = engine(&options, Restored::default());
        let mut world = Self { options, store, disk, sink, recorder, engine, position: 0, n_used: 0 };
        world.start(1);
        world
    }

    /// What a start does; and the state that it finds must be that of the store alone.
    fn start(&mut self, shards: usize) {
        self.recorder = Recorder::new(self.disk.clone(), "ours");
        self.sink = self.store.sink();
        self.n_used += usize::from(load(&self.disk, "ours").is_ok_and(|loaded| loaded.is_some()));
        let mut restored = read_back(&mut self.sink, Some(&mut self.recorder)).unwrap();
        let mut whole = Restored::default();
        self.store.blocks().iter().for_each(|block| whole.take_block(&block.bytes).unwrap());
        restored.settle();
        whole.settle();
        assert_eq!(restored.meta, whole.meta);
        assert!(restored.members == whole.members && restored.samples == whole.samples, "members or samples");
        assert!(restored.groups == whole.groups && restored.held == whole.held, "groups");
        assert_eq!(restored.revisions, whole.revisions);
        self.options.shards = shards;
        self.engine = engine(&self.options, restored);
    }

    fn feed(&mut self, records: &[Vec<u8>]) {
        let mut batch = Batch { partitions: vec!["".into()], ..Batch::default() };
        for record in records {
            let position = self.position;
            self.position += 1;
            let (next, time, format) = (self.position, Timestamp::MIN, Format::Native);
            batch.push(record, RecordRef { start: 0, len: 0, partition: 0, position, next, time, format });
        }
        self.engine.feed(SourceIndex(0), batch, Vec::new(), Timestamp(0));
        self.end_epoch();
    }

    fn end_epoch(&mut self) {
        let (epoch, _) = self.engine.end_epoch(Timestamp(0)).unwrap();
        self.sink.commit(&epoch).unwrap();
        let place = self.sink.place();
        let Epoch { number, safe_from, committed_at, blocks, .. } = epoch;
        let blocks = blocks.into_iter().map(|block| block.bytes).collect();
        assert!(self.recorder.take(Durable { epoch: number, place, safe_from, committed_at, blocks }));
    }

    fn events(&self) -> Vec<IncidentEvent> {
        self.store.incidents().iter().map(|record| (*record.event).clone()).collect()
    }
}

fn engine(options: &Options, restored: Restored) -> Engine {
    Engine::new(Start::new(Arc::new(options.clone()), restored, HashKey::FIXED).unwrap(), false)
}

/// Runs a flood through stretches, again and again; how many starts used the snapshot.
fn run(shape: Shape, seed: u64, stretches: &[Stretch]) -> usize {
    let records = records(shape, seed, 1_500, 10.0);
    let expected = Run::whole(options(vec![lively()], 1), &records, Cut { shards: 1, batch: 20, epoch: 1 });
    let mut world = World::new(options(vec![lively()], 1));
    let mut stretches = stretches.iter().cycle();
    let mut batches = records.chunks(20).peekable();
    while batches.peek().is_some() {
        let Some(stretch) = stretches.next() else { break };
        for (n, batch) in batches.by_ref().take(stretch.epochs).enumerate() {
            if stretch.sweep && n == 0 {
                world.engine.sweep_soon();
            }
            world.feed(batch);
            if n == stretch.sealed_after {
                world.recorder.seal().unwrap();
            }
        }
        world.disk.crash(stretch.crash);
        if stretch.deleted {
            world.disk.clear();
        }
        world.start(stretch.shards);
    }
    world.engine.step(StepKind::RunOut);
    world.end_epoch();
    assert_same(&without_epochs(&world.events()), &without_epochs(&expected.events), "with a snapshot");
    world.n_used
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_snapshot_and_what_is_behind_it_are_the_whole(
        shape in prop::sample::select(Shape::ALL.to_vec()),
        seed in 0_u64..1_000,
        stretches in prop::collection::vec(stretch(), 1..8),
    ) {
        run(shape, seed, &stretches);
    }
}

#[test]
fn most_starts_use_it() {
    let sealed =
        Stretch { epochs: 6, sealed_after: 3, sweep: false, crash: Crash::LosesAll, deleted: false, shards: 3 };
    let swept = Stretch { sweep: true, sealed_after: 5, ..sealed };
    let n_used = run(Shape::TicketStorm, 7, &[sealed, sealed, swept]);
    assert_eq!(n_used, 75_usize.div_ceil(6), "after every stretch");
}

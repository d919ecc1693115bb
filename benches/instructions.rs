//! How many instructions the hot rooms take, counted by valgrind: nearly the same in every run, on a busy machine too.
//!
//! One function per room, one case per kind of input; what happens before the call is not counted, nor is what is dropped
//! after it. `.ci/check-instructions` compares the counts with those in `benches/results/instructions.json`. They say
//! nothing about memory: a change with fewer instructions that misses the cache more looks better here than it is.

#![allow(missing_docs, reason = "gungraun's macros make public modules")]

mod input;

use std::hint::black_box;

use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use input::Input;
use input::alerts::Packing;
use input::groups::{Groups, apply};
use input::rules::ruled;
use tidegate::model::alert::{Format, Status};
use tidegate::model::fingerprint::HashKey;
use tidegate::model::labels;
use tidegate::model::time::{Millis, Timestamp};
use tidegate::pipeline::chunk::Part;
use tidegate::pipeline::correlate::Correlator;
use tidegate::pipeline::decode::{Decoder, Limits, Scanner};
use tidegate::pipeline::exchange::{Chunk, Exchange, Placement, Routed};
use tidegate::pipeline::identify::Identifier;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::shard::Shard;
use tidegate::pipeline::shard::event::{GroupEvent, Out};
use tidegate::pipeline::sink::memory::{MemorySink, MemoryStore};
use tidegate::pipeline::sink::{Block, Epoch, EpochSink, IncidentRecord};
use tidegate::pipeline::source::SourceIndex;
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::storm::Shape;

/// Alerts of a flood: few, as valgrind is some forty times as slow as the processor.
const ALERTS: u32 = 4_000;

/// Alerts of a decoding case.
const DECODED: usize = 2_000;

/// Groups of one alert each.
const GROUPS: u32 = 2_000;

fn flood(shape: Shape) -> Input {
    Input::sized(shape, Millis(0), ALERTS)
}

/// Records and how they are packed.
struct Records {
    format: Format,
    records: Vec<Vec<u8>>,
}

fn records(packing: Packing) -> Records {
    Records { format: packing.format, records: packing.records(DECODED) }
}

/// A scanner whose memory has grown to these records, but to which no label text is known.
fn scanner(packing: Packing) -> (Scanner<()>, Records) {
    let mut case = (Scanner::default(), records(packing));
    assert_eq!(scan_all(&mut case), DECODED, "the scanner takes all of {packing:?}");
    case
}

fn scan_all((scanner, records): &mut (Scanner<()>, Records)) -> usize {
    let mut scan = |record| black_box(scanner.scan(records.format, record, |_| None)).map_or(0, <[_]>::len);
    records.records.iter().map(|record| scan(record)).sum()
}

#[library_benchmark]
#[bench::native(scanner(Packing::NATIVE))]
#[bench::native_pretty(scanner(Packing::NATIVE_PRETTY))]
#[bench::v2(scanner(Packing::V2))]
#[bench::webhook(scanner(Packing::WEBHOOK))]
fn scan(mut case: (Scanner<()>, Records)) -> (usize, (Scanner<()>, Records)) {
    (scan_all(&mut case), case)
}

fn decoder(packing: Packing) -> (Decoder, Records) {
    let mut case = (Decoder::new(Limits::default()), records(packing));
    assert_eq!(decode_all(&mut case), DECODED, "the decoder takes all of {packing:?}");
    case
}

fn decode_all((decoder, records): &mut (Decoder, Records)) -> usize {
    let mut n_alerts = 0;
    for record in &records.records {
        let decoded = decoder.decode(records.format, record, |_, alert| {
            n_alerts += usize::from(black_box(alert).is_ok());
        });
        decoded.expect("every record of the bench is valid");
    }
    n_alerts
}

#[library_benchmark]
#[bench::native(decoder(Packing::NATIVE))]
#[bench::native_pretty(decoder(Packing::NATIVE_PRETTY))]
#[bench::v2(decoder(Packing::V2))]
#[bench::webhook(decoder(Packing::WEBHOOK))]
fn decode(mut case: (Decoder, Records)) -> (usize, (Decoder, Records)) {
    (decode_all(&mut case), case)
}

/// Label sets, and who is asked about them.
struct Identifying {
    identifier: Identifier,
    sets: Vec<Vec<u8>>,
}

fn strangers(shape: Shape, n_rules: usize) -> Identifying {
    let mut decoder = Decoder::new(Limits::default());
    let mut sets = Vec::new();
    for record in flood(shape).records() {
        let decoded = decoder.decode(Format::Native, record, |_, alert| {
            let mut set = Vec::new();
            labels::encode(alert.expect("every alert of a flood is valid").labels.iter().copied(), &mut set);
            sets.push(set);
        });
        decoded.expect("every record of a flood is valid");
    }
    Identifying { identifier: Identifier::new(&ruled(1, n_rules), HashKey::FIXED), sets }
}

fn acquaintances(shape: Shape) -> Identifying {
    let mut case = strangers(shape, 1);
    identify_all(&mut case);
    case
}

fn identify_all(case: &mut Identifying) {
    for set in &case.sets {
        black_box(case.identifier.identify(SourceIndex(0), set));
    }
}

#[library_benchmark]
#[bench::known(acquaintances(Shape::TicketStorm))]
#[bench::new(strangers(Shape::AllDistinct, 1))]
#[bench::new_1000_rules(strangers(Shape::AllDistinct, 1_000))]
fn identify(mut case: Identifying) -> Identifying {
    identify_all(&mut case);
    case
}

/// Chunks for an exchange that has met them before, or not.
fn routing(shape: Shape, is_known: bool) -> (Exchange, Vec<Chunk>) {
    let options = input::options(4);
    let mut exchange = Exchange::new(options.clone(), HashKey::FIXED, Placement::default(), true);
    let input = flood(shape);
    if is_known {
        input.chunks(&options, 0).into_iter().for_each(|chunk| drop(exchange.route(chunk)));
    }
    (exchange, input.chunks(&options, 0))
}

#[library_benchmark]
#[bench::repeats(routing(Shape::TicketStorm, true))]
#[bench::all_distinct(routing(Shape::AllDistinct, false))]
fn exchange(case: (Exchange, Vec<Chunk>)) -> (Exchange, Vec<Routed>) {
    let (mut exchange, chunks) = case;
    let routed = chunks.into_iter().map(|chunk| exchange.route(chunk)).collect();
    (exchange, routed)
}

/// A shard that has seen `before` and written it down.
fn seasoned(before: &[&[Part]], now: Vec<Part>) -> (Shard, Vec<Part>) {
    assert!(now.iter().any(|part| !(part.arrivals.is_empty() && part.steps.is_empty())), "the case is not empty");
    let mut shard = Shard::new(&input::options(1), HashKey::FIXED);
    before.iter().for_each(|parts| drop(apply(&mut shard, parts)));
    shard.save(false);
    (shard, now)
}

fn repeats() -> (Shard, Vec<Part>) {
    let options = input::options(1);
    let again = Input::sized(Shape::TicketStorm, Millis::seconds(2), ALERTS).parts(&options, u64::from(ALERTS));
    seasoned(&[&flood(Shape::TicketStorm).parts(&options, 0)], again)
}

fn all_distinct() -> (Shard, Vec<Part>) {
    seasoned(&[], flood(Shape::AllDistinct).parts(&input::options(1), 0))
}

fn resolves() -> (Shard, Vec<Part>) {
    let is_resolves = |part: &Part| part.arrivals.iter().all(|arrival| arrival.status == Status::Resolved);
    let parts = flood(Shape::ResolveFlood).parts(&input::options(1), 0);
    let (resolves, fires): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(is_resolves);
    seasoned(&[&fires], resolves)
}

fn closing() -> (Shard, Vec<Part>) {
    let groups = Groups::new(&input::options(1), GROUPS);
    seasoned(&[&groups.fire], groups.close)
}

fn reopening() -> (Shard, Vec<Part>) {
    let Groups { fire, resolve, close, again, .. } = Groups::new(&input::options(1), GROUPS);
    seasoned(&[&fire, &resolve, &close], again)
}

#[library_benchmark]
#[bench::repeats(repeats())]
#[bench::all_distinct(all_distinct())]
#[bench::resolves(resolves())]
#[bench::windows_close(closing())]
#[bench::windows_reopen(reopening())]
fn shard(case: (Shard, Vec<Part>)) -> (Shard, Vec<Part>, Out) {
    let (mut shard, parts) = case;
    let out = apply(&mut shard, &parts);
    (shard, parts, out)
}

fn group_events() -> Vec<GroupEvent> {
    let (mut shard, parts) = all_distinct();
    let mut events = apply(&mut shard, &parts).events;
    let groups = Groups::new(&input::options(1), GROUPS);
    events.extend(apply(&mut shard, &groups.fire).events);
    events.extend(apply(&mut shard, &groups.close).events);
    assert!(events.len() > GROUPS as usize, "there is something to correlate");
    events
}

#[library_benchmark]
#[bench::group_events(group_events())]
fn correlate(events: Vec<GroupEvent>) -> (Correlator, Vec<IncidentRecord>) {
    let mut correlator = Correlator::default();
    let incidents = correlator.fold(events, 1, Timestamp(0));
    (correlator, incidents)
}

fn unsaved(case: (Shard, Vec<Part>)) -> Shard {
    let (mut shard, parts) = case;
    apply(&mut shard, &parts);
    shard
}

#[library_benchmark]
#[bench::new(unsaved(all_distinct()))]
#[bench::repeats(unsaved(repeats()))]
fn state(mut shard: Shard) -> (Shard, Vec<Block>) {
    let blocks = shard.save(false).entries.finish(1);
    (shard, blocks)
}

/// The whole engine on one thread, and a sink that keeps nothing.
struct Pipeline {
    engine: Engine,
    sink: MemorySink,
    chunks: Vec<Chunk>,
    wall: Timestamp,
}

impl Pipeline {
    fn of(shape: Shape) -> Self {
        let options = input::options(1);
        let start = Start::new(options.clone(), Restored::default(), HashKey::FIXED).expect("an empty state is whole");
        let chunks = flood(shape).chunks(&options, 0);
        let wall = chunks.last().expect("a flood is not empty").wall;
        let mut sink = MemoryStore::counting().sink();
        sink.restore(&mut |_| Ok(())).expect("the store is empty");
        Self { engine: Engine::new(start, false), sink, chunks, wall }
    }

    fn fed(mut self) -> Self {
        for chunk in std::mem::take(&mut self.chunks) {
            self.engine.feed(SourceIndex(0), chunk.batch, chunk.steps, chunk.wall);
        }
        self
    }

    fn close(mut self) -> (Self, Epoch) {
        let (epoch, _) = self.engine.end_epoch(self.wall).expect("every alert is accounted for");
        self.sink.commit(&epoch).expect("the memory sink takes it");
        (self, epoch)
    }
}

#[library_benchmark]
#[bench::ticket_storm(Pipeline::of(Shape::TicketStorm).fed())]
#[bench::all_distinct(Pipeline::of(Shape::AllDistinct).fed())]
fn epoch(case: Pipeline) -> (Pipeline, Epoch) {
    case.close()
}

#[library_benchmark]
#[bench::ticket_storm(Pipeline::of(Shape::TicketStorm))]
#[bench::all_distinct(Pipeline::of(Shape::AllDistinct))]
fn pipeline(case: Pipeline) -> (Pipeline, Epoch) {
    case.fed().close()
}

library_benchmark_group!(
    name = rooms,
    benchmarks = [scan, decode, identify, exchange, shard, correlate, state, epoch, pipeline]
);

// glibc copies with `rep movsb` where it may (ERMS). Valgrind counts an instruction per byte for that, so that a large copy
// would look far dearer than it is; which sizes are copied so is a matter of the C library's version too.
main!(
    config = LibraryBenchmarkConfig::default()
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS")
        .tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = rooms
);

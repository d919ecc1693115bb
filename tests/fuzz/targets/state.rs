//! Blocks of state: a damaged one is refused whole; one that is sound in form and nonsense in content is refused, or an engine
//! goes on from it.
//!
//! First byte `0`: the rest is a block. Otherwise the rest is the entries of a block, to which a header that fits is made, so that
//! the readers behind the checksum are asked, too. `tests/it/engine/content.rs` does the same to whole states, field by field.

use tidegate::model::HashKey;
use tidegate::model::alert::Format;
use tidegate::model::time::Timestamp;
use tidegate::pipeline::chunk::StepKind;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::source::SourceIndex;
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::Restored;
use tidegate::pipeline::state::block::VERSION;

use crate::targets::engine;

/// Bytes of a header.
const HEADER: usize = 24;

/// What stands for something in a block: tags, lengths, numbers.
pub(crate) const PIECES: &[&str] = &[
    "TGST",
    "\u{1}",
    "\u{0}",
    "\u{8}",
    "\u{a}",
    "\u{12}",
    "\u{1a}",
    "\u{22}",
    "\u{7f}",
    "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}",
    "records",
    "payload",
    "default",
    "held",
    "{\"a\":1}",
];

/// What a short run writes, as blocks and as entries.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let start = Start::new(engine::options(), Restored::default(), HashKey::FIXED).unwrap();
    let mut run = Engine::new(start, false);
    let alerts = [
        r#"{"labels":{"alertname":"A","host":"x"},"annotations":{"s":"t"}}"#,
        r#"{"labels":{"a":"1","host":"x"}}"#,
        r#"{"labels":{"alertname":"A","host":"y","severity":"critical"}}"#,
        r#"{"labels":{"alertname":"A","host":"x"},"status":"resolved"}"#,
    ];
    let mut seeds = Vec::new();
    for (number, alert) in (0..).zip(alerts) {
        let records = [(Format::Native, alert.as_bytes())];
        run.feed(SourceIndex(0), engine::batch(&records, number), Vec::new(), Timestamp(1_800_000_000_000));
        run.step(StepKind::Wall { to: Timestamp(1_800_000_000_000 + 20_000 * number as i64) });
        let (epoch, _) = run.end_epoch(Timestamp(5)).unwrap();
        for block in epoch.blocks {
            seeds.push([b"0", block.bytes.as_slice()].concat());
            seeds.push([b"1", &block.bytes[HEADER..]].concat());
        }
    }
    seeds
}

fn sealed(entries: &[u8]) -> Vec<u8> {
    let epoch = 1_u64.to_le_bytes();
    let mut crc = crc32fast::Hasher::new();
    crc.update(&epoch);
    crc.update(entries);
    let (crc, len) = (crc.finalize().to_le_bytes(), (entries.len() as u32).to_le_bytes());
    [b"TGST".as_slice(), &VERSION.to_le_bytes(), &[0, 0], &epoch, &crc, &len, entries].concat()
}

pub(crate) fn check(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    let block = if *kind == b'0' { bytes.to_vec() } else { sealed(bytes) };
    let mut restored = Restored::default();
    if restored.take_block(&block).is_err() {
        assert_eq!((restored.n_blocks, restored.meta), (0, None), "refused whole");
        return;
    }
    let Ok(start) = Start::new(engine::options(), restored, HashKey::FIXED) else { return };
    let mut run = Engine::new(start, false);
    let records: [(Format, &[u8]); 2] = [
        (Format::Native, br#"{"labels":{"alertname":"A","host":"x"}}"#),
        (Format::Native, br#"{"labels":{"a":"1","host":"x"},"status":"resolved"}"#),
    ];
    run.feed(SourceIndex(0), engine::batch(&records, 0), Vec::new(), Timestamp(1_800_000_000_000));
    run.step(StepKind::RunOut);
    run.end_epoch(Timestamp(9)).expect("what is received is accounted for");
}

//! Makes inputs of seeds and pieces by damage, shrinks what fails, and keeps it.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use tidegate::model::time::Stopwatch;

/// For how long each target is asked, instead of a number of inputs.
const SECONDS: &str = "TIDEGATE_FUZZ_SECONDS";
/// A folder to which the seeds of each target are written, for a fuzzer that is led by coverage.
const EXPORT: &str = "TIDEGATE_FUZZ_EXPORT";
/// Damages of one input at most: more make noise of it, which every reader refuses at its first byte.
const DAMAGES_MAX: usize = 8;
/// Bytes of an input at most, so that copies of copies end.
const BYTES_MAX: usize = 64 << 10;

/// A reader and what it is asked about.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Inputs that its reader takes, or nearly.
    pub(crate) seeds: Vec<Vec<u8>>,
    /// What stands for something in its language.
    pub(crate) pieces: &'static [&'static str],
    /// Panics if the reader does, or says something that cannot be.
    pub(crate) check: fn(&[u8]),
}

#[derive(Clone, Debug)]
enum Damage {
    Insert(usize, usize),
    Replace(usize, u8),
    Flip(usize, u8),
    Cut(usize, usize),
    Copy(usize, usize, usize),
    /// The beginning of this and the end of another seed.
    Cross(usize, usize, usize),
    Repeat(usize, usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<usize>;
    prop_oneof![
        4 => (place(), place()).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        2 => (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        1 => (place(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (place(), 0..40_usize).prop_map(|(at, len)| Damage::Cut(at, len)),
        2 => (place(), place(), 0..60_usize).prop_map(|(from, to, len)| Damage::Copy(from, to, len)),
        1 => (place(), place(), place()).prop_map(|(at, other, from)| Damage::Cross(at, other, from)),
        1 => (place(), 1..12_usize, 2..200_usize).prop_map(|(at, len, times)| Damage::Repeat(at, len, times)),
    ]
}

impl Target {
    /// Asks about every file that is kept, then about so many inputs, or for the time that is asked for.
    pub(crate) fn run(&self, n_inputs: u32) {
        let kept = self.kept();
        for (path, input) in &kept {
            let asked = catch_unwind(|| (self.check)(input));
            assert!(asked.is_ok(), "{} fails at {}", self.name, path.display());
        }
        self.seeds.iter().for_each(|seed| (self.check)(seed));
        if let Some(folder) = std::env::var_os(EXPORT) {
            self.export(&Path::new(&folder).join(self.name), &kept);
        }
        let seconds = std::env::var(SECONDS).ok().map(|text| text.parse().expect("a number of seconds"));
        let (watch, n) = (Stopwatch::start(), Cell::new(0_u64));
        let seeds: Vec<&[u8]> =
            self.seeds.iter().chain(kept.iter().map(|(_, input)| input)).map(Vec::as_slice).collect();
        loop {
            self.ask(&seeds, n_inputs, &n);
            if seconds.is_none_or(|seconds| watch.elapsed() >= Duration::from_secs(seconds)) {
                break;
            }
        }
        let (n, elapsed) = (n.get(), watch.elapsed());
        println!("{}: {n} inputs from {} seeds in {elapsed:.1?}, no finding", self.name, seeds.len());
    }

    fn ask(&self, seeds: &[&[u8]], n_inputs: u32, n: &Cell<u64>) {
        let config =
            Config { cases: n_inputs, failure_persistence: None, max_shrink_time: 30_000, ..Config::default() };
        let strategy = (any::<usize>(), prop::collection::vec(damage(), 0..DAMAGES_MAX));
        let failed = RefCell::new(Vec::new());
        let result = TestRunner::new(config).run(&strategy, |(seed, damages)| {
            let mut input = seeds.get(seed % seeds.len().max(1)).map_or_else(Vec::new, |seed| seed.to_vec());
            damages.iter().for_each(|damage| self.apply(damage, seeds, &mut input));
            n.set(n.get() + 1);
            catch_unwind(AssertUnwindSafe(|| (self.check)(&input))).map_err(|_| {
                failed.replace(input);
                TestCaseError::fail("see above")
            })
        });
        match result {
            Ok(()) => {}
            Err(TestError::Abort(reason)) => panic!("{}: {reason}", self.name),
            Err(TestError::Fail(..)) => {
                let input = failed.into_inner();
                let place = self.keep(&input);
                panic!(
                    "{} fails at {:?}\nkept as {}; once it is mended, move it to tests/fuzz/regressions/{}/ under a name that \
                     says what it is",
                    self.name,
                    String::from_utf8_lossy(&input),
                    place.display(),
                    self.name
                );
            }
        }
    }

    fn apply(&self, damage: &Damage, seeds: &[&[u8]], input: &mut Vec<u8>) {
        let end = input.len() + 1;
        let stretch = |from: usize, len: usize| from % end..(from % end + len).min(end - 1);
        match *damage {
            Damage::Insert(at, piece) => {
                let piece = self.pieces.get(piece % self.pieces.len().max(1)).copied().unwrap_or_default();
                drop(input.splice(at % end..at % end, piece.bytes()));
            }
            Damage::Replace(at, byte) if end > 1 => input[at % (end - 1)] = byte,
            Damage::Flip(at, bit) if end > 1 => input[at % (end - 1)] ^= 1 << bit,
            Damage::Replace(..) | Damage::Flip(..) => {}
            Damage::Cut(at, len) => drop(input.drain(stretch(at, len))),
            Damage::Copy(from, to, len) => {
                let piece = input[stretch(from, len)].to_vec();
                drop(input.splice(to % end..to % end, piece));
            }
            Damage::Cross(at, other, from) => {
                let other = seeds[other % seeds.len()];
                input.truncate(at % end);
                input.extend_from_slice(&other[from % (other.len() + 1)..]);
            }
            Damage::Repeat(at, len, times) => {
                let piece = input[stretch(at, len)].repeat(times);
                drop(input.splice(at % end..at % end, piece));
            }
        }
        input.truncate(BYTES_MAX);
    }

    /// What was found once and is mended.
    fn kept(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/regressions").join(self.name);
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    fn export(&self, folder: &Path, kept: &[(PathBuf, Vec<u8>)]) {
        std::fs::create_dir_all(folder).unwrap();
        for (number, seed) in self.seeds.iter().chain(kept.iter().map(|(_, input)| input)).enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }

    fn keep(&self, input: &[u8]) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(self.name);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{:08x}", crc32fast::hash(input)));
        std::fs::write(&path, input).unwrap();
        path
    }
}

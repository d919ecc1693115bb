//! Panics on purpose, so that tests can see what a panic leads to in the real program, thread by thread.
//!
//! Nothing of it is in a release: without `debug_assertions` the body is empty and the name of the variable is nowhere in the
//! program, which `.ci/run` (step `build`) looks for. In a test build it is armed by `TIDEGATE_TEST_PANIC=STAGE:TEXT`: the
//! stage panics when it turns to something that contains the text. Unit tests arm it with `arm`.

/// Where a trap may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A record is looked at ahead, among others.
    Scan,
    /// A record is decoded and routed.
    Decode,
    /// A shard takes an alert of the record.
    Shard,
    /// Level 2 takes an event; the text is that of its group labels.
    Correlate,
}

/// A thread turns to something; `text` is read only where a trap lies.
#[cfg(debug_assertions)]
pub(super) fn step(stage: Stage, text: impl FnOnce() -> Vec<u8>) {
    armed::step(stage, text);
}

/// Nothing: this is a release.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(super) fn step(_stage: Stage, _text: impl FnOnce() -> Vec<u8>) {}

/// From now on the stage panics at this text, in all threads. Tests run beside each other: the text has to be the test's own.
#[cfg(all(test, debug_assertions))]
pub(super) fn arm(stage: Stage, text: &str) {
    armed::arm(stage, text);
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;

    use super::Stage;

    /// What arms it from outside.
    const VARIABLE: &str = "TIDEGATE_TEST_PANIC";

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Trap {
        stage: Stage,
        text: Vec<u8>,
    }

    static FROM_OUTSIDE: LazyLock<Option<Trap>> =
        LazyLock::new(|| std::env::var(VARIABLE).ok().and_then(|value| parse(&value)));

    #[cfg(test)]
    static OF_TESTS: std::sync::RwLock<Vec<Trap>> = std::sync::RwLock::new(Vec::new());

    fn parse(value: &str) -> Option<Trap> {
        let (stage, text) = value.split_once(':')?;
        let stage = match stage {
            "scan" => Stage::Scan,
            "decode" => Stage::Decode,
            "shard" => Stage::Shard,
            "correlate" => Stage::Correlate,
            _ => return None,
        };
        (!text.is_empty()).then(|| Trap { stage, text: text.as_bytes().to_vec() })
    }

    #[cfg(test)]
    pub(super) fn arm(stage: Stage, text: &str) {
        let mut traps = OF_TESTS.write().expect("nobody panics while holding it");
        traps.push(Trap { stage, text: text.as_bytes().to_vec() });
    }

    pub(super) fn step(stage: Stage, text: impl FnOnce() -> Vec<u8>) {
        #[cfg(test)]
        let more = OF_TESTS.read().expect("nobody panics while holding it").clone();
        #[cfg(not(test))]
        let more: [Trap; 0] = [];
        let mut traps = FROM_OUTSIDE.iter().chain(&more).filter(|trap| trap.stage == stage).peekable();
        if traps.peek().is_none() {
            return;
        }
        let text = text();
        for trap in traps {
            let is_in = memchr::memmem::find(&text, &trap.text).is_some();
            assert!(!is_in, "stepped into the trap {:?} {}", trap.stage, trap.text.escape_ascii());
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_a_stage_and_a_text_make_a_trap() {
            let trap = |stage, text: &str| Some(Trap { stage, text: text.as_bytes().to_vec() });
            assert_eq!(parse("shard:a:b"), trap(Stage::Shard, "a:b"));
            assert_eq!(parse("scan:x"), trap(Stage::Scan, "x"));
            assert_eq!(parse("decode:x"), trap(Stage::Decode, "x"));
            assert_eq!(parse("correlate:x"), trap(Stage::Correlate, "x"));
            for value in ["", "shard", "shard:", "x:y"] {
                assert_eq!(parse(value), None, "{value}");
            }
        }
    }
}

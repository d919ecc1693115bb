//! `configuration` of `tests/fuzz/targets`, led by coverage.
#![no_main]

#[path = "../../tests/fuzz/targets/mod.rs"]
#[allow(dead_code, reason = "each program asks one of them")]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::configuration::check(input));

//! JSON itself: what is a text in the sense of RFC 8259 and what is not, where serde_json is the judge.

use super::{decode, record_of};
use crate::model::alert::Format;
use crate::pipeline::decode::{Limits, Reject};

/// Values that RFC 8259 allows, by its sections: values, objects, arrays, numbers, strings.
const VALID: [&str; 43] = [
    "null",
    "true",
    "false",
    "{}",
    "[]",
    " \t\n\r[ \t\n\r] \t\n\r",
    "[null,true,false]",
    r#"{"a":1,"a":2}"#,
    r#"{"":""}"#,
    r#"{ "a" : { "b" : [ ] } , "c" : 0 }"#,
    "[[[[]]],{}]",
    "[0]",
    "[-0]",
    "[-0.0]",
    "[10]",
    "[-12]",
    "[1.5]",
    "[0.001]",
    "[1e2]",
    "[1E+2]",
    "[1e-2]",
    "[0e0]",
    "[0E+00]",
    "[-1.25e-3]",
    "[9007199254740993]",
    "[9223372036854775807]",
    "[-9223372036854775808]",
    "[18446744073709551615]",
    "[18446744073709551616]",
    "[-9223372036854775809]",
    "[123456789012345678901234567890]",
    "[1e-400]",
    "[0.1234567890123456789012345]",
    r#"[""]"#,
    r#"["\"\\\/\b\f\n\r\t"]"#,
    r#"["\u0041\u00e4\u20ac"]"#,
    r#"["\ud83d\ude00"]"#,
    r#"["\u0000"]"#,
    r#"["\uFFFF\uffff"]"#,
    "[\"\u{7f}\"]",
    "[\"äöü € 😀\"]",
    "[\"\u{2028}\u{2029}\"]",
    r#"["a/b"]"#,
];

/// Texts that break one rule of it each.
const INVALID: [&str; 84] = [
    "nul",
    "True",
    "nulll",
    "truefalse",
    "{",
    "}",
    "[",
    "]",
    "[]]",
    "{}}",
    "[}",
    "{]",
    "[1,]",
    "[,1]",
    "[1,,2]",
    "[1 2]",
    "[1:2]",
    r#"{"a"}"#,
    r#"{"a":}"#,
    r#"{"a":1,}"#,
    r#"{,"a":1}"#,
    r#"{"a" 1}"#,
    r#"{"a":1 "b":2}"#,
    r#"{"a"::1}"#,
    "{a:1}",
    "{1:1}",
    "{null:1}",
    r#"{'a':1}"#,
    "['a']",
    "[undefined]",
    "[NaN]",
    "[Infinity]",
    "[-Infinity]",
    "[01]",
    "[-01]",
    "[00]",
    "[1.]",
    "[.5]",
    "[-.5]",
    "[-]",
    "[+1]",
    "[--1]",
    "[1e]",
    "[1e+]",
    "[1e1.5]",
    "[1.2.3]",
    "[0x10]",
    "[1_000]",
    "[1a]",
    "[1e999]",
    "[-1e999]",
    r#"["]"#,
    r#"["a]"#,
    r#"["\"]"#,
    r#"["\x41"]"#,
    r#"["\'"]"#,
    r#"["\a"]"#,
    r#"["\u12"]"#,
    r#"["\u12g4"]"#,
    r#"["\U0041"]"#,
    r#"["\ud800"]"#,
    r#"["\ud800x"]"#,
    r#"["\ud800\n"]"#,
    r#"["\udc00"]"#,
    r#"["\ud800\ud800"]"#,
    r#"["\ud83d\u0041"]"#,
    "[\"\n\"]",
    "[\"\t\"]",
    "[\"\0\"]",
    "[\"\u{1f}\"]",
    "[\u{a0}1]",
    "[1]\u{b}",
    "[1]\0",
    "\0[1]",
    "[\0]",
    "[1]\u{c}2",
    "[1] x",
    "[1]//",
    "/**/[1]",
    "[1]#",
    "# comment\n[1]",
    "\u{feff}\u{feff}[]",
    "\"a",
    "a\"",
];

/// The alert with `value` in a place that is never looked at.
fn around(value: &str) -> String {
    format!(r#"{{"labels":{{"a":"b"}},"other":{value}}}"#)
}

#[test]
fn agrees_with_serde_json_on_what_is_json() {
    for text in VALID.into_iter().chain(INVALID) {
        let expected = serde_json::from_str::<serde_json::Value>(text).is_ok();
        assert_eq!(expected, VALID.contains(&text), "the list is wrong about {text:?}");
        let whole = decode(Format::Native, text);
        let taken = !matches!(whole, Err(reject) if reject != Reject::WrongShape);
        assert_eq!(taken, expected, "{text:?}: {whole:?}");
        // Inside an alert the text may mean something else (`1}` ends it), so serde_json is asked again.
        let inside = around(text);
        let expected = serde_json::from_str::<serde_json::Value>(&inside).is_ok();
        let decoded = decode(Format::Native, &inside);
        assert_eq!(decoded.is_ok_and(|elements| elements.iter().all(Result::is_ok)), expected, "{inside:?}");
    }
}

#[test]
fn agrees_wherever_the_text_lies_in_the_parsers_blocks() {
    for text in INVALID.into_iter().chain(VALID) {
        for padding in 1..130 {
            let inside = format!(r#"{{"labels":{{"a":"{}"}},"other":{text}}}"#, "x".repeat(padding));
            let expected = serde_json::from_str::<serde_json::Value>(&inside).is_ok();
            let decoded = decode(Format::Native, &inside);
            assert_eq!(decoded.is_ok_and(|elements| elements.iter().all(Result::is_ok)), expected, "{inside:?}");
        }
    }
}

#[test]
fn surrogates_pair_up_or_are_malformed() {
    for (escaped, expected) in [
        (r"\ud83d\ude00", Ok("😀")),
        (r"\ud834\udd1e.", Ok("\u{1d11e}.")),
        (r"\ud800", Err(Reject::MalformedJson)),
        (r"\udc00", Err(Reject::MalformedJson)),
        (r"\udc00\ud800", Err(Reject::MalformedJson)),
        (r"\ud800\u0041", Err(Reject::MalformedJson)),
        (r"\ud800\ud800", Err(Reject::MalformedJson)),
    ] {
        let found = decode(Format::Native, format!(r#"{{"labels":{{"a":"{escaped}"}}}}"#));
        let found = found.map(|mut elements| elements.pop().unwrap().unwrap().labels.swap_remove(0).1);
        assert_eq!(found, expected.map(str::to_owned), "{escaped}");
    }
}

#[test]
fn thirty_two_levels_are_the_limit() {
    for (levels, is_ok) in [(31, true), (32, true), (33, false), (34, false), (200, false), (100_000, false)] {
        // One level is the alert itself.
        let arrays = format!("{}{}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(levels - 1), "}".repeat(levels - 1));
        for value in [arrays, objects] {
            let decoded = decode(Format::Native, around(&value)).map(|elements| elements.len());
            assert_eq!(decoded, if is_ok { Ok(1) } else { Err(Reject::TooDeep) }, "{levels}");
        }
    }
    assert_eq!(Limits::MAX_DEPTH, 32);
}

/// Every piece of a valid record, and every record with one byte changed, has an answer and not a panic.
#[test]
fn torn_and_damaged_records_are_rejected_without_panic() {
    let alert = r#"{"labels":{"a":"b\n\u0026ä"},"annotations":{"x":"y","n":[1.5,-2e3,null,{"t":true}]},"status":"resolved",
"startsAt":"2026-11-22T08:00:00Z","endsAt":"2026-11-22T09:00:00Z","generatorURL":"http://x/\ud83d\ude00"}"#;
    for format in Format::ALL {
        let record = record_of(format, alert).into_bytes();
        for end in 0..record.len() {
            let decoded = decode(format, record.get(..end).unwrap());
            assert!(decoded.is_err(), "{format:?} torn at {end}: {decoded:?}");
        }
        for index in 0..record.len() {
            for byte in [0, b'"', b'\\', b'{', b']', b',', b'\n', b'9', 0x80, 0xff] {
                let mut damaged = record.clone();
                *damaged.get_mut(index).unwrap() = byte;
                let decoded = decode(format, &damaged);
                let is_json = serde_json::from_slice::<serde_json::Value>(&damaged).is_ok();
                // One tear between two lines may leave a line that is an object; this record has none.
                assert!(is_json || decoded.is_err(), "{format:?} {byte:#x} at {index}: {decoded:?}");
                assert!(!is_json || !matches!(decoded, Err(Reject::MalformedJson)), "{format:?} {byte:#x} at {index}");
            }
        }
    }
    for end in 0..alert.len() {
        assert!(decode(Format::Native, alert.as_bytes().get(..end).unwrap()).is_err(), "torn at {end}");
    }
}

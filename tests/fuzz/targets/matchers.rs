//! Matchers: what is read is shown, and what is shown is read as the same.

use tidegate::model::Matcher;

/// What stands for something among matchers.
pub(crate) const PIECES: &[&str] = &[
    "=",
    "!=",
    "=~",
    "!~",
    "{",
    "}",
    ",",
    "\"",
    "\\\"",
    "\\\\",
    "\\n",
    "\\x",
    "\\u{1b}",
    " ",
    "\n",
    "a",
    "größe",
    ".*",
    "(",
    ")",
    "|",
    "[a-z]+",
    "(?i)",
    "(?x)#",
    "^",
    "$",
    "{2,3}",
    "a{1000}",
    "'",
    "`",
    "\u{1b}",
    "\u{202e}",
    "\u{0}",
    "😀",
    "a=\"b\"",
    "\"a b\"=\"c\"",
];

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        r#"severity="critical""#,
        r#"{severity="critical", service=~"checkout.*", "a b"!~"x|y\\.z",}"#,
        "severity=critical,größe!=ja",
        r#"a="line\nbreak \"quoted\" back\\slash""#,
        r#"service=~"a|checkout-api""#,
        "absent=",
        "{}",
        "",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Matcher::parse_all(text) {
        Err(error) => assert!(text.is_char_boundary(error.at), "{} is no place in it: {}", error.at, error.what),
        Ok(matchers) => {
            let shown: Vec<String> = matchers.iter().map(ToString::to_string).collect();
            let again = Matcher::parse_all(&shown.join(",")).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
            assert_eq!(again.iter().map(ToString::to_string).collect::<Vec<_>>(), shown);
            assert_eq!(again.len(), matchers.len());
            let values = ["", "a", "b", "critical", "x|y", "line\nbreak", "😀", text];
            for (one, other) in matchers.iter().zip(&again) {
                assert_eq!((one.name(), one.wanted()), (other.name(), other.wanted()));
                for value in values {
                    assert_eq!(one.matches_value(value), other.matches_value(value), "{one} on {value:?}");
                }
            }
        }
    }
}

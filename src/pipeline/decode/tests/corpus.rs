//! Texts for every rule of RFC 8259, each named by its section and what it tries: valid ones, invalid ones, and those that the
//! RFC leaves to the reader. Written from its grammar; large families are generated.

use std::fmt::Write as _;

/// What RFC 8259 says of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Valid,
    Invalid,
    /// It is up to the reader: limits (section 9), names that come twice (4), range of numbers (6), half surrogates (8.2), a
    /// byte order mark (8.1).
    Open,
}

use Verdict::{Invalid, Open, Valid};

/// A text and what it tries.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
    pub(crate) verdict: Verdict,
}

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, verdict: Verdict, name: impl Into<String>, text: impl AsRef<[u8]>) {
        self.0.push(Case { name: name.into(), text: text.as_ref().to_vec(), verdict });
    }

    fn all(&mut self, verdict: Verdict, name: &str, texts: &[&str]) {
        texts.iter().for_each(|text| self.add(verdict, format!("{name}: {text}"), text));
    }
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    white_space(&mut cases);
    literals(&mut cases);
    objects(&mut cases);
    arrays(&mut cases);
    numbers(&mut cases);
    escapes(&mut cases);
    strings(&mut cases);
    encodings(&mut cases);
    depths(&mut cases);
    cases.0
}

/// Section 2: four characters are white space, and none else.
fn white_space(cases: &mut Cases) {
    let places = |space: &str| {
        [
            format!("{space}[]"),
            format!("[]{space}"),
            format!("[{space}]"),
            format!("{{{space}}}"),
            format!("[1{space},{space}2]"),
            format!("{{\"a\"{space}:{space}1}}"),
        ]
    };
    for (name, space) in [("space", " "), ("tab", "\t"), ("line feed", "\n"), ("carriage return", "\r")] {
        for (place, text) in places(space).iter().enumerate() {
            cases.add(Valid, format!("2 white space: {name}, place {place}"), text);
        }
    }
    for space in [
        '\u{0}', '\u{8}', '\u{b}', '\u{c}', '\u{1f}', '\u{85}', '\u{a0}', '\u{1680}', '\u{2028}', '\u{200b}',
        '\u{3000}',
    ] {
        for (place, text) in places(&space.to_string()).iter().enumerate() {
            cases.add(Invalid, format!("2 no white space: {:?}, place {place}", space), text);
        }
    }
    cases.all(
        Invalid,
        "2 no text",
        &["[1] [2]", "{} {}", "1 2", "[],", ",", ":", "[]x", "x[]", "// a\n[]", "/* a */[]", "#[]", "[]//"],
    );
}

/// Section 3.
fn literals(cases: &mut Cases) {
    for word in ["true", "false", "null"] {
        cases.all(
            Valid,
            "3 literal",
            &[word, &format!("[{word}]"), &format!("{{\"a\":{word}}}"), &format!("[{word},{word}]")],
        );
        for end in 1..word.len() {
            cases.add(Invalid, format!("3 cut literal: {word} at {end}"), format!("[{}]", &word[..end]));
        }
        let upper = word.to_uppercase();
        let first = format!("{}{}", &upper[..1], &word[1..]);
        for other in
            [upper, first, format!("{word}{word}"), format!("{word}0"), format!("{word}\""), format!("{word} {word}")]
        {
            cases.add(Invalid, format!("3 no literal: {other}"), format!("[{other}]"));
        }
    }
    cases.all(
        Invalid,
        "3 no literal",
        &["[undefined]", "[nil]", "[None]", "[yes]", "[NaN]", "[nan]", "[Infinity]", "[-Infinity]", "[-NaN]", "[a]"],
    );
}

/// Section 4.
fn objects(cases: &mut Cases) {
    cases.all(
        Valid,
        "4 object",
        &[
            "{}",
            r#"{"a":1}"#,
            r#"{"":1}"#,
            r#"{"a":{},"b":[]}"#,
            r#"{"a":{"a":{"a":1}}}"#,
            r#"{"\u0061":1}"#,
            r#"{"a\n":1}"#,
            r#"{"a b":1}"#,
            r#"{"1":1}"#,
            r#"{"null":null}"#,
            r#"{"ü":1,"u":2}"#,
            r#"{"{":"}","[":"]",",":":"}"#,
        ],
    );
    cases.all(
        Open,
        "4 names that come twice",
        &[
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{},"b":1,"a":[]}"#,
            r#"{"":1,"":2}"#,
        ],
    );
    no_objects(cases);
}

fn no_objects(cases: &mut Cases) {
    cases.all(
        Invalid,
        "4 no object",
        &[
            "{",
            "}",
            "{{",
            "{{}}",
            "{]",
            "{}}",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a",1}"#,
            r#"{"a" 1}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a":1,,"b":2}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":1"b":2}"#,
            r#"{"a"::1}"#,
            r#"{"a":1:2}"#,
            r#"{"a"=1}"#,
            r#"{"a"=>1}"#,
            r#"{"a":1;"b":2}"#,
            "{a:1}",
            "{'a':1}",
            "{`a`:1}",
            "{1:1}",
            "{null:1}",
            "{true:1}",
            "{[]:1}",
            "{{}:1}",
            r#"{"a":1]"#,
            r#"{"a":1"#,
            r#"{"a":"#,
            r#"{"a"#,
            r#"{"a":1}}"#,
            r#"{"a":1}{"#,
            r#"{"a":1},"#,
            r#"{"a":1}1"#,
            r#"{:1}"#,
            r#"{"a":,}"#,
            r#"{...}"#,
            r#"{"a":(1)}"#,
            r#"{"a"#,
            r#"{"a":"b"#,
        ],
    );
}

/// Section 5.
fn arrays(cases: &mut Cases) {
    cases.all(
        Valid,
        "5 array",
        &["[]", "[[]]", "[[],[]]", "[1,\"a\",null,true,{},[]]", "[[[[[[[[]]]]]]]]", "[0,0,0,0,0,0,0,0,0,0]", "[\"]\"]"],
    );
    cases.all(
        Invalid,
        "5 no array",
        &[
            "[",
            "]",
            "[[",
            "[[]",
            "[]]",
            "[}",
            "[1",
            "[1,",
            "[1,]",
            "[,]",
            "[,1]",
            "[,,]",
            "[1,,2]",
            "[1 2]",
            "[1:2]",
            "[1;2]",
            "[1}",
            "[1],",
            "[1]2",
            "[1][",
            "[\"a\":1]",
            "[...]",
            "[1,...]",
            "(1)",
            "[(1)]",
            "<1>",
            "[1|2]",
            "[\"a\",\n1\n,1\n",
            "[{}",
            "[{]}",
            "[\"",
            "[\"a\"",
            "[*]",
            "[1,2,3,4,5,6,7,8,9,",
        ],
    );
}

/// Section 6: integer, fraction and exponent, each with each.
fn numbers(cases: &mut Cases) {
    for integer in ["0", "-0", "1", "-1", "10", "-909", "9007199254740993"] {
        for fraction in ["", ".0", ".5", ".00100"] {
            for exponent in ["", "e0", "E1", "e+2", "E-03", "e00"] {
                cases.add(
                    Valid,
                    format!("6 number: {integer}{fraction}{exponent}"),
                    format!("[{integer}{fraction}{exponent}]"),
                );
            }
        }
    }
    let digits = |n| "7".repeat(n);
    cases.all(Valid, "6 number, alone", &["0", "-0", "1.5", "-1e-1", " 7 ", "{\"a\":-0}", "{\"a\":1E5}"]);
    cases.all(
        Open,
        "6 range",
        &[
            "[9223372036854775807]",
            "[9223372036854775808]",
            "[-9223372036854775808]",
            "[-9223372036854775809]",
            "[18446744073709551615]",
            "[18446744073709551616]",
            "[123456789012345678901234567890]",
            "[1e308]",
            "[-1e308]",
            "[1e309]",
            "[1e400]",
            "[-1e400]",
            "[1e999999999999]",
            "[1e-400]",
            "[-1e-400]",
            "[1e-999999999999]",
            "[0e999999999999]",
            "[0.1e400]",
            "[4.9e-324]",
            "[2.2250738585072011e-308]",
            &format!("[{}]", digits(400)),
            &format!("[-{}]", digits(400)),
            &format!("[0.{}]", digits(400)),
            &format!("[{}e-400]", digits(400)),
            &format!("[{}.{}]", digits(400), digits(400)),
            &format!("[1e{}]", digits(400)),
            &format!("[1e-{}]", digits(400)),
            &format!("[1e{}1]", "0".repeat(400)),
        ],
    );
    let wrong = [
        "00", "01", "-00", "-01", "007", "0e", "+0", "+1", ".5", "-.5", "1.", "-1.", "1.e1", "0.e1", ".", "-", "--1",
        "-+1", "1-", "1+1", "1e", "1e+", "1e-", "1E", "1e1.5", "1e+-1", "1ee1", "1e1e1", "1.2.3", "1..2", "0x1",
        "0X1F", "0b1", "0o7", "1_000", "1'000", "1 000", "- 1", "1 e1", "1f", "1n", "1L", "1%", "$1", "１", "1½", "∞",
        "١", "1\u{0}", "1a", "1.a", "1ea",
    ];
    for number in wrong {
        cases.add(Invalid, format!("6 no number: {number}"), format!("[{number}]"));
        cases.add(Invalid, format!("6 no number, as a member: {number}"), format!("{{\"a\":{number}}}"));
    }
}

/// Section 7: what may stand behind a backslash, and in `\u`.
fn escapes(cases: &mut Cases) {
    for byte in b' '..=b'~' {
        let (escape, is_one) = (char::from(byte), b"\"\\/bfnrt".contains(&byte));
        if byte != b'u' {
            let verdict = if is_one { Valid } else { Invalid };
            cases.add(verdict, format!("7 escape: {escape:?}"), format!("[\"x\\{escape}y\"]"));
        }
    }
    for unit in [
        "0000", "0001", "001f", "0020", "0022", "005c", "007f", "0080", "07ff", "0800", "d7ff", "e000", "feff", "fffe",
        "ffff",
    ] {
        for unit in [unit.to_owned(), unit.to_uppercase()] {
            cases.add(Valid, format!("7 escape: \\u{unit}"), format!("[\"\\u{unit}\"]"));
            cases.add(Valid, format!("7 escape in a name: \\u{unit}"), format!("{{\"\\u{unit}\":1}}"));
        }
    }
    surrogates(cases);
    for wrong in [
        "\\u",
        "\\u1",
        "\\u12",
        "\\u123",
        "\\u000g",
        "\\ug000",
        "\\u 041",
        "\\u+041",
        "\\u-041",
        "\\u0x41",
        "\\U0041",
        "\\u{41}",
        "\\x41",
        "\\101",
        "\\ud83d\\u",
        "\\ud83d\\ude0",
        "\\ud83d\\",
        "\\uü000",
        "\\u１２３４",
        "\\ ",
        "\\\n",
        "\\\t",
        "\\\u{0}",
        "\\ü",
        "\\😀",
        "\\",
    ] {
        cases.add(Invalid, format!("7 no escape: {wrong:?}"), format!("[\"{wrong}\"]"));
    }
}

/// Sections 7 and 8.2.
fn surrogates(cases: &mut Cases) {
    for pair in [
        "\\ud800\\udc00",
        "\\udbff\\udfff",
        "\\uD83D\\uDE00",
        "\\ud83d\\ude00\\ud83d\\ude00",
        "\\\\ud800",
        "\\\\\\u0041",
    ] {
        cases.add(Valid, format!("7 pair of surrogates: {pair}"), format!("[\"{pair}\"]"));
    }
    for half in [
        "\\ud800",
        "\\udbff",
        "\\udc00",
        "\\udfff",
        "\\ud800x",
        "\\ud800\\n",
        "\\ud800\\u0041",
        "\\ud800\\ud800",
        "\\udc00\\ud800",
        "\\ud800\\\\udc00",
        "x\\udc00",
        "\\ud83d\\ude00\\ud83d",
        "\\ud800\\udbff",
        "\\uDC00\\uDC00",
    ] {
        cases.add(Open, format!("8.2 half surrogate: {half}"), format!("[\"{half}\"]"));
        cases.add(Open, format!("8.2 half surrogate in a name: {half}"), format!("{{\"{half}\":1}}"));
    }
}

/// Section 7: what stands in quotes as it is.
fn strings(cases: &mut Cases) {
    for byte in 0..0x20_u8 {
        cases.add(Invalid, format!("7 control character: {byte:#04x}"), format!("[\"x{}y\"]", char::from(byte)));
    }
    for character in [
        '\u{7f}',
        '\u{80}',
        '\u{9b}',
        '\u{a0}',
        '\u{ad}',
        '\u{300}',
        '\u{7ff}',
        '\u{800}',
        '\u{200b}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202e}',
        '\u{2066}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{fdd0}',
        '\u{feff}',
        '\u{fffd}',
        '\u{ffff}',
        '\u{10000}',
        '\u{1f600}',
        '\u{10ffff}',
        '\'',
        '/',
        '`',
        '{',
        '[',
        ',',
        ':',
    ] {
        cases.add(Valid, format!("7 character: {character:?}"), format!("[\"x{character}y\"]"));
        cases.add(Valid, format!("7 character in a name: {character:?}"), format!("{{\"x{character}y\":1}}"));
    }
    cases.all(
        Valid,
        "7 string",
        &["\"\"", "[\"\"]", "[\"a\",\"\"]", "[\"\\\\\"]", "[\"\\\"\"]", "[\"\\\\\\\"\"]", "\"a\""],
    );
    cases.all(
        Invalid,
        "7 no string",
        &[
            "\"",
            "[\"a]",
            "[\"\\\"]",
            "['a']",
            "[`a`]",
            "[“a”]",
            "[\"a\"\"b\"]",
            "[\"a\" + \"b\"]",
            "[a\"b\"]",
            "\"a\"b",
            "\"a\"\"",
            "[\"a\\\\\\\"]",
        ],
    );
    let mut long = String::from("[\"");
    (0..300).for_each(|n| write!(long, "{n}\\n").unwrap());
    cases.add(Valid, "7 string: long and escaped", long + "\"]");
}

/// Section 8.1: UTF-8 without a byte order mark.
fn encodings(cases: &mut Cases) {
    let wrong: [&[u8]; 29] = [
        b"\x80",
        b"\xbf",
        b"\xc3",
        b"\xc3(",
        b"\xc0\x80",
        b"\xc0\xaf",
        b"\xc1\xbf",
        b"\xe2",
        b"\xe2\x82",
        b"\xe2(\xa1",
        b"\xe2\x82(",
        b"\xe0\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf0",
        b"\xf0\x9f",
        b"\xf0\x9f\x98",
        b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xfe\xff",
        b"\xff\xfe",
        b"gr\xfc\xdfe",
    ];
    for bytes in wrong {
        cases.add(Invalid, format!("8.1 no UTF-8: {}", bytes.escape_ascii()), [b"[\"", bytes, b"\"]"].concat());
        cases.add(
            Invalid,
            format!("8.1 no UTF-8 in a name: {}", bytes.escape_ascii()),
            [b"{\"", bytes, b"\":1}"].concat(),
        );
        cases.add(
            Invalid,
            format!("8.1 no UTF-8 outside of strings: {}", bytes.escape_ascii()),
            [b"[1,", bytes, b"2]"].concat(),
        );
    }
    let utf16 = |bytes: fn(u16) -> [u8; 2]| "\u{feff}{\"a\":1}".encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    cases.add(Invalid, "8.1 UTF-16, little endian", utf16(u16::to_le_bytes));
    cases.add(Invalid, "8.1 UTF-16, big endian", utf16(u16::to_be_bytes));
    cases.add(Open, "8.1 byte order mark", "\u{feff}[]");
    cases.add(Open, "8.1 byte order mark before an object", "\u{feff}{\"a\":1}");
    cases.add(Invalid, "8.1 two byte order marks", "\u{feff}\u{feff}[]");
    cases.add(Invalid, "8.1 byte order mark behind", "[]\u{feff}");
    cases.add(Invalid, "8.1 byte order mark inside", "[\u{feff}1]");
    cases.add(Invalid, "8.1 byte order mark alone", "\u{feff}");
    cases.add(Invalid, "8.1 half a byte order mark", b"\xef\xbb[]");
    cases.add(Invalid, "2 nothing", "");
    cases.add(Invalid, "2 nothing but white space", " \n\t\r ");
}

/// Section 9: a reader may limit depth. Ours are 32 levels.
fn depths(cases: &mut Cases) {
    for levels in [31, 32, 33, 127, 128, 129, 1_024, 100_000] {
        let verdict = if levels <= 32 { Valid } else { Open };
        cases.add(verdict, format!("9 depth: {levels} arrays"), "[".repeat(levels) + &"]".repeat(levels));
        cases.add(
            verdict,
            format!("9 depth: {levels} objects"),
            "{\"a\":".repeat(levels - 1) + "{}" + &"}".repeat(levels - 1),
        );
        cases.add(Invalid, format!("9 depth: {levels} arrays, not closed"), "[".repeat(levels));
        cases.add(Invalid, format!("9 depth: {levels} objects, not closed"), "{\"a\":".repeat(levels));
    }
}

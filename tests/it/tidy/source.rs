//! A Rust file as tidy reads it: the code without comments and the insides of literals, and without its test modules.
//!
//! Not a parser. It knows as much of the language as it needs so that a rule is not triggered by a text that speaks of
//! it, and every byte keeps its place, so that line numbers stay true.

/// One file.
pub(super) struct Source {
    pub(super) path: String,
    /// Comments and the insides of literals are blank.
    pub(super) code: String,
    /// `code` with the test modules blank as well; all blank if the file itself is a test module.
    pub(super) production: String,
    /// Lines outside test modules.
    pub(super) n_lines: usize,
    pub(super) has_header: bool,
    /// A test module of a room in a file of its own: `src/**/tests.rs` or `src/**/tests/*.rs`.
    pub(super) is_test_of_a_room: bool,
}

impl Source {
    pub(super) fn read(path: &str, text: &str) -> Self {
        let code = without_comments_and_literals(text);
        let is_test_of_a_room = path.starts_with("src/") && (path.ends_with("/tests.rs") || path.contains("/tests/"));
        let mut production = code.clone().into_bytes();
        let mut n_lines = text.lines().count();
        if is_test_of_a_room {
            blank(&mut production, 0, code.len());
            n_lines = 0;
        } else {
            for (start, end) in test_modules(&code) {
                blank(&mut production, start, end);
                n_lines -= code[start..end].lines().count();
            }
        }
        Self {
            path: path.to_string(),
            production: String::from_utf8(production).expect("whole ranges of text were blanked"),
            code,
            n_lines,
            has_header: text.starts_with("//!"),
            is_test_of_a_room,
        }
    }

    /// The lines (from 1) in which `pattern` stands as a whole word.
    pub(super) fn lines_with(&self, text: &str, pattern: &str) -> Vec<usize> {
        let whole = |at: &usize| is_whole_word(text, *at, pattern.len());
        let mut lines: Vec<_> = text.match_indices(pattern).map(|(at, _)| at).filter(whole).collect();
        lines.iter_mut().for_each(|at| *at = line_of(text, *at));
        lines.dedup();
        lines
    }

    /// Line and name of everything that is named directly below `root`, in `root::name` and in `root::{name, ..}`.
    pub(super) fn imports_from(&self, root: &str) -> Vec<(usize, String)> {
        let text = &self.production;
        let mut imports = Vec::new();
        for (at, _) in text.match_indices(&format!("{root}::")) {
            if !is_whole_word(text, at, root.len()) {
                continue;
            }
            let start = at + root.len() + 2;
            if text[start..].starts_with('{') {
                imports.extend(names_in_group(text, start));
            } else {
                imports.push((line_of(text, at), name_at(text, start)));
            }
        }
        imports
    }
}

/// The first name of each member of the group whose brace opens at `open`.
fn names_in_group(text: &str, open: usize) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    let mut depth = 0;
    for (i, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(byte, b'{' | b',') {
            let start = i + 1 + text[i + 1..].len() - text[i + 1..].trim_start().len();
            names.push((line_of(text, start), name_at(text, start)));
        }
    }
    names
}

fn name_at(text: &str, start: usize) -> String {
    text[start..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Whether no word goes on at either end. An end that is a sign, as in `#[ignore`, ends a word by itself.
fn is_whole_word(text: &str, at: usize, len: usize) -> bool {
    let bytes = text.as_bytes();
    let joins = |left: Option<&u8>, right: Option<&u8>| {
        left.copied().is_some_and(is_word_byte) && right.copied().is_some_and(is_word_byte)
    };
    let before = at.checked_sub(1).and_then(|i| bytes.get(i));
    !joins(before, bytes.get(at)) && !joins(bytes.get(at + len - 1), bytes.get(at + len))
}

fn blank(bytes: &mut [u8], start: usize, end: usize) {
    for byte in &mut bytes[start..end] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Start and end of each inline `#[cfg(test)] mod .. { .. }`. A `#[cfg(test)] mod tests;` hides nothing.
fn test_modules(code: &str) -> Vec<(usize, usize)> {
    const MARK: &str = "#[cfg(test)]";
    let mut modules = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find(MARK) {
        let start = from + found;
        from = start + MARK.len();
        let mut item = from;
        // More attributes may stand between the mark and the module.
        loop {
            item = code.len() - code[item..].trim_start().len();
            if !code[item..].starts_with("#[") {
                break;
            }
            item = end_of_block(code, item + 1, b'[', b']');
        }
        let head = code[item..].split(['{', ';']).next().unwrap_or_default();
        let opens = code[item + head.len()..].starts_with('{');
        if opens && head.split_whitespace().any(|word| word == "mod") {
            let end = end_of_block(code, item + head.len(), b'{', b'}');
            modules.push((start, end));
            from = end;
        }
    }
    modules
}

/// The place behind the sign that closes the block opened at `open`.
fn end_of_block(code: &str, open: usize, opening: u8, closing: u8) -> usize {
    let mut depth = 0;
    for (i, byte) in code.bytes().enumerate().skip(open) {
        if byte == opening {
            depth += 1;
        } else if byte == closing {
            depth -= 1;
            if depth == 0 {
                return i + 1;
            }
        }
    }
    code.len()
}

fn without_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        let after_word = i > 0 && is_word_byte(bytes[i - 1]);
        let len = if rest.starts_with(b"//") {
            rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment_len(rest)
        } else if rest[0] == b'"' {
            string_len(rest)
        } else if rest[0] == b'r' && (!after_word || matches!(bytes[i - 1], b'b' | b'c')) {
            raw_string_len(rest)
        } else if rest[0] == b'\'' {
            char_len(&text[i..])
        } else {
            0
        };
        blank(&mut code, i, i + len);
        i += len.max(1);
    }
    String::from_utf8(code).expect("literals and comments end between characters")
}

/// Block comments nest.
fn block_comment_len(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut i = 0;
    while i < rest.len() {
        if rest[i..].starts_with(b"/*") {
            depth += 1;
            i += 2;
        } else if rest[i..].starts_with(b"*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                break;
            }
        } else {
            i += 1;
        }
    }
    i
}

fn string_len(rest: &[u8]) -> usize {
    let mut i = 1;
    while i < rest.len() && rest[i] != b'"' {
        i += if rest[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(rest.len())
}

/// 0 if this `r` begins no raw string, but a name or a raw identifier.
fn raw_string_len(rest: &[u8]) -> usize {
    let n_hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
    if rest.get(1 + n_hashes) != Some(&b'"') {
        return 0;
    }
    let mut end = vec![b'"'];
    end.resize(1 + n_hashes, b'#');
    let start = 2 + n_hashes;
    let inside = rest[start..].windows(end.len()).position(|window| window == end);
    inside.map_or(rest.len(), |len| start + len + end.len())
}

/// 0 if this quote begins a lifetime.
fn char_len(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            chars.next();
            chars.find(|(_, c)| *c == '\'').map_or(0, |(end, _)| end + 1)
        }
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(end, _)| end + 1),
        None => 0,
    }
}

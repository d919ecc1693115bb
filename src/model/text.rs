//! Characters that a reader cannot see, or that move others: text of unknown origin is shown without their effect.

/// Whether a character is shown as nothing, or changes how its neighbours are shown: soft hyphen, zero width, line
/// separators, bidirectional marks, embeddings and isolates, byte order mark, tags. Control characters are not among them.
#[must_use]
pub const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

//! A table for the terminal: aligned columns under a header, the last one cut to the width of the screen.

use std::io::{self, Write};

use anstyle::Style;

/// Between two columns.
const GAP: &str = "  ";
/// A last column narrower than this is not worth cutting to: the line may wrap.
const LAST_MIN: usize = 12;

/// A text that is safe to show, and how it is painted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) style: Style,
}

impl Cell {
    /// Unpainted.
    pub(crate) fn plain(text: impl ToString) -> Self {
        Self { text: text.to_string(), style: Style::new() }
    }

    /// Painted.
    pub(crate) fn painted(text: impl ToString, style: Style) -> Self {
        Self { text: text.to_string(), style }
    }
}

/// A column's name; numbers stand to the right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    Left(&'static str),
    Right(&'static str),
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Left(name) | Self::Right(name) => name,
        }
    }
}

/// Writes the table. `width`: characters of a line, if there is a border at all.
///
/// # Errors
/// When the output cannot be written.
pub(crate) fn write<const N: usize>(
    columns: [Column; N],
    rows: &[[Cell; N]],
    indent: &str,
    width: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut widths = columns.map(|column| column.name().len());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.text.chars().count().max(*width);
        }
    }
    if let (Some(line), Some((last, before))) = (width, widths.split_last_mut()) {
        let taken = indent.len() + before.iter().map(|width| width + GAP.len()).sum::<usize>();
        *last = (*last).min(line.saturating_sub(taken).max(LAST_MIN));
    }
    let bold = Style::new().bold();
    let header = columns.map(|column| Cell::painted(column.name(), bold));
    for row in std::iter::once(&header).chain(rows) {
        write_row(columns, row, &widths, indent, out)?;
    }
    Ok(())
}

fn write_row<const N: usize>(
    columns: [Column; N],
    row: &[Cell; N],
    widths: &[usize; N],
    indent: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "{indent}")?;
    for (index, ((column, cell), &width)) in columns.iter().zip(row).zip(widths).enumerate() {
        let is_last = index + 1 == N;
        let text = fit(&cell.text, if is_last { width } else { usize::MAX });
        let gap = if index == 0 { "" } else { GAP };
        let style = cell.style;
        match column {
            Column::Left(_) if is_last => write!(out, "{gap}{style}{text}{style:#}")?,
            Column::Left(_) => write!(out, "{gap}{style}{text:<width$}{style:#}")?,
            Column::Right(_) => write!(out, "{gap}{style}{text:>width$}{style:#}")?,
        }
    }
    writeln!(out)
}

/// At most `max` characters; a cut is marked with `…`, which counts.
fn fit(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_last_is_cut() {
        let rows = [
            [Cell::plain("a"), Cell::plain(7), Cell::plain("short")],
            [Cell::plain("longer"), Cell::plain(1_234), Cell::plain("a text that does not fit the line")],
        ];
        let columns = [Column::Left("NAME"), Column::Right("N"), Column::Left("TEXT")];
        let written = |width| {
            let mut out = Vec::new();
            write(columns, &rows, " ", width, &mut anstream::StripStream::new(&mut out)).unwrap();
            String::from_utf8(out).unwrap()
        };
        insta::assert_snapshot!(written(Some(30)), @r"
         NAME       N  TEXT
         a          7  short
         longer  1234  a text that do…
        ");
        assert!(written(None).contains("a text that does not fit the line\n"));
        assert!(written(Some(1)).contains("a text that…\n"), "never narrower than can be read");
    }
}

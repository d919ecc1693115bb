//! A screen as an SVG picture: text in runs of one style, bars and lines as shapes, so that no font leaves gaps in them.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// A cell, in pixels, for a monospaced font of `FONT` pixels.
const CELL: (f64, f64) = (8.4, 18.0);
const FONT: f64 = 14.0;
const MARGIN: f64 = 14.0;
/// Text and ground of a dark terminal.
const INK: &str = "#c9d1d9";
const GROUND: &str = "#0d1117";

/// How a run of cells looks.
#[derive(Clone, PartialEq)]
struct Look {
    ink: &'static str,
    ground: Option<&'static str>,
    bold: bool,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let (ink, ground) = (colour(cell.fg), colour(cell.bg));
        let reversed = cell.modifier.contains(Modifier::REVERSED);
        let (ink, ground) =
            if reversed { (ground.unwrap_or(GROUND), Some(ink.unwrap_or(INK))) } else { (ink.unwrap_or(INK), ground) };
        Self { ink, ground, bold: cell.modifier.contains(Modifier::BOLD) }
    }
}

const fn colour(colour: Color) -> Option<&'static str> {
    match colour {
        Color::Black => Some("#0d1117"),
        Color::Red => Some("#ff7b72"),
        Color::LightRed => Some("#ffa198"),
        Color::Green => Some("#56d364"),
        Color::Yellow => Some("#e3b341"),
        Color::Blue => Some("#58a6ff"),
        Color::Magenta => Some("#d2a8ff"),
        Color::Cyan => Some("#39c5cf"),
        Color::Gray => Some("#8b949e"),
        Color::DarkGray => Some("#484f58"),
        Color::White => Some("#ffffff"),
        _ => None,
    }
}

/// The picture.
pub(super) fn render(buffer: &Buffer) -> String {
    let area = buffer.area;
    let (width, height) =
        (f64::from(area.width) * CELL.0 + 2.0 * MARGIN, f64::from(area.height) * CELL.1 + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
         aria-label=\"the screen of tidegate top\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{GROUND}\"/>\n\
         <g font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace\" font-size=\"{FONT}\" \
         xml:space=\"preserve\">\n"
    );
    for y in 0..area.height {
        row(buffer, y, &mut out);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn row(buffer: &Buffer, y: u16, out: &mut String) {
    let top = MARGIN + f64::from(y) * CELL.1;
    let mut x = 0;
    while x < buffer.area.width {
        let Some(first) = buffer.cell((x, y)) else { return };
        let look = Look::of(first);
        let left = MARGIN + f64::from(x) * CELL.0;
        if shape_of(first.symbol()) {
            let same = |at: &u16| {
                buffer.cell((*at, y)).is_some_and(|cell| cell.symbol() == first.symbol() && Look::of(cell) == look)
            };
            let joins = matches!(first.symbol().chars().next(), Some('▁'..='█' | '─'));
            let n_cells = if joins { (x..buffer.area.width).take_while(same).count().max(1) as u16 } else { 1 };
            ground(&look, left, top, n_cells, out);
            out.push_str(&shape(first.symbol(), n_cells, left, top, look.ink).unwrap_or_default());
            x += n_cells;
            continue;
        }
        let mut text = String::new();
        let mut n_cells = 0;
        while let Some(cell) = buffer.cell((x, y)) {
            if x >= buffer.area.width || Look::of(cell) != look || shape_of(cell.symbol()) {
                break;
            }
            text.push_str(cell.symbol());
            // A wide character covers the cell after its own.
            let width = ratatui::text::Span::raw(cell.symbol()).width().max(1) as u16;
            n_cells += width;
            x += width;
        }
        ground(&look, left, top, n_cells, out);
        words(&text, &look, left, top, out);
    }
}

fn ground(look: &Look, left: f64, top: f64, n_cells: u16, out: &mut String) {
    if let Some(ground) = look.ground {
        let width = f64::from(n_cells) * CELL.0;
        // A `String` takes everything.
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{ground}\"/>",
            CELL.1
        );
    }
}

/// The words of a run, each at its own place, so that a font of another width cannot move them off the grid.
fn words(text: &str, look: &Look, left: f64, top: f64, out: &mut String) {
    let baseline = top + CELL.1 * 0.72;
    let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
    let mut cells = 0;
    for word in text.split_inclusive(' ') {
        let shown = word.trim_end_matches(' ');
        let n_cells = ratatui::text::Span::raw(shown).width();
        if !shown.is_empty() {
            let x = left + cells as f64 * CELL.0;
            let length = n_cells as f64 * CELL.0;
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{baseline:.1}\" textLength=\"{length:.1}\" fill=\"{}\"{weight}>{}</text>",
                look.ink,
                escape(shown)
            );
        }
        cells += ratatui::text::Span::raw(word).width();
    }
}

fn shape_of(symbol: &str) -> bool {
    shape(symbol, 1, 0.0, 0.0, INK).is_some()
}

/// Bars and frames, drawn: equal ones beside each other as one, so that no line is seen between them.
fn shape(symbol: &str, n_cells: u16, left: f64, top: f64, ink: &str) -> Option<String> {
    let (width, height) = CELL;
    let all = width * f64::from(n_cells);
    let character = symbol.chars().next()?;
    let rect = |x: f64, y: f64, width: f64, height: f64| {
        Some(format!(
            "<rect x=\"{x:.1}\" y=\"{y:.2}\" width=\"{width:.1}\" height=\"{height:.2}\" fill=\"{ink}\" shape-rendering=\"crispEdges\"/>\n"
        ))
    };
    let path = |path: String| Some(format!("<path d=\"{path}\" fill=\"none\" stroke=\"{ink}\"/>\n"));
    let (middle, centre, right, bottom) = (top + height / 2.0, left + width / 2.0, left + width, top + height);
    match character {
        '▁'..='█' => {
            let part = height * f64::from(u32::from(character) - 0x2580) / 8.0;
            rect(left, bottom - part, all, part)
        }
        '▉'..='▏' => rect(left, top + 4.0, width * f64::from(0x2590 - u32::from(character)) / 8.0, height - 8.0),
        '─' => path(format!("M{left:.1} {middle:.1}H{:.1}", left + all)),
        '│' => path(format!("M{centre:.1} {top:.1}V{bottom:.1}")),
        '╭' => path(format!("M{right:.1} {middle:.1}Q{centre:.1} {middle:.1} {centre:.1} {bottom:.1}")),
        '╮' => path(format!("M{left:.1} {middle:.1}Q{centre:.1} {middle:.1} {centre:.1} {bottom:.1}")),
        '╰' => path(format!("M{right:.1} {middle:.1}Q{centre:.1} {middle:.1} {centre:.1} {top:.1}")),
        '╯' => path(format!("M{left:.1} {middle:.1}Q{centre:.1} {middle:.1} {centre:.1} {top:.1}")),
        _ => None,
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // No XML may hold these, not even escaped.
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn what_a_sender_wrote_stays_text() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 1));
        buffer.set_string(0, 0, "▄ <script>a&b</script>", Style::new().fg(Color::Red));
        let svg = render(&buffer);
        assert!(svg.contains("&lt;script&gt;a&amp;b&lt;/script&gt;</text>"), "{svg}");
        assert!(svg.contains("height=\"9.00\" fill=\"#ff7b72\""), "half a cell: {svg}");
        assert!(!svg.contains("<script"));
    }
}

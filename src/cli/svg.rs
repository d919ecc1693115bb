//! SVG as text: shapes with classes, symbols, colours for light and dark. No script, no link to anything outside; every
//! text is made safe and escaped here.
//!
//! Colours are classes, and the dark ones override them in a media query: programs that know no media queries draw the
//! light ones. What a picture has beside the shared style, its own colours and symbols, it brings in a `Sheet`.

use std::fmt::Write as _;

use crate::cli::terminal;

/// The colours and symbols of a picture, beside those that all pictures share.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sheet {
    /// Rules of style for light paper.
    pub(super) light: &'static str,
    /// Those that differ on dark paper.
    pub(super) dark: &'static str,
    /// Symbols and patterns, by id; symbols are centred on their place.
    pub(super) symbols: &'static str,
}

/// What every picture has: paper, axis, grid and words.
const LIGHT: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;font-size:10px;fill:#1f2328}\
.title{font-size:13px;font-weight:600}.soft{fill:#57606a}.strong{font-weight:600}.tiny{font-size:9px}\
.paper{fill:#fff;stroke:#d0d7de}.grid{stroke:#e6eaef}.axis{stroke:#8c959f}.lane{stroke:#eef1f4}";

const DARK: &str = "\
text{fill:#e6edf3}.soft{fill:#9da7b1}\
.paper{fill:#0d1117;stroke:#30363d}.grid{stroke:#1d232b}.axis{stroke:#6e7681}.lane{stroke:#1a2027}";

/// Where a text stands to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A place or a size, points.
pub(super) type Place = (f64, f64);

/// The body of a picture, drawn from behind to front.
#[derive(Default)]
pub(super) struct Svg {
    body: String,
}

/// Points as text, with a tenth at most.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// The path through all of these places, if there are any.
fn path(places: &[Place]) -> Option<String> {
    let mut out = String::new();
    for (x, y) in places {
        let step = if out.is_empty() { 'M' } else { 'L' };
        let _ = write!(out, "{step}{} {}", number(*x), number(*y)); // Writing to a `String` cannot fail.
    }
    (!out.is_empty()).then_some(out)
}

/// Text that is safe in SVG, at most so many characters.
fn escaped(text: &str, max: usize) -> String {
    let mut out = String::new();
    for character in terminal::excerpt(text.as_bytes(), max).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'), // The two characters that XML forbids beside controls.
            _ => out.push(character),
        }
    }
    out
}

impl Svg {
    pub(super) fn rect(&mut self, class: &str, at: Place, size: Place, round: f64) {
        let (x, y, width, height) = (number(at.0), number(at.1), number(size.0.max(0.0)), number(size.1));
        let round = if round > 0.0 { format!(" rx=\"{}\"", number(round)) } else { String::new() };
        self.push(&format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{round}/>"
        ));
    }

    pub(super) fn line(&mut self, class: &str, from: Place, to: Place) {
        let (x, y) = (number(from.0), number(from.1));
        self.push(&format!("<path class=\"{class}\" d=\"M{x} {y}L{} {}\"/>", number(to.0), number(to.1)));
    }

    pub(super) fn symbol(&mut self, name: &str, at: Place) {
        self.push(&format!("<use href=\"#{name}\" x=\"{}\" y=\"{}\"/>", number(at.0), number(at.1)));
    }

    /// A text of any origin, cut to `max` characters.
    pub(super) fn text(&mut self, class: &str, anchor: Anchor, at: Place, text: &str, max: usize) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let (x, y, text) = (number(at.0), number(at.1), escaped(text, max));
        self.push(&format!("<text{class}{anchor} x=\"{x}\" y=\"{y}\">{text}</text>"));
    }

    fn push(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    /// A line through all of these places.
    pub(super) fn trace(&mut self, class: &str, places: &[Place]) {
        if let Some(path) = path(places) {
            self.push(&format!("<path class=\"{class}\" d=\"{path}\"/>"));
        }
    }

    /// The same, filled down to `base`.
    pub(super) fn area(&mut self, class: &str, places: &[Place], base: f64) {
        if let (Some(path), Some(first), Some(last)) = (path(places), places.first(), places.last()) {
            let (from, to, base) = (number(first.0), number(last.0), number(base));
            self.push(&format!("<path class=\"{class}\" d=\"{path}L{to} {base}L{from} {base}Z\"/>"));
        }
    }

    /// The whole file. `title` and `description` are read out to those who cannot see it.
    pub(super) fn finish(self, size: Place, sheet: &Sheet, title: &str, description: &str) -> String {
        let (width, height) = (number(size.0), number(size.1));
        let (title, description) = (escaped(title, 200), escaped(description, 400));
        let mut out = String::new();
        let head = "<svg xmlns=\"http://www.w3.org/2000/svg\"";
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            "{head} width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">"
        );
        let _ = writeln!(out, "<title>{title}</title>\n<desc>{description}</desc>");
        let Sheet { light, dark, symbols } = sheet;
        let style = format!("{LIGHT}{light}@media (prefers-color-scheme:dark){{{DARK}{dark}}}");
        let _ = writeln!(out, "<style>{style}</style>\n<defs>{symbols}</defs>");
        let _ = writeln!(out, "{}</svg>", self.body);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_only_text() {
        let mut svg = Svg::default();
        svg.text("", Anchor::Start, (1.0, 2.04), "</text><script>a & 'b'\u{1b}[0m\u{202e}\u{fffe}", 80);
        let file = svg.finish((10.0, 20.5), &Sheet::default(), "a \"<title>\"", "");
        assert!(!file.contains("<script"), "{file}");
        assert!(
            file.contains("&lt;/text&gt;&lt;script&gt;a &amp; &#39;b&#39;\\x1b[0m\\u{202e}\u{fffd}</text>"),
            "{file}"
        );
        assert!(file.contains("<title>a &quot;&lt;title&gt;&quot;</title>"), "{file}");
        assert!(file.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"20.5\""), "{file}");
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(1.0, "1"), (1.26, "1.3"), (-0.01, "0"), (-2.5, "-2.5"), (1e6, "1000000")] {
            assert_eq!(number(value), text);
        }
    }
}

//! SVG as text: shapes with classes, symbols, colours for light and dark. No script, no link to anything outside; every
//! text is made safe and escaped here.
//!
//! Colours are classes, and the dark ones override them in a media query: programs that know no media queries draw the
//! light ones. Outcomes differ by shape as well; the colours keep their distance for colour-blind eyes (vermilion, blue,
//! bluish green, after Okabe and Ito).

use std::fmt::Write as _;

use crate::cli::terminal;

const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;font-size:10px;fill:#1f2328}\
.title{font-size:13px;font-weight:600}.soft{fill:#57606a}.strong{font-weight:600}.tiny{font-size:9px}\
.paper{fill:#fff;stroke:#d0d7de}.grid{stroke:#e6eaef}.axis{stroke:#8c959f}.lane{stroke:#eef1f4}\
.a{fill:#dcebf8}.b{fill:#f8ead0}\
.bar{stroke-width:1}.a1{fill:#9fcaec;stroke:#5d97c4}.b1{fill:#ecc987;stroke:#b78a35}\
.a2{fill:url(#ha);stroke:#5d97c4}.b2{fill:url(#hb);stroke:#b78a35}\
.a3{fill:#fff;stroke:#5d97c4;stroke-dasharray:3 2}.b3{fill:#fff;stroke:#b78a35;stroke-dasharray:3 2}\
.ah{stroke:#8bbbe0;stroke-width:2}.bh{stroke:#dfb568;stroke-width:2}.hp{fill:#fff}\
.quiet{stroke:#1f2328;stroke-opacity:.55}.dots{stroke:#57606a;stroke-dasharray:1.5 2.5;stroke-width:1.5}\
.fires{stroke:#57606a;stroke-width:1.6}\
.opened{fill:#c2410c}.joined{fill:#0b5cad}.resolved{fill:#00755a}\
.repeat{fill:#fff;stroke:#57606a;stroke-width:1.3}.held{fill:#fff;stroke:#57606a;stroke-width:1.2;stroke-dasharray:2 1.4}\
.idle{fill:none;stroke:#8c959f;stroke-width:1.2}.stop{fill:#1f2328}\
.pole{stroke:#57606a}.f{stroke-width:1}\
.f-opened{fill:#c2410c;stroke:#c2410c}.f-resolved{fill:#00755a;stroke:#00755a}\
.f-reopened{fill:#fff;stroke:#c2410c;stroke-width:1.6}.f-updated,.f-merged{fill:#fff;stroke:#8c959f}\
.on{fill:#fff}\
@media (prefers-color-scheme:dark){\
text{fill:#e6edf3}.soft{fill:#9da7b1}\
.paper{fill:#0d1117;stroke:#30363d}.grid{stroke:#1d232b}.axis{stroke:#6e7681}.lane{stroke:#1a2027}\
.a{fill:#14293d}.b{fill:#33290f}\
.a1{fill:#2c618f;stroke:#5d9bd0}.b1{fill:#7b5c1a;stroke:#c79a45}\
.a2{stroke:#5d9bd0}.b2{stroke:#c79a45}.a3{fill:#0d1117;stroke:#5d9bd0}.b3{fill:#0d1117;stroke:#c79a45}\
.ah{stroke:#2c618f}.bh{stroke:#7b5c1a}.hp{fill:#0d1117}\
.quiet{stroke:#e6edf3}.dots{stroke:#9da7b1}.fires{stroke:#9da7b1}\
.opened{fill:#ff8a5c}.joined{fill:#6cb6ff}.resolved{fill:#3fcf9f}\
.repeat{fill:#0d1117;stroke:#b1bac4}.held{fill:#0d1117;stroke:#b1bac4}.idle{stroke:#6e7681}.stop{fill:#e6edf3}\
.pole{stroke:#9da7b1}\
.f-opened{fill:#ff8a5c;stroke:#ff8a5c}.f-resolved{fill:#3fcf9f;stroke:#3fcf9f}\
.f-reopened{fill:#0d1117;stroke:#ff8a5c}.f-updated,.f-merged{fill:#0d1117;stroke:#6e7681}\
.on{fill:#0d1117}}";

/// Symbols are centred on their place.
const SYMBOLS: &str = "\
<path id=\"opened\" class=\"opened\" d=\"M0-5.6 5.2 4.2H-5.2Z\"/>\
<circle id=\"joined\" class=\"joined\" r=\"4.2\"/>\
<circle id=\"repeat\" class=\"repeat\" r=\"2.7\"/>\
<path id=\"held\" class=\"held\" d=\"M0-4.6 4.6 0 0 4.6-4.6 0Z\"/>\
<path id=\"resolved\" class=\"resolved\" d=\"M-3.8-3.8H3.8V3.8H-3.8Z\"/>\
<path id=\"idle\" class=\"idle\" d=\"M-3-3H3V3H-3Z\"/>\
<path id=\"stop\" class=\"stop\" d=\"M-3.6-4.6H3.6L-3.6 4.6H3.6Z\"/>\
<pattern id=\"ha\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
<rect class=\"hp\" width=\"5\" height=\"5\"/><path class=\"ah\" d=\"M1 0V5\"/></pattern>\
<pattern id=\"hb\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
<rect class=\"hp\" width=\"5\" height=\"5\"/><path class=\"bh\" d=\"M1 0V5\"/></pattern>";

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

    /// The whole file. `title` and `description` are read out to those who cannot see it.
    pub(super) fn finish(self, size: Place, title: &str, description: &str) -> String {
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
        let _ = writeln!(out, "<style>{STYLE}</style>\n<defs>{SYMBOLS}</defs>");
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
        let file = svg.finish((10.0, 20.5), "a \"<title>\"", "");
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

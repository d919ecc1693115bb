//! Small plots as SVG, made here: one line, an area below it, no axes; the numbers stand beside it in words.
//!
//! Nothing but digits and fixed words gets into the markup, so a plot needs no inline style and no script.

use std::fmt::{self, Write as _};

use askama::filters::HtmlSafe;

/// Units of the drawing; the style stretches it.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 40.0;
/// Room for the width of the line.
const MARGIN: f64 = 2.0;

/// How points are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Straight from point to point.
    Line,
    /// A value holds until the next one.
    Steps,
}

/// A plot of values over time.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    line: String,
    area: String,
    /// What a reader who cannot see it is told. Fixed words and numbers only.
    label: String,
}

impl Plot {
    /// Points as time and value, oldest first; the vertical axis begins at zero and ends at `top` or the largest value.
    pub(crate) fn new(points: &[(f64, f64)], shape: Shape, top: f64, label: String) -> Self {
        let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else {
            return Self { line: String::new(), area: String::new(), label };
        };
        let span = (last - first).max(f64::EPSILON);
        let largest = points.iter().map(|(_, value)| *value).fold(top, f64::max).max(f64::EPSILON);
        let x = |at: f64| (at - first) / span * WIDTH;
        let y = |value: f64| HEIGHT - MARGIN - value.max(0.0) / largest * (HEIGHT - 2.0 * MARGIN);
        let mut line = String::new();
        for (index, (at, value)) in points.iter().enumerate() {
            // Writing to a `String` cannot fail.
            let _ = match (index, shape) {
                (0, _) => write!(line, "M{:.1} {:.1}", x(*at), y(*value)),
                (_, Shape::Line) => write!(line, "L{:.1} {:.1}", x(*at), y(*value)),
                (_, Shape::Steps) => write!(line, "H{:.1}V{:.1}", x(*at), y(*value)),
            };
        }
        let area = format!("{line}V{HEIGHT}H0Z");
        Self { line, area, label }
    }
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
            self.label
        )?;
        if !self.line.is_empty() {
            write!(f, "<path class=\"area\" d=\"{}\"/><path class=\"line\" d=\"{}\"/>", self.area, self.line)?;
        }
        f.write_str("</svg>")
    }
}

/// See `Plot::label`.
impl HtmlSafe for Plot {}

/// Differences of a total as rates per second, and gauges as they are: at most `columns` values, each the mean of its part
/// of the time.
pub(crate) fn rates(totals: &[(f64, f64)], columns: usize) -> Vec<(f64, f64)> {
    let every = totals.len().div_ceil(columns.max(1)).max(1);
    let mut ends: Vec<(f64, f64)> = totals.iter().rev().step_by(every).copied().collect();
    ends.reverse();
    let pairs = ends.iter().zip(ends.iter().skip(1));
    pairs
        .filter(|(from, to)| to.0 > from.0)
        .map(|(from, to)| (to.0, ((to.1 - from.1) / (to.0 - from.0)).max(0.0)))
        .collect()
}

/// The largest of each of at most `columns` parts.
pub(crate) fn peaks(gauges: &[(f64, f64)], columns: usize) -> Vec<(f64, f64)> {
    let every = gauges.len().div_ceil(columns.max(1)).max(1);
    let parts = gauges.rchunks(every).rev();
    parts.filter_map(|part| Some((part.last()?.0, part.iter().map(|(_, value)| *value).fold(0.0, f64::max)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_fits_its_box() {
        let plot = Plot::new(&[(10.0, 0.0), (20.0, 5.0), (30.0, 10.0)], Shape::Line, 1.0, "up".to_owned());
        assert_eq!(plot.line, "M0.0 38.0L120.0 20.0L240.0 2.0");
        assert_eq!(plot.area, "M0.0 38.0L120.0 20.0L240.0 2.0V40H0Z");
        let steps = Plot::new(&[(0.0, 1.0), (1.0, 0.0)], Shape::Steps, 0.0, String::new());
        assert_eq!(steps.line, "M0.0 2.0H240.0V38.0");
        let low = Plot::new(&[(0.0, 1.0), (1.0, 1.0)], Shape::Line, 2.0, String::new());
        assert_eq!(low.line, "M0.0 20.0L240.0 20.0", "a quiet line does not fill the box");
    }

    #[test]
    fn too_little_to_draw_is_an_empty_plot() {
        let empty = Plot::new(&[], Shape::Line, 1.0, "nothing yet".to_owned()).to_string();
        assert!(empty.contains("aria-label=\"nothing yet\"></svg>"), "{empty}");
        let one = Plot::new(&[(5.0, f64::from(3))], Shape::Line, 1.0, String::new());
        assert_eq!(one.line, "M0.0 2.0");
    }

    #[test]
    fn totals_become_rates_and_gauges_keep_their_peaks() {
        let totals: Vec<(f64, f64)> = (0..7).map(|second| (f64::from(second), f64::from(second * second))).collect();
        assert_eq!(rates(&totals, 3), [(3.0, 3.0), (6.0, 9.0)], "every third second, ending with the newest");
        assert_eq!(rates(&[(0.0, 9.0), (1.0, 2.0)], 5), [(1.0, 0.0)], "a total that fell was counted anew");
        assert_eq!(rates(&totals[..1], 3), []);
        assert_eq!(peaks(&totals, 3), [(0.0, 0.0), (3.0, 9.0), (6.0, 36.0)]);
    }
}

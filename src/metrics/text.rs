//! The text format of Prometheus for what the exporter cannot hold: counters with fractions, and the process itself.

use std::fmt::Write as _;

/// Appends one family: help, type and a line per sample (label names and values, value).
pub(super) fn family(out: &mut String, name: &str, kind: &str, help: &str, samples: &[(Vec<(&str, &str)>, f64)]) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        out.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(out, "{}{label}=\"", if index == 0 { '{' } else { ',' });
            escape(text, out);
            out.push('"');
        }
        let _ = writeln!(out, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
    out.push('\n');
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_prometheus_reads() {
        let mut out = String::new();
        family(&mut out, "x_total", "counter", "What.", &[(vec![("a", "q\"\\\n"), ("b", "")], 1.5), (vec![], 2.0)]);
        assert_eq!(
            out,
            "# HELP x_total What.\n# TYPE x_total counter\nx_total{a=\"q\\\"\\\\\\n\",b=\"\"} 1.5\nx_total 2\n\n"
        );
    }
}

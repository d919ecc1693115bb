//! How dead letters look: a table, a sheet, or JSON. Whatever a sender wrote is made safe for the terminal first.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::cli::dlq::letter::{Letter, Requeued};
use crate::cli::output;
use crate::cli::terminal::{Lines, excerpt, safe};
use crate::model::alert::Format;

/// Characters of a letter's bytes in the table.
const EXCERPT: usize = 60;

const HEADER: [&str; 8] = ["ID", "STORED", "SOURCE", "PARTITION", "POSITION", "REASON", "BYTES", "BEGINS WITH"];

const BOLD: anstyle::Style = anstyle::Style::new().bold();

/// One line per letter under a header; a sentence if there is none.
pub(super) fn table(letters: &[Letter], out: &mut dyn Write) -> io::Result<()> {
    if letters.is_empty() {
        return writeln!(out, "no dead letters");
    }
    let rows: Vec<[String; 8]> = letters.iter().map(cells).collect();
    let mut widths = HEADER.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    line(&HEADER.map(str::to_owned), &widths, BOLD, out)?;
    rows.iter().try_for_each(|row| line(row, &widths, anstyle::Style::new(), out))
}

/// Every field, and then the bytes.
pub(super) fn letter(letter: &Letter, out: &mut dyn Write) -> io::Result<()> {
    let original = if letter.original_len > letter.bytes.len() as u64 {
        format!("{} bytes, of which the first {} were kept", letter.original_len, letter.bytes.len())
    } else {
        format!("{} bytes", letter.original_len)
    };
    let stored = match letter.epoch {
        Some(epoch) => format!("{} in epoch {epoch}", letter.stored_at),
        None => letter.stored_at.to_string(),
    };
    let fields = [
        ("id", letter.id.to_string()),
        ("reason", safe(letter.reason.as_bytes(), Lines::One)),
        ("source", safe(letter.source.as_bytes(), Lines::One)),
        ("partition", partition(letter)),
        ("position", position(letter)),
        ("record time", letter.at.to_string()),
        ("stored", stored),
        ("original", original),
        ("format", letter.format.map_or("not noted", Format::name).to_owned()),
    ];
    for (name, value) in fields {
        writeln!(out, "{BOLD}{name:<12}{BOLD:#}{value}")?;
    }
    if let Some(Requeued { at, to }) = &letter.requeued {
        writeln!(out, "{BOLD}{:<12}{BOLD:#}{at} to {}", "requeued", safe(to.as_bytes(), Lines::One))?;
    }
    let text = safe(&letter.bytes, Lines::Many);
    writeln!(out, "\n{}", text.strip_suffix('\n').unwrap_or(&text))
}

/// An array of objects; `begins_with` is as safe as in the table.
pub(super) fn list_json(letters: &[Letter], out: &mut dyn Write) -> io::Result<()> {
    let items: Vec<Value> = letters
        .iter()
        .map(|letter| {
            let mut item = fields_json(letter);
            item["begins_with"] = Value::from(excerpt(&letter.bytes, EXCERPT));
            item
        })
        .collect();
    output::json(&items, out)
}

/// An object with the bytes as `text`; `exact` tells whether the text is the bytes to the unit (else use `--raw`).
pub(super) fn letter_json(letter: &Letter, out: &mut dyn Write) -> io::Result<()> {
    let text = String::from_utf8_lossy(&letter.bytes);
    let mut item = fields_json(letter);
    item["exact"] = Value::from(text.as_bytes() == letter.bytes);
    item["kept_len"] = Value::from(letter.bytes.len());
    item["text"] = Value::from(text);
    output::json(&item, out)
}

fn fields_json(letter: &Letter) -> Value {
    json!({
        "id": letter.id,
        "reason": letter.reason,
        "source": letter.source,
        "partition": letter.partition,
        "position": letter.position,
        "element": letter.element,
        "at": letter.at,
        "stored_at": letter.stored_at,
        "epoch": letter.epoch,
        "original_len": letter.original_len,
        "format": letter.format,
        "requeued": letter.requeued,
    })
}

fn cells(letter: &Letter) -> [String; 8] {
    [
        letter.id.to_string(),
        letter.stored_at.to_string(),
        excerpt(letter.source.as_bytes(), 40),
        partition(letter),
        position(letter),
        reason(letter),
        letter.original_len.to_string(),
        excerpt(&letter.bytes, EXCERPT),
    ]
}

fn reason(letter: &Letter) -> String {
    let reason = excerpt(letter.reason.as_bytes(), 40);
    if letter.requeued.is_some() { format!("{reason} (requeued)") } else { reason }
}

fn partition(letter: &Letter) -> String {
    if letter.partition.is_empty() { "-".to_owned() } else { excerpt(letter.partition.as_bytes(), 80) }
}

/// The position of the record, and which of its elements.
fn position(letter: &Letter) -> String {
    match letter.element {
        None => letter.position.to_string(),
        Some(element) => format!("{}[{element}]", letter.position),
    }
}

fn line(cells: &[String; 8], widths: &[usize; 8], style: anstyle::Style, out: &mut dyn Write) -> io::Result<()> {
    let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
    writeln!(out, "{style}{}{style:#}", padded.join("  ").trim_end())
}

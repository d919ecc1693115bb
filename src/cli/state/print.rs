//! What `state verify` says to people.

use std::io::{self, Write};

use crate::cli::state::verify::{Totals, Verified};
use crate::cli::terminal::{Lines, safe};
use crate::control::config::fault::counted;

/// Positions that are shown; JSON has them all.
const POSITIONS_SHOWN: usize = 10;

/// Writes it.
pub(super) fn text(verified: &Verified, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "state in {}", safe(verified.origin.as_bytes(), Lines::One))?;
    for (name, what) in facts(verified) {
        writeln!(out, "  {name:<12} {}", safe(what.as_bytes(), Lines::One))?;
    }
    for fault in &verified.faults {
        writeln!(out, "fault: {}", safe(fault.as_bytes(), Lines::One))?;
    }
    let n_faults = verified.faults.len() + usize::try_from(verified.more_faults).unwrap_or(usize::MAX);
    match (n_faults, verified.more_faults) {
        (0, _) => writeln!(out, "whole: every block can be read, no epoch is missing, every alert is accounted for"),
        (_, 0) => writeln!(out, "{}", counted(n_faults, "fault")),
        (_, more) => writeln!(out, "{n_faults} faults, {more} of them not shown"),
    }
}

fn facts(verified: &Verified) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some((first, last)) = verified.epochs {
        let at = verified.committed_at.map(|at| format!(", committed {at}")).unwrap_or_default();
        facts.push(("epochs", format!("{first} to {last}{at}; needed from {}", verified.safe_from)));
    }
    let Verified { blocks, bytes, fingerprints, firing, unresolved, incidents, .. } = verified;
    facts.push(("blocks", format!("{blocks}, {bytes} bytes")));
    facts.push(("fingerprints", format!("{fingerprints} live, {firing} of them firing")));
    facts.push(("incidents", format!("{incidents}, {unresolved} of them unresolved")));
    if verified.held_groups > 0 {
        let groups = counted(verified.held_groups, "group");
        facts.push(("held back", format!("{} in {groups}", counted(verified.held_alerts, "alert"))));
    }
    for place in verified.positions.iter().take(POSITIONS_SHOWN) {
        let partition = if place.partition.is_empty() { String::new() } else { format!(" {}", place.partition) };
        facts.push(("position", format!("{}{partition}: next is {}", place.source, place.next)));
    }
    if let Some(more) = verified.positions.len().checked_sub(POSITIONS_SHOWN).filter(|more| *more > 0) {
        facts.push(("position", format!("and {more} more")));
    }
    facts.extend(verified.totals.iter().map(|totals| ("alerts", law(totals))));
    facts
}

/// The conservation law in numbers.
fn law(totals: &Totals) -> String {
    let Totals { source, received, outcomes, held, adds_up } = totals;
    let terms: Vec<String> =
        outcomes.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    let held = if *held == 0 { None } else { Some(format!("{held} held")) };
    let terms: Vec<String> = terms.into_iter().chain(held).collect();
    let sum = if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") };
    format!("{source}: {received} received {} {sum}", if *adds_up { "=" } else { "is not" })
}

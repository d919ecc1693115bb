//! A state whose blocks are as they were written, and whose content cannot be: it is refused and the entry named, or it is one
//! that a daemon can go on with; never a panic, and never a count below zero.
//!
//! `damaged` takes a real state apart down to the fields of its messages, changes some of them, whatever they mean, and puts it
//! together again under right checksums. `every_fault_is_named` has one change for each thing that is looked at.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use tidegate::model::fingerprint::{HashKey, IncidentId};
use tidegate::model::time::{Millis, Timestamp};
use tidegate::pipeline::chunk::StepKind;
use tidegate::pipeline::inline::Engine;
use tidegate::pipeline::options::{OpenAfter, Options, WindowRule};
use tidegate::pipeline::pressure::{Level, Pressure};
use tidegate::pipeline::source::{Batch, RecordRef, SourceIndex};
use tidegate::pipeline::start::Start;
use tidegate::pipeline::state::entry::{GroupEntry, MemberEntry, MetaEntry};
use tidegate::pipeline::state::{Restored, check};
use tidegate::storm::Shape;

use crate::engine::flood::{Run, lively, options, records};

/// Bytes of a block's header: magic, version, zero, epoch, checksum, length.
const HEADER: usize = 24;

/// A state, and what goes on after it.
struct Known {
    options: Options,
    blocks: Vec<Vec<u8>>,
    records: Vec<Vec<u8>>,
}

/// Windows that open at once and such that hold back, with an overflow of tidegate's own.
static STATES: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let threshold = OpenAfter { count: 4, within: Millis::minutes(10) };
    let held = WindowRule { open_after: threshold, ..lively() };
    let cases = [(lively(), Shape::TicketStorm), (held, Shape::Cascade), (lively(), Shape::ResolveFlood)];
    cases.into_iter().map(|(rule, shape)| state(options(vec![rule], 2), shape)).collect()
});

fn state(options: Options, shape: Shape) -> Known {
    let records = records(shape, 3, 360, 10.0);
    let mut run = Run::new(options.clone());
    let pressure = Pressure { level: Level::Evict, offender: None };
    run.steps = vec![(200, StepKind::Pressure { pressure, at: Timestamp(1_000) })];
    for batch in records[..280].chunks(40) {
        if run.last_epoch() == 3 {
            run.sweep();
        }
        run.feed(batch);
        run.end_epoch();
    }
    let needed = run.blocks.iter().filter(|(epoch, _)| *epoch >= run.safe_from);
    let blocks = needed.map(|(_, block)| block.clone()).collect();
    Known { options, blocks, records: records[240..].to_vec() }
}

/// A field of a message: its tag with the wire type, and its value. Protocol Buffers, "Encoding".
#[derive(Clone, Debug, PartialEq)]
struct Field {
    tag: u64,
    value: Value,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    /// A varint or eight bytes, which the tag tells apart.
    Number(u64),
    Bytes(Vec<u8>),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// `None` if it is no message.
fn fields(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            1 => {
                let (number, rest) = bytes.split_first_chunk::<8>()?;
                bytes = rest;
                Value::Number(u64::from_le_bytes(*number))
            }
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let (text, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                Value::Bytes(text.to_vec())
            }
            _ => return None,
        };
        fields.push(Field { tag, value });
    }
    Some(fields)
}

fn message(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for Field { tag, value } in fields {
        put_varint(*tag, &mut out);
        match value {
            Value::Number(number) if tag & 7 == 0 => put_varint(*number, &mut out),
            Value::Number(number) => out.extend_from_slice(&number.to_le_bytes()),
            Value::Bytes(bytes) => {
                put_varint(bytes.len() as u64, &mut out);
                out.extend_from_slice(bytes);
            }
        }
    }
    out
}

/// The entries of a block, each a message.
fn entries(block: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &block[HEADER..];
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let len = varint(&mut rest).unwrap() as usize;
        entries.push(rest[..len].to_vec());
        rest = &rest[len..];
    }
    entries
}

/// A block of these entries with the header that fits them, for the epoch of the old one.
fn sealed(block: &[u8], entries: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for entry in entries {
        put_varint(entry.len() as u64, &mut body);
        body.extend_from_slice(entry);
    }
    let epoch = &block[8..16];
    let (crc, len) = (crc32fast::hash(&[epoch, &body].concat()).to_le_bytes(), (body.len() as u32).to_le_bytes());
    [&block[..16], &crc, &len, &body].concat()
}

/// One change of an entry: how often it goes down into a message, and what it does there.
#[derive(Clone, Debug)]
struct Change {
    entry: usize,
    path: [usize; 4],
    depth: usize,
    act: u8,
    number: u64,
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop_oneof![
        Just(0),
        1..9_u64,
        Just(u64::MAX),
        Just(i64::MAX as u64),
        Just(i64::MIN as u64),
        Just(1 << 60),
        any::<u64>()
    ];
    (any::<usize>(), any::<[usize; 4]>(), 1..4_usize, 0..9_u8, number)
        .prop_map(|(entry, path, depth, act, number)| Change { entry, path, depth, act, number })
}

fn apply(change: &Change, level: usize, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let Some(mut fields) = fields(bytes).filter(|fields| !fields.is_empty()) else { return bytes.to_vec() };
    let at = change.path[level] % fields.len();
    if level < change.depth
        && let Value::Bytes(inner) = &fields[at].value
        && self::fields(inner).is_some_and(|inner| !inner.is_empty())
    {
        let (tag, other) = (fields[at].tag, self::fields(other).unwrap_or_default());
        let other = other.into_iter().find(|field| field.tag == tag).map(|field| field.value);
        let other = if let Some(Value::Bytes(other)) = other { other } else { Vec::new() };
        fields[at].value = Value::Bytes(apply(change, level + 1, inner, &other));
        return message(&fields);
    }
    match change.act {
        0 => drop(fields.remove(at)),
        1 => {
            let twice = fields[at].clone();
            fields.push(twice);
        }
        2 => {
            let theirs = self::fields(other).unwrap_or_default();
            fields.extend(theirs.into_iter().find(|field| field.tag == fields[at].tag));
        }
        act => match &mut fields[at].value {
            Value::Number(number) if act == 3 => *number = number.wrapping_add(1),
            Value::Number(number) if act == 4 => *number = number.wrapping_sub(1),
            Value::Number(number) if act == 5 => *number ^= 1 << (change.number % 64),
            Value::Number(number) => *number = change.number,
            Value::Bytes(text) if act == 3 => text.truncate(text.len() / 2),
            Value::Bytes(text) if act == 4 => text.push(change.number as u8),
            Value::Bytes(text) if act == 5 => text.clear(),
            Value::Bytes(text) => {
                let place = change.number as usize % text.len().max(1);
                text.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << (act % 8));
            }
        },
    }
    message(&fields)
}

/// The blocks of a state with these changes.
fn damaged(blocks: &[Vec<u8>], changes: &[Change]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<Vec<u8>>> = blocks.iter().map(|block| entries(block)).collect();
    let places: Vec<(usize, usize)> =
        all.iter().enumerate().flat_map(|(block, entries)| (0..entries.len()).map(move |at| (block, at))).collect();
    for change in changes {
        let (block, at) = places[change.entry % places.len()];
        let (other, there) = places[change.path[3] % places.len()];
        let other = all[other][there].clone();
        all[block][at] = apply(change, 0, &all[block][at], &other);
    }
    blocks.iter().zip(&all).map(|(block, entries)| sealed(block, entries)).collect()
}

fn restore(blocks: &[Vec<u8>]) -> Result<Restored, String> {
    let mut restored = Restored::default();
    blocks.iter().try_for_each(|block| restored.take_block(block)).map_err(|error| error.0)?;
    Ok(restored)
}

/// Goes on from a state for some epochs, and to the end of all timers. `false`: it was refused.
fn go_on(known: &Known, restored: Restored) -> bool {
    let incidents: Vec<IncidentId> = restored.groups.keys().copied().take(3).collect();
    let start = match Start::new(Arc::new(known.options.clone()), restored, HashKey::FIXED) {
        Ok(start) => start,
        Err(error) => {
            assert!(error.0.starts_with("state: ") && error.0.len() > 20, "{error}");
            return false;
        }
    };
    let mut engine = Engine::new(start, false);
    let end = |engine: &mut Engine| engine.end_epoch(Timestamp(0)).unwrap();
    for (number, records) in (0_u64..).zip(known.records.chunks(40)) {
        let mut batch = Batch { partitions: vec!["".into()], ..Batch::default() };
        for (at, record) in (0..).zip(records) {
            let position = 1_000 + 40 * number + at;
            let (next, time, format) = (position + 1, Timestamp::MIN, tidegate::model::alert::Format::Native);
            batch.push(record, RecordRef { start: 0, len: 0, partition: 0, position, next, time, format });
        }
        engine.feed(SourceIndex(0), batch, Vec::new(), Timestamp(0));
        end(&mut engine);
    }
    engine.step(StepKind::Unread { source: SourceIndex(0), by: Millis::minutes(1) });
    for incident in incidents {
        engine.step(StepKind::Resolve { incident, by: "somebody".to_owned() });
    }
    engine.step(StepKind::Pressure { pressure: Pressure::default(), at: Timestamp(2_000) });
    engine.sweep_soon();
    end(&mut engine);
    engine.step(StepKind::RunOut);
    end(&mut engine);
    true
}

#[test]
fn what_cannot_be_is_refused_or_harmless() {
    let cases = std::env::var("TIDEGATE_CONTENT_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let (n_unreadable, n_refused, n_harmless) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let count = |cell: &Cell<u32>| cell.set(cell.get() + 1);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let strategy = (0..3_usize, prop::collection::vec(change(), 1..4));
    let tried = TestRunner::new(config).run(&strategy, |(which, changes)| {
        let known = &STATES[which];
        let Ok(restored) = restore(&damaged(&known.blocks, &changes)) else {
            count(&n_unreadable);
            return Ok(());
        };
        let mut faults = Vec::new();
        check::all(&restored, &mut |fault| faults.push(fault));
        let went_on = go_on(known, restored);
        count(if went_on { &n_harmless } else { &n_refused });
        prop_assert_eq!(went_on, faults.is_empty(), "verify says {:?}", faults);
        Ok(())
    });
    tried.unwrap();
    let (n_unreadable, n_refused, n_harmless) = (n_unreadable.get(), n_refused.get(), n_harmless.get());
    println!("{n_unreadable} states unreadable, {n_refused} refused for their content, {n_harmless} gone on with");
    assert!(n_refused > cases / 10 && n_harmless > cases / 10, "{n_refused} refused, {n_harmless} gone on with");
}

#[test]
fn a_state_that_is_taken_apart_and_put_together_is_the_same() {
    for known in STATES.iter() {
        assert_eq!(damaged(&known.blocks, &[]), known.blocks);
        assert!(go_on(known, restore(&known.blocks).unwrap()));
        for entry in known.blocks.iter().flat_map(|block| entries(block)) {
            assert_eq!(message(&fields(&entry).unwrap()), entry);
        }
    }
}

fn an_incident(state: &mut Restored) -> &mut GroupEntry {
    let live =
        state.members.values().find(|member| member.touch.state == 0 && u128::from(member.incident) > 0).unwrap();
    state.groups.get_mut(&IncidentId(live.incident.into())).unwrap()
}

fn a_held_group(state: &mut Restored) -> &mut GroupEntry {
    state.held.values_mut().next().unwrap()
}

fn a_member(state: &mut Restored) -> &mut MemberEntry {
    state.members.values_mut().find(|member| member.touch.state == 0).unwrap()
}

fn meta(state: &mut Restored) -> &mut MetaEntry {
    state.meta.as_mut().unwrap()
}

/// Changes a state, and compares what is said of it.
#[track_caller]
fn refused(which: usize, change: impl Fn(&mut Restored), expected: &str) {
    let known = &STATES[which];
    let mut state = restore(&known.blocks).unwrap();
    state.settle();
    change(&mut state);
    let mut faults = Vec::new();
    check::all(&state, &mut |fault| faults.push(fault));
    let error = Start::new(Arc::new(known.options.clone()), state, HashKey::FIXED).err().unwrap().0;
    assert!(error.contains(expected), "{error}, instead of {expected}");
    assert!(faults.iter().any(|fault| error == format!("state: {fault}")), "{faults:?} and {error}");
}

#[test]
fn every_fault_is_named() {
    refused(0, |state| an_incident(state).firing -= 1, " of its fingerprints do");
    refused(0, |state| an_incident(state).firing += 1, " of its fingerprints do");
    refused(0, |state| an_incident(state).members = 0, "0 joined, and it has ");
    refused(0, |state| an_incident(state).severity_max = 6, "there is no severity 6");
    refused(0, |state| an_incident(state).end_cause = 5, "there is no cause 5 of an end");
    refused(0, |state| an_incident(state).last = i64::MAX, "9223372036854775807 is no time");
    refused(0, |state| an_incident(state).labels.push(1), "its labels cannot be read");
    refused(0, |state| an_incident(state).opening_reason = "why".to_owned(), "there is no reason \"why\"");
    refused(0, |state| an_incident(state).severity_counts[0] += 1, " by status");
    refused(0, |state| an_incident(state).status_counts.truncate(1), "its counts are incomplete");
    refused(0, |state| an_incident(state).feed.clear(), "no source has fed it");
    refused(0, |state| state.revisions.clear(), "its revision is missing");
    refused(0, |state| state.groups.clear(), " is not in the state");
    refused(0, |state| a_member(state).touch.state = 7, "there is no state 7");
    refused(0, |state| a_member(state).touch.state = 2, "state 2 is none of such a group");
    refused(0, |state| a_member(state).touch.severity = 9, "there is no severity 9");
    refused(0, |state| a_member(state).touch.count = u64::MAX, "nothing was counted 18446744073709551615 times");
    refused(0, |state| a_member(state).labels = vec![1, 0, 0, 0, 0xff], "its labels cannot be read");
    refused(0, |state| a_member(state).touch.last = i64::MIN, "-9223372036854775808 is no time");
    refused(0, |state| meta(state).totals[0].received += 1, "and its outcomes and held ones are not as many");
    refused(0, |state| meta(state).pressure_level = 6, "there is no level 6 of memory");
    refused(0, |state| meta(state).positions[0].next = u64::MAX, "position of \"file\"");
    refused(0, |state| meta(state).wall = i64::MAX, "wall clock: ");
    refused(0, |state| meta(state).epoch += 1, "does not end with its own meta entry");
    refused(0, |state| meta(state).hash_key.truncate(3), "the hash key has not 16 bytes");
    refused(0, |state| state.meta = None, "no block has a meta entry");
    refused(0, |state| state.epochs = Some((99, meta(state).epoch)), "and the first there is, is of epoch 99");
    refused(1, |state| a_held_group(state).held.clear(), "it is no incident and holds nothing back");
    refused(1, |state| a_held_group(state).held[0].key.low ^= 1, " held back");
    refused(1, |state| a_held_group(state).members = 1, "it is no incident and has members");
    let samples = |state: &mut Restored| {
        let id = IncidentId(an_incident(state).incident.into());
        state.samples.insert(id, b"[{]".to_vec());
    };
    refused(0, samples, "its samples cannot be read");
    let twice = |state: &mut Restored| {
        let mut group = an_incident(state).clone();
        (group.firing, group.resolved_at, group.incident.low) = (0, Some(5), group.incident.low ^ 1);
        group.is_current = true;
        an_incident(state).is_current = true;
        let id = IncidentId(group.incident.into());
        state.revisions.insert(id, 1);
        state.groups.insert(id, Box::new(group));
    };
    refused(0, twice, "is the newest, too");
    let own = |state: &mut Restored| state.own.values_mut().next().unwrap().distinct.clear();
    refused(0, own, "its count of fingerprints cannot be read");
}

//! JSON text to tape, with memory that is used again, and the name of what is wrong with a text that is none.

use simd_json::{Buffers, ErrorType, Node, Tape};

use crate::pipeline::decode::Reject;
use crate::pipeline::decode::limits::Limits;

/// Nodes of the tape that are kept for the next record, some 12 MiB. A record with more (a body of some 4,000 alerts,
/// or one made to fill memory) gets memory of its own.
const KEPT_NODES: usize = 512 << 10;

/// The parser and its memory.
pub(super) struct Parser {
    /// Texts that simd-json refused for a number and that were given to serde_json.
    pub(super) fallbacks: u64,
    /// A copy of the text: simd-json writes into its input, and the record must stay as it came for dead letters.
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Parser {
    pub(super) fn new() -> Self {
        Self { fallbacks: 0, scratch: Vec::new(), buffers: new_buffers(), tape: Tape(Vec::new()) }
    }

    /// Parses `text` and lets `read` walk over it. Allocates nothing once the buffers have grown to the usual size.
    pub(super) fn parse<R>(&mut self, text: &[u8], mut read: impl FnMut(&[Node<'_>]) -> R) -> Result<R, Reject> {
        self.scratch.clear();
        self.scratch.extend_from_slice(text);
        let parsed = match self.parse_scratch(&mut read) {
            Err(ErrorType::InvalidNumber) => {
                self.fallbacks += 1;
                self.scratch = rewrite_numbers(text)?;
                self.parse_scratch(&mut read)
            }
            parsed => parsed,
        };
        if self.tape.0.capacity() > KEPT_NODES {
            *self = Self { fallbacks: self.fallbacks, ..Self::new() };
        }
        parsed.map_err(|error| name_fault(&error, text))
    }

    fn parse_scratch<R>(&mut self, read: &mut impl FnMut(&[Node<'_>]) -> R) -> Result<R, ErrorType> {
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = match simd_json::fill_tape(&mut self.scratch, &mut self.buffers, &mut tape) {
            Ok(()) => Ok(read(&tape.0)),
            Err(error) => Err(reason(&error)),
        };
        self.tape = tape.reset();
        parsed
    }
}

fn new_buffers() -> Buffers {
    Buffers::with_max_depth(0, Limits::MAX_DEPTH)
}

/// The kinds of failure that lead to different names; the rest is syntax.
fn reason(error: &simd_json::Error) -> ErrorType {
    match error.error() {
        ErrorType::InvalidNumber => ErrorType::InvalidNumber,
        ErrorType::DepthLimitExceeded => ErrorType::DepthLimitExceeded,
        _ => ErrorType::Syntax,
    }
}

/// The text again, with numbers that simd-json can hold: integers beyond 64 bits become floating point, as they are for
/// most JSON readers. One odd number in an annotation must not cost an alert.
fn rewrite_numbers(text: &[u8]) -> Result<Vec<u8>, Reject> {
    let value: serde_json::Value = serde_json::from_slice(text).map_err(|error| match std::str::from_utf8(text) {
        Err(_) => Reject::InvalidUtf8,
        Ok(_) if error.is_eof() => Reject::MalformedJson,
        Ok(_) => Reject::InvalidNumber,
    })?;
    serde_json::to_vec(&value).map_err(|_| Reject::InvalidNumber)
}

fn name_fault(error: &ErrorType, text: &[u8]) -> Reject {
    match error {
        _ if std::str::from_utf8(text).is_err() => Reject::InvalidUtf8,
        ErrorType::DepthLimitExceeded => Reject::TooDeep,
        ErrorType::InvalidNumber => Reject::InvalidNumber,
        _ => Reject::MalformedJson,
    }
}

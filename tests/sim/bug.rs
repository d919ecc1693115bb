//! Bugs that can be built in on purpose, to see whether the checker finds them.

/// One bug; each breaks a rule that the promise rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A record is dropped when the client's queue is full.
    DropsWhenFull,
    /// A start reads the last committed record again: the offset lacks its `+ 1`.
    OffsetWithoutPlusOne,
    /// A start skips a record.
    OffsetTooFar,
    /// A commit without an answer is taken for done.
    UnknownIsDurable,
    /// A commit without an answer is taken for undone, and sent again without asking.
    UnknownIsAborted,
    /// An aborted epoch is not sent again.
    AbortedIsSkipped,
    /// A take-over does not fence the older producer.
    NoFence,
    /// The fence comes after the state was read, not before.
    LateFence,
    /// The state is read with what was aborted, or is not settled yet.
    ReadsUncommitted,
    /// A restore ends before the last epoch, as one bounded by a stale end does.
    ShortRestore,
    /// State that a restore still needs is deleted.
    TrimsTooEarly,
    /// An instance that was shut out takes the state over again without reading it.
    IgnoresOwner,
    /// A producer is kept after a request of it timed out, and the request arrives later (KIP-890).
    KeepsSuspectProducer,
    /// Only the state of an epoch is in the transaction; incidents are sent before it.
    IncidentsOutside,
    /// Consumer offsets are committed at once, not with the transaction.
    OffsetsOutside,
    /// Revisions start anew with each start.
    ForgetsRevisions,
    /// A restore loses a fingerprint.
    ForgetsMember,
    /// A batch that was fetched twice is taken twice.
    TakesBatchTwice,
    /// A standby goes on with its copy, without what was committed since it last looked.
    TrustsItsCopy,
}

impl Bug {
    pub(crate) const ALL: [Self; 19] = [
        Self::DropsWhenFull,
        Self::OffsetWithoutPlusOne,
        Self::OffsetTooFar,
        Self::UnknownIsDurable,
        Self::UnknownIsAborted,
        Self::AbortedIsSkipped,
        Self::NoFence,
        Self::LateFence,
        Self::ReadsUncommitted,
        Self::ShortRestore,
        Self::TrimsTooEarly,
        Self::IgnoresOwner,
        Self::KeepsSuspectProducer,
        Self::IncidentsOutside,
        Self::OffsetsOutside,
        Self::ForgetsRevisions,
        Self::ForgetsMember,
        Self::TakesBatchTwice,
        Self::TrustsItsCopy,
    ];
}

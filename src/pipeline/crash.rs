//! Places at which tests let the real program die as by `kill -9`, between any two steps of an epoch's way to durability.
//!
//! Nothing of it is in a release: without `debug_assertions` the body is empty and the name of the variable is nowhere in the
//! program, which `.ci/run` (step `build`) looks for. In a test build `TIDEGATE_TEST_CRASH=PLACE:N` lets it die when it comes to
//! that place for the N-th time.

/// Calls `$each` for every place, so that the list stands once.
macro_rules! places {
    ($($(#[$about:meta])* $place:ident $name:literal,)*) => {
        /// Where the program may be made to die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(not(debug_assertions), allow(dead_code, reason = "only a test build looks at it"))]
        pub enum Place {
            $($(#[$about])* $place,)*
        }

        impl Place {
            /// Every place.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$place),*];

            /// Its name in the variable.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$place => $name,)* }
            }
        }
    };
}

places! {
    /// The sequencer has ended an epoch; shards still work on it.
    EpochEnded "epoch-ended",
    /// All of it is gathered, nothing sent.
    EpochGathered "epoch-gathered",
    /// It is about to be handed to the sink.
    EpochSent "epoch-sent",
    /// Kafka: the transaction has begun.
    Begun "begun",
    /// Kafka: offsets are being added.
    OffsetsAsked "offsets-asked",
    /// Kafka: the first record was handed to the client.
    FirstRecord "first-record",
    /// Kafka: all records were.
    RecordsSent "records-sent",
    /// Kafka: all were confirmed.
    Flushed "flushed",
    /// Kafka: offsets were added.
    OffsetsAdded "offsets-added",
    /// Kafka: the commit is being asked for.
    CommitAsked "commit-asked",
    /// Kafka: the commit was answered, and nobody here knows yet.
    CommitAnswered "commit-answered",
    /// SQLite: the transaction has begun.
    SqlBegun "sql-begun",
    /// SQLite: all is written, not committed.
    SqlWritten "sql-written",
    /// SQLite: committed.
    SqlCommitted "sql-committed",
    /// The epoch is durable; nothing was published, nobody answered.
    Durable "durable",
    /// Published, nobody answered.
    Published "published",
    /// Senders were answered.
    Answered "answered",
    /// Kafka: the transactional id is about to be taken over.
    TakeOver "take-over",
    /// Kafka: it was; whoever had it before is fenced.
    Fenced "fenced",
    /// Kafka: the owner's record is sent, not committed.
    OwnerSent "owner-sent",
    /// The state was read back.
    StateRead "state-read",
    /// State that is not needed any more is about to be deleted.
    Tidying "tidying",
    /// It was.
    Tidied "tidied",
}

/// The program comes to a place.
#[cfg(debug_assertions)]
pub(crate) fn at(place: Place) {
    armed::at(place);
}

/// Nothing: this is a release.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn at(_place: Place) {}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Place;

    /// What arms it from outside.
    const VARIABLE: &str = "TIDEGATE_TEST_CRASH";

    static CRASH: LazyLock<Option<(Place, u64)>> =
        LazyLock::new(|| std::env::var(VARIABLE).ok().and_then(|value| parse(&value)));
    static PASSES: AtomicU64 = AtomicU64::new(0);

    fn parse(value: &str) -> Option<(Place, u64)> {
        let (name, pass) = value.split_once(':')?;
        let place = Place::ALL.into_iter().find(|place| place.name() == name)?;
        Some((place, pass.parse().ok()?))
    }

    pub(super) fn at(place: Place) {
        if let Some((chosen, pass)) = *CRASH
            && chosen == place
            && PASSES.fetch_add(1, Ordering::Relaxed) + 1 == pass
        {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn every_place_has_a_name_of_its_own() {
            for place in Place::ALL {
                assert_eq!(parse(&format!("{}:3", place.name())), Some((place, 3)));
            }
            assert_eq!(parse("nowhere:1"), None);
            assert_eq!(parse("durable"), None);
        }
    }
}

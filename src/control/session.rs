//! Browsers that showed the token once: sessions with random names, bounded in number and time, in memory only.
//!
//! A browser cannot send a bearer token by itself. It sends the token to `/login` once and gets a name in a cookie that
//! scripts cannot read and other sites cannot send. A restart or another token ends every session.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use subtle::ConstantTimeEq as _;

use crate::model::Timestamp;
use crate::model::time::Millis;

/// A session ends after this time: a long shift.
pub(crate) const LIFETIME: Millis = Millis::hours(12);
/// Sessions at once; one more ends the oldest.
const SESSIONS_MAX: usize = 256;
/// Wrong tokens within `WRONG_WITHIN` before nobody may try for a while.
const WRONG_MAX: usize = 10;
const WRONG_WITHIN: Millis = Millis::minutes(1);

/// The sessions of one listener.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Name and end, oldest first.
    open: VecDeque<(String, Timestamp)>,
    /// When wrong tokens came, oldest first.
    wrong: VecDeque<Timestamp>,
}

impl Sessions {
    /// Opens a session and returns its name; `None` when the system gives no random numbers.
    pub(crate) fn open(&self, now: Timestamp) -> Option<String> {
        let mut random = [0_u8; 32];
        rustls::crypto::ring::default_provider().secure_random.fill(&mut random).ok()?;
        let name = random.iter().fold(String::new(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}"); // Writing to a `String` cannot fail.
            name
        });
        let mut table = self.table();
        if table.open.len() == SESSIONS_MAX {
            table.open.pop_front();
        }
        table.open.push_back((name.clone(), now + LIFETIME));
        Some(name)
    }

    /// Whether a session of that name is open.
    pub(crate) fn knows(&self, name: &str, now: Timestamp) -> bool {
        let mut table = self.table();
        table.open.retain(|(_, until)| *until > now);
        // All of them are compared, so that the time this takes tells nothing.
        table.open.iter().fold(false, |known, (open, _)| known | bool::from(open.as_bytes().ct_eq(name.as_bytes())))
    }

    /// Ends a session.
    pub(crate) fn close(&self, name: &str) {
        self.table().open.retain(|(open, _)| open != name);
    }

    /// Ends all of them.
    pub(crate) fn clear(&self) {
        self.table().open.clear();
    }

    /// Whether a token may be tried now.
    pub(crate) fn may_try(&self, now: Timestamp) -> bool {
        let mut table = self.table();
        table.wrong.retain(|at| now - *at < WRONG_WITHIN);
        table.wrong.len() < WRONG_MAX
    }

    /// A token was wrong.
    pub(crate) fn note_wrong(&self, now: Timestamp) {
        self.table().wrong.push_back(now);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn a_session_is_known_until_its_end() {
        let sessions = Sessions::default();
        let name = sessions.open(NOW).unwrap();
        assert_eq!(name.len(), 64);
        assert_ne!(name, sessions.open(NOW).unwrap());
        assert!(sessions.knows(&name, NOW) && !sessions.knows("", NOW) && !sessions.knows(&name[1..], NOW));
        assert!(sessions.knows(&name, NOW + LIFETIME - Millis(1)));
        assert!(!sessions.knows(&name, NOW + LIFETIME));
        let closed = sessions.open(NOW).unwrap();
        sessions.close(&closed);
        assert!(!sessions.knows(&closed, NOW));
        let cleared = sessions.open(NOW).unwrap();
        sessions.clear();
        assert!(!sessions.knows(&cleared, NOW));
    }

    #[test]
    fn one_session_too_many_ends_the_oldest() {
        let sessions = Sessions::default();
        let names: Vec<String> = (0..=SESSIONS_MAX).map(|_| sessions.open(NOW).unwrap()).collect();
        assert!(!sessions.knows(&names[0], NOW) && sessions.knows(&names[1], NOW));
    }

    #[test]
    fn wrong_tokens_make_everybody_wait_a_minute() {
        let sessions = Sessions::default();
        for _ in 0..WRONG_MAX {
            assert!(sessions.may_try(NOW));
            sessions.note_wrong(NOW);
        }
        assert!(!sessions.may_try(NOW + WRONG_WITHIN - Millis(1)));
        assert!(sessions.may_try(NOW + WRONG_WITHIN));
    }
}

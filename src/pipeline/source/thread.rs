//! The thread of a source, how it is asked to stop, and how what it says leaves it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{SendTimeoutError, Sender};

use crate::pipeline::pressure::valves::Valves;
use crate::pipeline::source::{SourceEvent, SourceIndex};

/// How often a source that is blocked by back-pressure looks whether it should stop.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// How often a source that is held back looks at its valve: it is open for some hundredths of a second at least.
const VALVE_CHECK: Duration = Duration::from_millis(15);

/// A running source.
#[derive(Debug)]
pub struct SourceThread {
    name: String,
    stop: Arc<AtomicBool>,
    handle: JoinHandle<()>,
    may_block: bool,
    valve: Valve,
}

/// Holds records back while memory is short, once it is set.
type Valve = Arc<OnceLock<(Arc<Valves>, SourceIndex)>>;

/// What the code of a source gets: the way out, and whether to go on.
#[derive(Clone, Debug)]
pub struct Outlet {
    events: Sender<SourceEvent>,
    stop: Arc<AtomicBool>,
    valve: Valve,
}

/// The source is to end: it was asked to stop, or nobody listens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source is to end")]
pub struct Closed;

impl SourceThread {
    /// Starts `run` on a thread of that name. It ends when it returns, at the latest soon after the outlet is closed.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn spawn(
        name: &str,
        events: Sender<SourceEvent>,
        run: impl FnOnce(&Outlet) -> Result<(), Closed> + Send + 'static,
    ) -> io::Result<Self> {
        let outlet = Outlet { events, stop: Arc::new(AtomicBool::new(false)), valve: Valve::default() };
        let (stop, valve) = (Arc::clone(&outlet.stop), Arc::clone(&outlet.valve));
        let handle = Builder::new().name(name.to_owned()).spawn(move || {
            if run(&outlet).is_err() {
                tracing::debug!("source: stopped");
            }
        })?;
        Ok(Self { name: name.to_owned(), stop, handle, may_block: false, valve })
    }

    /// Puts a valve behind it: while that is shut, its records wait in the source.
    #[must_use]
    pub fn behind(self, valves: Arc<Valves>, source: SourceIndex) -> Self {
        let _ = self.valve.set((valves, source)); // A thread is put behind one valve, once.
        self
    }

    /// Says that the thread may sit in a read that nothing can interrupt, so that `join` must not wait for it.
    #[must_use]
    pub fn that_may_block(mut self) -> Self {
        self.may_block = true;
        self
    }

    /// Name of the thread.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks the source to stop; what it has not handed on stays unread. Does not wait.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.handle.thread().unpark();
    }

    /// Whether the thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Waits for the end of the thread (`stop` first, or hang up); one that sits in a read is left behind.
    ///
    /// # Errors
    /// What the thread panicked with.
    pub fn join(self) -> std::thread::Result<()> {
        if self.may_block && !self.handle.is_finished() {
            tracing::debug!(source = self.name, "source: still in a read, left behind");
            return Ok(());
        }
        self.handle.join()
    }
}

impl Outlet {
    /// Hands an event on; blocks while the channel is full, which is how back-pressure reaches the source.
    ///
    /// # Errors
    /// When the source is to end; the event is dropped then.
    pub fn send(&self, event: SourceEvent) -> Result<(), Closed> {
        let mut event = event;
        while let Some(unsent) = self.offer(event)? {
            event = unsent;
        }
        Ok(())
    }

    /// As `send`, but gives the event back when the channel stays full for a while, for sources that have to look after
    /// something else meanwhile.
    ///
    /// # Errors
    /// When the source is to end; the event is dropped then.
    pub fn offer(&self, event: SourceEvent) -> Result<Option<SourceEvent>, Closed> {
        self.check()?;
        if self.is_held_back() && matches!(event, SourceEvent::Records(_)) {
            std::thread::park_timeout(VALVE_CHECK);
            return Ok(Some(event));
        }
        match self.events.send_timeout(event, STOP_CHECK) {
            Ok(()) => Ok(None),
            Err(SendTimeoutError::Timeout(unsent)) => Ok(Some(unsent)),
            Err(SendTimeoutError::Disconnected(_)) => Err(Closed),
        }
    }

    fn is_held_back(&self) -> bool {
        self.valve.get().is_some_and(|(valves, source)| valves.is_shut(*source))
    }

    /// A bound on a batch as it is now: smaller while memory is short.
    #[must_use]
    pub fn bound(&self, usual: usize) -> usize {
        self.valve.get().map_or(usual, |(valves, _)| valves.bound(usual as u64) as usize)
    }

    /// Waits before looking for more, at most that long.
    ///
    /// # Errors
    /// When the source is to end.
    pub fn pause(&self, at_most: Duration) -> Result<(), Closed> {
        self.check()?;
        std::thread::park_timeout(at_most);
        self.check()
    }

    /// To be asked in every loop that neither sends nor pauses.
    ///
    /// # Errors
    /// When the source was asked to stop.
    pub fn check(&self) -> Result<(), Closed> {
        if self.stop.load(Ordering::Acquire) { Err(Closed) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn stops_while_the_channel_is_full() {
        let (events, received) = crossbeam::channel::bounded(1);
        let thread = SourceThread::spawn("source-test", events, |outlet| {
            loop {
                outlet.send(SourceEvent::Ended)?;
            }
        })
        .unwrap();
        received.recv().unwrap();
        thread.stop();
        thread.join().unwrap();
    }

    #[test]
    fn a_shut_valve_holds_records_back_and_nothing_else() {
        let (events, received) = crossbeam::channel::bounded(4);
        let valves = Arc::new(Valves::default());
        valves.set(Valves::bit(SourceIndex(3)));
        let (held, is_held) = crossbeam::channel::bounded(1);
        let (go, may_go) = crossbeam::channel::bounded::<()>(0);
        let thread = SourceThread::spawn("source-held", events, move |outlet| {
            let _ = may_go.recv(); // Until the valve is there.
            let unsent = outlet.offer(SourceEvent::Records(Default::default()))?;
            held.send((unsent.is_some(), outlet.bound(100))).unwrap();
            outlet.send(SourceEvent::Ended)?;
            outlet.send(SourceEvent::Records(Default::default()))
        })
        .unwrap()
        .behind(Arc::clone(&valves), SourceIndex(3));
        drop(go);
        assert_eq!(is_held.recv().unwrap(), (true, 100));
        assert!(matches!(received.recv().unwrap(), SourceEvent::Ended));
        valves.set(Valves::bit(SourceIndex(2)));
        assert!(matches!(received.recv().unwrap(), SourceEvent::Records(_)));
        thread.join().unwrap();
    }

    #[test]
    fn stops_while_pausing_and_on_hang_up() {
        let (events, received) = crossbeam::channel::bounded(1);
        let pausing = SourceThread::spawn("source-pausing", events.clone(), |outlet| {
            outlet.send(SourceEvent::Ended)?;
            loop {
                outlet.pause(Duration::from_secs(3_600))?;
            }
        })
        .unwrap();
        received.recv().unwrap();
        assert_eq!(pausing.name(), "source-pausing");
        pausing.stop();
        pausing.join().unwrap();
        drop(received);
        let sending = SourceThread::spawn("source-sending", events, |outlet| outlet.send(SourceEvent::Ended)).unwrap();
        sending.join().unwrap();
    }

    #[test]
    fn one_that_sits_in_a_read_is_left_behind() {
        let (hold, held) = crossbeam::channel::bounded::<()>(0);
        let (events, _received) = crossbeam::channel::bounded(1);
        let thread = SourceThread::spawn("source-blocked", events, move |_| {
            let _ = held.recv();
            Ok(())
        })
        .unwrap()
        .that_may_block();
        thread.stop();
        assert!(!thread.is_finished());
        thread.join().unwrap();
        drop(hold);
    }

    #[test]
    fn a_panic_is_seen_by_who_joins() {
        let (events, _received) = crossbeam::channel::bounded(1);
        let thread = SourceThread::spawn("source-panics", events, |_| panic!("on purpose")).unwrap();
        assert!(thread.join().is_err());
    }
}

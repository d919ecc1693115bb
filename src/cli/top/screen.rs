//! The terminal: taken over at the start and given back however this ends, be it by a key, a signal, an error or a panic.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use crossbeam::channel::TryRecvError;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::client::Client;
use crate::cli::top::draw::draw;
use crate::cli::top::feed::{self, Feed, News};
use crate::cli::top::keys;
use crate::cli::top::state::State;
use crate::cli::top::theme::Theme;
use crate::model::time::{Clock as _, Stopwatch, SystemClock};

/// Between two looks for keys, news and signals.
const TURN: Duration = Duration::from_millis(50);
/// Without any of them the screen is drawn this often, for what only time changes.
const REDRAW: Duration = Duration::from_secs(1);
/// How long the screen has to end in order after a signal.
const GRACE: Duration = Duration::from_secs(1);
/// Exit code when it did not.
const CUT_OFF: i32 = 1;

/// Shows the daemon until a key or a signal ends it.
///
/// # Errors
/// When the daemon does not answer the first question, or the terminal cannot be used.
pub(super) fn run(client: Client, mut state: State, theme: Theme) -> anyhow::Result<ExitCode> {
    if std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        bail!("this terminal (TERM) cannot show a screen; one picture as text: tidegate top --once");
    }
    // Before the terminal is taken over: an error is read where it was written.
    let first = feed::look(&client, state.wanted(), None)?;
    let since = first.samples.last().map(|sample| sample.at);
    state.take(first);
    let feed = Feed::start(client, since)?;
    let stop = watch_signals()?;
    let terminal = Screen::take().context("take over the terminal")?;
    let result = live(terminal, state, &feed, &stop, theme);
    result.map(|()| ExitCode::SUCCESS)
}

/// Gives the terminal back when dropped. A panic does it before its message, by the hook that `ratatui` sets.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> std::io::Result<Self> {
        // What fails half way leaves a terminal that echoes nothing.
        ratatui::try_init().map(Self).inspect_err(|_| _ = ratatui::try_restore())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nothing left to do for a terminal that is gone.
        let _ = self.0.show_cursor();
        let _ = ratatui::try_restore();
    }
}

fn live(mut screen: Screen, mut state: State, feed: &Feed, stop: &AtomicBool, theme: Theme) -> anyhow::Result<()> {
    let mut changed = true;
    let mut drawn_at = Stopwatch::start();
    while !state.quit && !stop.load(Ordering::Relaxed) {
        if changed || drawn_at.elapsed() >= REDRAW {
            let mut drawn = state.drawn;
            screen.0.draw(|frame| drawn = draw(frame, &state, SystemClock.now(), theme)).context("draw")?;
            state.drawn = drawn;
            drawn_at = Stopwatch::start();
        }
        changed = event::poll(TURN).context("read the terminal")?;
        if changed {
            take_event(&mut state, &event::read().context("read the terminal")?);
        }
        changed |= take_news(&mut state, feed)?;
        feed.want(state.wanted());
    }
    Ok(())
}

fn take_event(state: &mut State, event: &Event) {
    // A change of size is seen by the next drawing.
    if let Event::Key(key) = event
        && let Some(action) = keys::action(*key, state.typing.is_some())
    {
        state.act(action);
    }
}

/// Whether there were any.
fn take_news(state: &mut State, feed: &Feed) -> anyhow::Result<bool> {
    match feed.news.try_recv() {
        Ok(News::Look(look)) => state.take(*look),
        Ok(News::Lost(why)) => state.lose(why, SystemClock.now()),
        Err(TryRecvError::Empty) => return Ok(false),
        Err(TryRecvError::Disconnected) => bail!("the thread that asks the daemon has ended"),
    }
    Ok(true)
}

/// Sees the signals that end a program, so that the terminal is given back first.
///
/// Whoever closes a terminal window leaves a reader of keys behind that never returns: crossterm 0.29 reads a terminal that
/// is gone again and again. So this thread ends the process when the screen does not.
fn watch_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start runtime")?;
    let entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    drop(entered);
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hang_up.recv() => {}
            }
        });
        seen.store(true, Ordering::Relaxed);
        std::thread::sleep(GRACE);
        let _ = ratatui::try_restore(); // The terminal may be gone.
        std::process::exit(CUT_OFF);
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).context("start thread")?;
    Ok(stop)
}

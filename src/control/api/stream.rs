//! Incident events as they become durable, as server-sent events: the same JSON as in the log, `id` is the place in it.
//!
//! A reader that comes back with `Last-Event-ID` goes on from there. If that is not kept any more, it gets an event `reset`
//! and has to read the list of incidents again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;

use crate::control::feed::{News, Place, Reader};
use crate::control::problem::Problem;
use crate::control::routes::Control;
use crate::model::IncidentEvent;

/// A comment is sent into a silent stream this often, so that nobody between us and the reader takes it for dead.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What a reader that was refused is told.
const RETRY_SECONDS: u32 = 10;
/// Events taken from the feed at once.
const BATCH: usize = 64;

struct Reading {
    control: Arc<Control>,
    reader: Reader,
    place: Option<Place>,
    waiting: VecDeque<Event>,
}

pub(crate) async fn incidents(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = match headers.get("last-event-id") {
        Some(id) => {
            let id = id.to_str().unwrap_or_default();
            Some(id.parse().map_err(|fault: String| Problem::bad_request("bad_last_event_id", fault))?)
        }
        None => control.feed.newest(),
    };
    let reader = reader(&control)?;
    let reading = Reading { control, reader, place, waiting: VecDeque::new() };
    Ok(Sse::new(unfold(reading, next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// A place for a stream.
///
/// # Errors
/// 503 when all of them are taken, or the daemon stops.
pub(crate) fn reader(control: &Control) -> Result<Reader, Problem> {
    let refused = |detail| Problem::unavailable("too_many_streams", detail, RETRY_SECONDS);
    let reader = control.feed.reader().ok_or_else(|| refused("too many readers stay connected: come again"))?;
    if reader.is_over() { Err(refused("the daemon stops")) } else { Ok(reader) }
}

async fn next(mut reading: Reading) -> Option<(Result<Event, Infallible>, Reading)> {
    while reading.waiting.is_empty() {
        if reading.reader.is_over() {
            return None;
        }
        match reading.control.feed.after(reading.place, BATCH) {
            News::Lost(newest) => {
                reading.place = Some(newest);
                reading.waiting.push_back(Event::default().event("reset").id(newest.to_string()).data("{}"));
            }
            News::Events(events) => {
                reading.place = events.last().map(|(place, _)| *place).or(reading.place);
                reading.waiting.extend(events.iter().filter_map(|(place, event)| told(*place, event)));
                if reading.waiting.is_empty() && !reading.reader.listen().await {
                    return None;
                }
            }
        }
    }
    let event = reading.waiting.pop_front()?;
    Some((Ok(event), reading))
}

/// An event that cannot be written is left out; there is none, as it was written to the store before.
fn told(place: Place, event: &IncidentEvent) -> Option<Event> {
    Event::default().event("incident").id(place.to_string()).json_data(event).ok()
}

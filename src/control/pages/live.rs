//! A page's own stream: the parts that changed, as markup, in server-sent events named after them. At most two updates a
//! second, however fast the events come; a beat every few seconds tells the page that the connection lives.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;

use crate::control::api::incidents::{all_steps, find};
use crate::control::api::stream::{KEEP_ALIVE, reader};
use crate::control::feed::Reader;
use crate::control::pages::incident::incident_parts;
use crate::control::pages::list::{Filter, parts};
use crate::control::pages::overview;
use crate::control::pages::part::Part;
use crate::control::problem::Problem;
use crate::control::routes::Control;
use crate::model::IncidentId;

/// Between two updates.
const PACE: Duration = Duration::from_millis(500);
/// Without any news the page is looked at this often: state, clocks and rates change by themselves.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// What a page shows.
enum Subject {
    List(Box<Filter>),
    Incident(IncidentId),
}

struct Watching {
    control: Arc<Control>,
    reader: Reader,
    subject: Subject,
    /// What the page shows, by part.
    sent: BTreeMap<&'static str, String>,
    waiting: VecDeque<Event>,
    is_first: bool,
}

pub(crate) async fn list(
    State(control): State<Arc<Control>>,
    uri: Uri,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let filter = Filter::read(&uri)?;
    watch(control, Subject::List(Box::new(filter)))
}

pub(crate) async fn incident(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let event = find(&control, &id).await?;
    watch(control, Subject::Incident(event.incident_id))
}

fn watch(
    control: Arc<Control>,
    subject: Subject,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let reader = reader(&control)?;
    let watching =
        Watching { control, reader, subject, sent: BTreeMap::new(), waiting: VecDeque::new(), is_first: true };
    Ok(Sse::new(unfold(watching, next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

async fn next(mut watching: Watching) -> Option<(Result<Event, Infallible>, Watching)> {
    while watching.waiting.is_empty() {
        if !watching.is_first && !watching.wait().await {
            return None;
        }
        watching.is_first = false;
        watching.look().await?;
    }
    let event = watching.waiting.pop_front()?;
    Some((Ok(event), watching))
}

impl Watching {
    /// Waits for news, but never less than the pace; `false` when the stream has to end.
    async fn wait(&mut self) -> bool {
        if tokio::time::timeout(PACE, self.reader.end()).await.is_ok() {
            return false;
        }
        // Time without news is no end.
        tokio::time::timeout(LOOK_EVERY.saturating_sub(PACE), self.reader.listen()).await.unwrap_or(true)
    }

    /// Puts into the queue what has changed; `None` when there is nothing to look at any more.
    async fn look(&mut self) -> Option<()> {
        let control = Arc::clone(&self.control);
        let parts = match &self.subject {
            Subject::List(filter) => parts(&control, filter),
            Subject::Incident(id) => self.incident(*id).await?,
        };
        for part in parts {
            if self.sent.get(part.name) != Some(&part.key) {
                self.waiting.push_back(Event::default().event(part.name).data(part.html));
                self.sent.insert(part.name, part.key);
            }
        }
        let now = control.clock.now();
        self.waiting.push_back(Event::default().event("beat").retry(RETRY).data(now.0.to_string()));
        Some(())
    }

    /// The parts of an incident; those of the incident itself only when it has another revision.
    async fn incident(&self, id: IncidentId) -> Option<Vec<Part>> {
        let mut parts = vec![overview::status(&self.control)];
        let event = find(&self.control, &id.to_string()).await.ok()?;
        if self.sent.get("facts") != Some(&event.revision.to_string()) {
            let steps = all_steps(&self.control, id).await.ok()?;
            parts.extend(incident_parts(&event, &steps, self.control.clock.now()));
        }
        Some(parts)
    }
}

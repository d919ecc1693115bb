//! Where incidents are looked up: in the running daemon over HTTP, or in the embedded store on the disk.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Deserialize;

use crate::cli::client::{Client, NotFound};
use crate::cli::installation::Installation;
use crate::control::config::Store;
use crate::control::history::{Step, Steps};
use crate::control::index::{IncidentIndex, LIMIT_MAX, Query};
use crate::model::{IncidentEvent, IncidentId, Matcher, Severity, Status, Timestamp};
use crate::pipeline::sink::sqlite::IncidentArchive;

/// Digits of a whole id.
const ID_DIGITS: usize = 32;
/// Candidates that are shown for an ambiguous id.
const CANDIDATES: usize = 10;

/// Where incidents are looked up.
pub(super) enum Place {
    /// The running daemon.
    Daemon(Client),
    /// The embedded store.
    Store(IncidentArchive),
}

/// Which incidents to list; every condition must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) status: Option<Status>,
    /// The worst severity is at least this.
    pub(super) severity: Option<Severity>,
    /// Label matchers as given.
    pub(super) filters: Vec<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) id: Option<IdPrefix>,
    pub(super) limit: usize,
}

/// Incidents, newest first, and whether there are more.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) incidents: Vec<Arc<IncidentEvent>>,
    pub(super) more: bool,
}

/// What an id or its beginning stands for.
#[derive(Debug)]
pub(super) enum Found {
    One(Arc<IncidentEvent>),
    /// Some of them, and whether there are more.
    Several(Vec<Arc<IncidentEvent>>, bool),
    None,
}

/// The beginning of an id: 1 to 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdPrefix(String);

/// A page as the daemon answers.
#[derive(Deserialize)]
struct Page {
    incidents: Vec<Arc<IncidentEvent>>,
    next: Option<String>,
}

impl IdPrefix {
    /// The id, if all of it is given.
    pub(super) fn full(&self) -> Option<IncidentId> {
        if self.0.len() == ID_DIGITS { self.0.parse().ok() } else { None }
    }
}

impl FromStr for IdPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hexadecimal || !(1..=ID_DIGITS).contains(&text.len()) {
            return Err(format!("an id has {ID_DIGITS} hexadecimal digits; its beginning is enough"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Place {
    /// The store of an installation, or what is wrong with the arguments.
    pub(super) fn store(installation: &Installation) -> anyhow::Result<Result<Self, String>> {
        let config = match installation.config() {
            Ok(config) => config,
            Err(faults) => return Ok(Err(faults)),
        };
        let file = match (&config.store, &config.kafka) {
            (Store::Sqlite { file }, _) => file,
            (Store::Kafka, kafka) => {
                let topic = kafka.as_ref().map(|kafka| kafka.topic("incidents")).unwrap_or_default();
                return Ok(Err(format!(
                    "error: incidents of this configuration are in the Kafka topic {topic}, which cannot be searched: ask \
                     the running daemon (tidegate incident list --url URL), or read the topic"
                )));
            }
        };
        if !file.is_file() {
            let file = file.display();
            return Ok(Err(format!("error: {file}: no such file; use --data-dir with the daemon's data directory")));
        }
        Ok(Ok(Self::Store(IncidentArchive::open(file)?)))
    }

    /// The newest incidents that pass, page after page until there are enough.
    pub(super) fn list(&self, wanted: &Wanted) -> anyhow::Result<Listing> {
        match self {
            Self::Daemon(client) => list_of_daemon(client, wanted),
            Self::Store(archive) => list_of_store(archive, wanted),
        }
    }

    /// The incident that an id, or its beginning, stands for.
    pub(super) fn find(&self, id: &IdPrefix) -> anyhow::Result<Found> {
        if let Some(id) = id.full() {
            let found = match self {
                Self::Daemon(client) => newest_of_daemon(client, id)?,
                Self::Store(archive) => archive.newest(id)?.map(Arc::new),
            };
            return Ok(found.map_or(Found::None, Found::One));
        }
        let wanted = Wanted { id: Some(id.clone()), limit: CANDIDATES, ..Wanted::default() };
        let mut listing = self.list(&wanted)?;
        Ok(match listing.incidents.len() {
            0 => Found::None,
            1 => Found::One(listing.incidents.remove(0)),
            _ => Found::Several(listing.incidents, listing.more),
        })
    }

    /// What happened to an incident.
    pub(super) fn steps(&self, id: IncidentId) -> anyhow::Result<Steps> {
        match self {
            Self::Daemon(client) => client.get(&format!("/api/v1/incidents/{id}/steps"), &[]),
            Self::Store(archive) => Ok(Steps::of(archive.events(id)?.iter().map(Step::from))),
        }
    }
}

/// The newest event of an incident that the daemon knows.
pub(super) fn newest_of_daemon(client: &Client, id: IncidentId) -> anyhow::Result<Option<Arc<IncidentEvent>>> {
    match client.get(&format!("/api/v1/incidents/{id}"), &[]) {
        Ok(event) => Ok(Some(event)),
        Err(error) if error.downcast_ref::<NotFound>().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

fn list_of_daemon(client: &Client, wanted: &Wanted) -> anyhow::Result<Listing> {
    let (since, id) = (wanted.since.map(|since| since.to_string()), wanted.id.as_ref().map(ToString::to_string));
    let mut listing = Listing::default();
    let mut cursor: Option<String> = None;
    loop {
        let room = wanted.limit - listing.incidents.len();
        let limit = room.min(LIMIT_MAX).to_string();
        let single = [
            ("status", wanted.status.map(Status::name)),
            ("severity", wanted.severity.map(Severity::name)),
            ("since", since.as_deref()),
            ("id", id.as_deref()),
            ("cursor", cursor.as_deref()),
            ("limit", Some(limit.as_str())),
        ];
        let mut query: Vec<(&str, &str)> =
            single.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        query.extend(wanted.filters.iter().map(|filter| ("filter", filter.as_str())));
        let page: Page = client.get("/api/v1/incidents", &query)?;
        let n_taken = page.incidents.len();
        listing.incidents.extend(page.incidents.into_iter().take(room));
        listing.more = page.next.is_some();
        cursor = page.next;
        if cursor.is_none() || n_taken == 0 || listing.incidents.len() >= wanted.limit {
            return Ok(listing);
        }
    }
}

fn list_of_store(archive: &IncidentArchive, wanted: &Wanted) -> anyhow::Result<Listing> {
    let index = IncidentIndex::new(usize::MAX);
    let newest: Vec<_> = archive.newest_of_each(usize::MAX)?.into_iter().map(Arc::new).collect();
    index.apply(&newest);
    let mut matchers = Vec::new();
    for filter in &wanted.filters {
        matchers.extend(Matcher::parse_all(filter).context("read --filter")?);
    }
    let mut query = Query {
        status: wanted.status,
        severity: wanted.severity,
        matchers,
        since: wanted.since,
        id_prefix: wanted.id.as_ref().map(ToString::to_string),
        ..Query::default()
    };
    let mut listing = Listing::default();
    loop {
        query.limit = (wanted.limit - listing.incidents.len()).min(LIMIT_MAX);
        let page = index.list(&query);
        listing.incidents.extend(page.incidents);
        listing.more = page.next.is_some();
        query.cursor = page.next;
        if query.cursor.is_none() || listing.incidents.len() >= wanted.limit {
            return Ok(listing);
        }
    }
}

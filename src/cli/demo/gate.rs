//! The daemon as seen from outside: its metrics and its incidents, asked over HTTP.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use reqwest::Url;
use reqwest::blocking::{Client, Response};
use serde::Deserialize;

use crate::cli::demo::fates::Fates;
use crate::cli::storm::client;
use crate::model::IncidentEvent;

/// Incidents asked for at once: the most that the API gives.
const PAGE: &str = "1000";
/// One for the display, one for the incidents.
const CONNECTIONS: usize = 2;

/// A running daemon.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    client: Client,
    base: Url,
}

#[derive(Deserialize)]
struct Page {
    incidents: Vec<IncidentEvent>,
    next: Option<String>,
}

impl Gate {
    pub(super) fn at(address: SocketAddr) -> Result<Self> {
        let base = Url::parse(&format!("http://{address}")).context("make the daemon's URL")?;
        Ok(Self { client: client(&base, CONNECTIONS)?, base })
    }

    /// The door for alerts.
    pub(super) fn intake(&self) -> Url {
        self.path("/api/v1/alerts")
    }

    /// What became of the alerts so far.
    pub(super) fn fates(&self) -> Result<Fates> {
        let text = self.get(self.path("/metrics"))?.text().context("read metrics")?;
        Ok(Fates::read(&text))
    }

    /// The newest event of every incident, page by page.
    pub(super) fn incidents(&self) -> Result<Vec<IncidentEvent>> {
        let mut incidents = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut url = self.path("/api/v1/incidents");
            url.query_pairs_mut().append_pair("limit", PAGE);
            if let Some(cursor) = &cursor {
                url.query_pairs_mut().append_pair("cursor", cursor);
            }
            let page: Page = self.get(url)?.json().context("read incidents")?;
            incidents.extend(page.incidents);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(incidents),
            }
        }
    }

    fn path(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    fn get(&self, url: Url) -> Result<Response> {
        let answer = self.client.get(url.clone()).send().and_then(Response::error_for_status);
        answer.with_context(|| format!("ask {url}"))
    }
}

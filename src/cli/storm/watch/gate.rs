//! The daemon as seen from outside: its metrics, its incidents and their events, asked over HTTP.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use reqwest::Url;
use reqwest::blocking::Response;
use serde::Deserialize;

use crate::cli::client::{Client, Reach};
use crate::cli::storm::watch::reading::Reading;
use crate::model::IncidentEvent;

/// Incidents asked for at once: the most that the API gives.
const PAGE: &str = "1000";

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Gate {
    api: Client,
    metrics: Client,
}

#[derive(Deserialize)]
struct Page {
    incidents: Vec<IncidentEvent>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    version: String,
}

impl Gate {
    /// The daemon there. Its metrics may be elsewhere: at its `admin_listen`.
    ///
    /// # Errors
    /// When the token cannot be read, or an address is no HTTP address.
    pub(crate) fn at(api: Url, metrics: Option<Url>, token_file: Option<PathBuf>) -> Result<Self> {
        let client = |url: Url| Reach::at(url, token_file.clone(), "--watch").client();
        let metrics = client(metrics.unwrap_or_else(|| api.clone()))?;
        Ok(Self { api: client(api)?, metrics })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &Url {
        self.api.url()
    }

    /// Its version, by its own word.
    pub(crate) fn version(&self) -> Result<String> {
        Ok(self.api.get::<Status>("/api/v1/status", &[])?.version)
    }

    /// What its metrics say now.
    pub(crate) fn reading(&self) -> Result<Reading> {
        Ok(Reading::read(&self.metrics.text("/metrics")?))
    }

    /// Incident events from now on, as they become durable.
    pub(crate) fn events(&self) -> Result<Response> {
        self.api.stream("/api/v1/incidents/stream", &[])
    }

    /// The newest event of every incident whose group these matchers select, page by page.
    pub(crate) fn incidents(&self, filter: Option<&str>) -> Result<Vec<IncidentEvent>> {
        let mut incidents = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("limit", PAGE)];
            query.extend(filter.map(|filter| ("filter", filter)));
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Page = self.api.get("/api/v1/incidents", &query).context("read incidents")?;
            incidents.extend(page.incidents);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(incidents),
            }
        }
    }
}

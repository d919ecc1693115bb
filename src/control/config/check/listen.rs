//! `listen` and what belongs to it: who may reach the daemon, and how it proves itself.

use std::net::SocketAddr;

use axum::http::Uri;

use crate::control::config::section::{Section, Value};
use crate::control::config::{Http, Overrides, secret};
use crate::control::server::TlsFiles;

/// Alertmanager's port: tidegate is a drop-in for it. Loopback: what others can reach is a decision.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9093);

pub(super) fn read(top: &Section<'_>, overrides: &Overrides) -> Http {
    let mut http =
        Http { listen: LISTEN, admin_listen: None, insecure_listen: false, tls: None, token: None, external_url: None };
    top.set("listen", &mut http.listen, address);
    top.set("admin_listen", &mut http.admin_listen, |value| address(value).map(Some));
    top.set("insecure_listen", &mut http.insecure_listen, Value::boolean);
    top.set("tls", &mut http.tls, |value| value.fields(tls)?.map(Some));
    top.set("token", &mut http.token, |value| secret::read(value).map(Some));
    top.set("external_url", &mut http.external_url, |value| url(value).map(Some));

    let mut listen = top.get("listen");
    if let Some(text) = &overrides.listen {
        listen = None;
        match parse_address(text) {
            Ok(address) => http.listen = address,
            Err(what) => top.value.findings.fault(None, "--listen", what),
        }
    }
    guard(top, &http, "listen", http.listen, listen.as_ref());
    if let Some(address) = http.admin_listen {
        guard(top, &http, "admin_listen", address, top.get("admin_listen").as_ref());
        if address == http.listen && address.port() != 0 {
            top.value.findings.fault(None, "admin_listen", format!("{address} is the address of listen"));
        }
    }
    http
}

/// Others can reach this address: then they must prove who they are, or somebody must have said that it is meant so.
fn guard(top: &Section<'_>, http: &Http, key: &str, address: SocketAddr, written: Option<&Value<'_>>) {
    // A token that is there but faulty has its own fault.
    if address.ip().is_loopback() || http.insecure_listen || top.get("token").is_some() {
        let clear = http.token.is_some() && http.tls.is_none() && !address.ip().is_loopback();
        if let (true, Some(value)) = (clear, written) {
            value.warn("the token and all alerts cross the network unencrypted: set tls, or encrypt in front of it");
        }
        return;
    }
    let what = format!("{address} can be reached by others: set token, or insecure_listen: true if that is meant");
    match written {
        Some(value) => value.fault(what),
        None => top.value.findings.fault(None, &format!("--{key}"), what),
    }
}

fn address(value: &Value<'_>) -> Option<SocketAddr> {
    let text = value.text()?;
    parse_address(text).map_err(|what| value.fault(what)).ok()
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let numeric = numeric.as_deref().unwrap_or(text);
    numeric.parse().map_err(|_| format!("{text:?} is no address (like 127.0.0.1:9093 or [::]:9093)"))
}

fn tls(section: &Section<'_>) -> Option<TlsFiles> {
    let certificate = section.require("certificate").map(|value| secret::file(&value));
    let key = section.require("key").map(|value| secret::file(&value));
    Some(TlsFiles { certificate: certificate??, key: key?? })
}

fn url(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let uri: Option<Uri> = text.parse().ok();
    let web = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    match uri.as_ref().filter(|uri| web(uri) && uri.query().is_none()) {
        Some(_) => Some(text.trim_end_matches('/').to_owned()),
        None => {
            value.fault(format!("{text:?} is no address of a page (like https://tidegate.example.org)"));
            None
        }
    }
}

//! Who answers at the addresses of the configuration: nobody, a tidegate (and how it is), or somebody else.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::Finding;
use crate::cli::terminal::excerpt;
use crate::control::config::{Config, Http};

/// A daemon on this machine answers in milliseconds; one that is stuck must not hold the doctor up.
const PATIENCE: Duration = Duration::from_secs(3);
/// What a stranger says is shown up to this many characters.
const SHOWN: usize = 80;

/// What is at an address.
#[derive(Debug, Default)]
pub(super) enum Answer {
    /// Nobody: the address could be listened on.
    #[default]
    Free,
    /// Nobody, and we could not listen either.
    Unusable(ErrorKind, String),
    /// A tidegate that takes alerts.
    Ready,
    /// A tidegate that does not take alerts, and why.
    NotReady(String),
    /// It takes connections, and what it says is not what tidegate says.
    Stranger(String),
}

/// What the daemon says of itself, as far as it matters here (`GET /api/v1/status`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    version: String,
    config_hash: String,
    trouble: Option<String>,
    last_reload_fault: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Word {
    status: String,
    error: String,
    detail: String,
}

/// What is at the listen address; and what is to be said of it and of the daemon there.
pub(super) fn look(config: &Config) -> (Answer, Vec<Finding>) {
    let http = &config.http;
    let answer = ask(http, http.listen);
    let mut findings = vec![judge(http.listen, &answer)];
    if let Some(admin) = http.admin_listen {
        findings.push(judge(admin, &ask(http, admin)));
    }
    if matches!(answer, Answer::Ready | Answer::NotReady(_)) {
        findings.extend(judge_status(status(http), config.hash));
    }
    (answer, findings)
}

fn ask(http: &Http, address: SocketAddr) -> Answer {
    match TcpStream::connect_timeout(&reachable(address), PATIENCE) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return try_to_listen(address),
        Err(error) => return Answer::Unusable(error.kind(), error.to_string()),
    }
    // Nothing secret is sent, so that the certificate need not be for this address.
    let response = client(true).and_then(|client| client.get(url(http, address, "/-/ready")).send());
    match response {
        Ok(response) => understand(response.status().as_u16(), &response.text().unwrap_or_default()),
        Err(error) => Answer::Stranger(cause(&error)),
    }
}

fn try_to_listen(address: SocketAddr) -> Answer {
    match TcpListener::bind(address) {
        Ok(_closed_at_once) => Answer::Free,
        Err(error) => Answer::Unusable(error.kind(), error.to_string()),
    }
}

fn understand(status: u16, body: &str) -> Answer {
    let word: Word = serde_json::from_str(body).unwrap_or_default();
    match (status, word.status.as_str(), word.error.as_str()) {
        (200, "ready", _) => Answer::Ready,
        (503, _, "not_ready") => Answer::NotReady(word.detail),
        _ => Answer::Stranger(format!("{status} {}", excerpt(body.as_bytes(), SHOWN))),
    }
}

/// What an unspecified address is reached by.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn url(http: &Http, address: SocketAddr, path: &str) -> String {
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}{path}", reachable(address))
}

fn client(any_certificate: bool) -> reqwest::Result<Client> {
    // A second call answers with an error that says only that there is a provider already.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(PATIENCE).no_proxy().tls_danger_accept_invalid_certs(any_certificate).build()
}

fn status(http: &Http) -> Result<Status, String> {
    if http.tls.is_some() && http.token.is_some() {
        return Err("it was not asked: the token is not sent to a listener whose certificate is not checked".to_owned());
    }
    let client = client(http.tls.is_some()).map_err(|error| cause(&error))?;
    let mut request = client.get(url(http, http.listen, "/api/v1/status"));
    if let Some(token) = &http.token {
        request = request.bearer_auth(token.expose_secret());
    }
    let response = request.send().and_then(Response::error_for_status).map_err(|error| cause(&error))?;
    response.json().map_err(|error| cause(&error))
}

/// The innermost cause says most.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn judge(address: SocketAddr, answer: &Answer) -> Finding {
    let port = address.port();
    match answer {
        Answer::Ready => Finding::ok(Check::ListenAddress, format!("{address}: a tidegate is there and takes alerts")),
        Answer::Free => Finding::note(
            Check::ListenAddress,
            format!("{address}: nobody is there, the address is free"),
            "no daemon runs with this configuration, or it listens elsewhere (--listen)",
            "systemctl status tidegate",
        ),
        Answer::NotReady(detail) => Finding::warning(
            Check::ListenAddress,
            format!("{address}: a tidegate is there and takes no alerts: {detail}"),
            "senders are answered 503 and send again; what they send is delayed, not lost",
            "journalctl -u tidegate -n 50",
        ),
        Answer::Stranger(said) => Finding::problem(
            Check::ListenAddress,
            format!("{address}: something else is there, it says: {said}"),
            "tidegate cannot listen there, and senders speak to the wrong program (9093 is Alertmanager's port too)",
            format!("ss -ltnp 'sport = :{port}' shows it; stop it, or change listen"),
        ),
        Answer::Unusable(kind, error) => {
            let remedy = match kind {
                ErrorKind::PermissionDenied => format!("choose a port above 1023, or allow {port} to the unit"),
                ErrorKind::AddrNotAvailable => "choose an address of this machine: ip -brief address".to_owned(),
                _ => format!("ss -ltnp 'sport = :{port}'"),
            };
            let what = format!("{address}: cannot be listened on: {error}");
            Finding::problem(Check::ListenAddress, what, "the daemon does not start", remedy)
        }
    }
}

fn judge_status(status: Result<Status, String>, hash: u64) -> Vec<Finding> {
    let status = match status {
        Ok(status) => status,
        Err(fault) => {
            return vec![Finding::note(
                Check::RunningConfiguration,
                format!("the daemon does not say which configuration it runs: {fault}"),
                "whether file and daemon agree is not known",
                "check the token, or restart the daemon: then it runs the file",
            )];
        }
    };
    let mut findings = Vec::new();
    let own = env!("CARGO_PKG_VERSION");
    if status.version != own {
        findings.push(Finding::warning(
            Check::RunningConfiguration,
            format!("the daemon is tidegate {}, this program is {own}", status.version),
            "an update takes effect at the next start, and what is said here is what the new one knows",
            "systemctl restart tidegate",
        ));
    }
    if let Some(trouble) = &status.trouble {
        findings.push(Finding::problem(
            Check::RunningConfiguration,
            format!("the daemon is in trouble: {trouble}"),
            "it takes no alerts until that is over; senders are answered 503",
            "see the other findings, and: journalctl -u tidegate -n 50",
        ));
    }
    let ours = format!("{hash:016x}");
    if status.config_hash != ours {
        findings.push(Finding::warning(
            Check::RunningConfiguration,
            format!("the daemon runs configuration {}, the file is {ours}", status.config_hash),
            "what was changed in the file is not in force; it will be after the next restart, whoever causes it",
            "tidegate check-config FILE, then: systemctl reload tidegate (use the same --listen and --data-dir here as the daemon)",
        ));
    } else {
        findings.push(Finding::ok(Check::RunningConfiguration, format!("the daemon runs this configuration ({ours})")));
    }
    if let Some(fault) = &status.last_reload_fault {
        findings.push(Finding::warning(
            Check::RunningConfiguration,
            format!("the last reload was refused: {fault}"),
            "the configuration from before stays in force",
            "tidegate check-config FILE, then: systemctl reload tidegate",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(findings: &[Finding]) -> String {
        findings.iter().map(|one| format!("{} {} [{}]\n", one.level.name(), one.what, one.remedy)).collect()
    }

    #[test]
    fn what_answers_is_told_apart() {
        assert!(matches!(understand(200, r#"{"status":"ready"}"#), Answer::Ready));
        let told = understand(503, r#"{"error":"not_ready","detail":"restoring"}"#);
        assert!(matches!(told, Answer::NotReady(detail) if detail == "restoring"));
        assert!(matches!(understand(200, "OK"), Answer::Stranger(said) if said == "200 OK"));
        assert!(matches!(understand(404, "\x1b]0;x\x07"), Answer::Stranger(said) if said == "404 \\x1b]0;x\\x07"));
    }

    #[test]
    fn an_address_is_judged_by_who_is_there() {
        let address = "127.0.0.1:9093".parse().unwrap();
        let answers = [
            Answer::Ready,
            Answer::Free,
            Answer::NotReady("restoring".to_owned()),
            Answer::Stranger("200 OK".to_owned()),
            Answer::Unusable(ErrorKind::AddrNotAvailable, "Cannot assign requested address".to_owned()),
        ];
        insta::assert_snapshot!(shown(&answers.map(|answer| judge(address, &answer))), @"
        ok 127.0.0.1:9093: a tidegate is there and takes alerts []
        note 127.0.0.1:9093: nobody is there, the address is free [systemctl status tidegate]
        warning 127.0.0.1:9093: a tidegate is there and takes no alerts: restoring [journalctl -u tidegate -n 50]
        problem 127.0.0.1:9093: something else is there, it says: 200 OK [ss -ltnp 'sport = :9093' shows it; stop it, or change listen]
        problem 127.0.0.1:9093: cannot be listened on: Cannot assign requested address [choose an address of this machine: ip -brief address]
        ");
    }

    #[test]
    fn addresses_are_asked() {
        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = stranger.local_addr().unwrap();
        assert!(matches!(try_to_listen(address), Answer::Unusable(ErrorKind::AddrInUse, _)));
        drop(stranger);
        assert!(matches!(try_to_listen(address), Answer::Free));
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
    }

    #[test]
    fn the_running_configuration_is_compared() {
        let status = |hash: &str| Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_hash: hash.to_owned(),
            ..Status::default()
        };
        let same = judge_status(Ok(status("00000000000000ff")), 255);
        let other = judge_status(
            Ok(Status {
                version: "0.0.9".to_owned(),
                trouble: Some("disk full".to_owned()),
                last_reload_fault: Some("1 fault".to_owned()),
                ..status("1")
            }),
            255,
        );
        let silent = judge_status(Err("401".to_owned()), 255);
        insta::assert_snapshot!(shown(&[same, other, silent].concat()), @"
        ok the daemon runs this configuration (00000000000000ff) []
        warning the daemon is tidegate 0.0.9, this program is 0.1.0 [systemctl restart tidegate]
        problem the daemon is in trouble: disk full [see the other findings, and: journalctl -u tidegate -n 50]
        warning the daemon runs configuration 1, the file is 00000000000000ff [tidegate check-config FILE, then: systemctl reload tidegate (use the same --listen and --data-dir here as the daemon)]
        warning the last reload was refused: 1 fault [tidegate check-config FILE, then: systemctl reload tidegate]
        note the daemon does not say which configuration it runs: 401 [check the token, or restart the daemon: then it runs the file]
        ");
    }
}

//! The way to a running daemon: every command that asks one has these arguments and says the same when it does not answer.

use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use reqwest::blocking::{ClientBuilder, RequestBuilder, Response};
use reqwest::{Certificate, StatusCode, Url, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli::terminal::excerpt;

/// Longest wait for an answer; the daemon answers questions from memory.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer that is taken: 1,000 incidents with all their samples.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// How much of an answer that is no JSON is worth showing.
const EXCERPT: usize = 200;

/// Where the daemon is, and how it knows us.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Daemon")]
pub struct Reach {
    /// Address of the running daemon.
    #[arg(long, value_name = "URL", env = "TIDEGATE_URL", default_value = "http://127.0.0.1:9093", global = true)]
    url: Url,
    /// File with the bearer token, where the daemon wants one.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_TOKEN_FILE", global = true)]
    token_file: Option<PathBuf>,
    /// File with the certificate authority (PEM) that signed the daemon's certificate, if the system does not know it.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CA_FILE", global = true)]
    ca_file: Option<PathBuf>,
    /// The argument that names the address, for messages.
    #[arg(skip = "--url")]
    flag: &'static str,
}

/// A connection to the daemon. Blocking: the commands that ask have nothing else to do.
#[derive(Debug)]
pub struct Client {
    http: reqwest::blocking::Client,
    url: Url,
    token: Option<String>,
    flag: &'static str,
}

/// What the daemon says of a request that failed.
#[derive(Debug, Deserialize)]
struct Refusal {
    error: String,
    detail: String,
}

/// The daemon has no such thing: worth a sentence of the caller's own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotFound(pub String);

impl Reach {
    /// The daemon there, for commands with an argument of their own (`flag`) for it.
    pub(crate) fn at(url: Url, token_file: Option<PathBuf>, flag: &'static str) -> Self {
        Self { url, token_file, ca_file: None, flag }
    }

    /// Reads the token and prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// When a file cannot be read, or the address is no HTTP address.
    pub fn client(&self) -> anyhow::Result<Client> {
        if !matches!(self.url.scheme(), "http" | "https") || self.url.host_str().is_none() {
            bail!("{} {}: must be http://HOST:PORT or https://HOST:PORT", self.flag, self.url);
        }
        let token = self.token_file.as_ref().map(|file| {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("read --token-file {}", file.display()))?;
            let token = text.trim().to_owned();
            let is_word = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            if is_word { Ok(token) } else { Err(anyhow!("--token-file {}: must hold one word", file.display())) }
        });
        let mut builder = builder(&self.url);
        if let Some(file) = &self.ca_file {
            let pem = std::fs::read(file).with_context(|| format!("read --ca-file {}", file.display()))?;
            let authority = Certificate::from_pem(&pem)
                .with_context(|| format!("--ca-file {}: must hold a certificate in PEM", file.display()))?;
            builder = builder.add_root_certificate(authority);
        }
        let http = builder.connect_timeout(ANSWER_TIMEOUT).timeout(None).build().context("prepare the HTTP client")?;
        Ok(Client { http, url: self.url.clone(), token: token.transpose()?, flag: self.flag })
    }
}

impl Client {
    /// The daemon's address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Asks for JSON at a path, with query parameters.
    ///
    /// # Errors
    /// When there is no answer, or the daemon refuses; `NotFound` when it has no such thing.
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<T> {
        let request = self.http.get(self.target(path, query)?).timeout(ANSWER_TIMEOUT);
        self.json(self.send(request)?)
    }

    /// Asks for text at a path.
    ///
    /// # Errors
    /// As for `get`.
    pub(crate) fn text(&self, path: &str) -> anyhow::Result<String> {
        let response = self.send(self.http.get(self.target(path, &[])?).timeout(ANSWER_TIMEOUT))?;
        let mut text = String::new();
        let read = response.take(ANSWER_BYTES_MAX).read_to_string(&mut text);
        read.with_context(|| format!("read the answer of {}", self.url))?;
        Ok(text)
    }

    /// Sends a body to a path and reads the JSON answer.
    ///
    /// # Errors
    /// As for `get`.
    pub fn post<T: DeserializeOwned>(&self, path: &str, content_type: &str, body: Vec<u8>) -> anyhow::Result<T> {
        let request = self.http.post(self.target(path, &[])?).timeout(ANSWER_TIMEOUT);
        self.json(self.send(request.header(header::CONTENT_TYPE, content_type).body(body))?)
    }

    /// Sends a body to one of the doors for alerts. A 400 is an answer too: it says what was taken and what not.
    ///
    /// # Errors
    /// When there is no answer, or one that says nothing of the alerts. What was sent may have been taken then.
    pub fn hand_over(&self, path: &str, body: Vec<u8>) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let request = self.http.post(self.target(path, &[])?).timeout(ANSWER_TIMEOUT);
        let response = self.try_send(request.header(header::CONTENT_TYPE, "application/json").body(body))?;
        let status = response.status();
        if !status.is_success() && status != StatusCode::BAD_REQUEST {
            return Err(self.refused(response));
        }
        let mut answer = Vec::new();
        response
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut answer)
            .with_context(|| format!("read the answer of {}", self.url))?;
        Ok((status, answer))
    }

    /// Opens an answer that does not end by itself. Reading from it blocks until more comes.
    ///
    /// # Errors
    /// As for `get`.
    pub fn stream(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Response> {
        self.send(self.http.get(self.target(path, query)?))
    }

    fn target(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Url> {
        let mut url = self.url.join(path).with_context(|| format!("build the address of {path}"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn try_send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().map_err(|error| self.silent(&error))
    }

    fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = self.try_send(request)?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response)) }
    }

    fn json<T: DeserializeOwned>(&self, response: Response) -> anyhow::Result<T> {
        let mut body = Vec::new();
        response
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut body)
            .with_context(|| format!("read the answer of {}", self.url))?;
        serde_json::from_slice(&body).with_context(|| {
            let shown = excerpt(&body, EXCERPT);
            format!("{} answers what no tidegate of this version says; is it one? It begins with: {shown}", self.url)
        })
    }

    fn silent(&self, error: &reqwest::Error) -> anyhow::Error {
        let url = &self.url;
        if error.is_timeout() {
            return anyhow!("{url}: no answer within {} s", ANSWER_TIMEOUT.as_secs());
        }
        let cause = innermost(error);
        if error.is_connect() {
            return anyhow!(
                "{url}: nothing answers there ({cause}); is the daemon running (systemctl status tidegate), and is \
                 this its `listen` address? Another one: {}",
                self.flag
            );
        }
        anyhow!("{url}: {cause}")
    }

    fn refused(&self, response: Response) -> anyhow::Error {
        let (url, status) = (&self.url, response.status());
        let mut body = Vec::new();
        // An answer that breaks off still has its status to tell.
        let _ = response.take(64 << 10).read_to_end(&mut body);
        let refusal = serde_json::from_slice::<Refusal>(&body);
        match (status, refusal) {
            (StatusCode::UNAUTHORIZED, _) if self.token.is_some() => {
                anyhow!(
                    "{url}: it does not take this bearer token: --token-file must name a file with the daemon's `token`"
                )
            }
            (StatusCode::UNAUTHORIZED, _) => {
                anyhow!("{url}: it wants a bearer token: --token-file FILE")
            }
            (StatusCode::NOT_FOUND, Ok(Refusal { detail, .. })) => NotFound(detail).into(),
            (_, Ok(Refusal { error, detail })) => anyhow!("{url}: {detail} ({error})"),
            (_, Err(_)) => anyhow!("{url}: answered {status}: {}", excerpt(&body, EXCERPT)),
        }
    }
}

/// The start of every HTTP client of the command line: our TLS provider, and no proxy on the way to our own machine.
pub(crate) fn builder(url: &Url) -> ClientBuilder {
    // A second call answers with an error that says only that there is a provider already.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::blocking::Client::builder();
    // A proxy that the surroundings name does not know our own machine.
    if is_loopback(url) { builder.no_proxy() } else { builder }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        reach: Reach,
    }

    fn reach(line: &str) -> Reach {
        Line::try_parse_from(line.split(' ')).unwrap().reach
    }

    /// Answers one request, and hands back its head.
    fn serve(answer: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::Builder::new().name("server".to_owned()).spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            stream.write_all(answer.as_bytes()).unwrap();
            head.join("\n")
        });
        (url, thread.unwrap())
    }

    fn ask(answer: &'static str) -> Result<Value, String> {
        let (url, thread) = serve(answer);
        let client = reach(&format!("x --url {url}")).client().unwrap();
        let result = client.get("/api/v1/status", &[("a b", "c&d")]);
        let head = thread.join().unwrap();
        assert!(head.starts_with("GET /api/v1/status?a+b=c%26d HTTP/1.1"), "{head}");
        result.map_err(|error| format!("{error:#}").replace(&url, "URL"))
    }

    #[test]
    fn answers_and_refusals_are_told_apart() {
        let ok = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"a\":1}";
        assert_eq!(ask(ok), Ok(json!({"a": 1})));
        for (answer, expected) in [
            (
                "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n{\"error\":\"bad_x\",\"detail\":\"x must be \\u001b\"}",
                "URL/: x must be \u{1b} (bad_x)",
            ),
            (
                "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n",
                "URL/: it wants a bearer token: --token-file FILE",
            ),
            (
                "HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n<h1>\x1b[2Jno",
                "URL/: answered 502 Bad Gateway: <h1>\\x1b[2Jno",
            ),
            (
                "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>",
                "URL/ answers what no tidegate of this version says; is it one? It begins with: <html>: expected value \
                 at line 1 column 1",
            ),
        ] {
            assert_eq!(ask(answer).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_daemon_that_is_not_there_is_named_with_what_to_do() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let client = reach(&format!("x --url http://127.0.0.1:{port}")).client().unwrap();
        let error = client.get::<Value>("/api/v1/status", &[]).unwrap_err().to_string();
        assert!(error.contains("nothing answers there (Connection refused"), "{error}");
        assert!(error.contains("systemctl status tidegate"), "{error}");
    }

    #[test]
    fn a_token_is_sent_and_a_bad_file_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "s3cret\n").unwrap();
        let (url, thread) = serve("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}");
        let client = reach(&format!("x --url {url} --token-file {}", file.display())).client().unwrap();
        assert_eq!(client.get::<Value>("/", &[]).unwrap(), json!({}));
        assert!(thread.join().unwrap().contains("authorization: Bearer s3cret"));
        std::fs::write(&file, "two words\n").unwrap();
        let error = reach(&format!("x --token-file {}", file.display())).client().unwrap_err().to_string();
        assert!(error.ends_with("token: must hold one word"), "{error}");
        assert!(reach("x --token-file /nowhere").client().unwrap_err().to_string().contains("read --token-file"));
        assert!(reach("x --url ftp://h").client().unwrap_err().to_string().contains("must be http://HOST:PORT"));
    }
}

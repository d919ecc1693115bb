//! One connection to the receiver: opened when it is needed, opened again when it broke. Straight to the receiver, past
//! any proxy: what is measured is the receiver.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use rustls::ClientConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Longer than the receiver takes for its slowest epoch.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is read; what is longer costs the connection.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How much of a refusal is worth showing.
const REASON_CHARS_MAX: usize = 200;

/// Where every request goes, and what it carries.
#[derive(Debug)]
pub(super) struct Way {
    host: String,
    port: u16,
    authority: HeaderValue,
    path: Uri,
    authorization: Option<HeaderValue>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// A connection.
pub(super) struct Link {
    way: Arc<Way>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What the receiver said.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The pause that it asks for.
    pub(super) retry_after: Option<Duration>,
    /// The beginning of a refusal's text.
    pub(super) text: String,
}

/// There was no answer.
pub(super) struct Fault {
    pub(super) reason: String,
    /// The request may have arrived all the same.
    pub(super) maybe_arrived: bool,
}

impl Way {
    pub(super) fn new(url: &Url, token: Option<&str>) -> Result<Self> {
        let bracketed = url.host_str().context("the URL has no host")?;
        let host = bracketed.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().context("the URL has no port")?;
        let authority = url.port().map_or(bracketed.to_owned(), |port| format!("{bracketed}:{port}"));
        let path = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let bearer = |token: &str| HeaderValue::from_str(&format!("Bearer {token}")).context("read the bearer token");
        let tls = (url.scheme() == "https").then(|| tls(&host)).transpose()?;
        Ok(Self {
            port,
            authority: HeaderValue::from_str(&authority).context("read the URL's host")?,
            path: path.parse().context("read the URL's path")?,
            authorization: token.map(bearer).transpose()?,
            tls,
            host,
        })
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.authority.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }
}

/// TLS by the certificate authorities of the system.
fn tls(host: &str) -> Result<(Arc<ClientConfig>, ServerName<'static>)> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_platform_verifier()
        .context("read the certificate authorities of the system")?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).with_context(|| format!("read the name {host}"))?;
    Ok((Arc::new(config), name))
}

impl Link {
    pub(super) fn new(way: &Arc<Way>) -> Self {
        Self { way: Arc::clone(way), sender: None }
    }

    /// Sends a body and reads the answer.
    ///
    /// # Errors
    /// When there is no answer in time.
    pub(super) async fn post(&mut self, body: Bytes) -> Result<Answer, Fault> {
        let answer = timeout(REQUEST_TIMEOUT, self.exchange(body)).await.unwrap_or_else(|_| {
            let reason = format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
            Err(Fault { reason, maybe_arrived: true })
        });
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }

    async fn exchange(&mut self, body: Bytes) -> Result<Answer, Fault> {
        let not_arrived = |error: anyhow::Error| Fault { reason: format!("{error:#}"), maybe_arrived: false };
        // The receiver may have closed a connection that was idle: that is noticed before anything is sent.
        let mut open = self.sender.take();
        if let Some(sender) = &mut open
            && sender.ready().await.is_err()
        {
            open = None;
        }
        let mut sender = match open {
            Some(sender) => sender,
            None => connect(&self.way).await.map_err(not_arrived)?,
        };
        let answer = sender.try_send_request(self.way.request(body)).await.map_err(|mut fault| {
            let maybe_arrived = fault.take_message().is_none();
            Fault { reason: format!("{:#}", anyhow!(fault.into_error())), maybe_arrived }
        })?;
        let answer = read(answer).await;
        self.sender = Some(sender);
        Ok(answer)
    }
}

async fn connect(way: &Way) -> Result<SendRequest<Full<Bytes>>> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect((way.host.as_str(), way.port))).await;
    let stream = stream.context("connect: no answer")?.with_context(|| format!("connect to {}", way.host))?;
    stream.set_nodelay(true).context("set up the connection")?;
    match &way.tls {
        None => begin(stream).await,
        Some((config, name)) => {
            let stream = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await;
            begin(stream.context("agree on TLS")?).await
        }
    }
}

async fn begin(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.context("begin HTTP")?;
    // How it ended is known to whoever waits for an answer.
    drop(tokio::spawn(connection));
    Ok(sender)
}

/// Reads the rest, so that the connection can be used again. The text counts only where it is a refusal.
async fn read(answer: Response<Incoming>) -> Answer {
    let (head, body) = answer.into_parts();
    let text = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text = if head.status.is_success() { "".into() } else { String::from_utf8_lossy(&text) };
    // Seconds. Dates are not understood, the own back-off is used then.
    let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Answer {
        status: head.status,
        retry_after: seconds.map(Duration::from_secs),
        text: text.trim().chars().take(REASON_CHARS_MAX).collect(),
    }
}

//! Listens: plain or TLS, HTTP/1.1 only, within bounds of header size, header time and number of connections.
//!
//! HTTP/1.1 only, because no sender of alerts needs more, and the choice between versions would read the first bytes of a
//! connection without a deadline. A connection that has sent no complete header within the deadline is closed, idle ones
//! too; clients open another. Does not know any route.

mod places;
mod tls;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, ServiceExt as _};
use axum_server::Handle;
use axum_server::accept::{Accept, DefaultAcceptor};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use secrecy::SecretString;
use tokio::task::JoinHandle;

use crate::control::entrance::Entrance;
use crate::control::guard::{Guard, GuardOptions};
use crate::control::routes::Control;
use crate::control::server::places::Places;
use crate::metrics::Metrics;

/// Certificate chain and key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate, then the intermediate ones.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Token that guests must bring.
    pub token: Option<SecretString>,
    /// Listening to the world without a token was asked for in so many words.
    pub insecure_listen: bool,
    /// Names by which a loopback listener may be called.
    pub allowed_hosts: Vec<String>,
    /// TLS, if wanted.
    pub tls: Option<TlsFiles>,
    /// A header that is not complete after this time ends the connection.
    pub header_timeout: Duration,
    /// Largest header, bytes; at least 8 KiB.
    pub header_bytes_max: usize,
    /// Connections at once; more are closed at once.
    pub connections_max: usize,
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Everybody could send and read.
    #[error(
        "listen address {0} is not loopback: set a bearer token, or insecure_listen: true if nobody else can reach it"
    )]
    Exposed(SocketAddr),
    /// The address is taken, or not ours.
    #[error("listen on {listen}: {fault}; {}", remedy(fault))]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        fault: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
}

/// What to do about an address that cannot be had.
fn remedy(fault: &std::io::Error) -> &'static str {
    match fault.kind() {
        ErrorKind::AddrInUse => "another program listens there: stop it, or choose another address (listen, --listen)",
        ErrorKind::AddrNotAvailable => "this machine does not have that address: choose another (listen, --listen)",
        ErrorKind::PermissionDenied => "ports below 1024 are for root: choose another (listen, --listen)",
        _ => "choose another address (listen, --listen)",
    }
}

/// A listener that runs.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    guard: Arc<Guard>,
    handle: Handle<SocketAddr>,
    tls: Option<(TlsFiles, RustlsConfig)>,
    task: JoinHandle<std::io::Result<()>>,
}

impl ServerOptions {
    /// That address with every default: no token, no TLS, 10 s and 16 KiB for headers, 1,024 connections.
    #[must_use]
    pub fn on(listen: SocketAddr) -> Self {
        Self {
            listen,
            token: None,
            insecure_listen: false,
            allowed_hosts: Vec::new(),
            tls: None,
            header_timeout: Duration::from_secs(10),
            header_bytes_max: 16 << 10,
            connections_max: 1_024,
        }
    }

    /// The rules of the guard before this listener.
    #[must_use]
    pub fn guard(&self) -> GuardOptions {
        GuardOptions {
            token: self.token.clone(),
            allowed_hosts: self.allowed_hosts.clone(),
            is_loopback: self.listen.ip().is_loopback(),
            is_tls: self.tls.is_some(),
        }
    }
}

/// Listens at once and serves `router` behind a guard until `Server::shut_down`. With a `control`, whose routes must be among
/// those of the router, requests with alerts take the short way to their doors.
///
/// # Errors
/// When the address may not or cannot be listened on, or certificate and key cannot be used. Nothing runs then.
pub fn serve(
    options: &ServerOptions,
    router: Router,
    control: Option<Arc<Control>>,
    metrics: &Metrics,
) -> Result<Server, ServeError> {
    let listen = options.listen;
    if !listen.ip().is_loopback() && options.token.is_none() && !options.insecure_listen {
        return Err(ServeError::Exposed(listen));
    }
    let tls = match &options.tls {
        Some(files) => Some((files.clone(), RustlsConfig::from_config(tls::load(files)?))),
        None => None,
    };
    let bind = |fault| ServeError::Bind { listen, fault };
    let listener = TcpListener::bind(listen).map_err(bind)?;
    listener.set_nonblocking(true).map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let guard = Guard::new(options.guard(), metrics.clone());
    let entrance = Entrance::new(router, &guard, control);
    let handle = Handle::new();
    let places = Places::new(options.connections_max, metrics);
    let server = axum_server::from_tcp(listener).map_err(bind)?.handle(handle.clone());
    let task = match &tls {
        Some((_, config)) => {
            let acceptor = RustlsAcceptor::new(config.clone()).handshake_timeout(options.header_timeout);
            start(server.acceptor(places.before(acceptor)), options, entrance)
        }
        None => start(server.acceptor(places.before(DefaultAcceptor::new())), options, entrance),
    };
    Ok(Server { address, guard, handle, tls, task })
}

/// Generic because plain and TLS acceptors are different types; the bounds are those of `axum_server::Server::serve`.
fn start<A>(
    mut server: axum_server::Server<SocketAddr, A>,
    options: &ServerOptions,
    entrance: Entrance,
) -> JoinHandle<std::io::Result<()>>
where
    A: Accept<tokio::net::TcpStream, Entrance> + Clone + Send + Sync + 'static,
    A::Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
    A::Service: axum_server::service::SendService<axum::http::Request<hyper::body::Incoming>> + Send,
    A::Future: Send,
{
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(options.header_bytes_max.max(8 << 10));
    tokio::spawn(server.http1_only().serve(entrance.into_make_service()))
}

impl Server {
    /// The address that is listened on, with the true port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another token or other names, from the next request on.
    pub fn replace_guard(&self, options: &ServerOptions) {
        self.guard.replace(GuardOptions {
            is_loopback: self.address.ip().is_loopback(),
            is_tls: self.tls.is_some(),
            ..options.guard()
        });
    }

    /// Reads certificate and key again, for new connections; on a fault the old ones stay.
    ///
    /// # Errors
    /// When the files cannot be read or do not fit together.
    pub fn reload_tls(&self) -> Result<(), ServeError> {
        if let Some((files, config)) = &self.tls {
            config.reload_from_config(tls::load(files)?);
        }
        Ok(())
    }

    /// Stops listening, lets requests in hand finish for at most `grace`, then closes what is left.
    pub async fn shut_down(self, grace: Duration) {
        self.handle.graceful_shutdown(Some(grace));
        if let Ok(Err(error)) = self.task.await {
            tracing::warn!(listen = %self.address, "the listener ended with an error: {error}");
        }
    }
}

#[cfg(test)]
mod tests;

//! A bound on connections: one beyond it is closed at once and counted, before TLS costs anything.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use crate::metrics::{Counter, Metric, Metrics};

/// The places of a listener.
#[derive(Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    refused: Counter,
}

/// An acceptor that asks for a place first.
#[derive(Clone)]
pub(super) struct WithPlaces<A> {
    places: Places,
    inner: A,
}

/// A service that keeps its connection's place until the connection drops it.
#[derive(Clone)]
pub(super) struct Placed<S> {
    inner: S,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(n_connections: usize, metrics: &Metrics) -> Self {
        let refused = metrics.counter(Metric::HttpConnectionsRefused, &[]);
        Self { free: Arc::new(Semaphore::new(n_connections)), refused }
    }

    pub(super) fn before<A>(self, inner: A) -> WithPlaces<A> {
        WithPlaces { places: self, inner }
    }
}

impl<A, S> Accept<TcpStream, S> for WithPlaces<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
    A::Stream: 'static,
    A::Service: 'static,
{
    type Stream = A::Stream;
    type Service = Placed<A::Service>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = Arc::clone(&self.places.free).try_acquire_owned().map_err(|_| {
            self.places.refused.increment(1);
            io::Error::other("too many connections")
        });
        // Without delay: answers are written as a whole, and waiting for more to send would only hold them back.
        let accepted = place.and_then(|place| {
            stream.set_nodelay(true)?;
            Ok((self.inner.accept(stream, service), place))
        });
        Box::pin(async move {
            let (accepted, place) = accepted?;
            let (stream, inner) = accepted.await?;
            Ok((stream, Placed { inner, _place: Arc::new(place) }))
        })
    }
}

impl<S: Service<R>, R> Service<R> for Placed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.inner.call(request)
    }
}

//! What a connection speaks to: requests with alerts go straight to their door, all others through the router.
//!
//! The router is general, which costs a handful of allocations and copies a request; where a request holds one alert, that
//! is more than the alert costs. The doors are in the table of routes as well, and answer the same on both ways.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::http::{Method, Request};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use tower_service::Service;

use crate::control::guard::Guard;
use crate::control::intake;
use crate::control::routes::Control;

/// The service of a listener, behind its guard.
#[derive(Clone)]
pub(super) struct Entrance {
    /// Guarded.
    router: Router,
    guard: Arc<Guard>,
    /// Where alerts go; `None` on a listener that takes none.
    control: Option<Arc<Control>>,
}

impl Entrance {
    pub(super) fn new(router: Router, guard: &Arc<Guard>, control: Option<Arc<Control>>) -> Self {
        Self { router: guard.protect(router), guard: Arc::clone(guard), control }
    }
}

impl Service<Request<Incoming>> for Entrance {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    /// As the router: always.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let door = (*request.method() == Method::POST).then(|| intake::door(request.uri().path())).flatten();
        let (Some((path, format)), Some(control)) = (door, &self.control) else {
            return Box::pin(self.router.call(request));
        };
        let (guard, control) = (Arc::clone(&self.guard), Arc::clone(control));
        Box::pin(async move {
            let response = match guard.check(&request, false) {
                Ok(_) => intake::take(&control, format, request).await,
                Err(problem) => problem.into_response(),
            };
            Ok(guard.finish(path, response))
        })
    }
}

//! Authentication: who calls, told by the bearer token. It refuses nobody: what it found is for the layers inside.
//!
//! A caller whose token is good stands in the request's extensions as [`Caller`]; what is wrong with a bad one stands
//! there as [`AuthError`]. Methods that nobody may call are not worth a check.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower::Service;

use super::method_of;
pub(super) use flotilla_auth::bearer;
use flotilla_auth::{AuthError, Authenticator, Caller};

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Auth<S> {
    inner: S,
    authenticator: Option<Authenticator>,
}

impl<S> Auth<S> {
    pub fn new(inner: S, authenticator: Option<Authenticator>) -> Self {
        Self { inner, authenticator }
    }
}

impl<S> Service<Request<Body>> for Auth<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Told<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let matters = method_of(&request).is_some_and(|method| !method.system && method.rule.access.is_some());
        let (Some(authenticator), Some(token), true) = (&self.authenticator, bearer(request.headers()), matters) else {
            return Told::Called { inner: self.inner.call(request) };
        };
        if let Some(answer) = authenticator.recall(token) {
            tell(answer, &mut request);
            return Told::Called { inner: self.inner.call(request) };
        }
        let authenticator = authenticator.clone();
        let token = token.to_owned();
        // The instance that was polled ready makes the call; its clone stays.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Told::Verifying {
            done: Box::pin(async move {
                let answer = authenticator.verify(&token).await;
                tell(answer, &mut request);
                inner.call(request).await
            }),
        }
    }
}

pin_project! {
    /// A call whose caller is known, or that is being looked at.
    #[project = ToldProjection]
    pub(crate) enum Told<F> {
        Called {
            #[pin]
            inner: F,
        },
        Verifying {
            done: BoxFuture<'static, Result<Response<Body>, Infallible>>,
        },
    }
}

impl<F> Future for Told<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ToldProjection::Called { inner } => inner.poll(cx),
            ToldProjection::Verifying { done } => done.as_mut().poll(cx),
        }
    }
}

fn tell(answer: Result<Caller, AuthError>, request: &mut Request<Body>) {
    match answer {
        Ok(caller) => {
            flotilla_telemetry::caller_is(&caller.user);
            request.extensions_mut().insert(caller);
        }
        Err(error) => drop(request.extensions_mut().insert(error)),
    }
}

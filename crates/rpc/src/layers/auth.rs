//! Authentication: identifies the caller by the bearer token. It refuses nothing: inner layers decide.
//!
//! The caller of a valid token is in the request's extensions as [`Caller`]; the error of an invalid one is
//! there as [`AuthError`]. Tokens are not checked for methods that nobody may call.

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
    type Future = AuthFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let matters = method_of(&request).is_some_and(|method| !method.system && method.rule.access.is_some());
        let (Some(authenticator), Some(token), true) = (&self.authenticator, bearer(request.headers()), matters) else {
            return AuthFuture::Called { inner: self.inner.call(request) };
        };
        if let Some(answer) = authenticator.recall(token) {
            record_caller(answer, &mut request);
            return AuthFuture::Called { inner: self.inner.call(request) };
        }
        let authenticator = authenticator.clone();
        let token = token.to_owned();
        // The instance that was polled ready makes the call; its clone stays.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        AuthFuture::Verifying {
            done: Box::pin(async move {
                let answer = authenticator.verify(&token).await;
                record_caller(answer, &mut request);
                inner.call(request).await
            }),
        }
    }
}

pin_project! {
    /// A call whose caller is known, or whose token is being verified.
    #[project = AuthFutureProjection]
    pub(crate) enum AuthFuture<F> {
        Called {
            #[pin]
            inner: F,
        },
        Verifying {
            done: BoxFuture<'static, Result<Response<Body>, Infallible>>,
        },
    }
}

impl<F> Future for AuthFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AuthFutureProjection::Called { inner } => inner.poll(cx),
            AuthFutureProjection::Verifying { done } => done.as_mut().poll(cx),
        }
    }
}

fn record_caller(answer: Result<Caller, AuthError>, request: &mut Request<Body>) {
    match answer {
        Ok(caller) => {
            flotilla_telemetry::caller_is(&caller.user);
            request.extensions_mut().insert(caller);
        }
        Err(error) => drop(request.extensions_mut().insert(error)),
    }
}

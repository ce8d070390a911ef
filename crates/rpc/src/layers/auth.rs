//! Who calls, and whether they may: a method without a rule is denied, a bad token never reaches a handler.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tonic::Code;
use tonic::body::Body;
use tower::Service;

use super::{method_of, refuse};
use crate::{Access, AuthError, Authenticator, Caller, Role, RpcError};

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
    type Future = Checked<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let (system, access) = method_of(&request).map_or((false, None), |method| (method.system, method.access));
        if system {
            return Checked::Called { inner: self.inner.call(request) };
        }
        let Some(access) = access else {
            return Checked::refused(not_allowed("no rule allows this method"));
        };
        let Some(token) = bearer(request.headers()) else {
            return match access {
                Access::Public => Checked::Called { inner: self.inner.call(request) },
                Access::Authenticated | Access::Operator => Checked::refused(AuthError::Missing.into()),
            };
        };
        let Some(authenticator) = &self.authenticator else {
            return match access {
                Access::Public => Checked::Called { inner: self.inner.call(request) },
                Access::Authenticated | Access::Operator => {
                    Checked::refused(not_allowed("this server checks no tokens"))
                }
            };
        };
        if let Some(answer) = authenticator.recall(token) {
            return match admit(access, answer, &mut request) {
                Ok(()) => Checked::Called { inner: self.inner.call(request) },
                Err(error) => Checked::refused(error),
            };
        }
        let authenticator = authenticator.clone();
        let token = token.to_owned();
        // The instance that was polled ready makes the call; its clone stays.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Checked::Verifying {
            done: Box::pin(async move {
                let answer = authenticator.verify(&token).await;
                match admit(access, answer, &mut request) {
                    Ok(()) => inner.call(request).await,
                    Err(error) => Ok(refuse(error)),
                }
            }),
        }
    }
}

pin_project! {
    /// A call that was let in, is being checked, or was refused.
    #[project = CheckedProjection]
    pub(crate) enum Checked<F> {
        Called {
            #[pin]
            inner: F,
        },
        Verifying {
            done: BoxFuture<'static, Result<Response<Body>, Infallible>>,
        },
        Refused {
            response: Option<Response<Body>>,
        },
    }
}

impl<F> Checked<F> {
    fn refused(error: RpcError) -> Self {
        Self::Refused { response: Some(refuse(error)) }
    }
}

impl<F> Future for Checked<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            CheckedProjection::Called { inner } => inner.poll(cx),
            CheckedProjection::Verifying { done } => done.as_mut().poll(cx),
            CheckedProjection::Refused { response } => Poll::Ready(Ok(response.take().unwrap_or_default())),
        }
    }
}

/// The token in `authorization: Bearer ...`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets the caller in, or says why not. A public method takes no offence at a bad token.
fn admit(access: Access, answer: Result<Caller, AuthError>, request: &mut Request<Body>) -> Result<(), RpcError> {
    match (access, answer) {
        (Access::Public, Err(_)) => Ok(()),
        (_, Err(error)) => Err(error.into()),
        (Access::Operator, Ok(caller)) if caller.role != Role::Operator => {
            Err(RpcError::new(Code::PermissionDenied, "OPERATOR_REQUIRED", "only operators may call this method"))
        }
        (_, Ok(caller)) => {
            request.extensions_mut().insert(caller);
            Ok(())
        }
    }
}

fn not_allowed(message: &str) -> RpcError {
    RpcError::new(Code::PermissionDenied, "METHOD_NOT_ALLOWED", message)
}

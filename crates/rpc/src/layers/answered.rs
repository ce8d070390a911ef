//! The future of a call that a layer passed on, or answered itself.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;
use tonic::body::Body;

use super::refuse;
use crate::RpcError;

pin_project! {
    /// The running call, or the refusal.
    #[project = AnsweredProjection]
    pub(crate) enum Answered<F> {
        Called {
            #[pin]
            inner: F,
        },
        Refused {
            response: Option<Response<Body>>,
        },
    }
}

impl<F> Answered<F> {
    pub fn called(inner: F) -> Self {
        Self::Called { inner }
    }

    pub fn refused(error: RpcError) -> Self {
        Self::Refused { response: Some(refuse(error)) }
    }
}

impl<F> Future for Answered<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnsweredProjection::Called { inner } => inner.poll(cx),
            AnsweredProjection::Refused { response } => Poll::Ready(Ok(response.take().unwrap_or_default())),
        }
    }
}

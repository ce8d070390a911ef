//! The services behind the gateway: one lazy channel to each.

use std::collections::HashMap;
use std::time::Duration;

use flotilla_rpc::{Channel, ChannelBuilder, ChannelError, ClientMetrics, ClientSettings, RpcError};
use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::routes::RpcMethod;

/// The retry delay for a call whose service is unavailable.
const RETRY: Duration = Duration::from_secs(1);

/// Channels by service name.
#[derive(Debug)]
pub struct Backends(HashMap<&'static str, Channel>);

impl Backends {
    /// Channels to these services, with metrics; nothing is connected yet.
    ///
    /// # Errors
    /// An address is invalid.
    pub fn new<'a>(
        addresses: impl Iterator<Item = (&'static str, &'a str)>,
        settings: &ClientSettings,
        metrics: &ClientMetrics,
    ) -> Result<Self, ChannelError> {
        let channel = |url| ChannelBuilder::new(settings).metrics(metrics).connect(url);
        addresses.map(|(name, url)| Ok((name, channel(url)?))).collect::<Result<_, _>>().map(Self)
    }

    /// Each service with its channel.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Channel)> {
        self.0.iter().map(|(name, channel)| (*name, channel))
    }

    /// The channel to a method's service; `UNIMPLEMENTED` if no such service is configured.
    fn channel(&self, method: &RpcMethod) -> Result<Channel, RpcError> {
        self.0.get(method.backend.as_str()).cloned().ok_or_else(|| {
            RpcError::new(Code::Unimplemented, "NO_BACKEND", format!("no service is configured for {}", method.name))
        })
    }

    /// Sends a request to a method's service and waits for the response to begin.
    ///
    /// # Errors
    /// The service's status if it sends no headers, or why it couldn't be called.
    pub async fn send(&self, method: &RpcMethod, request: Request<Body>) -> Result<Response<Body>, Status> {
        let channel = self.channel(method)?;
        channel.oneshot(request).await.map_err(|error| match Status::try_from_error(error.into()) {
            Ok(status) => settle(status),
            Err(error) => lost(error).into(),
        })
    }
}

/// `DEADLINE_EXCEEDED`.
pub fn exceeded() -> RpcError {
    RpcError::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline has passed")
}

/// `UNAVAILABLE` for a connection that can't be opened or was lost; the cause is logged, not sent.
pub fn lost(cause: impl std::fmt::Display) -> RpcError {
    tracing::debug!(%cause, "service can't be reached");
    RpcError::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "the service can't be reached at the moment")
        .retry_after(RETRY)
}

/// Distinguishes the service's own status from one that the transport generated: only the latter has a source.
fn settle(status: Status) -> Status {
    if std::error::Error::source(&status).is_none() {
        return status;
    }
    // The channel reports its own timeout as a cancellation.
    if status.code() == Code::Cancelled && status.message().contains("Timeout expired") {
        return exceeded().into();
    }
    lost(status.message()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_the_service_is_kept_and_one_of_the_transport_is_unavailable() {
        let own = settle(Status::not_found("no such order"));
        assert_eq!((own.code(), own.message()), (Code::NotFound, "no such order"));
        let broken = settle(Status::from_error(Box::new(std::io::Error::other("reset at 10.0.0.7"))));
        assert_eq!(broken.code(), Code::Unavailable);
        assert!(!broken.message().contains("10.0.0.7"));
    }
}

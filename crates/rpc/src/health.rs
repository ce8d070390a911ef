//! `grpc.health.v1.Health`: the whole server (`""`) and each service report the readiness.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::not_found;

/// Sets the state that the health service reports. Starts as not serving. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HealthHandle(Arc<watch::Sender<bool>>);

impl HealthHandle {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Sets whether the server should get calls.
    pub fn set_serving(&self, serving: bool) {
        self.0.send_if_modified(|current| std::mem::replace(current, serving) != serving);
    }

    /// Whether the server reports that it serves.
    pub fn is_serving(&self) -> bool {
        *self.0.borrow()
    }
}

/// The health service of one server.
pub(crate) struct HealthService {
    handle: HealthHandle,
    services: Vec<String>,
    /// Ends the watches with a last status, so that they don't delay the drain.
    shutdown: CancellationToken,
}

impl HealthService {
    pub fn new(handle: HealthHandle, services: Vec<String>, shutdown: CancellationToken) -> Self {
        Self { handle, services, shutdown }
    }

    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.iter().any(|known| known == service)
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn status(serving: bool) -> ServingStatus {
    if serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if !self.knows(&service) {
            return Err(not_found(&service).into());
        }
        Ok(Response::new(answer(status(self.handle.is_serving()))))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let known = self.knows(&request.into_inner().service);
        let changes = WatchStream::new(self.handle.0.subscribe())
            .map(move |serving| Ok(answer(if known { status(serving) } else { ServingStatus::ServiceUnknown })))
            .take_until(self.shutdown.clone().cancelled_owned());
        // The last status before the shutdown.
        let last = if known { ServingStatus::NotServing } else { ServingStatus::ServiceUnknown };
        Ok(Response::new(Box::pin(changes.chain(futures::stream::once(async move { Ok(answer(last)) })))))
    }
}

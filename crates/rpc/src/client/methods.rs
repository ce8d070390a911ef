//! The methods that a channel calls, as the contracts declare them, looked up once for each call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::policy::{Idempotency, MethodPolicy};
use prost_reflect::DescriptorPool;

use super::breaker::Breaker;
use super::layers::metrics::{ClientMetrics, MethodMetrics};
use crate::ClientSettings;

/// A method, or the default for methods without a description.
pub(crate) struct Method {
    /// `flotilla.orders.v1.OrderService/PlaceOrder`, or `unknown`.
    pub name: String,
    /// Whether the client sends a stream.
    pub client_streaming: bool,
    /// Whether the server returns a stream.
    pub server_streaming: bool,
    /// Whether a request is known to be one message, which is kept and sent again if no server has begun to process it.
    pub kept: bool,
    /// The default deadline of a call.
    pub deadline: Option<Duration>,
    /// Whether a call with an unknown outcome may be retried.
    pub repeatable: bool,
    /// The breaker of its service; `None` for health checks, which must always be sent.
    pub breaker: Option<Arc<Breaker>>,
    /// Its counters.
    pub metrics: Option<MethodMetrics>,
}

/// All methods by path.
pub(crate) struct Methods {
    by_path: HashMap<String, Arc<Method>>,
    unknown: Arc<Method>,
}

impl Methods {
    /// The methods of the fleet, of the health service and of `others`.
    pub fn new(settings: &ClientSettings, metrics: Option<&ClientMetrics>, others: &[MethodPolicy]) -> Self {
        let mut breakers = HashMap::new();
        let mut by_path = HashMap::new();
        let health = health();
        for policy in flotilla_proto::policy::methods().iter().chain(&health).chain(others) {
            let is_health = policy.service.starts_with("grpc.");
            let breaker = (!is_health).then(|| {
                let new = || Arc::new(Breaker::new(&policy.service, settings));
                Arc::clone(breakers.entry(policy.service.clone()).or_insert_with(new))
            });
            let method = Method {
                name: format!("{}/{}", policy.service, policy.method),
                client_streaming: policy.client_streaming,
                server_streaming: policy.server_streaming,
                kept: !policy.client_streaming,
                deadline: policy.deadline,
                repeatable: !policy.client_streaming
                    && (is_health
                        || matches!(policy.idempotency, Idempotency::NoSideEffects | Idempotency::Idempotent)),
                breaker,
                metrics: metrics.map(|metrics| metrics.method(&policy.service, &policy.method)),
            };
            by_path.insert(policy.path.clone(), Arc::new(method));
        }
        let unknown = Method {
            name: "unknown".to_owned(),
            client_streaming: false,
            server_streaming: false,
            kept: false,
            deadline: None,
            repeatable: false,
            breaker: None,
            metrics: metrics.map(|metrics| metrics.method("unknown", "unknown")),
        };
        Self { by_path, unknown: Arc::new(unknown) }
    }

    /// The method at `path`.
    pub fn find(&self, path: &str) -> &Arc<Method> {
        self.by_path.get(path).unwrap_or(&self.unknown)
    }
}

impl Method {
    /// Whether either side sends a stream.
    pub fn is_stream(&self) -> bool {
        self.client_streaming || self.server_streaming
    }
}

fn health() -> Vec<MethodPolicy> {
    // The set is compiled in; one that can't be decoded describes no methods.
    DescriptorPool::decode(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .map(|pool| flotilla_proto::policy::of(&pool))
        .unwrap_or_default()
}

//! The client side: a channel to all replicas of a service, for generated clients.
//!
//! Guarantees:
//! * Nothing is connected before the first call. From then on every address of the name has a connection, and calls go
//!   to the one with the fewest in flight. Names are resolved again at an interval and when a connection fails.
//! * Streams and unary calls use separate connections ([`pool`]); a stream that isn't read blocks nothing else. When
//!   connections are full further ones are opened, up to a bound; beyond it calls are refused at once.
//! * A silent peer is given up within the keepalive time; a peer that keeps failing is ejected for a while.
//! * What is safe to repeat is retried, within a budget and the deadline ([`layers`] says what is safe); nothing else
//!   is ever sent twice.
//! * Every unary call has a deadline. Deadline, request id and trace of the call being served are passed on.
//!
//! The channel's tasks (one per address and connection, one for the names) end with its last clone.

mod balancer;
mod bounds;
mod breaker;
mod connection;
mod connector;
mod discovery;
mod ejection;
mod endpoint;
mod layers;
mod methods;
mod open_call;
mod outbound;
mod outcome;
mod pool;
mod reply;
mod resolver;
mod settings;
mod target;
mod verdict;

use flotilla_clock::Jitter;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use flotilla_proto::policy::MethodPolicy;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use tokio::sync::{Notify, watch};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

pub use connector::{Connector, Io};
pub use layers::metrics::ClientMetrics;
pub use resolver::Resolver;
pub use settings::ClientSettings;
pub use target::{ChannelError, Target};

use balancer::Balancer;
use connector::SystemConnector;
use discovery::Discovery;
use endpoint::Wiring;
use layers::{Layer as _, Stack};
use methods::Methods;
use resolver::SystemResolver;

/// A channel to a service, for generated clients. Cheap to clone; connects on first use, and reconnects automatically.
#[derive(Clone)]
pub struct Channel {
    shared: Arc<Shared>,
    authorization: Option<HeaderValue>,
}

struct Shared {
    targets: Vec<Arc<Target>>,
    settings: ClientSettings,
    methods: Methods,
    stack: Stack,
}

/// A channel to `url`: `http://host:port`, `https://host:port` (with the settings' certificates), or a comma-separated
/// list of them. Connects lazily.
///
/// # Errors
/// `url` is invalid, or the certificates can't be used.
pub fn channel(url: &str, settings: &ClientSettings) -> Result<Channel, ChannelError> {
    ChannelBuilder::new(settings).connect(url)
}

/// Builds a channel.
pub struct ChannelBuilder {
    settings: ClientSettings,
    metrics: Option<ClientMetrics>,
    methods: Vec<MethodPolicy>,
    resolver: Arc<dyn Resolver>,
    connector: Option<Arc<dyn Connector>>,
}

impl ChannelBuilder {
    /// A channel over TCP that asks the operating system for addresses and knows the fleet's methods.
    pub fn new(settings: &ClientSettings) -> Self {
        Self {
            settings: settings.clone(),
            metrics: None,
            methods: Vec::new(),
            resolver: Arc::new(SystemResolver),
            connector: None,
        }
    }

    /// Records its calls in these metrics.
    #[must_use]
    pub fn metrics(mut self, metrics: &ClientMetrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Adds methods: whether they may be retried, and their deadlines.
    #[must_use]
    pub fn methods(mut self, methods: &[MethodPolicy]) -> Self {
        self.methods.extend_from_slice(methods);
        self
    }

    /// Resolves names with `resolver`.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Connects with `connector`.
    #[must_use]
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }

    /// The channel to `url`; see [`channel`].
    ///
    /// # Errors
    /// `url` is invalid, or the certificates can't be used.
    pub fn connect(self, url: &str) -> Result<Channel, ChannelError> {
        let targets = Target::parse(url)?;
        let connector = match self.connector {
            Some(connector) => connector,
            None => Arc::new(SystemConnector::new(&targets, &self.settings)?),
        };
        let methods = Methods::new(&self.settings, self.metrics.as_ref(), &self.methods);
        let wiring = Arc::new(Wiring {
            connector,
            settings: self.settings.clone(),
            changes: watch::Sender::new(()),
            trouble: Notify::new(),
            jitter: Jitter::new(),
        });
        let discovery = Discovery { targets: targets.clone(), resolver: self.resolver };
        let balancer = Arc::new(Balancer::new(Arc::clone(&wiring), discovery, self.metrics));
        let stack = layers::compose(balancer, wiring);
        let shared = Shared { targets, settings: self.settings, methods, stack };
        Ok(Channel { shared: Arc::new(shared), authorization: None })
    }
}

impl fmt::Debug for ChannelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Channel {
    /// The same channel, sending `token` with each call that has none of its own.
    ///
    /// # Errors
    /// The token isn't a valid header value.
    pub fn with_token(&self, token: &str) -> Result<Self, http::header::InvalidHeaderValue> {
        Ok(Self { authorization: Some(layers::token::bearer(token)?), ..self.clone() })
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("targets", &self.shared.targets).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    /// A transport failure is a status with a source, in most cases `UNAVAILABLE`.
    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let call = layers::prepare(request, &shared.methods, &shared.settings, self.authorization.as_ref());
        Box::pin(async move {
            match shared.stack.call(call).await {
                Ok(response) => Ok(response.map(Body::new)),
                Err(failure) => Err(failure.status),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_needs_no_runtime_until_it_is_used() {
        let channel = channel("http://127.0.0.1:1", &ClientSettings::default()).unwrap();
        assert!(format!("{channel:?}").contains("127.0.0.1"));
    }

    #[test]
    fn an_https_address_needs_certificates() {
        let refused = channel("https://127.0.0.1:1", &ClientSettings::default());
        assert!(matches!(refused, Err(ChannelError::NoTls(_))));
    }
}

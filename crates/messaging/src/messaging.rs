//! The bundle that a service starts: the relay of its stream, its consumers, retries of parked messages, and retention.

use std::sync::Arc;

use flotilla_fault::Faults;
use flotilla_postgres::{Pool, Tx};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::broker::nats::{Bucket, NatsBroker};
use crate::error::Error;
use crate::handler::Handler;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::postgres::PgStore;
use crate::relay::StreamHealth;
use crate::settings::NatsSettings;
use crate::spec::{ConsumerSpec, StreamSpec};
use flotilla_clock::Ids;

/// Builder of a service's messaging; [`Messaging::run`] starts it.
pub struct Messaging {
    pub(crate) service: &'static str,
    pub(crate) stream: StreamSpec,
    pub(crate) settings: NatsSettings,
    pub(crate) pool: Pool,
    pub(crate) store: PgStore,
    pub(crate) broker: NatsBroker,
    pub(crate) ids: Ids,
    pub(crate) metrics: Metrics,
    pub(crate) consumers: Vec<(ConsumerSpec, Arc<dyn Handler<Tx>>)>,
    pub(crate) faults: Faults,
    pub(crate) health: StreamHealth,
}

/// Reports the state of the broker, for readiness checks after [`Messaging::run`] has consumed the rest.
#[derive(Clone)]
pub struct BrokerProbe {
    broker: NatsBroker,
    stream: &'static str,
    health: StreamHealth,
}

impl BrokerProbe {
    /// The broker's state as this process knows it. It is bad if there is no connection, or if the service's stream
    /// refuses messages (only the process with the leading relay knows that). Makes no request.
    ///
    /// # Errors
    /// A description of what is wrong.
    pub fn state(&self) -> Result<(), String> {
        if !self.broker.is_up() {
            return Err("not connected".to_owned());
        }
        if self.health.refuses() {
            return Err(format!("stream {} refuses messages although the broker answers", self.stream));
        }
        Ok(())
    }
}

impl Messaging {
    /// Creates a service's messaging. Database and broker need not be available yet: connections are made in the
    /// background.
    ///
    /// # Errors
    /// If the broker's address is malformed or the registry has these metrics already.
    pub async fn new(
        service: &'static str,
        stream: StreamSpec,
        pool: Pool,
        nats: &NatsSettings,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let metrics = Metrics::new(service, registry)?;
        let broker = NatsBroker::connect(service, nats).await?;
        let ids = Ids::system();
        Ok(Self {
            service,
            stream,
            settings: nats.clone(),
            store: PgStore::new(service, pool.clone(), nats, ids.clone()),
            pool,
            broker,
            ids,
            metrics,
            consumers: Vec::new(),
            faults: Faults::forbidden(),
            health: StreamHealth::default(),
        })
    }

    /// Applies injected faults to the relay and the consumers.
    #[must_use]
    pub fn with_faults(mut self, faults: &Faults) -> Self {
        self.faults = faults.clone();
        self
    }

    /// The outbox to which transactions append their messages.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.store.writer())
    }

    /// The source of ids and time.
    pub fn ids(&self) -> Ids {
        self.ids.clone()
    }

    /// Adds a consumer.
    ///
    /// # Errors
    /// The handler doesn't know a message that is published on the consumer's subjects: each would become a dead letter.
    pub fn consume(&mut self, spec: ConsumerSpec, handler: Arc<dyn Handler<Tx>>) -> Result<(), Error> {
        if let Some(kind) = spec.events.iter().find(|kind| !handler.knows(kind)) {
            return Err(Error::Unread { consumer: spec.name, kind });
        }
        self.consumers.push((spec, handler));
        Ok(())
    }

    /// A bucket of latest values, shared by all replicas of the service.
    pub fn bucket(&self, name: &'static str) -> Bucket {
        Bucket::new(self.broker.clone(), name)
    }

    /// Whether the broker is usable. Makes no request.
    pub fn broker_is_up(&self) -> bool {
        self.broker.is_up()
    }

    /// A handle for the same check after [`Messaging::run`].
    pub fn broker_probe(&self) -> BrokerProbe {
        BrokerProbe { broker: self.broker.clone(), stream: self.stream.name, health: self.health.clone() }
    }

    /// Runs relay, consumers, retries and retention until `shutdown`, then drains: consumers finish and ack their
    /// current batches, and the relay publishes the remaining rows and releases its lease. Returns early only if one of
    /// these tasks ends unexpectedly.
    pub async fn run(self, shutdown: CancellationToken) {
        crate::run::run(self, shutdown).await;
    }
}

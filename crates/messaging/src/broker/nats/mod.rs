//! The broker on NATS JetStream: file storage, one stream per producer, durable pull consumers, explicit acks.
//!
//! Message ids and the server's duplicate window are not used: only the inbox removes duplicates. `max_deliver` is
//! unlimited. `max_ack_pending` is the maximum number of messages that all replicas of a consumer together may hold
//! unacked; the server delivers no more until some are acked, so it is set far above the prefetch.

mod bucket;
mod delivery;
mod login;
mod streams;

use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{
    connection::State,
    jetstream::{
        Context, ErrorCode,
        consumer::{AckPolicy, DeliverPolicy, pull},
        context::{ContextBuilder, GetStreamErrorKind, PublishErrorKind},
        message::PublishMessage,
        stream,
    },
};
pub use bucket::{Bucket, BucketEntry, BucketWatch, OpenBucket};
use bytes::Bytes;
pub use delivery::{NatsDelivery, NatsPings, NatsSubscription};
use flotilla_telemetry::ServiceScope;
use futures::FutureExt;
pub use login::{connect, login};
use tracing::{error, info, warn};

use self::streams::state;
use super::{Broker, ConsumerState, StreamConfig, StreamState};
use crate::{
    error::{BrokerError, Error},
    frame::{FRAMES_HEADER, Message, write_frames},
    ranges::Ranges,
    settings::NatsSettings,
    spec::ConsumerSpec,
};

/// With older servers a consumer that is ahead of its stream stays stuck.
const OLDEST_SERVER: (u64, u64) = (2, 15);
/// The server sends a heartbeat on an idle pull request this often; after two missed ones the request counts as lost.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// A pull request is renewed after this long.
const PULL_EXPIRES: Duration = Duration::from_secs(30);

/// A connection that reconnects by itself. Cheap to clone.
#[derive(Clone)]
pub struct NatsBroker {
    shared: Arc<Shared>,
}

struct Shared {
    client: async_nats::Client,
    jetstream: Context,
    settings: NatsSettings,
    refused: AtomicBool,
}

impl NatsBroker {
    /// Connects in the background and retries until it succeeds.
    ///
    /// # Errors
    /// If the address is malformed.
    pub async fn connect(service: &str, settings: &NatsSettings) -> Result<Self, Error> {
        let (address, options) = login(&settings.url).map_err(|error| Error::Settings(format!("nats url: {error}")))?;
        let scope = ServiceScope::current();
        let options = options
            .name(service)
            .connection_timeout(settings.connect_timeout.0)
            .request_timeout(Some(settings.request_timeout.0))
            .ping_interval(Duration::from_secs(10))
            .retry_on_initial_connect()
            .reconnect_delay_callback(|attempt| {
                // The first attempt is made at once: services wait for it when they start.
                let step = u64::try_from(attempt).unwrap_or(u64::MAX).saturating_sub(1).saturating_mul(50);
                Duration::from_millis(step.min(1_000))
            })
            .event_callback(move |event| async move {
                // The client's task belongs to no service.
                scope.run(|| match event {
                    async_nats::Event::Connected => info!("broker connected"),
                    event => warn!(event = %event, "broker connection changed"),
                });
            });
        let client = options.connect(address).await.map_err(|error| Error::Settings(format!("nats url: {error}")))?;
        let jetstream = ContextBuilder::new().timeout(settings.request_timeout.0).build(client.clone());
        let shared = Shared { client, jetstream, settings: settings.clone(), refused: AtomicBool::new(false) };
        Ok(Self { shared: Arc::new(shared) })
    }

    fn connected(&self) -> Result<(), BrokerError> {
        if self.shared.client.connection_state() == State::Connected {
            return Ok(());
        }
        Err(BrokerError::Unavailable("not connected".to_owned()))
    }

    /// Checks that the client is connected to a server that is new enough.
    fn usable(&self) -> Result<(), BrokerError> {
        self.connected()?;
        let version = self.shared.client.server_info().version;
        if parse_version(&version).is_some_and(|version| version >= OLDEST_SERVER) {
            self.shared.refused.store(false, Ordering::Relaxed);
            return Ok(());
        }
        if !self.shared.refused.swap(true, Ordering::Relaxed) {
            error!(version = %version, "nats-server is older than 2.15 and is not used");
        }
        Err(BrokerError::Refused(format!("nats-server {version} is older than 2.15")))
    }

    async fn within<T>(&self, what: &str, work: impl Future<Output = T>) -> Result<T, BrokerError> {
        let limit = self.shared.settings.request_timeout.0;
        tokio::time::timeout(limit, work)
            .await
            .map_err(|_| BrokerError::Unavailable(format!("no answer in time to {what}")))
    }

    fn stream_config(&self, stream: &StreamConfig) -> stream::Config {
        stream::Config {
            name: stream.name.to_owned(),
            subjects: stream.subjects.clone(),
            storage: stream::StorageType::File,
            retention: stream::RetentionPolicy::Limits,
            max_age: self.shared.settings.stream_max_age.0,
            num_replicas: self.shared.settings.stream_replicas,
            ..stream::Config::default()
        }
    }

    async fn info(&self, stream: &str) -> Result<Option<stream::Info>, BrokerError> {
        self.usable()?;
        match self.within("stream info", self.shared.jetstream.get_stream(stream)).await? {
            Ok(stream) => Ok(Some(stream.cached_info().clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
                _ => Err(unavailable(error)),
            },
        }
    }

    /// The backlog of a durable consumer over all replicas: messages that aren't delivered yet, and delivered ones that
    /// aren't acked.
    ///
    /// # Errors
    /// The broker is unavailable, or there is no such consumer yet.
    pub async fn pending(&self, spec: &ConsumerSpec) -> Result<u64, BrokerError> {
        self.usable()?;
        let consumer = self.shared.jetstream.get_consumer_from_stream::<pull::Config, _, _>(spec.name, spec.stream);
        let consumer = self.within("consumer info", consumer).await?.map_err(unavailable)?;
        let info = consumer.cached_info();
        Ok(info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or(u64::MAX))
    }

    fn consumer_config(&self, spec: &ConsumerSpec) -> pull::Config {
        pull::Config {
            durable_name: Some(spec.name.to_owned()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.shared.settings.ack_wait.0,
            max_deliver: -1,
            max_ack_pending: self.shared.settings.max_ack_pending,
            filter_subjects: spec.subjects.iter().map(|subject| (*subject).to_owned()).collect(),
            ..pull::Config::default()
        }
    }
}

fn parse_version(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> BrokerError {
    BrokerError::Unavailable(error.to_string())
}

impl Broker for NatsBroker {
    type Subscription = NatsSubscription;
    type Pings = NatsPings;

    async fn ensure_stream(&self, stream: &StreamConfig) -> Result<StreamState, BrokerError> {
        let wanted = self.stream_config(stream);
        let Some(info) = self.info(stream.name).await? else {
            info!(stream = stream.name, "stream created");
            let created = self.within("stream creation", self.shared.jetstream.create_stream(wanted)).await?;
            return created.map(|stream| state(stream.cached_info())).map_err(unavailable);
        };
        let same = info.config.subjects == wanted.subjects
            && info.config.max_age == wanted.max_age
            && info.config.num_replicas == wanted.num_replicas;
        if !same {
            info!(stream = stream.name, "stream's settings changed");
            let changed = stream::Config {
                subjects: wanted.subjects,
                max_age: wanted.max_age,
                num_replicas: wanted.num_replicas,
                ..info.config.clone()
            };
            self.within("stream update", self.shared.jetstream.update_stream(&changed)).await?.map_err(unavailable)?;
        }
        Ok(state(&info))
    }

    async fn stream_state(&self, stream: &str) -> Result<Option<StreamState>, BrokerError> {
        Ok(self.info(stream).await?.as_ref().map(state))
    }

    async fn deleted(&self, stream: &str) -> Result<Ranges, BrokerError> {
        self.list_deleted(stream).await
    }

    async fn consumers(&self, stream: &str) -> Result<Vec<ConsumerState>, BrokerError> {
        self.list_consumers(stream).await
    }

    async fn delete_stream(&self, stream: &str) -> Result<(), BrokerError> {
        self.remove_stream(stream).await
    }

    async fn probe(&self, subject: &str, bytes: usize) -> Result<(), BrokerError> {
        self.try_to_store(subject, bytes).await
    }

    async fn publish(&self, stream: &str, last: u64, messages: Vec<Message>) -> Result<Vec<u64>, BrokerError> {
        // Nothing may wait in the client's queue for a server that is unavailable.
        self.connected()?;
        let publish = async {
            let mut acks = Vec::with_capacity(messages.len());
            for (message, expected) in messages.into_iter().zip(last..) {
                let outbound = PublishMessage::build()
                    .payload(message.payload)
                    .header(FRAMES_HEADER, write_frames(&message.frames))
                    .expected_last_sequence(expected);
                let ack =
                    self.shared.jetstream.send_publish(message.subject, outbound).await.map_err(failed(stream))?;
                acks.push(ack.into_future().map(|ack| ack.map_err(failed(stream))));
            }
            let mut sequences = Vec::with_capacity(acks.len());
            for ack in acks {
                sequences.push(ack.await?.sequence);
            }
            Ok(sequences)
        };
        self.within("publish", publish).await?
    }

    async fn delete_consumers(&self, stream: &str) -> Result<(), BrokerError> {
        self.remove_consumers(stream).await
    }

    async fn subscribe(&self, spec: &ConsumerSpec) -> Result<NatsSubscription, BrokerError> {
        self.usable()?;
        let settings = &self.shared.settings;
        let create = self.shared.jetstream.create_consumer_on_stream(self.consumer_config(spec), spec.stream);
        let consumer = self.within("consumer creation", create).await?.map_err(unavailable)?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(settings.prefetch_frames)
            .heartbeat(HEARTBEAT)
            .expires(PULL_EXPIRES)
            .messages()
            .await
            .map_err(unavailable)?;
        Ok(NatsSubscription::new(messages))
    }

    async fn ping(&self, subject: &str, payload: Bytes) -> Result<(), BrokerError> {
        self.connected()?;
        let publish = self.shared.client.publish(subject.to_owned(), payload);
        self.within("ping", publish).await?.map_err(unavailable)
    }

    async fn pings(&self, subject: &str) -> Result<NatsPings, BrokerError> {
        let subscribe = self.shared.client.subscribe(subject.to_owned());
        self.within("subscription to pings", subscribe).await?.map_err(unavailable).map(NatsPings::new)
    }

    async fn flush(&self) -> Result<(), BrokerError> {
        self.connected()?;
        self.within("flush", self.shared.client.flush()).await?.map_err(unavailable)
    }

    fn is_up(&self) -> bool {
        self.connected().is_ok() && !self.shared.refused.load(Ordering::Relaxed)
    }
}

fn failed(stream: &str) -> impl Fn(async_nats::jetstream::context::PublishError) -> BrokerError {
    move |error| match error.kind() {
        PublishErrorKind::StreamNotFound => BrokerError::NoStream(stream.to_owned()),
        PublishErrorKind::WrongLastSequence => BrokerError::WrongLastSequence(error.to_string()),
        PublishErrorKind::MaxPayloadExceeded => BrokerError::Refused(error.to_string()),
        _ => unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_below_2_15_is_too_old() {
        assert!(parse_version("2.15.1").is_some_and(|v| v >= OLDEST_SERVER));
        assert!(parse_version("3.0.0-beta.1").is_some_and(|v| v >= OLDEST_SERVER));
        assert!(parse_version("2.9.10").is_some_and(|v| v < OLDEST_SERVER));
        assert!(parse_version("2.14.9").is_some_and(|v| v < OLDEST_SERVER));
        assert_eq!(parse_version(""), None);
    }
}

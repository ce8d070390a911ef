//! Lossless messaging between services: the database is the source of truth, and the broker's data is disposable.
//!
//! A service appends events to its outbox ([`Outbox`]) in the transaction that makes the change, as frames: batches of
//! one subject. Its relay publishes the frames unchanged to its stream. Other services' consumers pull them, remove
//! duplicates with their inbox ([`Claim`]) and pass the rest to a [`Handler`] in one transaction; what can't be applied
//! is parked.
//!
//! Guarantees: what was committed is delivered at least once to every durable consumer and applied once, whichever
//! process or server fails, and even if the broker loses its streams. No order is guaranteed, not even per aggregate.
//!
//! [`Messaging`] is the bundle on PostgreSQL and NATS JetStream. Its parts are generic over store, broker, clock and
//! randomness.

pub mod broker;
pub mod consumer;
mod error;
mod event;
mod follower;
pub mod frame;
mod handler;
mod messaging;
pub mod metrics;
mod outbox;
pub mod parked;
pub mod postgres;
pub mod ranges;
pub mod registry;
pub mod relay;
mod run;
mod settings;
mod spec;
pub mod store;

pub use broker::nats::{Bucket, BucketEntry, BucketWatch, OpenBucket};
pub use error::{BrokerError, Error, StoreError};
pub use event::Event;
pub use follower::{BucketFollower, BucketObserver, FollowError};
pub use handler::{Claim, Handler, HandlerError, Outcome};
pub use messaging::{BrokerProbe, Messaging};
pub use outbox::{Outbox, Waker};
pub use postgres::migrations;
pub use registry::{Registry, Unreadable};
pub use relay::{POISON_SOURCE, StreamHealth};
pub use settings::{NatsSettings, ParkedSettings, RelaySettings, RetentionSettings};
pub use spec::{ConsumerSpec, StreamSpec};

/// The `source` of a service's events.
pub fn source_of(service: &str) -> String {
    format!("/flotilla/{service}")
}

/// The subject on which copies of a service's dead letters appear, in its own stream.
pub fn dead_letter_subject(service: &str) -> String {
    format!("flotilla.{service}.dead_letters")
}

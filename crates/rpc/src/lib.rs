//! gRPC for Flotilla's services: one server stack, one client channel, one error.
//!
//! Guarantees:
//! * A method without an access rule is denied; a call without a valid token never reaches a handler.
//! * Every unary call has a deadline, and the remaining time is passed on with each call made by [`Channel`].
//! * A channel uses every address of its name, stops using one that is silent or fails, and retries only what is safe.
//! * A panic in a handler becomes `INTERNAL` and the process continues; overload is refused early with a retry delay.
//! * An error carries a stable reason and, where the input is at fault, the names of the fields.
//!
//! It has no tables, no subjects and no global state: registry, keys and clock are passed in.

pub mod name;
pub mod reasons;
pub mod tls;

mod access;
mod caller;
mod capacity;
mod client;
mod client_address;
mod connection;
mod connection_use;
mod details;
mod error;
mod executor;
mod health;
mod layers;
mod local;
mod methods;
mod pending_bodies;
mod rate;
mod reflection;
mod remote_keys;
mod routes;
mod server;
mod settings;
mod share;
mod turns;

pub use access::{Access, AccessRules};
pub use caller::caller;
pub use capacity::{Capacity, Permit, Shortage};
pub use client::{
    Channel, ChannelBuilder, ChannelError, ClientMetrics, ClientSettings, Connector, Io, Resolver, Target, channel,
};
pub use client_address::{CLIENT_ADDRESS, client_address};
pub use details::{Details, FieldViolation, Precondition, Quota, code_name};
pub use error::{DOMAIN, RpcError, Violations, invalid, not_found};
pub use executor::ServiceExecutor;
pub use flotilla_call::{CallContext, Deadline, RequestId, current_traceparent};
pub use health::HealthHandle;
pub use local::{LocalLink, LocalNetwork};
pub use pending_bodies::{PendingBodies, PendingBody};
pub use rate::{Rate, RateLimiter};
pub use remote_keys::RemoteKeys;
pub use routes::GrpcService;
pub use server::{ServeError, Server};
pub use settings::{RateLimitSettings, ServerSettings};
pub use share::{Share, Shares};
pub use turns::{Turn, Turns};

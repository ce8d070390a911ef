//! Identity's two gRPC services. The contracts declare who may call which method; ownership is checked here.

mod auth;
mod convert;
mod users;

use std::time::Duration;

use flotilla_rpc::Deadline;

pub use auth::Auth;
pub use users::UserApi;

/// Maximum time that a call without a deadline waits for the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a call may still take.
fn remaining() -> Duration {
    Deadline::at_most(PATIENCE)
}

/// The client's address, as passed on by the gateway.
fn address_of<T>(request: &tonic::Request<T>) -> Option<std::net::IpAddr> {
    flotilla_rpc::client_address(request, "gateway")
}

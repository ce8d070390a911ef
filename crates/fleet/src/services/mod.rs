//! How the fleet's commands reach running services: over gRPC, at their admin endpoints, and through the bucket of
//! settings that they share.

pub mod admin;
pub mod bucket;
pub mod list;
pub mod probe;

use flotilla_rpc::ClientSettings;

use crate::{certs, home::state::State};

/// The settings to call the services with: with the developer's certificate if they use TLS.
#[must_use]
pub fn client_settings(state: &State) -> ClientSettings {
    let tls = state.certificates.as_deref().map(|folder| certs::settings(folder, certs::DEVELOPER));
    ClientSettings { tls, ..ClientSettings::default() }
}

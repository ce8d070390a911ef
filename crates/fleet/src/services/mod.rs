//! How the fleet's commands reach services that run: over gRPC, at their admin endpoints, and by the bucket of settings
//! that they share.

pub mod admin;
pub mod bucket;
pub mod list;
pub mod probe;

use flotilla_rpc::ClientSettings;

use crate::{certs, home::state::State};

/// How the services are called: with the developer's certificate where they speak TLS.
#[must_use]
pub fn client_settings(state: &State) -> ClientSettings {
    let tls = state.certificates.as_deref().map(|folder| certs::settings(folder, certs::DEVELOPER));
    ClientSettings { tls, ..ClientSettings::default() }
}

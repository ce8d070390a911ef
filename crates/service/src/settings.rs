//! Settings of the chassis, section `service`.

use std::net::{Ipv4Addr, SocketAddr};

use flotilla_config::{HumanDuration, Problems, Validate};
use serde::Deserialize;

/// How a service is administered and stopped.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceSettings {
    /// Address of the admin endpoints. Default `127.0.0.1:0` (any free port).
    pub admin_listen: SocketAddr,
    /// How long a shutdown may take. Default `10s`.
    pub grace: HumanDuration,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self { admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), grace: HumanDuration::from_secs(10) }
    }
}

impl Validate for ServiceSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.grace.0.is_zero(), "grace", "must be longer than 0s");
    }
}

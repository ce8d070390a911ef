//! Settings of the chassis, section `service`.

use std::net::{Ipv4Addr, SocketAddr};

use flotilla_config::{HumanDuration, Problems, Validate};
use serde::Deserialize;

/// Where a service runs. It changes defaults alone; what a setting says outright holds everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Among its developers: the reflection service answers.
    #[default]
    Development,
    /// Among strangers: it doesn't.
    Production,
}

impl Environment {
    /// Whether it is production.
    pub fn is_production(self) -> bool {
        self == Self::Production
    }
}

/// How a service is administered and stopped.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceSettings {
    /// Address of the admin endpoints. Default `127.0.0.1:0` (any free port).
    pub admin_listen: SocketAddr,
    /// How long a shutdown may take. Default `10s`.
    pub grace: HumanDuration,
    /// `development` or `production`, where reflection is off unless `grpc.reflection` is set. Default `development`.
    pub environment: Environment,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            grace: HumanDuration::from_secs(10),
            environment: Environment::default(),
        }
    }
}

impl ServiceSettings {
    /// Whether the reflection service answers: as `asked`, else not in production.
    pub fn reflection(&self, asked: Option<bool>) -> bool {
        asked.unwrap_or(!self.environment.is_production())
    }
}

impl Validate for ServiceSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.grace.0.is_zero(), "grace", "must be longer than 0s");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_is_off_in_production_unless_it_is_asked_for() {
        let at = |environment| ServiceSettings { environment, ..ServiceSettings::default() };
        assert!(at(Environment::Development).reflection(None));
        assert!(!at(Environment::Production).reflection(None));
        assert!(at(Environment::Production).reflection(Some(true)));
        assert!(!at(Environment::Development).reflection(Some(false)));
    }
}

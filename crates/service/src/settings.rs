//! Settings of the chassis, section `service`.

use std::net::{Ipv4Addr, SocketAddr};

use flotilla_config::{HumanDuration, Live, Problems, Setting, Validate};
use flotilla_fault::Faults;
use flotilla_rpc::ServerSettings;

use crate::shared_admin::AdminLink;

/// Where a service runs. It only changes defaults; explicit settings apply everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Setting)]
#[setting(rename_all = "lowercase")]
pub enum Environment {
    /// Development: reflection is enabled.
    #[default]
    Development,
    /// As in production, but reflection is enabled, and faults may be switched on.
    Staging,
    /// Production: reflection is disabled.
    Production,
}

impl Environment {
    /// Whether it is production.
    pub fn is_production(self) -> bool {
        self == Self::Production
    }
}

/// How a service is administered and stopped.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct ServiceSettings {
    /// Address of the admin port.
    pub admin_listen: SocketAddr,
    /// Maximum duration of a shutdown.
    pub grace: Live<HumanDuration>,
    /// The environment. In production, reflection is disabled unless `grpc.reflection` is set.
    #[setting(alias = "FLOTILLA_ENVIRONMENT")]
    pub environment: Environment,
    /// Whether an operator may switch on faults (`fleet fault`) to test alerts and runbooks. Refused in production.
    pub faults: bool,
    /// The admin port, if the process runs several services.
    #[setting(skip)]
    pub admin: AdminLink,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            grace: HumanDuration::from_secs(10).into(),
            environment: Environment::default(),
            faults: false,
            admin: AdminLink::default(),
        }
    }
}

impl ServiceSettings {
    /// Whether reflection is enabled: as `configured`, otherwise unless in production.
    pub fn reflection(&self, configured: Option<bool>) -> bool {
        configured.unwrap_or(!self.environment.is_production())
    }

    /// Validates this section's settings against those of the server.
    pub fn check_server(&self, server: &ServerSettings, problems: &mut Problems) {
        let (drain, grace) = (server.drain_grace.get(), self.grace.get().get());
        problems.require(
            drain < grace,
            "grpc.drain_grace",
            format!("must be shorter than service.grace ({}), which would end calls in flight", self.grace.get()),
        );
        for (name, limit) in [
            ("grpc.rate_limit.per_user", server.rate_limit.per_user.get()),
            ("grpc.rate_limit.per_address", server.rate_limit.per_address.get()),
        ] {
            let lifted = limit == 0 && self.environment.is_production();
            problems.require(
                !lifted,
                name,
                "must not be 0 in production: one caller could use up the service's capacity",
            );
        }
    }

    /// The faults: they can be switched on only if that is allowed, and never in production.
    pub(crate) fn possible_faults(&self) -> Faults {
        if self.faults && !self.environment.is_production() { Faults::allowed() } else { Faults::forbidden() }
    }
}

impl Validate for ServiceSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.grace.get().get().is_zero(), "grace", "must be longer than 0s");
        problems.require(!(self.faults && self.environment.is_production()), "faults", "must not be set in production");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drain_fits_into_the_grace_and_rates_are_limited_in_production() {
        let invalid = |grace, drain, limit: u32, environment| {
            let own =
                ServiceSettings { grace: HumanDuration::from_secs(grace).into(), environment, ..Default::default() };
            let mut server = ServerSettings { drain_grace: HumanDuration::from_secs(drain), ..Default::default() };
            server.rate_limit.per_user = limit.into();
            let mut problems = Problems::default();
            own.check_server(&server, &mut problems);
            problems.found().iter().map(|problem| problem.setting.clone()).collect::<Vec<_>>()
        };
        assert_eq!(invalid(10, 8, 0, Environment::Staging), [""; 0]);
        assert_eq!(invalid(10, 10, 1, Environment::Staging), ["grpc.drain_grace"]);
        assert_eq!(invalid(10, 8, 0, Environment::Production), ["grpc.rate_limit.per_user"]);
        assert_eq!(invalid(10, 8, 1, Environment::Production), [""; 0]);
    }

    #[test]
    fn reflection_is_off_in_production_unless_enabled() {
        let at = |environment| ServiceSettings { environment, ..ServiceSettings::default() };
        assert!(at(Environment::Development).reflection(None));
        assert!(!at(Environment::Production).reflection(None));
        assert!(at(Environment::Production).reflection(Some(true)));
        assert!(!at(Environment::Development).reflection(Some(false)));
    }
}

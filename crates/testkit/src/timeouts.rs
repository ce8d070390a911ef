//! Timeouts that no test reaches, however busy the machine is: a test must not fail because of a timeout that it doesn't
//! test.
//!
//! A machine that also builds and runs other tests may be ten times slower. A wait ends as soon as its condition holds, so
//! generous timeouts cost nothing.

use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_messaging::NatsSettings;
use flotilla_postgres::PostgresSettings;
use flotilla_rpc::{ClientSettings, ServerSettings};
use flotilla_service::{CommonSettings, ProcessSettings};

use crate::Database;

/// The longest that a test waits for anything.
pub const TIMEOUT: Duration = Duration::from_secs(120);

const LONG: HumanDuration = HumanDuration(TIMEOUT);

/// Settings of a server under test.
#[must_use]
pub fn server_settings() -> ServerSettings {
    ServerSettings { default_deadline: LONG, keepalive_timeout: LONG, ..ServerSettings::default() }
}

/// Settings of a client under test.
#[must_use]
pub fn client_settings() -> ClientSettings {
    ClientSettings {
        connect_timeout: LONG,
        default_deadline: LONG,
        keepalive_timeout: LONG,
        ..ClientSettings::default()
    }
}

/// The sections of every process, for one under test.
#[must_use]
pub fn process_settings() -> ProcessSettings {
    ProcessSettings { grpc: server_settings(), ..ProcessSettings::default() }
}

/// The common sections of a service under test.
#[must_use]
pub fn common_settings(database: &Database, nats_url: impl Into<String>) -> CommonSettings {
    CommonSettings {
        process: process_settings(),
        postgres: database.settings(),
        nats: NatsSettings { url: nats_url.into(), ..NatsSettings::default() },
    }
}

/// Settings of a connection pool under test.
pub(crate) fn with_long_timeouts(settings: PostgresSettings) -> PostgresSettings {
    PostgresSettings { connect_timeout: LONG, statement_timeout: LONG, acquire_timeout: LONG, ..settings }
}

//! The sections of settings that services share. A service's own settings `flatten` them.

use flotilla_auth::AuthSettings;
use flotilla_config::{Problems, Setting, Validate};
use flotilla_messaging::NatsSettings;
use flotilla_postgres::PostgresSettings;
use flotilla_rpc::{ClientSettings, ServerSettings};
use flotilla_secrets::SecretsSettings;
use flotilla_telemetry::TelemetrySettings;

use crate::remote::RemoteSettings;
use crate::{Common, ServiceSettings};

/// The sections of every process that serves calls.
#[derive(Clone, Debug, Default, Setting)]
pub struct ProcessSettings {
    /// Settings of the process.
    #[setting(default)]
    pub service: ServiceSettings,
    /// Logs and traces.
    #[setting(default)]
    pub telemetry: TelemetrySettings,
    /// Settings and flags that change at run time.
    #[setting(default)]
    pub remote: RemoteSettings,
    /// Secret stores that other settings refer to.
    #[setting(default)]
    pub secrets: SecretsSettings,
    /// The port for calls: address, limits, default deadline.
    #[setting(default)]
    pub grpc: ServerSettings,
}

/// The sections of a service with a database and a stream.
#[derive(Clone, Debug, Setting)]
pub struct CommonSettings {
    /// What every process has.
    #[setting(flatten)]
    pub process: ProcessSettings,
    /// The database.
    pub postgres: PostgresSettings,
    /// The broker.
    #[setting(default)]
    pub nats: NatsSettings,
}

/// The sections of a service whose callers authenticate with identity's tokens.
#[derive(Clone, Debug, Setting)]
pub struct CallSettings {
    /// Which tokens are accepted.
    #[setting(default)]
    pub auth: AuthSettings,
    /// Connections to other services.
    #[setting(default)]
    pub client: ClientSettings,
}

impl ProcessSettings {
    /// The sections that every service needs at start-up.
    #[must_use]
    pub fn common(&self) -> Common<'_> {
        Common {
            service: &self.service,
            telemetry: &self.telemetry,
            remote: &self.remote,
            postgres: None,
            grpc: None,
            client: None,
        }
    }
}

impl CommonSettings {
    /// The sections that the start of a service reads.
    #[must_use]
    pub fn common(&self) -> Common<'_> {
        Common { postgres: Some(&self.postgres), grpc: Some(&self.process.grpc), ..self.process.common() }
    }
}

impl Validate for ProcessSettings {
    fn validate(&self, problems: &mut Problems) {
        self.service.check_server(&self.grpc, problems);
    }
}

impl Validate for CommonSettings {
    fn validate(&self, problems: &mut Problems) {
        self.nats.check_database(&self.postgres, problems);
    }
}

impl Validate for CallSettings {}

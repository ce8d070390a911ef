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

/// The sections of a service with a database and a stream.
#[derive(Clone, Debug, Setting)]
pub struct CommonSettings {
    /// Admin port and shutdown.
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
    /// The gRPC server.
    #[setting(default)]
    pub grpc: ServerSettings,
    /// The database.
    pub postgres: PostgresSettings,
    /// The broker.
    #[setting(default)]
    pub nats: NatsSettings,
}

/// The sections of a service whose callers authenticate with identity's tokens.
#[derive(Clone, Debug, Setting)]
pub struct CallSettings {
    /// Tokens.
    #[setting(default)]
    pub auth: AuthSettings,
    /// Calls of other services.
    #[setting(default)]
    pub client: ClientSettings,
}

impl CommonSettings {
    /// The sections that every service needs at start-up.
    #[must_use]
    pub fn common(&self) -> Common<'_> {
        Common {
            service: &self.service,
            telemetry: &self.telemetry,
            remote: &self.remote,
            postgres: Some(&self.postgres),
        }
    }
}

impl Validate for CommonSettings {
    fn validate(&self, problems: &mut Problems) {
        self.service.check_server(&self.grpc, problems);
        self.nats.check_database(&self.postgres, problems);
    }
}

impl Validate for CallSettings {}

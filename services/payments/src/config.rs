//! The settings of payments, section by section.

use flotilla_auth::AuthSettings;
use flotilla_config::{Problems, Setting, Validate};
use flotilla_messaging::NatsSettings;
use flotilla_money::Currency;
use flotilla_postgres::PostgresSettings;
use flotilla_rpc::{ClientSettings, ServerSettings};
use flotilla_service::remote::RemoteSettings;
use flotilla_service::{SecretsSettings, ServiceSettings};
use flotilla_telemetry::TelemetrySettings;

/// Everything that payments can be told. Variables: `FLOTILLA__<SECTION>__<FIELD>`.
#[derive(Clone, Debug, Setting)]
pub struct Settings {
    /// Admin port and shutdown.
    #[setting(default)]
    pub service: ServiceSettings,
    /// Logs and traces.
    #[setting(default)]
    pub telemetry: TelemetrySettings,
    /// Settings and flags that change while it runs.
    #[setting(default)]
    pub remote: RemoteSettings,
    /// Stores of secrets that other settings refer to.
    #[setting(default)]
    pub secrets: SecretsSettings,
    /// The gRPC server.
    #[setting(default)]
    pub grpc: ServerSettings,
    /// Tokens.
    #[setting(default)]
    pub auth: AuthSettings,
    /// Calls of other services.
    #[setting(default)]
    pub client: ClientSettings,
    /// The database.
    pub postgres: PostgresSettings,
    /// The broker.
    #[setting(default)]
    pub nats: NatsSettings,
    /// Currency of accounts that are opened from now on. Variable: `FLOTILLA__CURRENCY`.
    #[setting(default = "default_currency")]
    pub currency: String,
}

fn default_currency() -> String {
    "USD".to_owned()
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        self.service.check_server(&self.grpc, problems);
        self.nats.check_database(&self.postgres, problems);
        problems.require(Currency::parse(&self.currency).is_some(), "currency", "must be a known ISO 4217 code");
    }
}

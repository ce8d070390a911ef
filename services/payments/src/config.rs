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
use serde::Deserialize;

/// Everything that payments can be told. Variables: `FLOTILLA__<SECTION>__<FIELD>`.
#[derive(Clone, Debug, Deserialize, Setting)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Admin port and shutdown.
    #[serde(default)]
    pub service: ServiceSettings,
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: TelemetrySettings,
    /// Settings and flags that change while it runs.
    #[serde(default)]
    pub remote: RemoteSettings,
    /// Stores of secrets that other settings refer to.
    #[serde(default)]
    pub secrets: SecretsSettings,
    /// The gRPC server.
    #[serde(default)]
    pub grpc: ServerSettings,
    /// Tokens.
    #[serde(default)]
    pub auth: AuthSettings,
    /// Calls of other services.
    #[serde(default)]
    pub client: ClientSettings,
    /// The database.
    pub postgres: PostgresSettings,
    /// The broker.
    #[serde(default)]
    pub nats: NatsSettings,
    /// Currency of accounts that are opened from now on. Variable: `FLOTILLA__CURRENCY`.
    #[serde(default = "default_currency")]
    pub currency: String,
}

fn default_currency() -> String {
    "USD".to_owned()
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        problems.section("service", &self.service);
        problems.section("telemetry", &self.telemetry);
        problems.section("remote", &self.remote);
        problems.section("secrets", &self.secrets);
        problems.section("grpc", &self.grpc);
        self.service.check_server(&self.grpc, problems);
        problems.section("auth", &self.auth);
        problems.section("client", &self.client);
        problems.section("postgres", &self.postgres);
        problems.section("nats", &self.nats);
        self.nats.check_database(&self.postgres, problems);
        problems.require(Currency::parse(&self.currency).is_some(), "currency", "must be a known ISO 4217 code");
    }
}

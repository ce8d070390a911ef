//! What a service tells the chassis about itself.

use std::future::Future;

use flotilla_telemetry::{Telemetry, TelemetrySettings};

use crate::remote::RemoteSettings;
use crate::{Running, ServiceSettings};

/// The sections that every service has.
#[derive(Debug, Clone, Copy)]
pub struct Common<'a> {
    /// Section `service`.
    pub service: &'a ServiceSettings,
    /// Section `telemetry`.
    pub telemetry: &'a TelemetrySettings,
    /// Section `remote`.
    pub remote: &'a RemoteSettings,
}

/// A service of the fleet.
pub trait Service: 'static {
    /// Its name: of the process, its database, its metrics.
    const NAME: &'static str;

    /// Its settings.
    type Settings: crate::Settings;

    /// The common sections of its settings.
    fn common(settings: &Self::Settings) -> Common<'_>;

    /// Connects, wires and starts everything; returns with the bound addresses.
    fn build(settings: Self::Settings, telemetry: &Telemetry) -> impl Future<Output = anyhow::Result<Running>> + Send;

    /// Brings the database up to date. A service without one has nothing to do.
    fn migrate(settings: &Self::Settings) -> impl Future<Output = anyhow::Result<()>> + Send {
        let _ = settings;
        async { Ok(()) }
    }
}

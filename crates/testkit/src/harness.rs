//! A service running in the test process, on its own ports.

use std::net::SocketAddr;

use flotilla_rpc::{Channel, channel};
use flotilla_service::{Readiness, Running, Service};
use flotilla_telemetry::{Telemetry, render};

use crate::{TIMEOUT, client_settings, eventually};

/// A running service and a channel to it.
#[derive(Debug)]
pub struct ServiceHarness {
    running: Running,
    telemetry: Telemetry,
    channel: Channel,
}

impl ServiceHarness {
    /// Builds the service as its `main` does, with settings that name port 0, and waits until it is ready.
    ///
    /// # Panics
    /// It doesn't start or become ready.
    pub async fn start<S: Service>(settings: S::Settings) -> Self {
        let harness = Self::start_unready::<S>(settings).await;
        harness.wait_ready().await;
        harness
    }

    /// Like [`start`](Self::start), without waiting for readiness.
    ///
    /// # Panics
    /// It doesn't start.
    pub async fn start_unready<S: Service>(settings: S::Settings) -> Self {
        let telemetry = Telemetry::quiet(S::NAME);
        let running = match S::build(settings, &telemetry).await {
            Ok(running) => running,
            Err(error) => panic!("{} could not be built: {error:#}", S::NAME),
        };
        let channel = channel(&format!("http://{}", running.grpc), &client_settings()).unwrap();
        Self { running, telemetry, channel }
    }

    /// Waits until the service reports that it is ready.
    ///
    /// # Panics
    /// It isn't ready in time; the panic has the checks.
    pub async fn wait_ready(&self) {
        let readiness: Readiness = self.running.readiness();
        eventually(&format!("{} ready", self.running.name), TIMEOUT, || async {
            let report = readiness.report().await;
            if report.ready { Ok(()) } else { Err(format!("{report:?}")) }
        })
        .await;
    }

    /// A channel without a token.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A channel that sends `token` with each call.
    ///
    /// # Panics
    /// The token isn't a valid header value.
    pub fn channel_as(&self, token: &str) -> Channel {
        self.channel.with_token(token).unwrap()
    }

    /// The public address.
    pub fn grpc(&self) -> SocketAddr {
        self.running.grpc
    }

    /// The public address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.grpc)
    }

    /// The address of the admin endpoints.
    pub fn admin(&self) -> SocketAddr {
        self.running.admin
    }

    /// The service's metrics in Prometheus' text format.
    pub fn metrics(&self) -> String {
        render(self.telemetry.registry())
    }

    /// Drains and stops the service.
    ///
    /// # Panics
    /// It doesn't end cleanly.
    pub async fn stop(self) {
        let name = self.running.name;
        if let Err(error) = self.running.stop().await {
            panic!("{name} did not stop cleanly: {error:#}");
        }
    }
}

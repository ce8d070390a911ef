//! Prometheus, Alertmanager, the OpenTelemetry Collector, Zipkin, Jaeger and Loki beside a native fleet.
//!
//! `fleet up --observability` starts those that it finds, on free loopback ports, with the configuration in the folder
//! `observability/` and data below the fleet's own folder; `fleet down` stops them after the services. For a missing
//! program it prints how to get it. None of them can keep the fleet from starting: a program that dies is restarted
//! with growing pauses. If the Collector runs, the services send it their traces and logs.

mod files;
mod program;
mod programs;
mod tools;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::tools::Tools;
use self::{
    files::{Backends, Files},
    program::Program,
};
use crate::{
    home::{Home, ports},
    supervisor::shared_state::SharedState,
};

/// Names the folder of the configuration, if it isn't `observability` in the current directory.
const FOLDER: &str = "FLOTILLA_OBSERVABILITY_DIR";
/// Zipkin takes some seconds; a program that isn't ready by then continues to start while the fleet is up.
const READY_DEADLINE: Duration = Duration::from_secs(40);

/// All ports, by their program.
const PORTS: [&str; 14] = [
    "prometheus",
    "alertmanager",
    "otlp-grpc",
    "otlp-http",
    "collector-health",
    "collector-own-metrics",
    "collector-metrics",
    "zipkin",
    "jaeger",
    "jaeger-grpc",
    "jaeger-otlp",
    "jaeger-health",
    "loki",
    "loki-grpc",
];

/// The programs that run beside the services.
pub struct Stack {
    programs: Vec<Program>,
    collector: Option<String>,
}

/// Loopback ports, by their program.
pub(crate) struct Ports(BTreeMap<String, u16>);

impl Ports {
    /// Host and port.
    pub(crate) fn at(&self, name: &str) -> String {
        format!("127.0.0.1:{}", self.0.get(name).copied().unwrap_or_default())
    }

    /// The port alone.
    pub(crate) fn port(&self, name: &str) -> String {
        self.0.get(name).copied().unwrap_or_default().to_string()
    }
}

impl Stack {
    /// Finds the programs, chooses their ports and writes their configuration. `targets` are the services with the
    /// addresses of their metrics.
    ///
    /// # Errors
    /// If the configuration is missing or can't be written.
    pub fn prepare(home: &Home, targets: &[(String, String)]) -> Result<Self> {
        let source = folder()?;
        let tools = Tools::of(home);
        let names: Vec<_> = PORTS.iter().map(|name| (*name).to_owned()).collect();
        let ports = Ports(ports::pick(home, "observability-ports.json", &names)?);
        let files = Files::open(home, &source)?;
        let mut programs = Vec::new();
        let collector = tools.find(tools::COLLECTOR);
        if let Some(path) = tools.find(tools::PROMETHEUS) {
            programs.push(programs::prometheus(path, &files, &ports, targets, collector.is_some())?);
        }
        if let Some(path) = tools.find(tools::ALERTMANAGER) {
            programs.push(programs::alertmanager(path, &files, &ports)?);
        }
        let zipkin = tools.zipkin().map(|(java, jar)| programs::zipkin(java, &jar, &ports));
        let jaeger = tools.find(tools::JAEGER).map(|path| programs::jaeger(path, &files, &ports));
        let loki = tools.find(tools::LOKI).map(|path| programs::loki(path, &files, &ports)).transpose()?;
        let mut endpoint = None;
        if let Some(path) = collector {
            let backends = Backends { zipkin: zipkin.is_some(), jaeger: jaeger.is_some(), loki: loki.is_some() };
            programs.push(programs::collector(path, &files, &ports, backends)?);
            endpoint = Some(format!("http://{}", ports.at("otlp-grpc")));
        }
        programs.extend(zipkin.into_iter().chain(jaeger).chain(loki));
        Ok(Self { programs, collector: endpoint })
    }

    /// Variables for each service: the Collector's address, that it samples the traces, and that it receives the logs.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let Some(endpoint) = &self.collector else { return BTreeMap::new() };
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("FLOTILLA__TELEMETRY__OUTPUT", "both"),
        ];
        let given = variables.into_iter().filter(|(name, _)| std::env::var_os(name).is_none());
        given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Starts all and keeps them alive until `stop`.
    pub(crate) fn start(
        self,
        tasks: &mut JoinSet<()>,
        home: &Home,
        shared: &Arc<SharedState>,
        stop: &CancellationToken,
    ) -> Vec<&'static str> {
        let names = self.programs.iter().map(|program| program.name).collect();
        for program in self.programs {
            shared.add_server(program.name, None, program.address.clone(), None);
            tasks.spawn(program.keep_alive(home.clone(), Arc::clone(shared), stop.clone()));
        }
        names
    }
}

/// Waits for a limited time until all are ready; the fleet continues without those that aren't.
pub(crate) async fn until_ready(shared: &SharedState, names: &[&'static str], stop: &CancellationToken) {
    let all = async {
        while shared.any_not_started(names) {
            shared.changed().await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        ready = tokio::time::timeout(READY_DEADLINE, all) => if ready.is_err() {
            tracing::warn!("some of the observability programs are not ready yet");
        }
    }
}

/// What `fleet up` prints of the programs that can't be found.
#[must_use]
pub fn hints(home: &Home) -> Vec<String> {
    Tools::of(home).missing()
}

/// The folder of the configuration.
fn folder() -> Result<PathBuf> {
    let folder = std::env::var_os(FOLDER).map_or_else(|| PathBuf::from("observability"), PathBuf::from);
    if !folder.join("prometheus/prometheus.yaml").is_file() {
        bail!(
            "{} has no configuration: start in the checkout, or set {FOLDER} to its folder observability",
            folder.display()
        );
    }
    std::path::absolute(&folder).with_context(|| format!("can't find {}", folder.display()))
}

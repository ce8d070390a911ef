//! How each program is started: arguments, variables, and the path of its readiness check.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{
    Ports,
    files::{Backends, Files},
    program::Program,
};

/// Prometheus, with exemplars and a retention of the thirty days of the service level objectives.
pub fn prometheus(
    path: PathBuf,
    files: &Files,
    ports: &Ports,
    targets: &[(String, String)],
    collector: bool,
) -> Result<Program> {
    let config = files.prometheus(targets, ports, collector)?;
    let address = ports.at("prometheus");
    Ok(Program::new("prometheus", path, &address, "/-/ready").args([
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", files.data("prometheus")?.display()),
        "--storage.tsdb.retention.time=30d".to_owned(),
        "--enable-feature=exemplar-storage".to_owned(),
        format!("--web.listen-address={address}"),
        format!("--web.external-url=http://{address}/"),
    ]))
}

/// Alertmanager, without clustering.
pub fn alertmanager(path: PathBuf, files: &Files, ports: &Ports) -> Result<Program> {
    let address = ports.at("alertmanager");
    Ok(Program::new("alertmanager", path, &address, "/-/ready").args([
        format!("--config.file={}", files.shipped("alertmanager/alertmanager.yaml").display()),
        format!("--storage.path={}", files.data("alertmanager")?.display()),
        "--cluster.listen-address=".to_owned(),
        format!("--web.listen-address={address}"),
        format!("--web.external-url=http://{address}/"),
    ]))
}

/// The Collector: its pipelines from the checkout, its destinations from here.
pub fn collector(path: PathBuf, files: &Files, ports: &Ports, backends: Backends) -> Result<Program> {
    let destinations = files.collector(ports, backends)?;
    let mut program = Program::new("collector", path, &ports.at("collector-health"), "/status").args([
        format!("--config={}", files.shipped("collector/collector.yaml").display()),
        format!("--config={}", destinations.display()),
    ]);
    program.address = format!("http://{}", ports.at("otlp-grpc"));
    Ok(program.variables([
        ("OTLP_GRPC", ports.at("otlp-grpc")),
        ("OTLP_HTTP", ports.at("otlp-http")),
        ("HEALTH_ENDPOINT", ports.at("collector-health")),
        ("METRICS_ENDPOINT", ports.at("collector-metrics")),
        ("TELEMETRY_PORT", ports.port("collector-own-metrics")),
    ]))
}

/// Zipkin in memory, on loopback only.
pub fn zipkin(java: PathBuf, jar: &Path, ports: &Ports) -> Program {
    Program::new("zipkin", java, &ports.at("zipkin"), "/health").args([
        "-Xmx256m".to_owned(),
        "-jar".to_owned(),
        jar.display().to_string(),
        "--armeria.ports[0].ip=127.0.0.1".to_owned(),
        format!("--armeria.ports[0].port={}", ports.port("zipkin")),
        "--armeria.ports[0].protocols[0]=http".to_owned(),
        "--zipkin.storage.mem.max-spans=200000".to_owned(),
    ])
}

/// Loki, its data in the fleet's folder.
pub fn loki(path: PathBuf, files: &Files, ports: &Ports) -> Result<Program> {
    let config = files.shipped("loki/loki.yaml");
    let arguments = [format!("-config.file={}", config.display()), "-config.expand-env=true".to_owned()];
    Ok(Program::new("loki", path, &ports.at("loki"), "/ready").args(arguments).variables([
        ("LOKI_ADDRESS", "127.0.0.1".to_owned()),
        ("LOKI_PORT", ports.port("loki")),
        ("LOKI_GRPC_PORT", ports.port("loki-grpc")),
        ("LOKI_DATA", files.data("loki")?.display().to_string()),
    ]))
}

/// Jaeger in memory.
pub fn jaeger(path: PathBuf, files: &Files, ports: &Ports) -> Program {
    let config = files.shipped("jaeger/jaeger.yaml");
    let mut program = Program::new("jaeger", path, &ports.at("jaeger-health"), "/status");
    program.address = format!("http://{}", ports.at("jaeger"));
    program.args([format!("--config={}", config.display())]).variables([
        ("JAEGER_HTTP", ports.at("jaeger")),
        ("JAEGER_GRPC", ports.at("jaeger-grpc")),
        ("JAEGER_OTLP", ports.at("jaeger-otlp")),
        ("JAEGER_HEALTH", ports.at("jaeger-health")),
    ])
}

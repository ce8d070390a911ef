//! The programs' configuration, copied from the checkout to the fleet's folder with this run's addresses, and their
//! data.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::Ports;
use crate::home::Home;

/// The Collector's destinations.
#[derive(Clone, Copy, Default)]
pub struct Backends {
    /// Whether Zipkin runs.
    pub zipkin: bool,
    /// Whether Jaeger runs.
    pub jaeger: bool,
    /// Whether Loki runs.
    pub loki: bool,
}

/// Folders of configuration and data.
pub struct Files {
    home: Home,
    source: PathBuf,
    root: PathBuf,
}

impl Files {
    /// Opens the folder; `source` holds the configuration of the checkout.
    pub fn open(home: &Home, source: &Path) -> Result<Self> {
        let root = home.root().join("observability");
        fs::create_dir_all(&root)?;
        Ok(Self { home: home.clone(), source: source.to_owned(), root })
    }

    /// Where a program may write its data.
    pub fn data(&self, program: &str) -> Result<PathBuf> {
        let folder = self.root.join("data").join(program);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// A file of the checkout.
    pub fn shipped(&self, path: &str) -> PathBuf {
        self.source.join(path)
    }

    /// Writes Prometheus's configuration: rules, scrape targets, Alertmanager. Returns the main file.
    pub fn prometheus(&self, targets: &[(String, String)], ports: &Ports, collector: bool) -> Result<PathBuf> {
        let folder = self.root.join("prometheus");
        // Rules that were removed from the checkout must not stay.
        if folder.join("rules").exists() {
            fs::remove_dir_all(folder.join("rules"))?;
        }
        for name in ["rules", "targets", "alertmanagers"] {
            fs::create_dir_all(folder.join(name))?;
        }
        for entry in fs::read_dir(self.shipped("prometheus/rules"))? {
            let from = entry?.path();
            let name = from.file_name().context("a rule file has a name")?;
            fs::copy(&from, folder.join("rules").join(name))?;
        }
        fs::copy(self.shipped("prometheus/prometheus.yaml"), folder.join("prometheus.yaml"))?;
        let mut all: Vec<_> = targets.iter().map(|(job, address)| target(job, std::slice::from_ref(address))).collect();
        all.push(target("prometheus", &[ports.at("prometheus")]));
        if collector {
            all.push(target("collector", &[ports.at("collector-own-metrics"), ports.at("collector-metrics")]));
        }
        self.write(&folder.join("targets/fleet.json"), &serde_json::to_vec_pretty(&all)?)?;
        let alertmanagers = json!([{ "targets": [ports.at("alertmanager")] }]);
        self.write(&folder.join("alertmanagers/fleet.json"), &serde_json::to_vec_pretty(&alertmanagers)?)?;
        Ok(folder.join("prometheus.yaml"))
    }

    /// Writes where the Collector sends traces and logs; returns the file.
    pub fn collector(&self, ports: &Ports, backends: Backends) -> Result<PathBuf> {
        let folder = self.root.join("collector");
        fs::create_dir_all(&folder)?;
        let text = destinations(&self.data("collector")?, ports, backends);
        let path = folder.join("native.yaml");
        self.write(&path, text.as_bytes())?;
        Ok(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        self.home.write_private(path, content)
    }
}

/// A scrape target. Services of one process share its port: the address then contains the path of the service.
fn target(job: &str, addresses: &[String]) -> serde_json::Value {
    let path =
        addresses.first().and_then(|address| address.split_once('/')).map(|(_, path)| format!("/{path}/metrics"));
    let hosts: Vec<_> = addresses.iter().map(|address| address.split('/').next().unwrap_or_default()).collect();
    let mut labels = json!({ "job": job });
    if let Some(path) = path {
        labels["__metrics_path__"] = json!(path);
    }
    json!({ "targets": hosts, "labels": labels })
}

/// The Collector's second file: every backend that runs, and files: for logs always, for traces where no backend runs.
fn destinations(data: &Path, ports: &Ports, backends: Backends) -> String {
    let file = |name: &str| {
        let path = quoted(&data.join(format!("{name}.json")));
        format!("  file/{name}:\n    path: {path}\n    rotation: {{max_megabytes: 64, max_backups: 3}}\n")
    };
    let mut exporters = file("logs");
    let (mut traces, mut logs) = (Vec::new(), vec!["file/logs"]);
    if backends.zipkin {
        exporters += &format!("  zipkin:\n    endpoint: http://{}/api/v2/spans\n", ports.at("zipkin"));
        traces.push("zipkin");
    }
    if backends.jaeger {
        exporters +=
            &format!("  otlp/jaeger:\n    endpoint: {}\n    tls: {{insecure: true}}\n", ports.at("jaeger-otlp"));
        traces.push("otlp/jaeger");
    }
    if backends.loki {
        exporters += &format!("  otlphttp/loki:\n    endpoint: http://{}/otlp\n", ports.at("loki"));
        logs.push("otlphttp/loki");
    }
    if traces.is_empty() {
        exporters += &file("traces");
        traces.push("file/traces");
    }
    let pipeline = |name: &str, to: &[&str]| format!("    {name}:\n      exporters: [{}]\n", to.join(", "));
    let pipelines = pipeline("traces", &traces) + &pipeline("logs", &logs);
    format!("exporters:\n{exporters}service:\n  pipelines:\n{pipelines}")
}

/// A path as a YAML string.
fn quoted(path: &Path) -> String {
    json!(path.display().to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ports() -> Ports {
        let names = ["zipkin", "jaeger-otlp", "prometheus", "alertmanager"];
        Ports(names.into_iter().zip(1..).map(|(name, port)| (name.to_owned(), port)).collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn traces_and_logs_go_to_whoever_runs_and_else_to_files() {
        let both = destinations(Path::new("/data"), &ports(), Backends { zipkin: true, jaeger: true, loki: true });
        assert!(both.contains("exporters: [zipkin, otlp/jaeger]"), "{both}");
        assert!(both.contains("endpoint: http://127.0.0.1:1/api/v2/spans"), "{both}");
        assert!(both.contains("exporters: [file/logs, otlphttp/loki]"), "{both}");
        let none = destinations(Path::new("/data"), &ports(), Backends::default());
        assert!(none.contains("exporters: [file/traces]") && !none.contains("zipkin"), "{none}");
    }

    #[test]
    fn prometheus_scrapes_each_service_under_its_name_with_the_rules_of_the_checkout_alone() {
        let (root, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(source.path().join("prometheus/rules")).unwrap();
        fs::write(source.path().join("prometheus/prometheus.yaml"), "global: {}").unwrap();
        fs::write(source.path().join("prometheus/rules/new.yaml"), "groups: []").unwrap();
        let files = Files::open(&Home::open(root.path(), None).unwrap(), source.path()).unwrap();
        fs::create_dir_all(files.root.join("prometheus/rules")).unwrap();
        fs::write(files.root.join("prometheus/rules/old.yaml"), "groups: []").unwrap();
        let services = [("orders", "127.0.0.1:7"), ("payments", "127.0.0.1:8/payments")];
        let services = services.map(|(name, address)| (name.to_owned(), address.to_owned()));
        let config = files.prometheus(&services, &ports(), false).unwrap();
        let folder = config.parent().unwrap();
        assert!(folder.join("rules/new.yaml").exists() && !folder.join("rules/old.yaml").exists());
        let targets = fs::read_to_string(folder.join("targets/fleet.json")).unwrap();
        let targets: serde_json::Value = serde_json::from_str(&targets).unwrap();
        assert_eq!(targets[0], json!({ "targets": ["127.0.0.1:7"], "labels": { "job": "orders" } }));
        let shared = json!({ "job": "payments", "__metrics_path__": "/payments/metrics" });
        assert_eq!(targets[1], json!({ "targets": ["127.0.0.1:8"], "labels": shared }));
        assert_eq!(targets.as_array().unwrap().len(), 3);
    }
}

//! Finds the programs on this machine: first those that the scripts fetched or built, then those in PATH.

use std::path::{Path, PathBuf};

use crate::home::Home;

/// The names that a program may have.
pub type Names = &'static [&'static str];

/// Prometheus.
pub const PROMETHEUS: Names = &["prometheus"];
/// Alertmanager; Debian uses another name.
pub const ALERTMANAGER: Names = &["prometheus-alertmanager", "alertmanager"];
/// The OpenTelemetry Collector.
pub const COLLECTOR: Names = &["collector", "otelcol-contrib"];
/// Jaeger v2.
pub const JAEGER: Names = &["jaeger"];
/// Loki.
pub const LOKI: Names = &["loki"];
/// Zipkin is a Java program.
const ZIPKIN: &str = "zipkin.jar";
const JAVA: Names = &["java"];

/// The folders that are searched.
pub struct Tools {
    folders: Vec<PathBuf>,
}

impl Tools {
    /// The folders of a fleet: those that the scripts fill below its servers' folder, and PATH.
    #[must_use]
    pub fn of(home: &Home) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self::among(&home.servers().join("tools/observability"), std::env::split_paths(&path))
    }

    fn among(own: &Path, others: impl Iterator<Item = PathBuf>) -> Self {
        Self { folders: [own.to_owned()].into_iter().chain(others).collect() }
    }

    /// A program's path.
    #[must_use]
    pub fn find(&self, names: Names) -> Option<PathBuf> {
        self.folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))).find(|path| path.is_file())
    }

    /// Java and Zipkin's archive.
    #[must_use]
    pub fn zipkin(&self) -> Option<(PathBuf, PathBuf)> {
        let jar = self.folders.first()?.join(ZIPKIN);
        Some((self.find(JAVA)?, jar.is_file().then_some(jar)?))
    }

    /// A line for each missing program: what it is for, and how to get it.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut say = |here: bool, text: &str| {
            if !here {
                lines.push(text.to_owned());
            }
        };
        say(
            self.find(PROMETHEUS).is_some() && self.find(ALERTMANAGER).is_some(),
            "no Prometheus or Alertmanager (metrics, alerts): run `sh scripts/run/prometheus.sh` to get Debian's, or install them",
        );
        say(
            self.find(COLLECTOR).is_some(),
            "no Collector (traces, logs): run `make observability-tools` to build it with Go, which takes minutes",
        );
        say(
            self.zipkin().is_some() || self.find(JAEGER).is_some(),
            "neither Zipkin nor Jaeger (traces): run `make observability-tools` to get Zipkin with Maven and build Jaeger",
        );
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_fetched_program_counts_more_than_one_on_the_path() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("prometheus"), "").unwrap();
        let tools = Tools::among(own.path(), [other.path().to_owned()].into_iter());
        assert_eq!(tools.find(PROMETHEUS), Some(other.path().join("prometheus")));
        fs::write(own.path().join("prometheus"), "").unwrap();
        assert_eq!(tools.find(PROMETHEUS), Some(own.path().join("prometheus")));
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_to_get_it() {
        let own = tempfile::tempdir().unwrap();
        let tools = Tools::among(own.path(), std::iter::empty());
        assert_eq!(tools.missing().len(), 3);
        for name in ["prometheus", "alertmanager", "collector", "jaeger"] {
            fs::write(own.path().join(name), "").unwrap();
        }
        assert_eq!(tools.missing(), Vec::<String>::new());
    }

    #[test]
    fn zipkin_needs_java_too() {
        let own = tempfile::tempdir().unwrap();
        fs::write(own.path().join(ZIPKIN), "").unwrap();
        assert!(Tools::among(own.path(), std::iter::empty()).zipkin().is_none());
        fs::write(own.path().join("java"), "").unwrap();
        assert!(Tools::among(own.path(), std::iter::empty()).zipkin().is_some());
    }
}

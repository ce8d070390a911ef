//! Which of the programs are on this machine: those that the scripts fetched or built first, then those on the path.

use std::path::{Path, PathBuf};

use crate::home::Home;

/// What a program may be called.
pub type Names = &'static [&'static str];

/// Prometheus.
pub const PROMETHEUS: Names = &["prometheus"];
/// Alertmanager; Debian calls it otherwise.
pub const ALERTMANAGER: Names = &["prometheus-alertmanager", "alertmanager"];
/// The OpenTelemetry Collector.
pub const COLLECTOR: Names = &["collector", "otelcol-contrib"];
/// Jaeger, of the second generation.
pub const JAEGER: Names = &["jaeger"];
/// Loki.
pub const LOKI: Names = &["loki"];
/// Zipkin is a Java program.
const ZIPKIN: &str = "zipkin.jar";
const JAVA: Names = &["java"];

/// Where programs are looked for.
pub struct Tools {
    folders: Vec<PathBuf>,
}

impl Tools {
    /// Those of a fleet: what the scripts put into its servers' folder, and the path.
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

    /// A line for each program that is missing: what it would show, and how to get it.
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
            "no Prometheus or Alertmanager (metrics, alerts): `sh scripts/run/prometheus.sh` gets Debian's, or install them",
        );
        say(
            self.find(COLLECTOR).is_some(),
            "no Collector (traces, logs): `make observability-tools` builds it with Go, in minutes",
        );
        say(
            self.zipkin().is_some() || self.find(JAEGER).is_some(),
            "neither Zipkin nor Jaeger (pages of traces): `make observability-tools` gets Zipkin by Maven and builds Jaeger",
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

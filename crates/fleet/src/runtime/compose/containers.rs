//! Reads Compose's and Docker's JSON about containers.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// A container, as `docker compose ps --format json` describes it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// The container's own name.
    pub name: String,
    /// The service's name in the compose file.
    pub service: String,
    /// `running`, `exited`, `restarting` and others.
    pub state: String,
    /// `healthy`, `unhealthy`, `starting`; empty without a health check.
    #[serde(default)]
    pub health: String,
    /// Published ports.
    #[serde(default)]
    publishers: Option<Vec<Publisher>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct Publisher {
    #[serde(default, rename = "URL")]
    url: String,
    target_port: u16,
    published_port: u16,
}

impl Container {
    /// Host and port at which a port of the container is published; `None` if it isn't.
    #[must_use]
    pub fn published(&self, port: u16) -> Option<String> {
        let mut publishers = self.publishers.iter().flatten();
        let publisher = publishers.find(|publisher| publisher.target_port == port && publisher.published_port > 0)?;
        let host = if publisher.url.is_empty() || publisher.url == "0.0.0.0" { "127.0.0.1" } else { &publisher.url };
        Some(format!("{host}:{}", publisher.published_port))
    }

    /// Whether it is running and, if it has a health check, healthy.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.state == "running" && (self.health.is_empty() || self.health == "healthy")
    }
}

/// Reads `docker compose ps --format json`: an object per line, or one list as older versions print it.
///
/// # Errors
/// When it is neither.
pub fn containers(text: &str) -> Result<Vec<Container>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Item {
        Many(Vec<Container>),
        One(Container),
    }
    let mut found = Vec::new();
    for item in serde_json::Deserializer::from_str(text).into_iter::<Item>() {
        match item.context("can't parse Compose's list of containers")? {
            Item::Many(many) => found.extend(many),
            Item::One(one) => found.push(one),
        }
    }
    Ok(found)
}

/// Reads `docker stats --no-stream --format '{{json .}}'`: memory in KiB by the container's name.
///
/// # Errors
/// When it isn't JSON.
pub fn memory(text: &str) -> Result<BTreeMap<String, u64>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Line {
        name: String,
        mem_usage: String,
    }
    let mut found = BTreeMap::new();
    for line in serde_json::Deserializer::from_str(text).into_iter::<Line>() {
        let line = line.context("can't parse Docker's memory statistics")?;
        let used = line.mem_usage.split_once('/').map_or("", |(used, _)| used).trim();
        if let Some(kib) = kib(used) {
            found.insert(line.name, kib);
        }
    }
    Ok(found)
}

/// `12.5MiB` in KiB.
fn kib(text: &str) -> Option<u64> {
    let digits = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "B" => 1.0 / 1024.0,
        "KiB" => 1.0,
        "MiB" => 1024.0,
        "GiB" => 1024.0 * 1024.0,
        _ => return None,
    };
    let value = number.parse::<f64>().ok()? * scale;
    // A machine's memory in KiB is far below the largest integer that f64 holds exactly.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "memory is never negative or that large"
    )]
    Some(value as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use super::*;

    const LINE: &str = r#"{"Name":"flotilla-orders-1","Service":"orders","State":"running","Health":"healthy","ExitCode":0,
        "Publishers":[{"URL":"127.0.0.1","TargetPort":8080,"PublishedPort":49153,"Protocol":"tcp"},
        {"URL":"","TargetPort":9090,"PublishedPort":0,"Protocol":"tcp"}]}"#;

    #[test]
    fn containers_are_read_line_by_line_and_as_a_list() {
        let lines = containers(&format!("{LINE}\n{LINE}")).unwrap();
        assert_eq!(lines, containers(&format!("[{LINE},{LINE}]")).unwrap());
        assert_eq!(lines.len(), 2);
        assert!(containers("").unwrap().is_empty());
        assert!(containers("no such service").is_err());
    }

    #[test]
    fn a_port_that_is_not_published_has_no_address() {
        let container = containers(LINE).unwrap().remove(0);
        assert_eq!(container.published(8080).unwrap(), "127.0.0.1:49153");
        assert_eq!(container.published(9090), None);
        assert_eq!(container.published(1), None);
    }

    #[test]
    fn a_container_that_restarts_or_is_unhealthy_is_not_well() {
        let well = |from: &str, to: &str| containers(&LINE.replace(from, to)).unwrap()[0].is_healthy();
        assert!(well("", ""));
        assert!(well("healthy", ""));
        assert!(!well("\"healthy", "\"unhealthy"));
        assert!(!well("running", "restarting"));
    }

    #[test]
    fn memory_is_read_in_every_unit() {
        let text = "{\"Name\":\"a\",\"MemUsage\":\"12.5MiB / 64MiB\"}\n{\"Name\":\"b\",\"MemUsage\":\"1GiB / 2GiB\"}\n\
                    {\"Name\":\"c\",\"MemUsage\":\"2048B / 0B\"}\n{\"Name\":\"gone\",\"MemUsage\":\"-- / --\"}";
        let memory = memory(text).unwrap();
        assert_eq!(memory.get("a"), Some(&12_800));
        assert_eq!(memory.get("b"), Some(&1_048_576));
        assert_eq!(memory.get("c"), Some(&2));
        assert_eq!(memory.get("gone"), None);
    }
}

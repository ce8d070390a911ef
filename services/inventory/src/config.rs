//! Inventory's settings. Each field can be set by `FLOTILLA__<SECTION>__<FIELD>`.

use std::time::Duration;

use flotilla_cache::InvalidationSettings;
use flotilla_config::{HumanDuration, Problems, Setting, Validate};
use flotilla_service::{CallSettings, CommonSettings};

/// Time for a transaction, added to the inactivity that an import allows.
const LOST_GRACE: Duration = Duration::from_secs(30);

/// All settings; only `postgres` has no default.
#[derive(Debug, Clone, Setting)]
pub struct Settings {
    /// What every service has.
    #[setting(flatten)]
    pub common: CommonSettings,
    /// Callers and calls.
    #[setting(flatten)]
    pub calls: CallSettings,
    /// Stock reservations.
    #[setting(default)]
    pub hold: HoldSettings,
    /// Imports of products and prices.
    #[setting(default)]
    pub imports: ImportSettings,
    /// Live prices.
    #[setting(default)]
    pub prices: PriceSettings,
    /// The gateway's cache, in which changed products are invalidated.
    #[setting(default)]
    pub cache: InvalidationSettings,
}

/// Imports of products and prices.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct ImportSettings {
    /// Maximum number of rows per transaction.
    pub chunk: usize,
    /// Maximum number of rows per import.
    pub max_rows: i64,
    /// Maximum wait for the next row.
    pub idle: HumanDuration,
    /// Maximum number of concurrent imports per process.
    pub concurrent: usize,
}

impl ImportSettings {
    /// How long an import's stream may be inactive before the import counts as interrupted.
    #[must_use]
    pub fn lost_after(&self) -> Duration {
        self.idle.get() + LOST_GRACE
    }
}

impl Default for ImportSettings {
    fn default() -> Self {
        Self { chunk: 500, max_rows: 1_000_000, idle: HumanDuration::from_secs(30), concurrent: 4 }
    }
}

impl Validate for ImportSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require((1..=5_000).contains(&self.chunk), "chunk", "must be from 1 to 5000");
        problems.require(self.max_rows >= 1, "max_rows", "must be at least 1");
        problems.require(!self.idle.get().is_zero(), "idle", "must be longer than 0s");
        problems.require((1..=1_000).contains(&self.concurrent), "concurrent", "must be from 1 to 1000");
    }
}

/// Live prices.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct PriceSettings {
    /// How often the bucket of prices is checked.
    pub check: HumanDuration,
}

impl Default for PriceSettings {
    fn default() -> Self {
        Self { check: HumanDuration::from_secs(2) }
    }
}

impl Validate for PriceSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.check.get().is_zero(), "check", "must be longer than 0s");
    }
}

/// Stock reservations.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct HoldSettings {
    /// How long stock stays reserved before orders is asked whether to release or commit it.
    pub time: HumanDuration,
    /// How often reservations are checked for expiry.
    pub poll: HumanDuration,
    /// Maximum number of expired reservations per transaction.
    pub notice_batch: u32,
    /// Pause before orders is asked again; doubles each time.
    pub notice_backoff: HumanDuration,
    /// Maximum of this pause.
    pub notice_backoff_max: HumanDuration,
    /// Maximum number of commands per transaction.
    pub max_batch: usize,
}

impl Default for HoldSettings {
    fn default() -> Self {
        Self {
            time: HumanDuration::from_secs(900),
            poll: HumanDuration::from_secs(5),
            notice_batch: 500,
            notice_backoff: HumanDuration::from_secs(5),
            notice_backoff_max: HumanDuration::from_secs(300),
            max_batch: 512,
        }
    }
}

impl Validate for HoldSettings {
    fn validate(&self, problems: &mut Problems) {
        for (name, duration) in [("time", self.time), ("poll", self.poll), ("notice_backoff", self.notice_backoff)] {
            problems.require(!duration.get().is_zero(), name, "must be longer than 0s");
        }
        let ordered = self.notice_backoff_max >= self.notice_backoff;
        problems.require(ordered, "notice_backoff_max", "must not be below notice_backoff");
        problems.require((1..=10_000).contains(&self.notice_batch), "notice_batch", "must be from 1 to 10000");
        problems.require((1..=10_000).contains(&self.max_batch), "max_batch", "must be from 1 to 10000");
    }
}

impl Validate for Settings {}

//! Notification's settings. Each field can be set by `FLOTILLA__<SECTION>__<FIELD>`.

use flotilla_config::{HumanDuration, Live, Problems, Setting, Validate};
use flotilla_flags::FlagSettings;
use flotilla_service::{CallSettings, CommonSettings};

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
    /// Recording and live feeds.
    #[setting(default)]
    pub feed: FeedSettings,
}

/// Recording and live feeds.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct FeedSettings {
    /// How often deliveries recorded by other replicas are checked.
    pub poll: Live<HumanDuration>,
    /// Number of deliveries that a live feed reads at a time.
    pub page: u32,
    /// Maximum number of live feeds per customer and replica.
    pub listeners_each: usize,
    /// Maximum number of messages per transaction.
    pub max_batch: usize,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self { poll: HumanDuration::from_millis(500).into(), page: 100, listeners_each: 16, max_batch: 512 }
    }
}

impl Validate for FeedSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.poll.get().get().is_zero(), "poll", "must be longer than 0s");
        problems.require((1..=10_000).contains(&self.page), "page", "must be from 1 to 10000");
        problems.require(self.listeners_each >= 1, "listeners_each", "must be at least 1");
        problems.require((1..=10_000).contains(&self.max_batch), "max_batch", "must be from 1 to 10000");
    }
}

impl Validate for Settings {}

//! The settings of payments, section by section.

use flotilla_config::{Problems, Setting, Validate};
use flotilla_money::Currency;
use flotilla_service::{CallSettings, CommonSettings};

/// All settings of payments. Variables: `FLOTILLA__<SECTION>__<FIELD>`.
#[derive(Clone, Debug, Setting)]
pub struct Settings {
    /// What every service has.
    #[setting(flatten)]
    pub common: CommonSettings,
    /// Callers and calls.
    #[setting(flatten)]
    pub calls: CallSettings,
    /// Currency of accounts that are opened from now on. Variable: `FLOTILLA__CURRENCY`.
    #[setting(default = "default_currency")]
    pub currency: String,
}

fn default_currency() -> String {
    "USD".to_owned()
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(Currency::parse(&self.currency).is_some(), "currency", "must be a known ISO 4217 code");
    }
}

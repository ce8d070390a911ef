//! The event of an evaluation on the current span, in the words of the semantic conventions.

use flotilla_telemetry::{KeyValue, event};

/// The event's name.
const NAME: &str = "feature_flag.evaluation";

/// Whether anyone records the current span.
pub(crate) fn is_recorded() -> bool {
    flotilla_telemetry::sampled()
}

/// Notes an evaluation. Users stay unnamed: a span isn't the place for them.
pub(crate) fn evaluation(
    flag: &'static str,
    variant: Option<&str>,
    reason: &'static str,
    provider: &str,
    error: Option<&'static str>,
) {
    let fixed = [
        KeyValue::new("feature_flag.key", flag),
        KeyValue::new("feature_flag.result.reason", reason),
        KeyValue::new("feature_flag.provider.name", provider.to_owned()),
    ];
    let variant = variant.map(|variant| KeyValue::new("feature_flag.result.variant", variant.to_owned()));
    let error = error.map(|error| KeyValue::new("error.type", error));
    event(NAME, fixed.into_iter().chain(variant).chain(error));
}

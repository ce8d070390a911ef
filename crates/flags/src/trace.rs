//! Records evaluations as events on the current span, by OpenTelemetry's semantic conventions.

use flotilla_telemetry::{KeyValue, event};

/// The event's name.
const NAME: &str = "feature_flag.evaluation";

/// Whether the current span is recorded.
pub(crate) fn is_recorded() -> bool {
    flotilla_telemetry::sampled()
}

/// Records an evaluation, without the user, who must not appear in traces.
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

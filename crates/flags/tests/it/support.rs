//! Handles with a test's own definitions.

use flotilla_config::Live;
use flotilla_flags::{FlagDefinitions, Flags};
use prometheus::Registry;
use serde_json::{Value, json};

/// A handle with these flags.
pub async fn flags(flags: Value) -> Flags {
    over(&Live::from(definitions(&flags)), &Registry::new()).await
}

pub async fn over(definitions: &Live<FlagDefinitions>, registry: &Registry) -> Flags {
    Flags::builder().configuration(definitions).build(registry).await.unwrap()
}

pub fn definitions(flags: &Value) -> FlagDefinitions {
    json!({ "flags": flags }).to_string().parse().unwrap()
}

/// A boolean flag that is off unless the rule says otherwise.
pub fn switch(targeting: &Value) -> Value {
    json!({
        "state": "ENABLED",
        "variants": { "on": true, "off": false },
        "defaultVariant": "off",
        "targeting": targeting,
    })
}

/// A boolean flag that is on for this percentage of users.
pub fn share(percent: u32) -> Value {
    switch(&json!({ "fractional": [["on", percent], ["off", 100 - percent]] }))
}

/// Number of evaluations counted with these labels.
pub fn counted(registry: &Registry, flag: &str, variant: &str, reason: &str) -> u64 {
    let labels = [("flag", flag), ("variant", variant), ("reason", reason)];
    let is_it = |metric: &&prometheus::proto::Metric| {
        labels.iter().all(|(name, value)| {
            metric.get_label().iter().any(|label| label.name() == *name && label.value() == *value)
        })
    };
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == "flotilla_flag_evaluations_total");
    let metric = family.and_then(|family| family.get_metric().iter().find(is_it).cloned());
    metric.map_or(0, |metric| metric.get_counter().get_value() as u64)
}

//! Handles over definitions that a test writes.

use flotilla_config::Live;
use flotilla_flags::{FlagDefinitions, Flags};
use prometheus::Registry;
use serde_json::{Value, json};

/// A handle over these flags.
pub async fn flags(flags: Value) -> Flags {
    over(&Live::from(definitions(&flags)), &Registry::new()).await
}

pub async fn over(definitions: &Live<FlagDefinitions>, registry: &Registry) -> Flags {
    Flags::builder().configuration(definitions).build(registry).await.unwrap()
}

pub fn definitions(flags: &Value) -> FlagDefinitions {
    json!({ "flags": flags }).to_string().parse().unwrap()
}

/// A flag that is on or off, off unless the rule says otherwise.
pub fn switch(targeting: &Value) -> Value {
    json!({
        "state": "ENABLED",
        "variants": { "on": true, "off": false },
        "defaultVariant": "off",
        "targeting": targeting,
    })
}

/// On for so many percent of the users.
pub fn share(percent: u32) -> Value {
    switch(&json!({ "fractional": [["on", percent], ["off", 100 - percent]] }))
}

/// How often evaluations were counted with these labels.
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

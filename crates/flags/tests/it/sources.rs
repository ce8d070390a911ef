//! Sources: each can change at run time, they have an order of precedence, and none can make an evaluation fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_config::{Live, load_from};
use flotilla_flags::{Context, FlagDefinitions, FlagSettings, Flags, Published, routes};
use http_body_util::BodyExt as _;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::support::{counted, definitions, over, share, switch};

fn published(version: u64, flags: &[(&str, &str)]) -> Arc<Published> {
    let flags: BTreeMap<_, _> = flags.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Arc::new(Published { ready: true, connected: true, version, flags })
}

async fn shown(flags: &Flags) -> Value {
    let request = axum::http::Request::get("/flags").body(axum::body::Body::empty()).unwrap();
    let answer = routes(flags.clone()).oneshot(request).await.unwrap();
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// Waits until a revision of the bucket has been applied.
async fn until_version(flags: &Flags, version: u64) {
    let look = async {
        while shown(flags).await["sources"][0]["version"] != version {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), look).await.expect("the revision is applied");
}

#[tokio::test]
async fn a_reload_of_the_settings_changes_the_value() {
    let setting = Live::from(definitions(&json!({ "theme": share(0) })));
    let flags = over(&setting, &Registry::new()).await;
    let ada = Context::user("ada");
    assert!(!flags.boolean("theme", &ada, true).await);
    setting.set(definitions(&json!({ "theme": share(100) })));
    assert!(flags.boolean("theme", &ada, false).await);
    setting.set(FlagDefinitions::default());
    assert!(!flags.boolean("theme", &ada, false).await && flags.boolean("theme", &ada, true).await);
}

#[tokio::test]
async fn the_bucket_takes_precedence_and_the_settings_define_the_other_flags() {
    let registry = Registry::new();
    let setting = Live::from(definitions(&json!({ "theme": share(0), "menu": share(100) })));
    let (bucket, changes) = watch::channel(Arc::new(Published::default()));
    let flags = Flags::builder().key_value(changes).configuration(&setting).build(&registry).await.unwrap();
    let following = tokio::spawn(flags.clone().follow());
    let ada = Context::user("ada");

    assert!(!flags.boolean("theme", &ada, true).await, "a bucket that was never read is skipped");
    assert!(flags.boolean("other", &ada, true).await);
    assert_eq!(counted(&registry, "other", "caller_default", "not_ready"), 1);

    bucket.send_replace(published(1, &[("theme", &share(100).to_string())]));
    until_version(&flags, 1).await;
    assert!(flags.boolean("theme", &ada, false).await);
    assert!(flags.boolean("menu", &ada, false).await, "the settings define what the bucket doesn't");
    assert!(flags.boolean("other", &ada, true).await);
    assert_eq!(counted(&registry, "other", "caller_default", "not_found"), 1);

    bucket.send_replace(published(2, &[]));
    until_version(&flags, 2).await;
    assert!(!flags.boolean("theme", &ada, true).await, "the settings apply again");
    drop(bucket);
    tokio::time::timeout(Duration::from_secs(120), following).await.expect("it ends with its source").unwrap();
}

#[tokio::test]
async fn an_invalid_definition_in_the_bucket_keeps_the_previous_one_and_affects_no_other() {
    let (bucket, changes) = watch::channel(published(1, &[("theme", &share(100).to_string())]));
    let flags = Flags::builder().key_value(changes).build(&Registry::new()).await.unwrap();
    let _following = tokio::spawn(flags.clone().follow());
    let ada = Context::user("ada");
    assert!(flags.boolean("theme", &ada, false).await);
    let menu = switch(&json!({ "if": [true, "on"] })).to_string();
    bucket.send_replace(published(2, &[("theme", "{\"state\":\"ON\"}"), ("menu", &menu), ("new", "{")]));
    until_version(&flags, 2).await;
    assert!(flags.boolean("theme", &ada, false).await, "the previous one stays in effect");
    assert!(flags.boolean("menu", &ada, false).await);
    assert!(!flags.defines("new"));
    let shown = shown(&flags).await;
    let refused = &shown["sources"][0]["refused"];
    assert!(refused["theme"].as_str().unwrap().contains("ENABLED or DISABLED"), "{shown}");
    assert!(refused["new"].as_str().unwrap().contains("not JSON"), "{shown}");
    assert_eq!(shown["flags"]["menu"]["source"], "nats");
    assert_eq!(shown["flags"]["menu"]["definition"]["defaultVariant"], "off");
    // The same again: the refused definition is refused again, and the previous one stays in effect.
    bucket.send_replace(published(3, &[("theme", "{\"state\":\"ON\"}")]));
    until_version(&flags, 3).await;
    assert!(flags.boolean("theme", &ada, false).await);
}

#[test]
fn invalid_definitions_in_the_settings_are_reported_when_the_settings_are_loaded() {
    let error = |name: &str, text: &str| {
        let variable = (format!("FLOTILLA__{name}"), text.to_owned());
        load_from::<FlagSettings>([variable], None).unwrap_err().to_string()
    };
    let definitions = error("DEFINITIONS", "{\"flags\":{\"theme\":{}}}");
    assert!(definitions.contains("flag \"theme\" needs the state"), "{definitions}");
    let flagd = error("FLAGD", "tcp://x");
    assert!(flagd.contains("\n  flagd: "), "{flagd}");
}

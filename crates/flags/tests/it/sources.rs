//! Sources: each changes while the process runs, the stronger one counts, and none can take an answer away.

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

/// Waits until the bucket's news of a revision have been taken in.
async fn until_version(flags: &Flags, version: u64) {
    let look = async {
        while shown(flags).await["sources"][0]["version"] != version {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), look).await.expect("the bucket's news are heard");
}

#[tokio::test]
async fn a_reload_of_the_settings_changes_the_answer() {
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
async fn the_bucket_is_stronger_than_the_settings_and_both_serve_other_flags() {
    let registry = Registry::new();
    let setting = Live::from(definitions(&json!({ "theme": share(0), "menu": share(100) })));
    let (bucket, told) = watch::channel(Arc::new(Published::default()));
    let flags = Flags::builder().key_value(told).configuration(&setting).build(&registry).await.unwrap();
    let following = tokio::spawn(flags.clone().follow());
    let ada = Context::user("ada");

    assert!(!flags.boolean("theme", &ada, true).await, "a bucket that was never seen stands in nobody's way");
    assert!(flags.boolean("other", &ada, true).await);
    assert_eq!(counted(&registry, "other", "caller_default", "not_ready"), 1);

    bucket.send_replace(published(1, &[("theme", &share(100).to_string())]));
    until_version(&flags, 1).await;
    assert!(flags.boolean("theme", &ada, false).await);
    assert!(flags.boolean("menu", &ada, false).await, "what the bucket doesn't define, the settings do");
    assert!(flags.boolean("other", &ada, true).await);
    assert_eq!(counted(&registry, "other", "caller_default", "not_found"), 1);

    bucket.send_replace(published(2, &[]));
    until_version(&flags, 2).await;
    assert!(!flags.boolean("theme", &ada, true).await, "cleared there, the settings count again");
    drop(bucket);
    tokio::time::timeout(Duration::from_secs(120), following).await.expect("it ends with its source").unwrap();
}

#[tokio::test]
async fn a_bad_definition_in_the_bucket_leaves_the_one_before_and_harms_no_other() {
    let (bucket, told) = watch::channel(published(1, &[("theme", &share(100).to_string())]));
    let flags = Flags::builder().key_value(told).build(&Registry::new()).await.unwrap();
    let _following = tokio::spawn(flags.clone().follow());
    let ada = Context::user("ada");
    assert!(flags.boolean("theme", &ada, false).await);
    let menu = switch(&json!({ "if": [true, "on"] })).to_string();
    bucket.send_replace(published(2, &[("theme", "{\"state\":\"ON\"}"), ("menu", &menu), ("new", "{")]));
    until_version(&flags, 2).await;
    assert!(flags.boolean("theme", &ada, false).await, "the one before holds");
    assert!(flags.boolean("menu", &ada, false).await);
    assert!(!flags.defines("new"));
    let told = shown(&flags).await;
    let refused = &told["sources"][0]["refused"];
    assert!(refused["theme"].as_str().unwrap().contains("ENABLED or DISABLED"), "{told}");
    assert!(refused["new"].as_str().unwrap().contains("not JSON"), "{told}");
    assert_eq!(told["flags"]["menu"]["source"], "nats");
    assert_eq!(told["flags"]["menu"]["definition"]["defaultVariant"], "off");
    // Once more the same: what was refused stays so, and the earlier one stays too.
    bucket.send_replace(published(3, &[("theme", "{\"state\":\"ON\"}")]));
    until_version(&flags, 3).await;
    assert!(flags.boolean("theme", &ada, false).await);
}

#[test]
fn bad_definitions_in_the_settings_are_told_when_they_are_read() {
    let told = |name: &str, text: &str| {
        let variable = (format!("FLOTILLA__{name}"), text.to_owned());
        load_from::<FlagSettings>([variable], None).unwrap_err().to_string()
    };
    let definitions = told("DEFINITIONS", "{\"flags\":{\"theme\":{}}}");
    assert!(definitions.contains("flag \"theme\" needs the state"), "{definitions}");
    let flagd = told("FLAGD", "tcp://x");
    assert!(flagd.contains("\n  flagd: "), "{flagd}");
}

//! flagd's own provider: the same definitions give the same users the same variants.

use std::io::Write as _;

use flotilla_flags::{Context, Flags, flagd};
use prometheus::Registry;
use serde_json::json;

use crate::support::{counted, flags, share, switch};

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_gives_the_same_variants_in_both_providers() {
    let rule = json!({ "if": [{ "in": [{ "var": "targetingKey" }, ["ada"]] }, "on"] });
    let all = json!({ "theme": share(30), "menu": switch(&rule) });
    let mut file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    write!(file, "{}", json!({ "flags": all })).unwrap();
    file.flush().unwrap();
    let provider = flagd::connect(&format!("file://{}", file.path().display())).await.unwrap();
    let registry = Registry::new();
    let theirs = Flags::builder().provider(provider).build(&registry).await.unwrap();
    let ours = flags(all).await;
    let mut on = 0;
    for number in 0..500 {
        let user = Context::user(format!("user-{number}"));
        let ours = ours.boolean("theme", &user, false).await;
        assert_eq!(theirs.boolean("theme", &user, !ours).await, ours, "user-{number}");
        on += u32::from(ours);
    }
    assert!((110..=190).contains(&on), "{on} of 500");
    for user in ["ada", "bob"] {
        let user = Context::user(user);
        assert_eq!(theirs.boolean("menu", &user, false).await, ours.boolean("menu", &user, false).await);
    }
    assert_eq!(counted(&registry, "theme", "on", "targeting_match"), u64::from(on));
    assert!(theirs.boolean("unknown", &Context::user("ada"), true).await);
    assert_eq!(counted(&registry, "unknown", "caller_default", "not_found"), 1);
}

#[tokio::test]
async fn an_invalid_address_is_refused() {
    for address in ["tcp://x:1", "http://no-port", "http://x:port", "file:///there/is/no/such.json"] {
        assert!(flagd::connect(address).await.is_err(), "{address}");
    }
}

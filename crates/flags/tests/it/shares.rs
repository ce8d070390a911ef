//! Shares of users: sticky, of the right size, and the same as flagd's.

use flotilla_flags::Context;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{flags, share, switch};

fn now<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_user_keeps_the_variant_while_its_share_grows(
        users in prop::collection::vec("[a-z0-9-]{1,40}", 1..30), steps in prop::collection::vec(0_u32..=100, 2..6)
    ) {
        let mut steps = steps;
        steps.sort_unstable();
        now(async {
            let mut before = vec![false; users.len()];
            for percent in steps {
                let flags = flags(json!({ "theme": share(percent) })).await;
                for (user, had) in users.iter().zip(&mut before) {
                    let has = flags.boolean("theme", &Context::user(user), false).await;
                    prop_assert!(has || !*had, "{user} lost it at {percent} %");
                    prop_assert_eq!(has, flags.boolean("theme", &Context::user(user), false).await);
                    prop_assert!(percent < 100 || has);
                    prop_assert!(percent > 0 || !has);
                    *had = has;
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_share_has_about_its_size_and_is_independent_of_other_flags() {
    let flags = flags(json!({ "one": share(25), "two": share(25) })).await;
    let (mut one, mut both) = (0, 0);
    for user in 0..4_000 {
        let user = Context::user(format!("users/{user}"));
        let (first, second) = (flags.boolean("one", &user, false).await, flags.boolean("two", &user, false).await);
        one += u32::from(first);
        both += u32::from(first && second);
    }
    assert!((900..=1_100).contains(&one), "{one} of 4000");
    assert!((180..=320).contains(&both), "{both} of 4000 have both");
}

/// Pinned, because a different hash would move users between variants.
#[tokio::test]
async fn the_division_of_users_never_changes() {
    let flags = flags(json!({ "theme": share(50) })).await;
    let mut on = String::new();
    for user in 0..16 {
        on.push(if flags.boolean("theme", &Context::user(format!("user-{user}")), false).await { '1' } else { '0' });
    }
    assert_eq!(on, PINNED);
}

const PINNED: &str = "0100100100001101";

#[tokio::test]
async fn a_context_without_a_user_gets_the_default_variant() {
    let flags = flags(json!({ "theme": share(100) })).await;
    assert!(!flags.boolean("theme", &Context::default(), true).await);
    assert!(!flags.boolean("theme", &Context::user(""), true).await);
}

#[tokio::test]
async fn users_can_be_divided_by_another_field() {
    let by_company = json!({ "fractional": [{ "var": "company" }, ["on", 50], ["off", 50]] });
    let flags = flags(json!({ "theme": switch(&by_company) })).await;
    for company in 0..20 {
        let company = format!("company-{company}");
        let first = flags.boolean("theme", &Context::user("ada").with("company", &company), false).await;
        for user in ["bob", "eve"] {
            let other = Context::user(user).with("company", &company);
            assert_eq!(flags.boolean("theme", &other, false).await, first, "{company} gets one variant");
        }
    }
}

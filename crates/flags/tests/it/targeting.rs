//! Rules: for named users, by fields, and combined with shares.

use flotilla_flags::{Context, FlagSet};
use serde_json::json;

use crate::support::{flags, switch};

#[tokio::test]
async fn a_rule_for_named_users_applies_only_to_them() {
    let rule = json!({ "if": [{ "in": [{ "var": "targetingKey" }, ["ada", "bob"]] }, "on"] });
    let flags = flags(json!({ "theme": switch(&rule) })).await;
    for (user, has) in [("ada", true), ("bob", true), ("eve", false), ("ad", false)] {
        assert_eq!(flags.boolean("theme", &Context::user(user), !has).await, has, "{user}");
    }
}

#[tokio::test]
async fn named_users_take_precedence_over_a_share() {
    let share = json!({ "fractional": [["on", 0], ["off", 100]] });
    let rule = json!({ "if": [{ "in": [{ "var": "targetingKey" }, ["ada"]] }, "on", share] });
    let flags = flags(json!({ "theme": switch(&rule) })).await;
    assert!(flags.boolean("theme", &Context::user("ada"), false).await);
    assert!(!flags.boolean("theme", &Context::user("bob"), true).await);
}

#[tokio::test]
async fn fields_choose_among_many_variants() {
    let rule = json!({
        "if": [
            { "ends_with": [{ "var": "email" }, "@flotilla.example"] }, "bold",
            { "starts_with": [{ "var": "email" }, "test+"] }, "plain",
            { "==": [{ "var": "country" }, "DE"] }, "warm"
        ]
    });
    let flags = flags(json!({
        "greeting": {
            "state": "ENABLED",
            "variants": { "bold": "Ahoy!", "plain": "Hello.", "warm": "Moin.", "usual": "Welcome." },
            "defaultVariant": "usual",
            "targeting": rule,
        },
        "page": { "state": "ENABLED", "variants": { "small": 10, "large": 100 }, "defaultVariant": "large" },
    }))
    .await;
    let ada = || Context::user("ada");
    for (context, greeting) in [
        (ada().with("email", "ada@flotilla.example"), "Ahoy!"),
        (ada().with("email", "test+ada@shop.example"), "Hello."),
        (ada().with("email", "ada@shop.example").with("country", "DE"), "Moin."),
        (ada().with("country", "FR"), "Welcome."),
        (Context::default(), "Welcome."),
    ] {
        assert_eq!(flags.text("greeting", &context, "?").await, greeting, "{context:?}");
    }
    assert_eq!(flags.number("page", &ada(), 1).await, 100);
}

#[tokio::test]
async fn a_rule_can_be_shared() {
    let set = FlagSet::parse(
        &json!({
            "$evaluators": { "staff": { "in": [{ "var": "targetingKey" }, ["ada"]] } },
            "flags": { "theme": switch(&json!({ "if": [{ "$ref": "staff" }, "on"] })) },
        })
        .to_string(),
    );
    assert_eq!(set.unwrap().len(), 1);
}

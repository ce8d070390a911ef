//! Invalid definitions are refused with a reason when they are parsed.

use flotilla_config::Live;
use flotilla_flags::{Context, Flag, FlagSet};
use prometheus::Registry;
use serde_json::{Value, json};

use crate::support::{counted, definitions, over, switch};

fn refusal(definition: &Value) -> String {
    Flag::parse("theme", &definition.to_string()).expect_err("it is refused").to_string()
}

fn with(field: &str, value: Value) -> Value {
    let mut flag = switch(&json!({}));
    flag[field] = value;
    flag
}

#[test]
fn an_invalid_definition_is_refused_with_its_reason() {
    for (definition, words) in [
        (json!([]), "is not an object"),
        (with("state", json!("ON")), "ENABLED or DISABLED"),
        (with("variants", json!({})), "1 to 16 variants"),
        (with("variants", json!({ "on": true, "off": "no" })), "different types"),
        (with("variants", json!({ "on": null, "off": null })), "an invalid value"),
        (with("variants", json!({ "o n": true, "off": false })), "can't be the name of a variant"),
        (with("defaultVariant", json!("of")), "\"of\", which isn't among its variants"),
        (with("defaultVariant", json!(1)), "needs the name of a variant"),
        (with("target", json!({})), "unknown field \"target\""),
        (switch(&json!({ "fraction": [["on", 1]] })), "unknown operator \"fraction\""),
        (switch(&json!({ "==": [1, 1], "in": ["a", "b"] })), "without exactly one operator: ==, in"),
        (switch(&json!({ "sem_ver": ["1.0.0", "=", "1.0.0"] })), "unknown operator \"sem_ver\""),
        (switch(&json!({ "if": [{ "==": [1] }, { "!!!": [] }] })), "unknown operator \"!!!\""),
        (switch(&json!({ "fractional": [["on", 25], ["of", 75]] })), "\"of\", which isn't among the variants"),
        (switch(&json!({ "fractional": [["on", -1], ["off", 1]] })), "integer of at least 0"),
        (switch(&json!({ "fractional": [["on", 0.5], ["off", 0.5]] })), "integer of at least 0"),
        (switch(&json!({ "fractional": [["on", 0], ["off", 0]] })), "sum to 0"),
        (switch(&json!({ "fractional": [{ "var": "company" }] })), "sum to 0"),
        (switch(&json!({ "fractional": "on" })), "without a list"),
        (switch(&json!({ "fractional": [["on", 1, 2]] })), "isn't [variant, weight]"),
        (switch(&json!({ "$ref": "staff" })), "isn't among $evaluators"),
        (switch(&json!({ ">": [{ "var": "$flagd.timestamp" }, 1] })), "uses the time"),
    ] {
        let reason = refusal(&definition);
        assert!(reason.contains(words), "{definition}: {reason}");
    }
    assert!(Flag::parse("theme", "{").unwrap_err().to_string().contains("is not JSON"));
    assert!(Flag::parse("no good", &switch(&json!({})).to_string()).is_err());
    assert!(Flag::parse("theme", &" ".repeat(70_000)).unwrap_err().to_string().contains("65536 bytes"));
}

#[test]
fn an_invalid_document_is_refused_with_the_flags_name() {
    let error = |text: &str| FlagSet::parse(text).unwrap_err().to_string();
    assert!(error("{").contains("not JSON"));
    assert!(error("{}").contains("\"flags\" is missing"));
    let bad = json!({ "flags": { "good": switch(&json!({})), "theme": with("state", json!("ON")) } });
    assert!(error(&bad.to_string()).starts_with("flag \"theme\""), "{}", error(&bad.to_string()));
    let circle = json!({
        "$evaluators": { "a": { "!": { "$ref": "b" } }, "b": { "!": { "$ref": "a" } } },
        "flags": { "theme": switch(&json!({ "$ref": "a" })) },
    });
    assert!(error(&circle.to_string()).contains("refers to itself"));
    let many: serde_json::Map<_, _> = (0..257).map(|n| (format!("f{n}"), with("targeting", Value::Null))).collect();
    assert!(error(&json!({ "flags": many }).to_string()).contains("more than 256 flags"));
}

#[tokio::test]
async fn an_evaluation_always_returns_a_value_and_its_reason_is_counted() {
    let registry = Registry::new();
    let flags = Live::from(definitions(&json!({
        "plain": with("targeting", Value::Null),
        "unmatched": switch(&json!({ "if": [false, "on"] })),
        "matched": switch(&json!({ "if": [true, "on"] })),
        "disabled": with("state", json!("DISABLED")),
        "without-default": with("defaultVariant", Value::Null),
        "astray": switch(&json!({ "if": [true, "elsewhere"] })),
        "of-texts": with("variants", json!({ "on": "yes", "off": "no" })),
    })));
    let handle = over(&flags, &registry).await;
    let ada = Context::user("ada");
    for (flag, answer, variant, reason) in [
        ("plain", false, "off", "static"),
        ("unmatched", false, "off", "default"),
        ("matched", true, "on", "targeting_match"),
        ("disabled", true, "caller_default", "disabled"),
        ("without-default", true, "caller_default", "default"),
        ("astray", true, "caller_default", "error"),
        ("of-texts", true, "caller_default", "error"),
        ("unknown", true, "caller_default", "not_found"),
    ] {
        // If the definition can't be evaluated, the caller's default is returned.
        let default = answer || reason != "error";
        assert_eq!(handle.boolean(flag, &ada, default).await, answer, "{flag}");
        assert_eq!(counted(&registry, flag, variant, reason), 1, "{flag}");
    }
    assert!(!handle.boolean("unknown", &ada, false).await);
}

//! Examples: plausible values that satisfy the validation rules.

use std::collections::BTreeMap;

use flotilla_money::Currency;
use prost_reflect::{FieldDescriptor, Kind};
use regex::Regex;
use serde_json::{Value, json};

/// A UUIDv7.
const ID: &str = "0192f0c4-8a3b-7c11-9d2e-5f6a7b8c9d0e";
/// Realistic values by field name.
const TEXTS: &[(&str, &str)] = &[
    ("email", "ada@example.com"),
    ("password", "correct horse battery staple"),
    ("display_name", "Green tea"),
    ("description", "Loose leaves, 100 g"),
    ("reason", "Counted anew"),
    ("client_label", "Ada's laptop"),
    ("filter", ""),
    ("order_by", ""),
    ("page_token", ""),
    ("refresh_token", "sr1.0192f0c4"),
    ("request_id", "order-2026-11-22-1"),
    ("etag", "\"1\""),
    ("currency_code", "USD"),
];
/// Last segments of resource names.
const IDS: &[&str] = &[ID, "green-tea", "nightly", "1"];

/// A value of a field that matches its schema.
pub fn of(field: &FieldDescriptor, schema: &Value) -> Option<Value> {
    let pattern = schema.get("pattern").and_then(Value::as_str);
    match field.kind() {
        Kind::String => text(field.name(), pattern).map(Value::from),
        Kind::Int32 | Kind::Int64 => {
            let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
            let value = 2.clamp(bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX));
            // Responses have 64-bit integers as strings.
            Some(if schema.get("minimum").is_none() { Value::from(value.to_string()) } else { value.into() })
        }
        Kind::Enum(_) => schema.get("enum")?.as_array()?.get(1).cloned(),
        _ => None,
    }
}

/// Text for a field with this name and pattern.
pub fn text(name: &str, pattern: Option<&str>) -> Option<String> {
    let known = TEXTS.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
    let Some(pattern) = pattern else { return known.filter(|text| !text.is_empty()) };
    let regex = Regex::new(pattern).ok()?;
    let anchored = pattern.trim_start_matches("^$|").trim_start_matches('^');
    let literal: String =
        anchored.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '/').collect();
    let made = IDS.iter().map(|id| format!("{literal}{id}"));
    // Names with something behind the id end in what the pattern ends in.
    let tail = anchored.trim_end_matches('$').rsplit(['}', ')', ']']).next().unwrap_or_default();
    let tailed = IDS.iter().map(|id| format!("{literal}{id}{tail}"));
    known.into_iter().chain(made).chain(tailed).find(|text| !text.is_empty() && regex.is_match(text))
}

/// The schema of money that a client sends: as fine as its currency is, and not negative.
pub fn money() -> Value {
    let mut by_digits: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for currency in Currency::all() {
        by_digits.entry(currency.minor_in_unit()).or_default().push(currency.code());
    }
    // The commonest kind first: pages show that one.
    let mut kinds: Vec<_> = by_digits.into_iter().collect();
    kinds.sort_by_key(|(_, codes)| std::cmp::Reverse(codes.len()));
    let kinds: Vec<Value> = kinds.into_iter().map(|(minor, codes)| money_of(minor, &codes)).collect();
    json!({"description": "An amount of money that is not negative, as fine as its currency is.", "oneOf": kinds})
}

fn money_of(minor: i64, codes: &[&str]) -> Value {
    let finest = 1_000_000_000 / minor;
    let nanos = if minor == 1 {
        json!({"type": ["integer", "null"], "enum": [0, null], "description": "This currency has no fraction."})
    } else {
        json!({
            "type": ["integer", "null"], "format": "int32", "minimum": 0, "maximum": 1_000_000_000 - finest,
            "multipleOf": finest, "description": "Billionths of a unit.", "examples": [500_000_000],
        })
    };
    json!({
        "type": "object",
        "properties": {
            "currencyCode": {"type": "string", "enum": codes, "description": "ISO 4217."},
            "units": {
                "type": ["integer", "string", "null"], "format": "int64", "minimum": 0, "maximum": 1_000_000_000,
                "pattern": "^(0|[1-9][0-9]{0,8}|1000000000)$", "description": "Whole units.", "examples": ["4"],
            },
            "nanos": nanos,
        },
        "required": ["currencyCode"],
        "additionalProperties": false,
    })
}

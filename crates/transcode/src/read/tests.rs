use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::json;

use super::*;
use crate::toy;

fn read(descriptor: &MessageDescriptor, json: &str) -> Result<DynamicMessage, Refusal> {
    let mut schema = Schema::default();
    let index = schema.add(descriptor);
    let mut out = Vec::new();
    message(&schema, index, json, &mut out)?;
    Ok(DynamicMessage::decode(descriptor.clone(), out.as_slice()).unwrap())
}

/// The result of prost-reflect for the same JSON.
fn expected(descriptor: &MessageDescriptor, json: &str) -> DynamicMessage {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(descriptor.clone(), &mut deserializer).unwrap()
}

fn refused(json: &serde_json::Value) -> Vec<(String, String)> {
    match read(&toy::toy(), &json.to_string()).unwrap_err() {
        Refusal::Malformed(told) => panic!("{told}"),
        Refusal::Violations(all) => all.into_iter().map(|found| (found.field, found.description)).collect(),
    }
}

#[test]
fn every_kind_of_field_is_read_as_protobuf_reads_it() {
    for json in [
        json!({}),
        json!({"numbers": [1, "-2", 3.0, 0], "colours": ["RED", 2, "NONE"], "counts": {"a": "1", "b": 2}}),
        json!({"free": {"x": [1, null, {"y": "z"}]}, "whatever": null, "wait": "1.5s", "wrapped": 7, "mask": "a,bC.dE"}),
        json!({"flag": true, "ratio": "-Infinity", "small": 1.5, "ratios": [1, "NaN", 2.5e3]}),
        json!({"round": "", "blob": "-_8=", "note": "", "big": "18446744073709551615", "zig": -3, "zag": "-9"}),
        json!({"square": {"square": {"flag": true}}, "shelf": {"-5": {"note": "x"}, "6": {}}, "paint": {"true": "BLUE"}}),
        json!({"fixed": 7, "far": "-1", "near": -1, "wide": "9", "at": "2026-11-22T01:02:03.5Z", "tags": ["", "ä\n\""]}),
        json!({"longNameOfAField": 5, "colour": "BLUE", "plain": 4294967295_u32, "zags": [-1, "1"], "toys": [{}, {"plain": 1}]}),
        json!({"long_name_of_a_field": "-5", "note": null, "square": null, "numbers": null, "at": null, "counts": null}),
    ] {
        let (toy, text) = (toy::toy(), json.to_string());
        let found = read(&toy, &text).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"));
        // As JSON: a message's `Debug` doesn't end for recursive types, and NaN doesn't equal itself.
        let told = |message| serde_json::to_value(message).unwrap();
        assert_eq!(told(found), told(expected(&toy, &text)), "{text}");
    }
}

#[test]
fn an_invalid_value_is_reported_with_its_path() {
    for (json, field, description) in [
        (json!({"toys": [{}, {"shelf": {"1": {"numbers": [1, "x"]}}}]}), "toys[1].shelf.1.numbers[1]", "invalid digit"),
        (json!({"numbers": [1.5]}), "numbers[0]", "integer"),
        (json!({"numbers": [2_147_483_648_i64]}), "numbers[0]", "out of range"),
        (json!({"numbers": [null]}), "numbers[0]", "invalid type: null"),
        (json!({"numbers": 1}), "numbers", "a list"),
        (json!({"big": -1}), "big", "out of range"),
        (json!({"flag": "true"}), "flag", "true or false"),
        (json!({"flag": 1}), "flag", "true or false"),
        (json!({"note": 1}), "note", "a string"),
        (json!({"note": {}}), "note", "a string"),
        (json!({"note": []}), "note", "a string"),
        (json!({"plain": true}), "plain", "an integer"),
        (json!({"blob": "*"}), "blob", "base64"),
        (json!({"colour": "PINK"}), "colour", "PINK"),
        (json!({"at": "yesterday"}), "at", "timestamp"),
        (json!({"at": 5}), "at", "timestamp"),
        (json!({"shelf": {"x": {}}}), "shelf", "invalid digit"),
        (json!({"small": 1e300}), "small", "out of range"),
        (json!({"ratio": "nan"}), "ratio", "must be a number"),
        (json!({"round": "a", "square": {}}), "square", "only one"),
        (json!({"longNameOfAField": 1, "long_name_of_a_field": 1}), "long_name_of_a_field", "given twice"),
        (json!([]), "", "a JSON object"),
    ] {
        let told = refused(&json);
        assert_eq!(told[0].0, field, "{json}: {told:?}");
        assert!(told[0].1.contains(description), "{json}: {told:?}");
        assert!(!told[0].1.contains("at line"), "{told:?}");
    }
}

#[test]
fn all_unknown_fields_are_named_at_once_up_to_a_limit() {
    let told = refused(&json!({"a": 1, "square": {"b": {"c": 2}}, "toys": [{"d": []}]}));
    assert_eq!(told.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), ["a", "square.b", "toys[0].d"]);
    let many: serde_json::Map<_, _> = (0..100).map(|number| (format!("x{number}"), json!(1))).collect();
    assert_eq!(refused(&many.into()).len(), MAX_VIOLATIONS);
}

#[test]
fn a_repeated_key_is_refused() {
    let Err(Refusal::Violations(told)) = read(&toy::toy(), r#"{"flag": true, "flag": false}"#) else { panic!() };
    assert_eq!(told, [Violation::new("flag", "given twice")]);
}

#[test]
fn malformed_json_is_reported_with_its_position() {
    let deep = format!("{}1{}", "{\"square\":".repeat(200), "}".repeat(200));
    for (json, place) in
        [("{\"flag\": tru}", "line 1"), ("{} x", "trailing"), ("", "EOF"), (deep.as_str(), "recursion")]
    {
        let Err(Refusal::Malformed(told)) = read(&toy::toy(), json) else { panic!("{json}") };
        assert!(told.contains(place), "{told}");
    }
}

use std::sync::Arc;

use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage as _};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value as Json, json};

use super::*;
use crate::{Reader, Renderer, toy};

/// What prost-reflect writes.
fn expected(message: &DynamicMessage) -> Json {
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

fn written(descriptor: &MessageDescriptor, bytes: &[u8]) -> Result<Json, RenderError> {
    let answer = Renderer::of(descriptor).render(bytes)?;
    Ok(serde_json::from_slice(&answer.json).unwrap_or_else(|error| panic!("{error}: {:?}", answer.json)))
}

/// A `Toy` with some fields set at random.
fn any_toy(random: &mut StdRng, depth: usize) -> Json {
    let mut toy = serde_json::Map::new();
    let text = |random: &mut StdRng| {
        ["", "a", "ä\"\\\n\u{1}", "long ".repeat(40).as_str()].choose(random).unwrap().to_string()
    };
    let whole = |random: &mut StdRng| *[0_i64, 1, -1, 300, i64::MAX, i64::MIN].choose(random).unwrap();
    for _ in 0..random.random_range(0..8) {
        let small = i32::try_from(whole(random)).unwrap_or(7);
        let inner = if depth < 3 { any_toy(random, depth + 1) } else { json!({}) };
        let (name, value) = match random.random_range(0..28) {
            0 => ("numbers", json!([small, 5, -5])),
            1 => ("colours", json!(["BLUE", "NONE", 1])),
            2 => ("counts", json!({text(random): whole(random).to_string()})),
            3 => ("free", json!({"x": [null, 1.5, {"y": text(random)}]})),
            4 => ("flag", json!(random.random::<bool>())),
            5 => ("wait", json!("-3.000000001s")),
            6 => ("wrapped", json!(small)),
            7 => ("ratio", json!(f64::from(random.random::<u16>()) / 256.0)),
            8 => ("blob", json!("AAEC/w==")),
            9 => ("note", json!(text(random))),
            10 => ("shelf", json!({small.to_string(): inner})),
            11 => ("big", json!(whole(random).unsigned_abs().to_string())),
            12 => ("zig", json!(small)),
            13 => ("fixed", json!(small.unsigned_abs())),
            14 => ("far", json!(whole(random).to_string())),
            15 => ("small", json!(*[0.0_f32, 1.5, 0.25].choose(random).unwrap())),
            16 => ("at", json!("1969-12-31T23:59:59.123456Z")),
            17 => ("whatever", json!([true, text(random)])),
            18 => ("zag", json!(whole(random).to_string())),
            19 => ("tags", json!([text(random), text(random)])),
            20 => ("mask", json!("a.bC,d")),
            21 => ("ratios", json!([0.5, "NaN", "Infinity"])),
            22 => ("paint", json!({"true": "RED"})),
            23 => ("longNameOfAField", json!(whole(random).to_string())),
            24 => ("zags", json!([whole(random).to_string()])),
            25 => ("toys", json!([inner, {}])),
            26 => ("round", json!(text(random))),
            _ => ("near", json!(small)),
        };
        toy.insert(name.to_owned(), value);
    }
    Json::Object(toy)
}

#[test]
fn any_message_is_written_and_read_as_protobuf_does_it() {
    let (descriptor, seed) = (toy::toy(), 20_261_122);
    let mut random = StdRng::seed_from_u64(seed);
    let reader = Reader::of(&descriptor);
    for round in 0..400 {
        let json = any_toy(&mut random, 0);
        let reference = DynamicMessage::deserialize(descriptor.clone(), json.clone()).unwrap();
        let bytes = reference.encode_to_vec();
        assert_eq!(written(&descriptor, &bytes).unwrap(), expected(&reference), "seed {seed}, round {round}: {json}");
        let read = reader.read(json.to_string().as_bytes()).unwrap();
        let read = DynamicMessage::decode(descriptor.clone(), read).unwrap();
        // Compared as JSON: NaN doesn't equal itself.
        assert_eq!(expected(&read), expected(&reference), "seed {seed}, round {round}: {json}");
    }
}

#[test]
fn the_parts_of_a_message_are_merged_and_the_last_of_a_oneof_counts() {
    let descriptor = toy::toy();
    let part = |json: Json| DynamicMessage::deserialize(descriptor.clone(), json).unwrap().encode_to_vec();
    let parts = [
        part(json!({"square": {"note": "a"}})),
        part(json!({"tags": ["x"]})),
        part(json!({"square": {"plain": 5}})),
        part(json!({"tags": ["y"]})),
    ];
    let json = written(&descriptor, &parts.concat()).unwrap();
    assert_eq!(
        (&json["square"]["note"], &json["square"]["plain"], &json["tags"]),
        (&json!("a"), &json!(5), &json!(["x", "y"]))
    );
    let json = written(&descriptor, &[parts[0].clone(), part(json!({"round": "r"}))].concat()).unwrap();
    assert_eq!((json.get("square"), &json["round"]), (None, &json!("r")));
}

#[test]
fn unknown_fields_are_ignored() {
    let order = flotilla_proto::orders::v1::Order { name: "orders/o".into(), ..Default::default() };
    let mut bytes = vec![0xf8, 0x3f, 0x05];
    bytes.extend(prost::Message::encode_to_vec(&order));
    assert_eq!(written(&toy::message("flotilla.orders.v1.Order"), &bytes).unwrap()["name"], "orders/o");
}

#[test]
fn a_response_that_violates_the_contract_is_an_error() {
    let toy = toy::toy();
    let mut schema = Schema::default();
    schema.add(&toy);
    assert!(Arc::new(schema).resolve(0, "at").is_some());
    let mut deep = Vec::new();
    for _ in 0..MAX_DEPTH + 1 {
        let mut outer = Vec::new();
        wire::put_bytes(&mut outer, 10, &deep);
        deep = outer;
    }
    for (bytes, expected) in [
        (vec![0x4a, 0x02, 0xff, 0xfe], "not UTF-8"),
        (vec![0x4a, 0x05, 0x61], "decoded"),
        (vec![0x2a, 0x01, 0x01], "decoded"),
        (vec![0x48, 0x01], "decoded"),
        (vec![0x9a, 0x01, 0x02, 0x10, 0xff], "decoded"),
        (vec![0x9a, 0x01, 0x06, 0x10, 0x80, 0x80, 0x80, 0x80, 0x08], "time"),
        (deep, "deeply"),
    ] {
        let error = written(&toy, &bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{bytes:x?}: {error}");
    }
    assert_eq!(toy.full_name(), DynamicMessage::new(toy.clone()).descriptor().full_name());
}

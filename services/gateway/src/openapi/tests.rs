use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, MessageDescriptor};
use regex::Regex;

use super::*;

fn routes() -> RouteTable {
    RouteTable::from_pool(&flotilla_proto::descriptors::pool().unwrap()).unwrap()
}

fn described() -> Value {
    document(&routes())
}

/// Visits every value of a tree with its place.
fn walk<'a>(value: &'a Value, place: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(place, value);
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{place}/{at}"), visit));
        }
        Value::Object(object) => object.iter().for_each(|(key, item)| walk(item, &format!("{place}/{key}"), visit)),
        _ => {}
    }
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, verbs)| {
        verbs.as_object().unwrap().iter().map(move |(verb, operation)| (verb.clone(), path.clone(), operation))
    });
    all.collect()
}

/// Whether a value keeps to the part of JSON Schema that examples are checked by.
fn fits(value: &Value, schema: &Value) -> bool {
    let of_type = |name: &str| match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    };
    let typed = match &schema["type"] {
        Value::String(name) => of_type(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(of_type),
        _ => true,
    };
    let length = value.as_str().map_or(0, |text| text.chars().count() as u64);
    let text = value.as_str().is_none_or(|text| {
        let pattern = schema["pattern"].as_str().is_none_or(|pattern| Regex::new(pattern).unwrap().is_match(text));
        pattern
            && schema["minLength"].as_u64().is_none_or(|least| length >= least)
            && schema["maxLength"].as_u64().is_none_or(|most| length <= most)
    });
    let number = value.as_i64().is_none_or(|number| {
        schema["minimum"].as_i64().is_none_or(|least| number >= least)
            && schema["maximum"].as_i64().is_none_or(|most| number <= most)
    });
    let named = schema["enum"].as_array().is_none_or(|all| all.contains(value));
    typed && text && number && named
}

#[test]
fn every_binding_is_described_and_nothing_else() {
    let (routes, document) = (routes(), described());
    let expected: BTreeSet<(String, String)> = routes
        .bindings()
        .iter()
        .map(|binding| (binding.verb.as_str().to_ascii_lowercase(), operation::path(binding)))
        .collect();
    assert_eq!(expected.len(), routes.bindings().len(), "no two bindings share a place");
    let found: BTreeSet<_> = operations(&document).into_iter().map(|(verb, path, _)| (verb, path)).collect();
    assert_eq!(found, expected);
    assert!(found.contains(&("post".into(), "/v1/orders/{order}:cancel".into())));
    assert!(found.contains(&("get".into(), "/v1/users/{user}/notificationPreferences".into())));
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = described();
    let mut used = BTreeSet::new();
    walk(&document, "", &mut |place, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{place}: {reference} leads outside"));
            assert!(document.pointer(pointer).is_some(), "{place}: {reference} leads nowhere");
            used.insert(pointer.to_owned());
        }
    });
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(used.contains(&format!("/components/schemas/{name}")), "{name} is not used");
    }
}

#[test]
fn operations_have_what_openapi_asks_for() {
    let document = described();
    assert_eq!(document["openapi"], "3.1.1");
    let mut ids = BTreeSet::new();
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].clone()).collect();
    for (verb, path, operation) in operations(&document) {
        let name = format!("{verb} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name}: its id is taken");
        assert!(tags.contains(&operation["tags"][0]), "{name}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path: BTreeSet<_> =
            parameters.iter().filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap()).collect();
        let in_template: BTreeSet<_> =
            path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect();
        assert_eq!(in_path, in_template, "{name}");
        let places: BTreeSet<_> =
            parameters.iter().map(|one| (one["in"].to_string(), one["name"].to_string())).collect();
        assert_eq!(places.len(), parameters.len(), "{name}: a parameter stands twice");
        assert!(parameters.iter().all(|one| one["schema"]["type"] != Value::Null), "{name}: {parameters:?}");
        assert!(operation["responses"]["200"].is_object() && operation["security"].is_array(), "{name}");
        assert!(!(verb == "get" && operation.get("requestBody").is_some()), "{name}");
    }
}

#[test]
fn security_follows_the_policies() {
    let document = described();
    let at = |path: &str, verb: &str| document["paths"][path][verb]["security"].clone();
    assert_eq!(at("/v1/products", "get"), json!([]));
    assert_eq!(at("/v1/products", "post"), json!([{"bearer": []}]));
    for binding in routes().bindings() {
        let open = binding.method.access == flotilla_proto::policy::Access::Public;
        let verb = binding.verb.as_str().to_ascii_lowercase();
        assert_eq!(at(&operation::path(binding), &verb) == json!([]), open, "{}", binding.method.name);
    }
}

#[test]
fn every_example_fits_its_schema() {
    let document = described();
    let mut checked = 0;
    walk(&document, "", &mut |place, value| {
        if let Some(examples) = value.get("examples").and_then(Value::as_array) {
            for example in examples {
                assert!(fits(example, value), "{place}: {example} in {value}");
                checked += 1;
            }
        }
        if let (Some(example), Some(schema)) = (value.get("example"), value.get("schema")) {
            assert!(fits(example, schema), "{place}: {example} in {schema}");
            checked += 1;
        }
    });
    assert!(checked > 60, "{checked}");
}

#[test]
fn rules_and_behaviour_become_limits() {
    let document = described();
    let schemas = &document["components"]["schemas"];
    let line = &schemas["PlaceOrderLineInput"];
    assert_eq!(line["properties"]["quantity"]["maximum"], 1_000_000);
    assert_eq!(line["required"], json!(["product", "quantity"]));
    assert_eq!(schemas["PlaceOrderRequest"]["properties"]["lines"]["maxItems"], 1000);
    assert!(schemas["PlaceOrderRequest"]["properties"].get("requestId").is_none(), "the header says it");
    assert_eq!(schemas["ProductInput"]["properties"]["displayName"]["maxLength"], 200);
    assert!(schemas["ProductInput"]["properties"].get("createTime").is_none(), "only the server sets it");
    assert_eq!(schemas["Product"]["properties"]["createTime"]["format"], "date-time");
    assert_eq!(schemas["Product"]["properties"]["createTime"]["readOnly"], true);
    assert_eq!(schemas["UserInput"]["properties"]["password"]["writeOnly"], true);
    assert!(schemas["User"]["properties"].get("password").is_none(), "never returned");
    assert!(schemas["ProductPatch"].get("required").is_none());
    let order = &document["paths"]["/v1/orders/{order}"]["get"]["parameters"][0];
    assert_eq!(order["schema"]["format"], "uuid");
    let key = &document["paths"]["/v1/orders"]["post"]["parameters"][0];
    assert_eq!((&key["name"], &key["required"]), (&json!("Idempotency-Key"), &json!(true)));
}

/// A message with a field of every kind, which the transcoder's tests read too.
fn toy() -> MessageDescriptor {
    let text = include_str!("../../../../crates/transcode/tests/toy.proto");
    let file = protox::file::File::from_source("toy.proto", text).unwrap();
    let mut pool = DescriptorPool::global();
    pool.add_file_descriptor_proto(file.into()).unwrap();
    pool.get_message_by_name("toy.v1.Toy").unwrap()
}

#[test]
fn a_field_of_every_kind_can_be_described() {
    let mut schemas = Schemas::default();
    for side in [schemas::Side::Input, schemas::Side::Patch, schemas::Side::Output] {
        schemas.message(&toy(), side);
    }
    let toy = &schemas.into_components()["ToyInput"];
    assert_eq!(toy["properties"]["square"]["anyOf"][0]["$ref"], "#/components/schemas/ToyInput");
    assert_eq!(toy["properties"]["counts"]["additionalProperties"]["type"], json!(["integer", "string"]));
    assert_eq!(toy["properties"]["colours"]["items"]["enum"], json!(["NONE", "RED", "BLUE", 0, 1, 2]));
}

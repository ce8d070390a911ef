//! Fields of messages: found by either of their names, placed into and checked against JSON.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::Violation;

/// Package of the types whose JSON isn't an object of their fields.
const WELL_KNOWN: &str = "google.protobuf";
/// Unknown fields told in one answer.
const MAX_TOLD: usize = 20;

/// A field by its JSON name or its name in the contract.
pub fn find(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))
}

/// A dotted path through singular messages; `None` if a part is missing.
pub fn resolve(message: &MessageDescriptor, path: &str) -> Option<Vec<FieldDescriptor>> {
    let mut fields: Vec<FieldDescriptor> = Vec::new();
    for name in path.split('.') {
        let parent = match fields.last() {
            None => message.clone(),
            Some(last) => singular_message(last)?,
        };
        fields.push(find(&parent, name)?);
    }
    Some(fields)
}

/// The message type of a field that holds one message.
pub fn singular_message(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) if field.cardinality() != prost_reflect::Cardinality::Repeated => Some(message),
        _ => None,
    }
}

/// Whether a message is one of protobuf's well-known types, with a JSON form of its own.
pub fn is_well_known(message: &MessageDescriptor) -> bool {
    message.package_name() == WELL_KNOWN
}

/// The path as JSON names: `product.displayName`.
pub fn json_path(path: &[FieldDescriptor]) -> String {
    path.iter().map(FieldDescriptor::json_name).collect::<Vec<_>>().join(".")
}

/// The key under which `object` holds a field, in whichever spelling.
pub fn key_of<'a>(object: &Map<String, Value>, field: &'a FieldDescriptor) -> Option<&'a str> {
    [field.json_name(), field.name()].into_iter().find(|name| object.contains_key(*name))
}

/// The place of a field in `object`, made where it is missing, with its parents.
///
/// # Errors
/// A parent is there but no object.
pub fn place<'a>(mut object: &'a mut Map<String, Value>, path: &[FieldDescriptor]) -> Result<&'a mut Value, Violation> {
    let (last, parents) = path.split_last().ok_or_else(|| Violation::new("", "names no field"))?;
    for (depth, parent) in parents.iter().enumerate() {
        let key = key_of(object, parent).unwrap_or(parent.json_name()).to_owned();
        let value = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
        if value.is_null() {
            *value = Value::Object(Map::new());
        }
        object =
            value.as_object_mut().ok_or_else(|| Violation::new(json_path(&path[..=depth]), "must be an object"))?;
    }
    let key = key_of(object, last).unwrap_or(last.json_name()).to_owned();
    Ok(object.entry(key).or_insert(Value::Null))
}

/// Notes every key of `value` that `message` doesn't know, and every field given under both of its names.
pub fn unknown(message: &MessageDescriptor, value: &Value, path: &str, found: &mut Vec<Violation>) {
    let Value::Object(object) = value else { return };
    if is_well_known(message) {
        return;
    }
    for (key, value) in object {
        if found.len() >= MAX_TOLD {
            return;
        }
        let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match find(message, key) {
            None => found.push(Violation::new(here, "unknown field")),
            Some(field)
                if key == field.name() && key != field.json_name() && object.contains_key(field.json_name()) =>
            {
                found.push(Violation::new(here, "given twice, under both of its names"));
            }
            Some(field) => unknown_in_field(&field, value, &here, found),
        }
    }
}

fn unknown_in_field(field: &FieldDescriptor, value: &Value, path: &str, found: &mut Vec<Violation>) {
    let Kind::Message(message) = field.kind() else { return };
    match value {
        Value::Array(items) if field.is_list() => {
            for (index, item) in items.iter().enumerate() {
                unknown(&message, item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(entries) if field.is_map() => {
            if let Kind::Message(entry) = message.map_entry_value_field().kind() {
                for (key, entry_value) in entries {
                    unknown(&entry, entry_value, &format!("{path}.{key}"), found);
                }
            }
        }
        _ => unknown(&message, value, path, found),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(name: &str) -> MessageDescriptor {
        flotilla_proto::descriptors::pool().unwrap().get_message_by_name(name).unwrap()
    }

    fn unknown_in(name: &str, value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        unknown(&message(name), value, "", &mut found);
        found.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_path_is_resolved_in_both_spellings_and_through_messages_only() {
        let request = message("flotilla.inventory.v1.UpdateProductRequest");
        for path in ["product.displayName", "product.display_name", "updateMask", "product.price.units"] {
            assert!(resolve(&request, path).is_some(), "{path}");
        }
        for path in ["nope", "product.nope", "product.name.x", ""] {
            assert!(resolve(&request, path).is_none(), "{path}");
        }
        let order = message("flotilla.orders.v1.PlaceOrderRequest");
        assert!(resolve(&order, "lines.quantity").is_none(), "not through a list");
    }

    #[test]
    fn unknown_fields_are_found_at_any_depth() {
        let name = "flotilla.orders.v1.PlaceOrderRequest";
        let body = json!({"lines": [{"product": "p"}, {"qty": 1}], "expected_total": {"unit": 1}, "note": {"a": 1}});
        let mut found = unknown_in(name, &body);
        found.sort();
        assert_eq!(found, ["expected_total.unit", "lines[1].qty", "note"]);
        assert!(unknown_in(name, &json!({"requestId": "x", "lines": 5})).is_empty(), "types are checked elsewhere");
    }

    #[test]
    fn a_field_under_both_names_is_found() {
        let body = json!({"requestId": "a", "request_id": "b"});
        assert_eq!(unknown_in("flotilla.orders.v1.PlaceOrderRequest", &body), ["request_id"]);
    }

    #[test]
    fn placing_uses_the_spelling_that_is_there() {
        let request = message("flotilla.inventory.v1.UpdateProductRequest");
        let path = resolve(&request, "product.display_name").unwrap();
        let Value::Object(mut object) = json!({"product": {"display_name": "x"}}) else { unreachable!() };
        assert_eq!(place(&mut object, &path).unwrap(), "x");
        let mut empty = Map::new();
        *place(&mut empty, &path).unwrap() = json!("y");
        assert_eq!(Value::Object(empty), json!({"product": {"displayName": "y"}}));
        let Value::Object(mut wrong) = json!({"product": 5}) else { unreachable!() };
        assert_eq!(place(&mut wrong, &path).unwrap_err().field, "product");
    }
}

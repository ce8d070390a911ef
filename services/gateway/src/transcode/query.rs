//! Query parameters: `pageSize=10&names=a&names=b&product.displayName=x`, in either spelling.

use percent_encoding::percent_decode_str;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::{Violation, fields};

/// More parameters than this are refused.
const MAX_PARAMETERS: usize = 1100;

/// Places every parameter of `query` into `root`, the JSON of the request message.
///
/// # Errors
/// The parameters at fault: unknown, given twice, of the wrong type, or not UTF-8.
pub fn apply(message: &MessageDescriptor, query: &str, root: &mut Map<String, Value>) -> Result<(), Vec<Violation>> {
    let mut violations = Vec::new();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    for (count, pair) in pairs.enumerate() {
        if count >= MAX_PARAMETERS {
            violations.push(Violation::new("", "too many query parameters"));
            break;
        }
        if let Err(violation) = apply_one(message, pair, root) {
            violations.push(violation);
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

fn apply_one(message: &MessageDescriptor, pair: &str, root: &mut Map<String, Value>) -> Result<(), Violation> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = decode(name).ok_or_else(|| Violation::new(name, "name is not UTF-8"))?;
    let value = decode(value).ok_or_else(|| Violation::new(&name, "value is not UTF-8"))?;
    let path = fields::resolve(message, &name).ok_or_else(|| Violation::new(&name, "unknown query parameter"))?;
    let last = path.last().ok_or_else(|| Violation::new(&name, "unknown query parameter"))?;
    let json = to_json(last, value).map_err(|description| Violation::new(&name, description))?;
    let place = fields::place(root, &path)?;
    match place {
        Value::Null if last.is_list() => *place = Value::Array(vec![json]),
        Value::Null => *place = json,
        Value::Array(items) if last.is_list() => items.push(json),
        _ => return Err(Violation::new(&name, "given twice")),
    }
    Ok(())
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The JSON that the field's type reads: numbers and times may be strings there.
fn to_json(field: &FieldDescriptor, text: String) -> Result<Value, &'static str> {
    if field.is_map() {
        return Err("maps can't be given in the query");
    }
    match field.kind() {
        Kind::Bool => boolean(&text),
        Kind::Enum(_) => Ok(text.parse::<i32>().map_or(Value::String(text), Value::from)),
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.FieldMask" => Ok(Value::String(camel(&text))),
            "google.protobuf.BoolValue" => boolean(&text),
            "google.protobuf.Struct" | "google.protobuf.Any" | "google.protobuf.ListValue" => {
                Err("can't be given in the query")
            }
            _ if fields::is_well_known(&message) => Ok(Value::String(text)),
            _ => Err("is a message: give its fields, as in price.units"),
        },
        _ => Ok(Value::String(text)),
    }
}

fn boolean(text: &str) -> Result<Value, &'static str> {
    text.parse().map(Value::Bool).map_err(|_| "must be true or false")
}

/// `display_name,price` as JSON writes field masks: `displayName,price`.
fn camel(text: &str) -> String {
    let mut camel = String::with_capacity(text.len());
    let mut raise = false;
    for character in text.chars() {
        match character {
            '_' => raise = true,
            _ if raise => {
                camel.extend(character.to_uppercase());
                raise = false;
            }
            _ => camel.push(character),
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(message: &str, query: &str) -> Result<Value, Vec<String>> {
        let message = flotilla_proto::descriptors::pool().unwrap().get_message_by_name(message).unwrap();
        let mut root = Map::new();
        apply(&message, query, &mut root)
            .map(|()| Value::Object(root))
            .map_err(|all| all.into_iter().map(|violation| violation.field).collect())
    }

    #[test]
    fn parameters_become_json_in_either_spelling() {
        let list = "flotilla.orders.v1.ListOrdersRequest";
        let update = "flotilla.inventory.v1.UpdateProductRequest";
        for (message, query, expected) in [
            (list, "pageSize=10&page_token=a%2Bb+c", json!({"pageSize": "10", "pageToken": "a+b c"})),
            (list, "", json!({})),
            ("flotilla.inventory.v1.BatchGetProductsRequest", "names=a&names=b", json!({"names": ["a", "b"]})),
            (update, "updateMask=display_name,price", json!({"updateMask": "displayName,price"})),
            (update, "product.price.units=5", json!({"product": {"price": {"units": "5"}}})),
            ("flotilla.identity.v1.CreateUserRequest", "user.role=2", json!({"user": {"role": 2}})),
            ("flotilla.identity.v1.CreateUserRequest", "user.role=X", json!({"user": {"role": "X"}})),
        ] {
            assert_eq!(applied(message, query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn parameters_at_fault_are_named() {
        let list = "flotilla.orders.v1.ListOrdersRequest";
        for (query, field) in [
            ("nope=1", "nope"),
            ("pageSize=1&page_size=2", "page_size"),
            ("page_token=%ff", "page_token"),
            ("pageSize.x=1", "pageSize.x"),
        ] {
            assert_eq!(applied(list, query), Err(vec![field.to_owned()]), "{query}");
        }
        let placed = applied("flotilla.orders.v1.PlaceOrderRequest", "expectedTotal=5&lines=1");
        assert_eq!(placed, Err(vec!["expectedTotal".to_owned(), "lines".to_owned()]));
    }
}

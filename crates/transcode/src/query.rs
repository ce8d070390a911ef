//! Query parameters: `pageSize=10&names=a&names=b&product.displayName=x`, in either spelling.

use percent_encoding::percent_decode_str;

use crate::schema::{FieldPath, Form, Kind, Label, Scalar, Schema};
use crate::{Violation, scalar, wire};

/// Maximum number of parameters.
const MAX_PARAMETERS: usize = 1100;

/// Adds every parameter of `query` to `out`, the encoded request message.
///
/// # Errors
/// The invalid parameters: unknown, given twice, of the wrong type, or not UTF-8.
pub fn apply(schema: &Schema, message: usize, query: &str, out: &mut Vec<u8>) -> Result<(), Vec<Violation>> {
    let (mut violations, mut given) = (Vec::new(), Vec::new());
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    for (count, pair) in pairs.enumerate() {
        if count >= MAX_PARAMETERS {
            violations.push(Violation::new("", "too many query parameters"));
            break;
        }
        if let Err(violation) = apply_one(schema, message, pair, &mut given, out) {
            violations.push(violation);
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

fn apply_one(
    schema: &Schema,
    message: usize,
    pair: &str,
    given: &mut Vec<FieldPath>,
    out: &mut Vec<u8>,
) -> Result<(), Violation> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = decode(name).ok_or_else(|| Violation::new(name, "name is not UTF-8"))?;
    let value = decode(value).ok_or_else(|| Violation::new(&name, "value is not UTF-8"))?;
    let path = schema.resolve(message, &name).ok_or_else(|| Violation::new(&name, "unknown query parameter"))?;
    let field = schema.at(&path);
    let once = field.label == Label::Singular;
    if once && (wire::has(out, &path.numbers) || given.iter().any(|other| other.numbers == path.numbers)) {
        return Err(Violation::new(&name, "given twice"));
    }
    let mut encoded = Vec::with_capacity(value.len() + 6);
    let always = !once || field.presence;
    let put = match (&field.kind, field.label) {
        (_, Label::Map) => Err("maps can't be given in the query".to_owned()),
        (Kind::Message(index), _) => well_known(schema, *index, &value)
            .and_then(|text| scalar::put_text(schema, field, &text, always, &mut encoded)),
        // An enum may also be given by its number.
        (Kind::Enum(values), _) if value.parse::<i32>().is_ok() => scalar::text(Scalar::Int32, &value)
            .and_then(|raw| scalar::declared(values, raw))
            .map(|raw| wire::put_raw(&mut encoded, field.number, raw)),
        _ => scalar::put_text(schema, field, &value, always, &mut encoded),
    };
    put.map_err(|description| Violation::new(&name, description))?;
    if !encoded.is_empty() {
        wire::insert(out, path.parents(), &encoded);
    }
    if once {
        given.push(path);
    }
    Ok(())
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The string that is the JSON of a well-known type.
fn well_known(schema: &Schema, index: usize, text: &str) -> Result<String, String> {
    let message = schema.message(index);
    match message.descriptor.full_name() {
        "google.protobuf.FieldMask" => Ok(camel(text)),
        "google.protobuf.Struct" | "google.protobuf.Any" | "google.protobuf.ListValue" | "google.protobuf.Value" => {
            Err("can't be given in the query".to_owned())
        }
        _ if message.form == Form::Object => Err("is a message: give its fields, as in price.units".to_owned()),
        _ => Ok(text.to_owned()),
    }
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
    use prost_reflect::DynamicMessage;
    use serde_json::{Value, json};

    use super::*;

    fn applied(message: &str, query: &str) -> Result<Value, Vec<String>> {
        let descriptor = crate::toy::message(message);
        let mut schema = Schema::default();
        let index = schema.add(&descriptor);
        let mut out = Vec::new();
        apply(&schema, index, query, &mut out)
            .map(|()| serde_json::to_value(DynamicMessage::decode(descriptor, out.as_slice()).unwrap()).unwrap())
            .map_err(|all| all.into_iter().map(|violation| violation.field).collect())
    }

    #[test]
    fn parameters_become_fields_in_either_spelling() {
        let list = "flotilla.orders.v1.ListOrdersRequest";
        let update = "flotilla.inventory.v1.UpdateProductRequest";
        let user = "flotilla.identity.v1.CreateUserRequest";
        for (message, query, expected) in [
            (list, "pageSize=10&page_token=a%2Bb+c", json!({"pageSize": 10, "pageToken": "a+b c"})),
            (list, "", json!({})),
            ("flotilla.inventory.v1.BatchGetProductsRequest", "names=a&names=b", json!({"names": ["a", "b"]})),
            (update, "updateMask=display_name,price", json!({"updateMask": "displayName,price"})),
            (update, "product.price.units=5", json!({"product": {"price": {"units": "5"}}})),
            (
                update,
                "product.price.units=5&product.displayName=x&product.price.nanos=7",
                json!({"product": {"displayName": "x", "price": {"units": "5", "nanos": 7}}}),
            ),
            (user, "user.role=2", json!({"user": {"role": "ROLE_OPERATOR"}})),
            (user, "user.role=ROLE_OPERATOR", json!({"user": {"role": "ROLE_OPERATOR"}})),
            (user, "user.createTime=2026-01-02T03:04:05Z", json!({"user": {"createTime": "2026-01-02T03:04:05Z"}})),
            (
                "toy.v1.Toy",
                "numbers=3&numbers=0&colours=RED&colours=0",
                json!({"numbers": [3, 0], "colours": ["RED", "NONE"]}),
            ),
            (
                "toy.v1.Toy",
                "wait=1.5s&wrapped=7&flag=true&ratio=1e3",
                json!({"wait": "1.500s", "wrapped": 7, "flag": true, "ratio": 1000.0}),
            ),
        ] {
            assert_eq!(applied(message, query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn invalid_parameters_are_named() {
        let list = "flotilla.orders.v1.ListOrdersRequest";
        for (query, field) in [
            ("nope=1", "nope"),
            ("pageSize=1&page_size=2", "page_size"),
            ("pageSize=0&page_size=2", "page_size"),
            ("page_token=%ff", "page_token"),
            ("pageSize.x=1", "pageSize.x"),
        ] {
            assert_eq!(applied(list, query), Err(vec![field.to_owned()]), "{query}");
        }
        let placed = applied("flotilla.orders.v1.PlaceOrderRequest", "expectedTotal=5&lines=1");
        assert_eq!(placed, Err(vec!["expectedTotal".to_owned(), "lines".to_owned()]));
        let toy = applied("toy.v1.Toy", "colours=PINK&counts=1&free=1&flag=yes&wait=soon");
        assert_eq!(toy, Err(["colours", "counts", "free", "flag", "wait"].map(str::to_owned).to_vec()));
    }
}

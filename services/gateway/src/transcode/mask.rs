//! The update mask of a PATCH that brings none: the fields that its body names.

use prost_reflect::{FieldDescriptor, MessageDescriptor, Value as Reflected};
use serde_json::{Map, Value};

use super::fields;

/// Full name of the option that says how a field behaves (AIP-203).
const BEHAVIOR: &str = "google.api.field_behavior";
/// The server sets the field; in requests it is ignored.
pub const OUTPUT_ONLY: i32 = 3;
/// The field is never returned.
pub const INPUT_ONLY: i32 = 4;

/// Whether a field carries a behaviour.
pub fn behaves(field: &FieldDescriptor, behavior: i32) -> bool {
    let Some(option) = field.parent_pool().get_extension_by_name(BEHAVIOR) else { return false };
    let options = field.options();
    match options.get_extension(&option).as_ref() {
        Reflected::List(all) => all.contains(&Reflected::EnumNumber(behavior)),
        _ => false,
    }
}

/// The mask as JSON writes it. Fields that only the server sets are left out, so that what was read can be sent back
/// changed; a field given as `null` is in the mask and becomes empty.
pub fn derive(message: &MessageDescriptor, body: &Map<String, Value>) -> String {
    let mut names: Vec<String> = body
        .keys()
        .filter_map(|key| fields::find(message, key))
        .filter(|field| !behaves(field, OUTPUT_ONLY))
        .map(|field| field.json_name().to_owned())
        .collect();
    names.sort();
    names.dedup();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_mask_names_the_bodys_fields_but_not_the_servers_own() {
        let product =
            flotilla_proto::descriptors::pool().unwrap().get_message_by_name("flotilla.inventory.v1.Product").unwrap();
        let body = json!({
            "display_name": "x", "description": null, "price": {"units": 5},
            "name": "products/p", "etag": "\"1\"", "createTime": "2026-01-01T00:00:00Z", "version": 4
        });
        assert_eq!(derive(&product, body.as_object().unwrap()), "description,displayName,price");
    }
}

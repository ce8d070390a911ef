//! How a field behaves in requests and responses (AIP-203).

use prost_reflect::{FieldDescriptor, Value as Reflected};

/// Full name of the option.
const BEHAVIOR: &str = "google.api.field_behavior";
/// The field must be given.
pub const REQUIRED: i32 = 2;
/// The server sets the field; in requests it is ignored.
pub const OUTPUT_ONLY: i32 = 3;
/// The field is never returned.
pub const INPUT_ONLY: i32 = 4;
/// The field is the resource's name.
pub const IDENTIFIER: i32 = 8;

/// Whether a field has a behaviour.
pub fn behaves(field: &FieldDescriptor, behavior: i32) -> bool {
    let Some(option) = field.parent_pool().get_extension_by_name(BEHAVIOR) else { return false };
    let options = field.options();
    match options.get_extension(&option).as_ref() {
        Reflected::List(all) => all.contains(&Reflected::EnumNumber(behavior)),
        _ => false,
    }
}

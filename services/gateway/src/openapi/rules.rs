//! The validation rules of the contracts' fields, as JSON Schema.

use flotilla_transcode::behavior::{REQUIRED, behaves};
use flotilla_validate::rules::field_rules::Type;
use flotilla_validate::rules::string_rules::WellKnown;
use flotilla_validate::rules::{FieldRules, Ignore, StringRules};
use prost_reflect::{EnumDescriptor, FieldDescriptor};
use serde_json::{Map, Value, json};

/// Full name of the option with a field's validation rules.
const RULES: &str = "buf.validate.field";
/// A 64-bit integer without rules, as text.
const WHOLE: &str = "^-?(0|[1-9][0-9]{0,17})$";
/// The same without zero.
pub const NOT_ZERO: &str = "^-?[1-9][0-9]{0,17}$";
/// The form of a UUID.
pub const UUID: &str = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";

/// The validation rules of a field.
pub fn of(field: &FieldDescriptor) -> FieldRules {
    let read = || {
        let option = field.parent_pool().get_extension_by_name(RULES)?;
        let options = field.options();
        let rules = options.has_extension(&option).then(|| options.get_extension(&option))?;
        rules.as_message()?.transcode_to::<FieldRules>().ok()
    };
    let rules: FieldRules = read().unwrap_or_default();
    if rules.ignore() == Ignore::Always { FieldRules::default() } else { rules }
}

/// Whether requests must have the field.
pub fn is_required(field: &FieldDescriptor) -> bool {
    of(field).required() || behaves(field, REQUIRED)
}

/// Whether the rules apply only to a non-empty value.
pub fn may_be_empty(rules: &FieldRules) -> bool {
    rules.ignore() == Ignore::IfZeroValue
}

/// The rules of each item of a list.
pub fn items(rules: &FieldRules) -> FieldRules {
    match &rules.r#type {
        Some(Type::Repeated(list)) => list.items.as_deref().cloned().unwrap_or_default(),
        _ => FieldRules::default(),
    }
}

/// How many items a list may have.
pub fn counts(rules: &FieldRules, schema: &mut Map<String, Value>) {
    let Some(Type::Repeated(list)) = &rules.r#type else { return };
    if let Some(least) = list.min_items {
        schema.insert("minItems".to_owned(), least.into());
    }
    if let Some(most) = list.max_items {
        schema.insert("maxItems".to_owned(), most.into());
    }
    if list.unique() {
        schema.insert("uniqueItems".to_owned(), true.into());
    }
}

/// The schema of text with these rules.
pub fn text(rules: &FieldRules, required: bool) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), Value::from("string"))]);
    let none = StringRules::default();
    let text = if let Some(Type::String(text)) = &rules.r#type { text } else { &none };
    let empty = may_be_empty(rules);
    let least = text.min_len.or(text.min_bytes).unwrap_or(u64::from(required));
    if least > 0 && !empty {
        schema.insert("minLength".to_owned(), least.into());
    }
    // A character has at least one byte: a value within this length may still exceed the limit in bytes.
    if let Some(most) = text.max_len.or(text.max_bytes) {
        schema.insert("maxLength".to_owned(), most.into());
    }
    let (pattern, format) = match (&text.pattern, text.well_known) {
        (Some(pattern), _) => (Some(pattern.clone()), None),
        (None, Some(WellKnown::Uuid(_))) => (Some(format!("^{UUID}$")), Some("uuid")),
        (None, Some(WellKnown::Email(_))) => (None, Some("email")),
        (None, None) => (None, None),
    };
    if let Some(pattern) = pattern {
        let pattern = if empty { format!("^$|{pattern}") } else { pattern };
        schema.insert("pattern".to_owned(), pattern.into());
    }
    if let Some(format) = format {
        schema.insert("format".to_owned(), format.into());
    }
    Value::Object(schema)
}

/// The smallest and the largest value of an integer.
pub fn bounds(rules: &FieldRules) -> (Option<i64>, Option<i64>) {
    let above = |bound: Option<i64>| bound.map(|bound| bound.saturating_add(1));
    let below = |bound: Option<i64>| bound.map(|bound| bound.saturating_sub(1));
    match &rules.r#type {
        Some(Type::Int32(rules)) => {
            let wide = |bound: Option<i32>| bound.map(i64::from);
            (wide(rules.gte).or(above(wide(rules.gt))), wide(rules.lte).or(below(wide(rules.lt))))
        }
        Some(Type::Int64(rules)) => (rules.gte.or(above(rules.gt)), rules.lte.or(below(rules.lt))),
        _ => (None, None),
    }
}

/// The schema of an integer with these rules. In JSON it may also be a string, and must be one if a number can't hold
/// it.
pub fn integer(rules: &FieldRules, format: &str, as_text: bool) -> Value {
    let (least, most) = bounds(rules);
    let mut schema = Map::from_iter([("format".to_owned(), Value::from(format))]);
    let (lowest, highest) = if format == "int32" { (i32::MIN.into(), i32::MAX.into()) } else { (i64::MIN, i64::MAX) };
    let kind = if as_text { json!(["integer", "string"]) } else { json!("integer") };
    schema.insert("type".to_owned(), kind);
    schema.insert("minimum".to_owned(), least.unwrap_or(lowest).into());
    schema.insert("maximum".to_owned(), most.unwrap_or(highest).into());
    if as_text {
        let pattern = match (least, most) {
            (Some(least), Some(most)) => format!("^({})$", between(least, most)),
            _ if format == "int32" => format!("^({})$", between(lowest, highest)),
            _ => WHOLE.to_owned(),
        };
        schema.insert("pattern".to_owned(), pattern.into());
    }
    Value::Object(schema)
}

/// A regular expression for the integers from `least` to `most` in decimal notation.
fn between(least: i64, most: i64) -> String {
    let mut parts = Vec::new();
    if least < 0 {
        let nearest = if most < 0 { most.unsigned_abs() } else { 1 };
        parts.extend(digits(nearest.into(), least.unsigned_abs().into()).into_iter().map(|part| format!("-{part}")));
    }
    if most >= 0 {
        parts.extend(digits(u128::from(least.max(0).unsigned_abs()), u128::from(most.unsigned_abs())));
    }
    parts.join("|")
}

/// Expressions for the numbers from `low` to `high`: ranges that end in the same number of arbitrary digits.
fn digits(mut low: u128, high: u128) -> Vec<String> {
    let mut parts = Vec::new();
    while low <= high {
        let mut free = 0;
        while low != 0 && low.is_multiple_of(10_u128.pow(free + 1)) && low + 10_u128.pow(free + 1) - 1 <= high {
            free += 1;
        }
        let step = 10_u128.pow(free);
        let first = low / step % 10;
        // As many steps as fit before the digit turns over or the end is passed.
        let last = (first + ((high + 1 - low) / step).saturating_sub(1)).min(9);
        let head = low / step / 10;
        let head = if head == 0 { String::new() } else { head.to_string() };
        let digit = if first == last { first.to_string() } else { format!("[{first}-{last}]") };
        let tail = if free == 0 { String::new() } else { format!("[0-9]{{{free}}}") };
        parts.push(format!("{head}{digit}{tail}"));
        low += (last - first + 1) * step;
    }
    parts
}

/// The names of an enum, and its numbers if those are allowed too.
pub fn names(values: &EnumDescriptor, rules: &FieldRules, numbers: bool) -> Vec<Value> {
    let not_in = match &rules.r#type {
        Some(Type::Enum(rules)) => rules.not_in.clone(),
        _ => Vec::new(),
    };
    let allowed: Vec<_> = values.values().filter(|value| !not_in.contains(&value.number())).collect();
    let mut all: Vec<Value> = allowed.iter().map(|value| value.name().into()).collect();
    if numbers {
        all.extend(allowed.iter().map(|value| Value::from(value.number())));
    }
    all
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn the_expression_of_a_range_fits_its_numbers_and_no_others() {
        for (least, most) in
            [(1, 1_000_000), (0, 1000), (0, 9), (7, 7), (-5, 5), (-130, -7), (17, 4321), (99, 101), (10, 99)]
        {
            let regex = Regex::new(&format!("^({})$", between(least, most))).unwrap();
            let near = |at: i64| (at - 1200)..=(at + 1200);
            for number in near(least).chain(near(most)).chain(near(0)) {
                let fits = (least..=most).contains(&number);
                assert_eq!(regex.is_match(&number.to_string()), fits, "{number} in {least}..={most}: {regex}");
            }
            assert!(!regex.is_match("007") && !regex.is_match("") && !regex.is_match("+1"));
        }
        let wide = Regex::new(&format!("^({})$", between(i32::MIN.into(), i32::MAX.into()))).unwrap();
        for (text, fits) in [("2147483647", true), ("2147483648", false), ("-2147483648", true), ("-2147483649", false)]
        {
            assert_eq!(wide.is_match(text), fits, "{text}");
        }
    }
}

//! Checks encoded messages by their plans.

use std::fmt;

use crate::Violation;
use crate::compile::{Field, Items, Plan, Plans, Rule, Text};
use crate::encoded::{Fields, Value, varint};

/// Maximum number of violations that are reported.
const MAX_VIOLATIONS: usize = 50;
/// Messages within messages; deeper ones are left to the decoder, which refuses them.
const MAX_DEPTH: usize = 64;
/// Fields with rules that a message's check holds without allocating.
const FEW: usize = 16;

/// What was seen of a field.
#[derive(Debug, Clone, Copy, Default)]
struct Seen<'a> {
    count: u64,
    last: Option<Value<'a>>,
}

/// The path to a field, rendered only for an error.
#[derive(Clone, Copy)]
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    name: &'a str,
    index: Option<u64>,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

impl Plans {
    /// What is wrong with an encoded message by the plan at `place`; at most fifty things.
    pub fn check(&self, place: usize, encoded: &[u8]) -> Vec<Violation> {
        let mut check = Check { plans: self, found: Vec::new() };
        if let Some(plan) = self.plans.get(place) {
            check.message(plan, encoded, None, 0);
        }
        check.found
    }
}

struct Check<'p> {
    plans: &'p Plans,
    found: Vec<Violation>,
}

impl Check<'_> {
    fn message(&mut self, plan: &Plan, encoded: &[u8], parent: Option<&Path<'_>>, depth: usize) {
        let (mut few, mut many) = ([Seen::default(); FEW], Vec::new());
        let seen: &mut [Seen<'_>] = if plan.fields.len() <= FEW {
            &mut few
        } else {
            many.resize(plan.fields.len(), Seen::default());
            &mut many
        };
        for (number, value) in Fields(encoded) {
            let Some(place) = plan.fields.iter().position(|field| field.number == number) else { continue };
            let (field, seen) = (&plan.fields[place], &mut seen[place]);
            if field.repeated.is_some() {
                self.items(field, value, seen, parent, depth);
            } else {
                let path = Path { parent, name: &field.name, index: None };
                match (&field.rule, value) {
                    // Parsers merge a message that comes twice; its rules would hold for neither part.
                    (Rule::Message(_), _) if seen.count > 0 => self.note(&path, "must not be given twice"),
                    (Rule::Message(inner), Value::Bytes(bytes)) => self.inner(*inner, bytes, &path, depth),
                    _ => {}
                }
                seen.count += 1;
            }
            seen.last = Some(value);
        }
        for (field, seen) in plan.fields.iter().zip(seen.iter()) {
            let path = Path { parent, name: &field.name, index: None };
            match &field.repeated {
                Some(items) => self.count(field, items, seen.count, encoded, &path),
                None => self.single(field, seen.last, &path),
            }
        }
    }

    fn inner(&mut self, place: usize, encoded: &[u8], path: &Path<'_>, depth: usize) {
        let plans = self.plans;
        if depth < MAX_DEPTH
            && let Some(plan) = plans.plans.get(place)
        {
            self.message(plan, encoded, Some(path), depth + 1);
        }
    }

    /// One item of a repeated field, or several numbers in a row.
    fn items(&mut self, field: &Field, value: Value<'_>, seen: &mut Seen<'_>, parent: Option<&Path<'_>>, depth: usize) {
        let mut one = |check: &mut Self, value: Value<'_>| {
            let path = Path { parent, name: &field.name, index: Some(seen.count) };
            seen.count += 1;
            match (&field.rule, value) {
                (Rule::Message(inner), Value::Bytes(bytes)) => check.inner(*inner, bytes, &path, depth),
                _ => check.value(&field.rule, value, &path),
            }
        };
        match (&field.rule, value) {
            (Rule::Integer { .. } | Rule::Enum { .. }, Value::Bytes(mut packed)) => {
                while let Some(number) = varint(&mut packed) {
                    one(self, Value::Number(number));
                }
            }
            _ => one(self, value),
        }
    }

    fn count(&mut self, field: &Field, items: &Items, count: u64, encoded: &[u8], path: &Path<'_>) {
        if (field.required && count == 0) || count < items.min {
            self.note(path, &format!("must have at least {}", counted(items.min.max(1), "item")));
        } else if count > items.max {
            self.note(path, &format!("must have at most {}", counted(items.max, "item")));
        } else if items.unique && twice(field, encoded) {
            self.note(path, "must not have duplicates");
        }
    }

    fn single(&mut self, field: &Field, value: Option<Value<'_>>, path: &Path<'_>) {
        let zero = matches!(value, None | Some(Value::Number(0) | Value::Bytes([])));
        if if field.presence { value.is_none() } else { zero } {
            if field.required {
                return self.note(path, "must be set");
            }
            if field.presence {
                return;
            }
        }
        if zero && field.ignore_zero {
            return;
        }
        let value = value.unwrap_or(match field.rule {
            Rule::Text(_) => Value::Bytes(&[]),
            _ => Value::Number(0),
        });
        self.value(&field.rule, value, path);
    }

    fn value(&mut self, rule: &Rule, value: Value<'_>, path: &Path<'_>) {
        match (rule, value) {
            (Rule::Integer { min, max, not_in }, Value::Number(number)) => {
                let number = number.cast_signed();
                if number < *min || number > *max {
                    self.note(path, &range(*min, *max));
                } else if not_in.contains(&number) {
                    self.note(path, &format!("must not be {number}"));
                }
            }
            (Rule::Enum { defined, not_in }, Value::Number(number)) => {
                let number = number.cast_signed() as i32;
                let known = defined.as_ref().is_none_or(|defined| defined.contains(&number));
                if !known {
                    self.note(path, &format!("unknown value {number}"));
                } else if not_in.contains(&number) {
                    self.note(path, "must be set to one of the values");
                }
            }
            (Rule::Text(rules), Value::Bytes(text)) => {
                // What isn't UTF-8 is the decoder's to refuse.
                if let Ok(text) = std::str::from_utf8(text)
                    && let Some(wrong) = wrong_text(rules, text)
                {
                    self.note(path, &wrong);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, path: &Path<'_>, description: &str) {
        if self.found.len() < MAX_VIOLATIONS {
            self.found.push(Violation { field: path.to_string(), description: description.to_owned() });
        }
    }
}

fn wrong_text(rules: &Text, text: &str) -> Option<String> {
    let bytes = text.len() as u64;
    if bytes > rules.max_bytes {
        return Some(format!("must have at most {}", counted(rules.max_bytes, "byte")));
    }
    if bytes < rules.min_bytes {
        return Some(format!("must have at least {}", counted(rules.min_bytes, "byte")));
    }
    if rules.min_chars > 0 || bytes > rules.max_chars {
        let chars = text.chars().count() as u64;
        if chars > rules.max_chars {
            return Some(format!("must have at most {}", counted(rules.max_chars, "character")));
        }
        if chars < rules.min_chars {
            return Some(format!("must have at least {}", counted(rules.min_chars, "character")));
        }
    }
    rules.pattern.as_ref().filter(|(pattern, _)| !pattern.is_match(text)).map(|(_, told)| told.clone())
}

fn range(min: i64, max: i64) -> String {
    match (min, max) {
        (i64::MIN, max) => format!("must be at most {max}"),
        (min, i64::MAX) => format!("must be at least {min}"),
        (min, max) => format!("must be from {min} to {max}"),
    }
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Whether an item of a repeated field is there twice. The rare rule pays for itself: it reads the message again.
fn twice(field: &Field, encoded: &[u8]) -> bool {
    let mut items = std::collections::HashSet::new();
    for (_, value) in Fields(encoded).filter(|(number, _)| *number == field.number) {
        match (&field.rule, value) {
            (Rule::Integer { .. } | Rule::Enum { .. }, Value::Bytes(mut packed)) => {
                while let Some(number) = varint(&mut packed) {
                    if !items.insert(Item::Number(number)) {
                        return true;
                    }
                }
            }
            (_, Value::Number(number)) => {
                if !items.insert(Item::Number(number)) {
                    return true;
                }
            }
            (_, Value::Bytes(bytes)) => {
                if !items.insert(Item::Bytes(bytes)) {
                    return true;
                }
            }
        }
    }
    false
}

#[derive(PartialEq, Eq, Hash)]
enum Item<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

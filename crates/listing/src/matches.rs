//! Applies a filter to a record in memory, with the same result as in the database.

use std::cmp::Ordering;

use super::filter::{Condition, Filter, Operator};
use super::value::Value;

/// A record with fields.
pub trait Record {
    /// The value of a field as its column would hold it: the id of a name, the column's spelling of a word.
    fn value(&self, field: &str) -> Option<Value>;
}

impl<F: Fn(&str) -> Option<Value>> Record for F {
    fn value(&self, field: &str) -> Option<Value> {
        self(field)
    }
}

impl Filter {
    /// Whether the record matches the filter.
    pub fn matches(&self, record: &impl Record) -> bool {
        self.0.as_ref().is_none_or(|condition| holds(condition, record))
    }
}

fn holds(condition: &Condition, record: &impl Record) -> bool {
    match condition {
        Condition::All(all) => all.iter().all(|one| holds(one, record)),
        Condition::Any(any) => any.iter().any(|one| holds(one, record)),
        Condition::Not(inner) => !holds(inner, record),
        Condition::Present(field) => record.value(field.name).is_some_and(|value| value != Value::Text(String::new())),
        Condition::Compare(field, operator, wanted) => compare(record.value(field.name).as_ref(), *operator, wanted),
    }
}

fn compare(found: Option<&Value>, operator: Operator, wanted: &Value) -> bool {
    let Some(found) = found else { return operator == Operator::NotEqual };
    if operator == Operator::Has {
        return contains(found, wanted);
    }
    let order = found.compare(wanted);
    match operator {
        Operator::Equal => order == Some(Ordering::Equal),
        Operator::NotEqual => order != Some(Ordering::Equal),
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => order.is_some_and(Ordering::is_le),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        Operator::Has => false,
    }
}

fn contains(found: &Value, part: &Value) -> bool {
    match (found, part) {
        (Value::Text(text), Value::Text(part)) => text.to_lowercase().contains(&part.to_lowercase()),
        _ => false,
    }
}

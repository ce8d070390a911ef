//! The tree of values that settings are read from. Each value remembers its origin.

use config::{Map, Value, ValueKind};

use crate::names::join;

/// A tree without a value.
pub(crate) fn empty() -> Value {
    Value::new(None, Map::<String, Value>::new())
}

/// A string value with its origin.
pub(crate) fn text(origin: &str, text: impl Into<String>) -> Value {
    Value::new(Some(&origin.to_owned()), text.into())
}

/// Merges `over` into `under`: sections are merged, everything else, including lists, is replaced.
pub(crate) fn merge(under: &mut Value, over: Value, origin: &str) {
    match over.kind {
        ValueKind::Table(table) => {
            if !matches!(under.kind, ValueKind::Table(_)) {
                *under = empty();
            }
            if let ValueKind::Table(below) = &mut under.kind {
                for (key, value) in table {
                    merge(below.entry(key).or_insert_with(|| Value::new(None, ValueKind::Nil)), value, origin);
                }
            }
        }
        kind => *under = Value::new(Some(&origin.to_owned()), kind),
    }
}

/// The value at a dotted name.
pub(crate) fn find<'a>(root: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(root, |value, key| match &value.kind {
        ValueKind::Table(table) => table.get(key),
        _ => None,
    })
}

/// The origin of the value at a dotted name.
pub(crate) fn origin(root: &Value, name: &str) -> Option<String> {
    find(root, name).and_then(Value::origin).map(str::to_owned)
}

/// Sets or removes the value at a dotted name. Returns false if a part of the name is already a value.
pub(crate) fn put(root: &mut Value, name: &str, new: Option<Value>) -> bool {
    let (parents, key) = name.rsplit_once('.').map_or((None, name), |(parents, key)| (Some(parents), key));
    let mut at = root;
    for parent in parents.into_iter().flat_map(|parents| parents.split('.')) {
        let ValueKind::Table(table) = &mut at.kind else { return false };
        at = table.entry(parent.to_owned()).or_insert_with(empty);
    }
    let ValueKind::Table(table) = &mut at.kind else { return false };
    match new {
        Some(value) => drop(table.insert(key.to_owned(), value)),
        None => drop(table.remove(key)),
    }
    true
}

/// Removes a value, and the sections that become empty.
pub(crate) fn remove(root: &mut Value, name: &str) {
    put(root, name, None);
    if let Some((section, _)) = name.rsplit_once('.')
        && find(root, section).is_some_and(|left| matches!(&left.kind, ValueKind::Table(table) if table.is_empty()))
    {
        remove(root, section);
    }
}

/// The dotted names of all values, sorted.
pub(crate) fn leaves(root: &Value) -> Vec<String> {
    fn walk(value: &Value, name: &str, found: &mut Vec<String>) {
        match &value.kind {
            ValueKind::Table(table) if name.is_empty() || !table.is_empty() => {
                table.iter().for_each(|(key, inner)| walk(inner, &join(name, key), found));
            }
            _ => found.push(name.to_owned()),
        }
    }
    let mut found = Vec::new();
    walk(root, "", &mut found);
    found.sort();
    found
}

/// A value as a user would write it.
pub(crate) fn written(value: &Value) -> String {
    match &value.kind {
        ValueKind::Table(_) => "a section".to_owned(),
        ValueKind::Array(values) => values.iter().map(written).collect::<Vec<_>>().join(","),
        ValueKind::Nil => "nothing".to_owned(),
        kind => kind.to_string(),
    }
}

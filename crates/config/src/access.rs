//! Walks over the entries of a table and the elements of a list.

use std::iter::Enumerate;
use std::vec::IntoIter;

use config::Value;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess};

use crate::failure::Failure;
use crate::node::{Attempt, Node};

/// A key, or a variant without content.
pub(crate) fn text_of(text: &str) -> StrDeserializer<'_, Failure> {
    text.into_deserializer()
}

/// A table's entries.
pub(crate) struct Table<'a> {
    entries: IntoIter<(String, Node<'a>)>,
    next: Option<Node<'a>>,
    name: &'a str,
}

impl<'a> Table<'a> {
    pub(crate) fn new(entries: Vec<(String, Node<'a>)>, name: &'a str) -> Self {
        Self { entries: entries.into_iter(), next: None, name }
    }
}

impl<'de> MapAccess<'de> for Table<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let Some((key, node)) = self.entries.next() else { return Ok(None) };
        self.next = Some(node);
        seed.deserialize(text_of(&key)).map(Some).map_err(|failure| failure.about_key(self.name, &key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let node = self.next.take().ok_or_else(|| Failure::bad("a value was read twice"))?;
        let name = node.name().to_owned();
        seed.deserialize(node).map_err(|failure| failure.at(&name))
    }
}

/// A list's elements.
pub(crate) struct List<'a> {
    values: Enumerate<IntoIter<Value>>,
    name: &'a str,
    attempt: &'a Attempt,
}

impl<'a> List<'a> {
    pub(crate) fn new(values: Vec<Value>, name: &'a str, attempt: &'a Attempt) -> Self {
        Self { values: values.into_iter().enumerate(), name, attempt }
    }
}

impl<'de> SeqAccess<'de> for List<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        let Some((at, value)) = self.values.next() else { return Ok(None) };
        // A bad element is the list's problem: only whole settings can be left out.
        let node = Node::inner(&value, format!("{}[{at}]", self.name), self.attempt);
        seed.deserialize(node).map(Some).map_err(|failure| Failure {
            message: format!("element {}: {}", at + 1, failure.message),
            setting: Some(self.name.to_owned()),
            ..failure
        })
    }
}

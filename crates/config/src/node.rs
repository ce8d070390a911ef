//! Reads one value of the tree as whatever type is asked for.
//!
//! Texts become numbers, booleans and lists only when such a type is asked for, so that a password of digits stays a
//! text. Settings that nobody asks for are noted. A stand-in is read in the place of a setting that is missing or bad,
//! so that one attempt can look further than the first problem.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use config::{Value, ValueKind};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Visitor};

use crate::access::{List, Table, text_of};
use crate::failure::{Failure, join};

/// What stand-ins of texts try, one after the other, until the type is content.
const TEXTS: [&str; 8] =
    ["", "1", "1s", "127.0.0.1:0", "http://localhost", "00000000-0000-0000-0000-000000000000", "/", "a@b.c"];
/// Likewise for numbers.
const NUMBERS: [i64; 3] = [1, 0, 1_024];

/// How many things a stand-in can try.
pub(crate) const TRIES: usize = TEXTS.len();

/// One attempt: what to leave out, what to stand in for, and what was noted on the way.
#[derive(Default)]
pub(crate) struct Attempt {
    pub(crate) hidden: BTreeSet<String>,
    /// Settings that get a stand-in, with the number of its try.
    pub(crate) stand_ins: BTreeMap<String, usize>,
    /// Settings that nobody asked for.
    pub(crate) unknown: RefCell<Vec<String>>,
    /// Stand-ins that turned out to be sections.
    pub(crate) sections: RefCell<BTreeSet<String>>,
}

/// A place in the tree.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    /// Nothing for a stand-in.
    value: Option<&'a Value>,
    name: String,
    attempt: &'a Attempt,
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value, attempt: &'a Attempt) -> Self {
        Self { value: Some(value), name: String::new(), attempt }
    }

    pub(crate) fn inner(value: &'a Value, name: String, attempt: &'a Attempt) -> Self {
        Self { value: Some(value), name, attempt }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Option<&'a ValueKind> {
        self.value.map(|value| &value.kind)
    }

    /// The number of the stand-in's try.
    fn tries(&self) -> usize {
        self.attempt.stand_ins.get(&self.name).copied().unwrap_or(0)
    }

    /// The table's keys that are to be seen, and the stand-ins'.
    fn entries(&self) -> Vec<(String, Node<'a>)> {
        let inner = |key: &str, value| Node { value, name: join(&self.name, key), attempt: self.attempt };
        let mut entries = BTreeMap::new();
        if let Some(ValueKind::Table(table)) = self.kind() {
            for (key, value) in table {
                let node = inner(key, Some(value));
                if !self.attempt.hidden.contains(&node.name) && !matches!(value.kind, ValueKind::Nil) {
                    entries.insert(key.clone(), node);
                }
            }
        }
        for name in self.attempt.stand_ins.keys() {
            let (parent, key) = name.rsplit_once('.').unwrap_or(("", name));
            if parent == self.name && !entries.contains_key(key) {
                entries.insert(key.to_owned(), inner(key, None));
            }
        }
        entries.into_iter().collect()
    }

    fn map<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.kind() {
            Some(ValueKind::Table(_)) => {}
            None => drop(self.attempt.sections.borrow_mut().insert(self.name.clone())),
            Some(_) => return Err(Failure::bad("expected a section").at(&self.name)),
        }
        let entries = self.entries();
        let access = Table::new(entries, &self.name);
        visitor.visit_map(access).map_err(|failure| failure.at(&self.name))
    }

    fn seq<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let values: Vec<Value> = match self.kind() {
            None => Vec::new(),
            Some(ValueKind::Array(values)) => values.clone(),
            // A list in a variable is separated by commas.
            Some(ValueKind::String(text)) => text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Value::new(self.value.and_then(Value::origin).map(str::to_owned).as_ref(), part))
                .collect(),
            Some(_) => return Err(Failure::bad("expected a list").at(&self.name)),
        };
        let attempt = self.attempt;
        let access = List::new(values, &self.name, attempt);
        visitor.visit_seq(access).map_err(|failure| failure.at(&self.name))
    }

    fn text(&self) -> Result<&'a str, Failure> {
        match self.kind() {
            None => Ok(TEXTS[self.tries() % TEXTS.len()]),
            Some(ValueKind::String(text)) => Ok(text),
            Some(_) => Err(Failure::bad("expected a text").at(&self.name)),
        }
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let wrong = || Failure::bad("expected a whole number").at(&self.name);
        let number: i128 = match self.kind() {
            None => NUMBERS[self.tries() % NUMBERS.len()].into(),
            Some(ValueKind::I64(number)) => (*number).into(),
            Some(ValueKind::U64(number)) => (*number).into(),
            Some(ValueKind::String(text)) => text.trim().parse().map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
        };
        let result = match (i64::try_from(number), u64::try_from(number)) {
            (Ok(number), _) => visitor.visit_i64(number),
            (_, Ok(number)) => visitor.visit_u64(number),
            _ => return Err(wrong()),
        };
        result.map_err(|failure: Failure| {
            let message = failure.message.replacen("expected ", "out of the range of ", 1);
            Failure { message, ..failure }.at(&self.name)
        })
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let wrong = || Failure::bad("expected a number").at(&self.name);
        let number = match self.kind() {
            None => 0.5,
            Some(ValueKind::Float(number)) => *number,
            #[expect(clippy::cast_precision_loss, reason = "a setting that is a fraction has no use for 2^53")]
            Some(ValueKind::I64(number)) => *number as f64,
            Some(ValueKind::String(text)) => text.trim().parse().map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
        };
        visitor.visit_f64(number).map_err(|failure: Failure| failure.at(&self.name))
    }
}

macro_rules! read_as {
    ($reader:ident: $($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            self.$reader(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Node<'_> {
    type Error = Failure;

    read_as!(number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128);
    read_as!(number: deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128);
    read_as!(float: deserialize_f32 deserialize_f64);
    read_as!(map: deserialize_map);
    read_as!(seq: deserialize_seq);

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.kind() {
            Some(ValueKind::Boolean(_)) => self.deserialize_bool(visitor),
            Some(ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_)) => {
                self.number(visitor)
            }
            Some(ValueKind::Float(_)) => self.float(visitor),
            Some(ValueKind::Table(_)) => self.map(visitor),
            Some(ValueKind::Array(_)) => self.seq(visitor),
            Some(ValueKind::Nil) => visitor.visit_unit(),
            Some(ValueKind::String(_)) | None => self.deserialize_str(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let value = match self.kind() {
            None => Some(false),
            Some(ValueKind::Boolean(value)) => Some(*value),
            Some(ValueKind::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            },
            Some(_) => None,
        };
        let value = value.ok_or_else(|| Failure::bad("expected true or false").at(&self.name))?;
        visitor.visit_bool(value).map_err(|failure: Failure| failure.at(&self.name))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_str(self.text()?).map_err(|failure: Failure| failure.at(&self.name))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_bytes(self.text()?.as_bytes()).map_err(|failure: Failure| failure.at(&self.name))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.kind() {
            None | Some(ValueKind::Nil) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        let name = self.name.clone();
        visitor.visit_newtype_struct(self).map_err(|failure: Failure| failure.at(&name))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let name = self.name.clone();
        match self.kind() {
            None => visitor.visit_enum(text_of(variants.first().copied().unwrap_or_default())),
            Some(ValueKind::String(text)) => visitor.visit_enum(text_of(text.trim())),
            Some(ValueKind::Table(_)) => {
                let entries = self.entries();
                visitor.visit_enum(MapAccessDeserializer::new(Table::new(entries, &self.name)))
            }
            Some(_) => Err(Failure::bad(format!("expected one of {}", variants.join(", ")))),
        }
        .map_err(|failure: Failure| failure.at(&name))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.attempt.unknown.borrow_mut().push(self.name.clone());
        visitor.visit_unit()
    }
}

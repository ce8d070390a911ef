//! Flag definitions in flagd's JSON format, validated as a whole before any of them takes effect.
//!
//! A document is `{"flags": {"<flag>": {...}}, "$evaluators": {...}}`; the definition of a single flag is the value of its
//! name. Guarantees: a parsed definition can be evaluated: its variants have one type, its default variant exists, and its
//! rule compiles and refers only to existing operators and variants.

use std::collections::BTreeMap;
use std::sync::Arc;

use open_feature::Value as FlagValue;
use serde_json::{Map, Value};

use crate::targeting::Targeting;

/// Maximum number of flags per source.
pub const MAX_FLAGS: usize = 256;
/// Maximum number of variants per flag.
pub const MAX_VARIANTS: usize = 16;
/// Maximum length of the name of a flag or a variant.
pub const MAX_NAME: usize = 64;
/// Maximum size of a definition, in bytes.
pub const MAX_BYTES: usize = 64 * 1_024;
/// Maximum nesting of a rule, including shared rules that it refers to.
const MAX_DEPTH: usize = 32;

/// Why a definition is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadDefinition(pub(crate) String);

fn bad<T>(message: impl Into<String>) -> Result<T, BadDefinition> {
    Err(BadDefinition(message.into()))
}

/// One possible value of a flag.
#[derive(Debug)]
pub(crate) struct Variant {
    pub name: String,
    pub value: FlagValue,
}

/// A flag's definition.
#[derive(Debug)]
pub struct Flag {
    pub(crate) enabled: bool,
    pub(crate) variants: Vec<Variant>,
    /// The index of the default variant; without one the caller's default applies.
    pub(crate) default: Option<usize>,
    pub(crate) targeting: Option<Targeting>,
    source: Value,
}

impl Flag {
    /// Parses the definition of the flag `name`.
    ///
    /// # Errors
    /// It is invalid.
    pub fn parse(name: &str, json: &str) -> Result<Self, BadDefinition> {
        if json.len() > MAX_BYTES {
            return bad(format!("has more than {MAX_BYTES} bytes"));
        }
        let value = serde_json::from_str(json).map_err(|error| BadDefinition(format!("is not JSON: {error}")))?;
        Self::read(name, value, &Map::new())
    }

    fn read(name: &str, source: Value, evaluators: &Map<String, Value>) -> Result<Self, BadDefinition> {
        check_name("a flag", name)?;
        let Value::Object(fields) = &source else { return bad("is not an object") };
        let known = ["state", "variants", "defaultVariant", "targeting", "metadata", "$schema"];
        if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            return bad(format!("has the unknown field {unknown:?}; use one of {}", known.join(", ")));
        }
        let enabled = match fields.get("state").and_then(Value::as_str) {
            Some("ENABLED") => true,
            Some("DISABLED") => false,
            _ => return bad("needs the state ENABLED or DISABLED"),
        };
        let variants = variants(fields.get("variants"))?;
        let default = match fields.get("defaultVariant") {
            None | Some(Value::Null) => None,
            Some(Value::String(wanted)) => match variants.iter().position(|variant| variant.name == *wanted) {
                None => return bad(format!("has the default variant {wanted:?}, which isn't among its variants")),
                found => found,
            },
            Some(_) => return bad("needs the name of a variant in defaultVariant"),
        };
        let targeting = match fields.get("targeting") {
            None | Some(Value::Null) => None,
            Some(Value::Object(rule)) if rule.is_empty() => None,
            Some(rule) => {
                let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
                Some(Targeting::compile(&resolved(rule, evaluators, 0)?, &names)?)
            }
        };
        Ok(Self { enabled, variants, default, targeting, source })
    }

    /// The definition as given.
    #[must_use]
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// The variant of this name.
    pub(crate) fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }
}

/// The flags of one source.
#[derive(Debug, Default)]
pub struct FlagSet {
    flags: BTreeMap<String, Arc<Flag>>,
}

impl FlagSet {
    /// Parses a document.
    ///
    /// # Errors
    /// It is invalid; the error names the flag.
    pub fn parse(json: &str) -> Result<Self, BadDefinition> {
        if json.len() > MAX_BYTES {
            return bad(format!("flags have more than {MAX_BYTES} bytes"));
        }
        let document: Value =
            serde_json::from_str(json).map_err(|error| BadDefinition(format!("not JSON: {error}")))?;
        let Value::Object(mut document) = document else { return bad("not an object with the field \"flags\"") };
        let Some(Value::Object(flags)) = document.remove("flags") else { return bad("the field \"flags\" is missing") };
        let evaluators = match document.remove("$evaluators") {
            Some(Value::Object(evaluators)) => evaluators,
            None => Map::new(),
            Some(_) => return bad("$evaluators is not an object"),
        };
        let mut set = Self::default();
        for (name, definition) in flags {
            let flag = Flag::read(&name, definition, &evaluators)
                .map_err(|BadDefinition(why)| BadDefinition(format!("flag {name:?} {why}")))?;
            set.insert(name, Arc::new(flag))?;
        }
        Ok(set)
    }

    /// Adds a flag, or replaces the one with its name.
    ///
    /// # Errors
    /// There are [`MAX_FLAGS`] already.
    pub fn insert(&mut self, name: String, flag: Arc<Flag>) -> Result<(), BadDefinition> {
        if self.flags.len() >= MAX_FLAGS && !self.flags.contains_key(&name) {
            return bad(format!("more than {MAX_FLAGS} flags"));
        }
        self.flags.insert(name, flag);
        Ok(())
    }

    /// A flag.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Flag>> {
        self.flags.get(name)
    }

    /// All flags by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Flag>)> {
        self.flags.iter().map(|(name, flag)| (name.as_str(), flag))
    }

    /// Number of flags.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there are no flags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }
}

/// Checks the name of a flag or variant: at most 64 letters, digits, `-`, `_` and `.`.
///
/// # Errors
/// The name is invalid.
pub fn check_name(what: &str, name: &str) -> Result<(), BadDefinition> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let sound = name.len() <= MAX_NAME
        && name.bytes().all(plain)
        && name.bytes().next().is_some_and(ends)
        && name.bytes().next_back().is_some_and(ends);
    if sound {
        Ok(())
    } else {
        bad(format!("{name:?} can't be the name of {what}; use 1 to 64 letters, digits, -, _ and ."))
    }
}

fn variants(given: Option<&Value>) -> Result<Vec<Variant>, BadDefinition> {
    let Some(Value::Object(given)) = given else { return bad("needs variants: an object of names and values") };
    if given.is_empty() || given.len() > MAX_VARIANTS {
        return bad(format!("needs 1 to {MAX_VARIANTS} variants"));
    }
    let mut variants = Vec::with_capacity(given.len());
    for (name, value) in given {
        check_name("a variant", name)?;
        let Ok(value) = FlagValue::try_from(value) else {
            return bad(format!("has an invalid value in variant {name:?}"));
        };
        variants.push(Variant { name: name.clone(), value });
    }
    let kind = |variant: &Variant| match &variant.value {
        FlagValue::Bool(_) => "boolean",
        FlagValue::Int(_) | FlagValue::Float(_) => "number",
        FlagValue::String(_) => "string",
        FlagValue::Array(_) => "list",
        FlagValue::Struct(_) => "object",
    };
    if let Some(other) = variants.iter().find(|variant| kind(variant) != kind(&variants[0])) {
        return bad(format!(
            "has variants of different types: {:?} is a {}, {:?} a {}",
            variants[0].name,
            kind(&variants[0]),
            other.name,
            kind(other)
        ));
    }
    Ok(variants)
}

/// Replaces each `{"$ref": "<name>"}` in a rule by the shared rule.
fn resolved(rule: &Value, evaluators: &Map<String, Value>, depth: usize) -> Result<Value, BadDefinition> {
    if depth > MAX_DEPTH {
        return bad("has a rule that is nested too deeply or refers to itself");
    }
    Ok(match rule {
        Value::Object(fields) => match fields.get("$ref") {
            Some(Value::String(name)) if fields.len() == 1 => match evaluators.get(name) {
                Some(shared) => resolved(shared, evaluators, depth + 1)?,
                None => return bad(format!("refers to the rule {name:?}, which isn't among $evaluators")),
            },
            _ => Value::Object(
                fields
                    .iter()
                    .map(|(key, inner)| Ok((key.clone(), resolved(inner, evaluators, depth + 1)?)))
                    .collect::<Result<_, BadDefinition>>()?,
            ),
        },
        Value::Array(items) => {
            Value::Array(items.iter().map(|inner| resolved(inner, evaluators, depth + 1)).collect::<Result<_, _>>()?)
        }
        plain => plain.clone(),
    })
}

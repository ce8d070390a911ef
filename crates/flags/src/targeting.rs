//! Rules that choose a variant: JSON Logic with flagd's additional operators for shares and strings.
//!
//! A rule is compiled once, when its definition is parsed. Shares are hashed as in flagd, so that a definition that moves
//! between providers gives every user the same variant.

use std::fmt;
use std::sync::LazyLock;

use datalogic_rs::bumpalo::Bump;
use datalogic_rs::operator::EvalContext;
use datalogic_rs::{ArenaExt as _, CustomOperator, DataValue, Engine, Logic};
use open_feature::{EvaluationContext, EvaluationContextFieldValue};
use serde_json::Value;

use crate::definition::BadDefinition;
use crate::fractional::{Fractional, check_shares};

/// The engine with the operators that rules can use; immutable.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    Engine::builder()
        .add_operator("fractional", Fractional)
        .add_operator("starts_with", StringOperator(|text, part| text.starts_with(part)))
        .add_operator("ends_with", StringOperator(|text, part| text.ends_with(part)))
        .build()
});

/// A compiled rule.
pub(crate) struct Targeting(Logic);

impl fmt::Debug for Targeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Targeting")
    }
}

/// The result of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A variant by name.
    Variant(String),
    /// No variant, so the default variant applies.
    Default,
    /// The rule failed, or its result can't be a variant's name.
    Failed(String),
}

impl Targeting {
    /// Compiles a rule of a flag with these variants.
    pub fn compile(rule: &Value, variants: &[&str]) -> Result<Self, BadDefinition> {
        let text = rule.to_string();
        if text.contains("$flagd.timestamp") {
            return Err(BadDefinition("has a rule that uses the time, which isn't supported".to_owned()));
        }
        check_operators(rule)?;
        check_shares(rule, variants)?;
        let logic =
            ENGINE.compile(text.as_str()).map_err(|error| BadDefinition(format!("has an invalid rule: {error}")))?;
        Ok(Self(logic))
    }

    /// Evaluates the rule.
    pub fn choose(&self, flag: &str, context: &EvaluationContext) -> Choice {
        let arena = Bump::new();
        let data = input(flag, context, &arena);
        match ENGINE.evaluate(&self.0, data, &arena) {
            Ok(DataValue::Null) => Choice::Default,
            Ok(DataValue::String(name)) => Choice::Variant((*name).to_owned()),
            // The variants of a boolean flag may be named true and false.
            Ok(DataValue::Bool(yes)) => Choice::Variant(yes.to_string()),
            Ok(_) => Choice::Failed("the rule's result isn't the name of a variant".to_owned()),
            Err(error) => Choice::Failed(error.to_string()),
        }
    }
}

/// Refuses unknown operators, which the engine would find only at evaluation.
fn check_operators(rule: &Value) -> Result<(), BadDefinition> {
    match rule {
        Value::Object(fields) => {
            let [(operator, inner)] = &fields.iter().collect::<Vec<_>>()[..] else {
                let keys: Vec<&str> = fields.keys().map(String::as_str).collect();
                return Err(BadDefinition(format!("has a rule without exactly one operator: {}", keys.join(", "))));
            };
            if !ENGINE.has_custom_operator(operator) && !ENGINE.builtin_operator_names().any(|known| known == *operator)
            {
                return Err(BadDefinition(format!("has a rule with the unknown operator {operator:?}")));
            }
            check_operators(inner)
        }
        Value::Array(items) => items.iter().try_for_each(check_operators),
        _ => Ok(()),
    }
}

/// The data of a rule: the context's fields, `targetingKey`, and `$flagd` with the flag's name.
fn input<'a>(flag: &'a str, context: &'a EvaluationContext, arena: &'a Bump) -> DataValue<'a> {
    let own = std::slice::from_ref(arena.alloc(("flagKey", DataValue::String(flag))));
    let fixed = [("$flagd", DataValue::Object(own))];
    let key = context.targeting_key.as_deref().map(|key| ("targetingKey", DataValue::String(key)));
    let fields = context.custom_fields.iter().filter_map(|(name, value)| Some((name.as_str(), field(value)?)));
    DataValue::Object(arena.alloc_slice_fill_iter(fixed.into_iter().chain(key).chain(fields).collect::<Vec<_>>()))
}

fn field(value: &EvaluationContextFieldValue) -> Option<DataValue<'_>> {
    Some(match value {
        EvaluationContextFieldValue::Bool(value) => DataValue::Bool(*value),
        EvaluationContextFieldValue::Int(value) => DataValue::from_i64(*value),
        EvaluationContextFieldValue::Float(value) => DataValue::from_f64(*value),
        EvaluationContextFieldValue::String(value) => DataValue::String(value),
        EvaluationContextFieldValue::DateTime(_) | EvaluationContextFieldValue::Struct(_) => return None,
    })
}

/// An operator on two strings; other types never match.
struct StringOperator(fn(&str, &str) -> bool);

impl CustomOperator for StringOperator {
    fn evaluate<'a>(
        &self,
        args: &[&'a DataValue<'a>],
        _: &mut EvalContext<'_, 'a>,
        arena: &'a Bump,
    ) -> datalogic_rs::Result<&'a DataValue<'a>> {
        let matches = match args {
            [text, part, ..] => text.as_str().zip(part.as_str()).is_some_and(|(text, part)| (self.0)(text, part)),
            _ => false,
        };
        Ok(arena.bool(matches))
    }
}

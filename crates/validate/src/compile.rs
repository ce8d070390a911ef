//! Turns the rules in descriptors into plans.

use std::collections::HashMap;

use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use regex::Regex;

use crate::rules::field_rules::Type;
use crate::rules::string_rules::WellKnown;
use crate::rules::{EnumRules, FieldRules, Ignore, Int32Rules, Int64Rules, StringRules};

/// The option's full name.
const FIELD: &str = "buf.validate.field";
const REFERENCE: &str = "google.api.resource_reference";
const RESOURCE: &str = "google.api.resource";

/// The most items of a repeated field without a declared bound. A request of 4 MiB could hold two million empty items,
/// which would take ten to a hundred times its memory once decoded.
pub(crate) const MAX_ITEMS: u64 = 1_000;

/// The pattern of text without control characters.
const PRINTABLE: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";

/// A rule that can't be enforced.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct RuleError {
    field: String,
    problem: String,
}

/// The rules of all messages of a pool.
#[derive(Debug, Default)]
pub struct Plans {
    pub(crate) plans: Vec<Plan>,
    by_name: HashMap<String, usize>,
}

/// The rules of one message: its fields that have rules, or whose messages have.
#[derive(Debug, Default)]
pub struct Plan {
    pub(crate) fields: Vec<Field>,
}

/// What holds for one field.
#[derive(Debug)]
pub(crate) struct Field {
    pub number: u32,
    pub name: String,
    pub required: bool,
    /// Whether "not set" and "empty" differ.
    pub presence: bool,
    pub ignore_zero: bool,
    pub repeated: Option<Items>,
    pub rule: Rule,
}

/// What holds for the items of a repeated field as a whole.
#[derive(Debug, Default)]
pub(crate) struct Items {
    pub min: u64,
    pub max: u64,
    pub unique: bool,
}

/// What holds for a value.
#[derive(Debug)]
pub(crate) enum Rule {
    /// Nothing, or nothing more.
    Any,
    Integer {
        min: i64,
        max: i64,
        not_in: Vec<i64>,
    },
    Enum {
        defined: Option<Vec<i32>>,
        not_in: Vec<i32>,
    },
    Text(Box<Text>),
    /// The rules of another message, by its place among the plans.
    Message(usize),
}

#[derive(Debug)]
pub(crate) struct Text {
    pub min_chars: u64,
    pub max_chars: u64,
    pub min_bytes: u64,
    pub max_bytes: u64,
    pub pattern: Option<(Regex, String)>,
}

impl Plans {
    /// Compiles the rules of every message in `pool`.
    ///
    /// # Errors
    /// A rule isn't known, doesn't fit its field, or has a pattern that isn't one.
    pub fn compile(pool: &DescriptorPool) -> Result<Self, RuleError> {
        let messages: Vec<MessageDescriptor> = pool.all_messages().filter(|found| !found.is_map_entry()).collect();
        let by_name: HashMap<String, usize> =
            messages.iter().enumerate().map(|(place, found)| (found.full_name().to_owned(), place)).collect();
        let compiler = Compiler { pool, by_name: &by_name };
        let mut plans = messages.iter().map(|found| compiler.message(found)).collect::<Result<Vec<_>, _>>()?;
        prune(&mut plans);
        Ok(Self { plans, by_name })
    }

    /// The place of a message's plan; `None` where it has no rules.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.by_name
            .get(name)
            .copied()
            .filter(|place| self.plans.get(*place).is_some_and(|plan| !plan.fields.is_empty()))
    }

    /// The repeated fields of the message at `place` that have rules, each with the most items that it may have.
    pub fn repeated(&self, place: usize) -> impl Iterator<Item = (&str, u64)> {
        let fields = self.plans.get(place).map_or(&[][..], |plan| &plan.fields);
        fields.iter().filter_map(|field| Some((field.name.as_str(), field.repeated.as_ref()?.max)))
    }
}

/// Takes fields out that lead to no rule, until none is left.
fn prune(plans: &mut [Plan]) {
    loop {
        let empty: Vec<bool> = plans.iter().map(|plan| plan.fields.is_empty()).collect();
        let mut changed = false;
        for plan in plans.iter_mut() {
            let before = plan.fields.len();
            plan.fields.retain(|field| {
                let leads = !matches!(field.rule, Rule::Any) && !matches!(field.rule, Rule::Message(to) if empty[to]);
                leads || field.required || field.repeated.as_ref().is_some_and(Items::limits)
            });
            for field in &mut plan.fields {
                if matches!(field.rule, Rule::Message(to) if empty[to]) {
                    field.rule = Rule::Any;
                }
            }
            changed |= plan.fields.len() != before;
        }
        if !changed {
            return;
        }
    }
}

impl Items {
    fn limits(&self) -> bool {
        self.min > 0 || self.max < u64::MAX || self.unique
    }
}

struct Compiler<'a> {
    pool: &'a DescriptorPool,
    by_name: &'a HashMap<String, usize>,
}

impl Compiler<'_> {
    fn message(&self, message: &MessageDescriptor) -> Result<Plan, RuleError> {
        let fields = message.fields().map(|field| self.field(&field)).collect::<Result<Vec<_>, _>>()?;
        Ok(Plan { fields: fields.into_iter().flatten().collect() })
    }

    fn field(&self, field: &FieldDescriptor) -> Result<Option<Field>, RuleError> {
        let rules = self.rules(field)?;
        if rules.ignore() == Ignore::Always || field.is_map() {
            return Ok(None);
        }
        let repeated = field.cardinality() == Cardinality::Repeated;
        let (items, of_value) = match (repeated, rules.r#type.clone()) {
            (true, Some(Type::Repeated(list))) => {
                let all =
                    Items { min: list.min_items(), max: list.max_items.unwrap_or(MAX_ITEMS), unique: list.unique() };
                (Some(all), list.items.and_then(|item| item.r#type))
            }
            (true, None) => (Some(Items { max: MAX_ITEMS, ..Items::default() }), None),
            (false, rule) => (None, rule),
            (true, Some(_)) => return Err(wrong(field, "a rule for one value on a repeated field")),
        };
        Ok(Some(Field {
            number: field.number(),
            name: field.name().to_owned(),
            required: rules.required(),
            presence: field.supports_presence(),
            ignore_zero: rules.ignore() == Ignore::IfZeroValue,
            repeated: items,
            rule: self.rule(field, of_value)?,
        }))
    }

    fn rules(&self, field: &FieldDescriptor) -> Result<FieldRules, RuleError> {
        let Some(extension) = self.pool.get_extension_by_name(FIELD) else { return Ok(FieldRules::default()) };
        let options = field.options();
        if !options.has_extension(&extension) {
            return Ok(FieldRules::default());
        }
        let set = options.get_extension(&extension);
        let set = set.as_message().ok_or_else(|| wrong(field, "rules that are no message"))?;
        set.transcode_to().map_err(|error| wrong(field, error.to_string()))
    }

    fn rule(&self, field: &FieldDescriptor, rule: Option<Type>) -> Result<Rule, RuleError> {
        Ok(match (field.kind(), rule) {
            (Kind::Message(inner), None) => {
                self.by_name.get(inner.full_name()).map_or(Rule::Any, |place| Rule::Message(*place))
            }
            (_, None) => Rule::Any,
            (Kind::Int32, Some(Type::Int32(rules))) => int32(rules),
            (Kind::Int64, Some(Type::Int64(rules))) => int64(rules),
            (Kind::String, Some(Type::String(rules))) => self.text(field, &rules)?,
            (Kind::Enum(of), Some(Type::Enum(EnumRules { defined_only, not_in }))) => Rule::Enum {
                defined: defined_only.unwrap_or_default().then(|| of.values().map(|value| value.number()).collect()),
                not_in,
            },
            (kind, Some(rule)) => return Err(wrong(field, format!("{rule:?} does not fit a {kind:?}"))),
        })
    }

    fn text(&self, field: &FieldDescriptor, rules: &StringRules) -> Result<Rule, RuleError> {
        let pattern = match (&rules.pattern, rules.well_known) {
            (Some(pattern), None) => Some((pattern.clone(), self.pattern_text(field, pattern))),
            (None, None) => None,
            (None, Some(WellKnown::Uuid(_))) => {
                Some(("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$".to_owned(), "must be a UUID".to_owned()))
            }
            (None, Some(WellKnown::Email(_))) => {
                Some((r"^[^@\s]+@[^@\s]+$".to_owned(), "must be an e-mail address".to_owned()))
            }
            (Some(_), Some(_)) => return Err(wrong(field, "both a pattern and a well-known form")),
        };
        let pattern = pattern
            .map(|(pattern, told)| Regex::new(&pattern).map(|regex| (regex, told)))
            .transpose()
            .map_err(|error| wrong(field, error.to_string()))?;
        Ok(Rule::Text(Box::new(Text {
            min_chars: rules.min_len(),
            max_chars: rules.max_len.unwrap_or(u64::MAX),
            min_bytes: rules.min_bytes(),
            max_bytes: rules.max_bytes.unwrap_or(u64::MAX),
            pattern,
        })))
    }

    /// The description of a pattern in an error.
    fn pattern_text(&self, field: &FieldDescriptor, pattern: &str) -> String {
        match self.shape(field) {
            Some(shape) => format!("must be {shape}"),
            None if pattern == PRINTABLE => "must not have control characters".to_owned(),
            None => format!("must match {pattern}"),
        }
    }

    /// How the names look that a field holds, from its resource reference: `orders/{order}`.
    fn shape(&self, field: &FieldDescriptor) -> Option<String> {
        let reference = self.pool.get_extension_by_name(REFERENCE)?;
        let reference = field.options().get_extension(&reference).into_owned();
        let text = |name: &str| Some(reference.as_message()?.get_field_by_name(name)?.as_str()?.to_owned());
        let (own, child) = (text("type")?, text("child_type")?);
        let wanted = if own.is_empty() { &child } else { &own };
        let resource = self.pool.get_extension_by_name(RESOURCE)?;
        let pattern = self.pool.all_messages().find_map(|message| {
            let found = message.options().get_extension(&resource).into_owned();
            let found = found.as_message()?;
            (found.get_field_by_name("type")?.as_str()? == wanted)
                .then(|| Some(found.get_field_by_name("pattern")?.as_list()?.first()?.as_str()?.to_owned()))?
        })?;
        if own.is_empty() {
            // The parent's name: without the child's collection and id.
            return pattern.rsplitn(3, '/').nth(2).map(str::to_owned);
        }
        Some(pattern)
    }
}

fn int32(rules: Int32Rules) -> Rule {
    let wide = |bound: Option<i32>| bound.map(i64::from);
    integer(
        (wide(rules.gt), wide(rules.gte), wide(rules.lt), wide(rules.lte)),
        rules.not_in.into_iter().map(i64::from).collect(),
    )
}

fn int64(rules: Int64Rules) -> Rule {
    integer((rules.gt, rules.gte, rules.lt, rules.lte), rules.not_in)
}

fn integer((gt, gte, lt, lte): (Option<i64>, Option<i64>, Option<i64>, Option<i64>), not_in: Vec<i64>) -> Rule {
    Rule::Integer {
        min: gte.or_else(|| gt.map(|bound| bound.saturating_add(1))).unwrap_or(i64::MIN),
        max: lte.or_else(|| lt.map(|bound| bound.saturating_sub(1))).unwrap_or(i64::MAX),
        not_in,
    }
}

fn wrong(field: &FieldDescriptor, problem: impl Into<String>) -> RuleError {
    RuleError { field: field.full_name().to_owned(), problem: problem.into() }
}

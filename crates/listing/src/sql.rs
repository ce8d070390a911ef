//! Renders a statement from constants and numbered parameters. No character of a request becomes part of its text.

use std::fmt::Write as _;

use flotilla_money::Currency;

use super::filter::{Condition, Operator};
use super::order_by::Sort;
use super::schema::{Field, Kind, Scale};
use super::value::{Value, thousandths_in_minor};

/// The part of a list's statement that the service writes.
#[derive(Debug, Clone, Copy)]
pub struct Select {
    /// The columns: `id, display_name`.
    pub columns: &'static str,
    /// The table: `products`, or a join.
    pub from: &'static str,
    /// The condition of every request. Its parameters are `$1`, `$2` and so on; all are text and must be cast to other
    /// types: `customer_id = $1::uuid`.
    pub given: &'static str,
}

/// A statement and its parameters, all of them of type `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text.
    pub text: String,
    /// The parameters from `$1` on.
    pub values: Vec<String>,
}

/// The column of a row that carries its `index`th sort key, for the next page's token.
#[must_use]
pub fn key_column(index: usize) -> String {
    format!("list_key_{index}")
}

impl Statement {
    /// A page: the rows that match `filter`, after the row with the sort keys `after`, in the order of `sorts`.
    pub(super) fn page(
        select: &Select,
        own: &[Value],
        filter: Option<&Condition>,
        sorts: &[Sort],
        after: Option<&[String]>,
        limit: u32,
    ) -> Self {
        let mut statement = Self { text: String::new(), values: own.iter().map(Value::parameter).collect() };
        let keys: Vec<String> = sorts.iter().map(|sort| expression(sort.field)).collect();
        let read: String =
            keys.iter().enumerate().map(|(index, key)| format!(", ({key})::text AS {}", key_column(index))).collect();
        let Select { columns, from, given } = select;
        statement.text = format!("SELECT {columns}{read} FROM {from} WHERE ({given})");
        if let Some(condition) = filter {
            let condition = statement.condition(condition);
            statement.add(&format!(" AND ({condition})"));
        }
        if let Some(after) = after {
            let beyond = statement.beyond(sorts, &keys, after);
            statement.add(&format!(" AND ({beyond})"));
        }
        let order: Vec<String> = sorts
            .iter()
            .zip(&keys)
            .map(|(sort, key)| format!("{key} {}", if sort.descending { "DESC" } else { "ASC" }))
            .collect();
        let limit = statement.parameter(limit.to_string(), "::bigint");
        statement.add(&format!(" ORDER BY {} LIMIT {limit}", order.join(", ")));
        statement
    }

    fn add(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A parameter with its cast.
    fn parameter(&mut self, value: String, cast: &'static str) -> String {
        self.values.push(value);
        format!("${}{cast}", self.values.len())
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::All(all) => self.joined(all, " AND "),
            Condition::Any(any) => self.joined(any, " OR "),
            // NULL counts as false, so its negation is true.
            Condition::Not(inner) => format!("(({}) IS NOT TRUE)", self.condition(inner)),
            Condition::Present(field) => match field.kind {
                Kind::Text => format!("{} <> ''", field.column),
                _ => format!("{} IS NOT NULL", field.column),
            },
            Condition::Compare(field, operator, value) => {
                let left = expression(field);
                let right = self.parameter(value.parameter(), cast(field.kind));
                match operator {
                    Operator::Has => format!("strpos(lower({left}), lower({right})) > 0"),
                    operator => format!("{left} {} {right}", sign(*operator)),
                }
            }
        }
    }

    fn joined(&mut self, conditions: &[Condition], word: &str) -> String {
        let rendered: Vec<String> = conditions.iter().map(|condition| self.condition(condition)).collect();
        format!("({})", rendered.join(word))
    }

    /// The condition for rows after a row in the order: `a > x`, or `a = x` and so on with the next key.
    fn beyond(&mut self, sorts: &[Sort], keys: &[String], after: &[String]) -> String {
        let values: Vec<String> =
            sorts.iter().zip(after).map(|(sort, value)| self.parameter(value.clone(), cast(sort.field.kind))).collect();
        let sign = |sort: &Sort| if sort.descending { "<" } else { ">" };
        let Some(first) = sorts.first() else { return "true".to_owned() };
        if sorts.iter().all(|sort| sort.descending == first.descending) {
            // A comparison of rows, which can use an index.
            return format!("({}) {} ({})", keys.join(", "), sign(first), values.join(", "));
        }
        let mut beyond = String::new();
        for (index, ((sort, key), value)) in sorts.iter().zip(keys).zip(&values).enumerate() {
            let last = index + 1 == sorts.len();
            let more = if last { "" } else { " OR " };
            let _ = write!(beyond, "{key} {} {value}{more}", sign(sort));
            if !last {
                let _ = write!(beyond, "({key} = {value} AND (");
            }
        }
        beyond.push_str(&"))".repeat(sorts.len() - 1));
        beyond
    }
}

/// The column, amounts in thousandths.
fn expression(field: &Field) -> String {
    let column = field.column;
    match field.kind {
        Kind::Decimal(Scale::Digits(digits)) => {
            let factor = 10_i64.pow(3_u32.saturating_sub(digits));
            format!("({column}::numeric * {factor})")
        }
        Kind::Decimal(Scale::Currency(currency)) => {
            let unusual: String = Currency::all()
                .map(|known| (known.code(), thousandths_in_minor(known.minor_in_unit())))
                .filter(|(_, factor)| *factor != 10)
                .map(|(code, factor)| format!(" WHEN '{code}' THEN {factor}"))
                .collect();
            format!("({column}::numeric * CASE {currency}{unusual} ELSE 10 END)")
        }
        _ => column.to_owned(),
    }
}

fn cast(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Choice { .. } | Kind::Name { .. } => "",
        Kind::Integer => "::bigint",
        Kind::Decimal(_) => "::numeric",
        Kind::Timestamp => "::timestamptz",
        Kind::UuidName { .. } => "::uuid",
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal | Operator::Has => "=",
        // An unset field differs from every value.
        Operator::NotEqual => "IS DISTINCT FROM",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
    }
}

//! Parses a filter into a tree of known fields and typed values.

use super::cursor::{self, Cursor};
use super::parse_error::{ParseError, unknown};
use super::schema::{Field, Kind, Schema};
use super::value::Value;
use super::{MAX_DEPTH, MAX_FILTER, MAX_TERMS};
use flotilla_rpc::RpcError;

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `:`, the text contains a part.
    Has,
}

/// Longer ones first, so that `<=` isn't parsed as `<`.
const OPERATORS: [(&str, Operator); 7] = [
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
    (":", Operator::Has),
];

/// A condition on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of these.
    All(Vec<Condition>),
    /// Any of these.
    Any(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
    /// A field compared with a value.
    Compare(&'static Field, Operator, Value),
    /// The field is set.
    Present(&'static Field),
}

/// A filter; the empty one matches every row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(pub(super) Option<Condition>);

impl Filter {
    /// The condition; `None` for the empty filter.
    #[must_use]
    pub fn condition(&self) -> Option<&Condition> {
        self.0.as_ref()
    }
}

pub(crate) fn parse(schema: &'static Schema, text: &str) -> Result<Filter, RpcError> {
    read(schema, text).map(Filter).map_err(|error| error.into_rpc("filter"))
}

fn read(schema: &'static Schema, text: &str) -> Result<Option<Condition>, ParseError> {
    cursor::check(text, MAX_FILTER)?;
    let mut reader = Reader { schema, cursor: Cursor::new(text), terms: 0 };
    if reader.cursor.is_end() {
        return Ok(None);
    }
    let condition = reader.filter(0)?;
    if reader.cursor.is_end() {
        return Ok(Some(condition));
    }
    let at = reader.cursor.at();
    let closing = reader.cursor.peek() == Some(')');
    let missing = if closing { "unmatched closing parenthesis" } else { "AND or OR is missing" };
    Err(ParseError::new(at, format!("{missing}{}", reader.cursor.instead())))
}

struct Reader<'a> {
    schema: &'static Schema,
    cursor: Cursor<'a>,
    terms: usize,
}

impl Reader<'_> {
    fn filter(&mut self, depth: usize) -> Result<Condition, ParseError> {
        let mut all = vec![self.factor(depth)?];
        while self.cursor.eat_word("AND") {
            all.push(self.factor(depth)?);
        }
        Ok(joined(all, Condition::All))
    }

    fn factor(&mut self, depth: usize) -> Result<Condition, ParseError> {
        let mut any = vec![self.term(depth)?];
        while self.cursor.eat_word("OR") {
            any.push(self.term(depth)?);
        }
        Ok(joined(any, Condition::Any))
    }

    fn term(&mut self, depth: usize) -> Result<Condition, ParseError> {
        let at = self.cursor.at();
        if depth > MAX_DEPTH {
            return Err(ParseError::new(at, format!("the filter is nested more than {MAX_DEPTH} deep")));
        }
        if self.cursor.eat_word("NOT") || self.cursor.eat("-") {
            return Ok(Condition::Not(Box::new(self.term(depth + 1)?)));
        }
        if !self.cursor.eat("(") {
            return self.restriction();
        }
        let inner = self.filter(depth + 1)?;
        if !self.cursor.eat(")") {
            return Err(ParseError::new(at, format!("the parenthesis is not closed{}", self.cursor.instead())));
        }
        Ok(inner)
    }

    fn restriction(&mut self) -> Result<Condition, ParseError> {
        let field = self.field()?;
        let at = self.cursor.at();
        let Some((_, operator)) = OPERATORS.into_iter().find(|(sign, _)| self.cursor.eat(sign)) else {
            let instead = self.cursor.instead();
            return Err(ParseError::new(
                at,
                format!("one of = != < <= > >= : is missing after {}{instead}", field.name),
            ));
        };
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(ParseError::new(at, format!("the filter has more than {MAX_TERMS} comparisons")));
        }
        let at_value = self.cursor.at();
        let is_quoted = matches!(self.cursor.peek(), Some('"' | '\''));
        let literal = self.cursor.literal()?;
        if operator == Operator::Has && literal == "*" && !is_quoted {
            return Ok(Condition::Present(field));
        }
        fits(field, operator).map_err(|message| ParseError::new(at, message))?;
        let value = Value::read(field.kind, &literal)
            .map_err(|message| ParseError::new(at_value, format!("{}: {message}", field.name)))?;
        Ok(Condition::Compare(field, operator, value))
    }

    fn field(&mut self) -> Result<&'static Field, ParseError> {
        let at = self.cursor.at();
        let known = || self.schema.all().filter(|field| field.filterable);
        let word = self.cursor.word();
        if let Some(field) = known().find(|field| field.name == word) {
            return Ok(field);
        }
        let message = match word {
            "" => {
                let names: Vec<&str> = known().map(|field| field.name).collect();
                format!("a field is missing{}; use one of {}", self.cursor.instead(), names.join(", "))
            }
            "and" | "or" | "not" => format!("write {} in capital letters", word.to_uppercase()),
            "AND" | "OR" => format!("a comparison is missing before {word}"),
            word => unknown(word, known()),
        };
        Err(ParseError::new(at, message))
    }
}

/// Whether a field of this kind can be compared with this operator.
fn fits(field: &Field, operator: Operator) -> Result<(), String> {
    let only = |signs: &str| Err(format!("{} takes only {signs}", field.name));
    match (field.kind, operator) {
        (Kind::Choice { .. }, Operator::Equal | Operator::NotEqual) | (Kind::Text, _) => Ok(()),
        (Kind::Choice { .. }, _) => only("=, != and :*"),
        (_, Operator::Has) => only("=, !=, <, <=, >, >= and :*"),
        _ => Ok(()),
    }
}

/// A single condition needs no list around it.
fn joined(mut conditions: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match conditions.len() {
        1 => conditions.remove(0),
        _ => join(conditions),
    }
}

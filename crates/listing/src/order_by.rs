//! Parses an order: fields and directions. The key is appended, so that the order of any two rows is defined.

use super::cursor::{self, Cursor};
use super::parse_error::{ParseError, unknown};
use super::schema::{Field, Schema};
use super::{MAX_ORDER_BY, MAX_SORTS};
use flotilla_rpc::RpcError;

/// One field of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// The field.
    pub field: &'static Field,
    /// Whether the greatest is first.
    pub descending: bool,
}

pub(crate) fn parse(schema: &'static Schema, text: &str) -> Result<Vec<Sort>, RpcError> {
    let mut sorts = read(schema, text, |field| field.sortable).map_err(|error| error.into_rpc("order_by"))?;
    if sorts.is_empty() {
        // The schema's default order may use fields that clients can't.
        sorts = read(schema, schema.order, |_| true).map_err(|error| {
            tracing::error!(order = schema.order, error = error.message, "schema's default order is invalid");
            RpcError::internal()
        })?;
    }
    // Fields after the key have no effect.
    if let Some(place) = sorts.iter().position(|sort| sort.field == &schema.key) {
        sorts.truncate(place + 1);
    } else {
        // In the direction of the preceding field, so that one index can serve both.
        let descending = sorts.last().is_some_and(|sort| sort.descending);
        sorts.push(Sort { field: &schema.key, descending });
    }
    Ok(sorts)
}

fn read(schema: &'static Schema, text: &str, fits: impl Fn(&Field) -> bool) -> Result<Vec<Sort>, ParseError> {
    cursor::check(text, MAX_ORDER_BY)?;
    let mut cursor = Cursor::new(text);
    let mut sorts: Vec<Sort> = Vec::new();
    if cursor.is_end() {
        return Ok(sorts);
    }
    loop {
        let at = cursor.at();
        let word = cursor.word();
        let known = || schema.all().filter(|field| fits(field));
        let Some(field) = known().find(|field| field.name == word) else {
            return Err(ParseError::new(at, unknown(word, known())));
        };
        if sorts.iter().any(|sort| sort.field == field) {
            return Err(ParseError::new(at, format!("{word} is named twice")));
        }
        if sorts.len() == MAX_SORTS {
            return Err(ParseError::new(at, format!("the order has more than {MAX_SORTS} fields")));
        }
        sorts.push(Sort { field, descending: direction(&mut cursor)? });
        if cursor.is_end() {
            return Ok(sorts);
        }
        let at = cursor.at();
        if !cursor.eat(",") {
            return Err(ParseError::new(at, format!("a comma is missing{}", cursor.instead())));
        }
    }
}

fn direction(cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
    let at = cursor.at();
    let word = cursor.word();
    if word.is_empty() || word.eq_ignore_ascii_case("asc") {
        return Ok(false);
    }
    if word.eq_ignore_ascii_case("desc") {
        return Ok(true);
    }
    Err(ParseError::new(at, "only asc, desc or a comma may follow a field"))
}

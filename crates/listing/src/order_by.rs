//! Reading an order: fields and directions, ended by the key so that it tells any two rows apart.

use super::cursor::{self, Cursor};
use super::fault::{Fault, unknown};
use super::schema::{Field, Schema};
use super::{MAX_ORDER_BY, MAX_SORTS};
use flotilla_rpc::RpcError;

/// One field of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub field: &'static Field,
    /// The greatest first.
    pub descending: bool,
}

pub(crate) fn parse(schema: &'static Schema, text: &str) -> Result<Vec<Sort>, RpcError> {
    let mut sorts = read(schema, text, |field| field.sortable).map_err(|fault| fault.of("order_by"))?;
    if sorts.is_empty() {
        // The schema's own order may name what clients may not.
        sorts = read(schema, schema.order, |_| true).map_err(|fault| {
            tracing::error!(order = schema.order, fault = fault.message, "schema's own order can't be read");
            RpcError::internal()
        })?;
    }
    // Nothing after the key can matter.
    if let Some(place) = sorts.iter().position(|sort| sort.field == &schema.key) {
        sorts.truncate(place + 1);
    } else {
        // In the direction of what it follows, so that one index can serve both.
        let descending = sorts.last().is_some_and(|sort| sort.descending);
        sorts.push(Sort { field: &schema.key, descending });
    }
    Ok(sorts)
}

fn read(schema: &'static Schema, text: &str, fits: impl Fn(&Field) -> bool) -> Result<Vec<Sort>, Fault> {
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
            return Err(Fault::new(at, unknown(word, known())));
        };
        if sorts.iter().any(|sort| sort.field == field) {
            return Err(Fault::new(at, format!("{word} is named twice")));
        }
        if sorts.len() == MAX_SORTS {
            return Err(Fault::new(at, format!("it has more than {MAX_SORTS} fields")));
        }
        sorts.push(Sort { field, descending: direction(&mut cursor)? });
        if cursor.is_end() {
            return Ok(sorts);
        }
        let at = cursor.at();
        if !cursor.eat(",") {
            return Err(Fault::new(at, format!("a comma is missing{}", cursor.instead())));
        }
    }
}

fn direction(cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
    let at = cursor.at();
    let word = cursor.word();
    if word.is_empty() || word.eq_ignore_ascii_case("asc") {
        return Ok(false);
    }
    if word.eq_ignore_ascii_case("desc") {
        return Ok(true);
    }
    Err(Fault::new(at, "only asc, desc or a comma may follow a field"))
}

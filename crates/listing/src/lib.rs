//! Lists: `filter` and `order_by` in a closed grammar, page tokens, etags, and the SQL statement that reads a page.
//!
//! Guarantees: what a client writes never becomes part of a statement's text. A filter is read into a tree of known
//! fields and typed values, the tree is rendered from column names that the schema holds as constants, and every value
//! travels as a parameter `$n`. Length, depth and number of terms are bounded; errors are `INVALID_ARGUMENT` and
//! name `filter` or `order_by`, the character and what is allowed. Page tokens carry the sort keys of the last
//! row and are bound to filter, order and owner.
//!
//! # The grammar
//! A subset of AIP-160 (filters) and AIP-132 (order):
//!
//! ```text
//! filter     = factor { "AND" factor }                 OR binds closer than AND, as in AIP-160
//! factor     = term { "OR" term }
//! term       = [ "NOT" | "-" ] ( "(" filter ")" | restriction )
//! restriction= field ( "=" | "!=" | "<" | "<=" | ">" | ">=" | ":" ) literal
//! literal    = "text" | 'text' | bare                  bare: letters, digits and any of _ - + . : / @ *
//! order_by   = field [ "asc" | "desc" ] { "," field [ "asc" | "desc" ] }
//! ```
//!
//! `field:"part"` matches text that contains the part, ignoring case; `field:*` matches if the field is set. Money is
//! compared as written (`price < 20.00`), whatever the minor unit of a row's currency is. A field that isn't set
//! equals no value and differs from every value.
//!
//! # Example
//! ```
//! use flotilla_listing::{Field, Schema, Select, Value};
//! use flotilla_listing::page::PageTokens;
//!
//! // Beside the handler: the fields that clients may use, and their columns.
//! static ORDERS: Schema = Schema {
//!     key: Field::uuid_name("name", "id", "orders").internal(),
//!     fields: &[
//!         Field::choice("state", "state", "ORDER_STATE_", &[("CONFIRMED", "confirmed"), ("REJECTED", "rejected")]),
//!         Field::money("total", "total_minor", "currency").sortable(),
//!         Field::timestamp("create_time", "created_at").sortable(),
//!     ],
//!     order: "create_time desc",
//! };
//! const SELECT: Select = Select { columns: "id, state, total_minor, currency", from: "orders", given: "customer_id = $1::uuid" };
//!
//! # fn main() -> Result<(), flotilla_rpc::RpcError> {
//! // In the handler: the page token is bound to `user`, so that it is valid only for that user's orders.
//! let (tokens, user) = (PageTokens::new(b"key"), uuid::Uuid::from_u128(7));
//! let listing = ORDERS.parse("state = CONFIRMED AND total >= 100.00", "total desc")?;
//! let page = listing.page(&tokens, &["ListOrders", &user.to_string()], "", 50)?;
//!
//! // In storage: `flotilla_service::list::read(&pool, &page, &SELECT, &[user.into()])` runs this statement and returns
//! // the rows of the page with the token of the next one (`read_as` does so under row-level security).
//! let statement = page.statement(&SELECT, &[user.into()]);
//! assert!(statement.text.contains(r#"WHERE (customer_id = $1::uuid) AND ((state = $2 AND "#));
//! assert_eq!(statement.values, [user.to_string(), "confirmed".into(), "100000".into(), "51".into()]);
//!
//! // Where there is no statement, such as in a live stream, the filter is applied to records in memory.
//! let filter = ORDERS.filter("state = CONFIRMED AND total >= 100.00")?;
//! let order = |field: &str| match field {
//!     "state" => Some(Value::from("confirmed")),
//!     "total" => Some(Value::thousandths(250_000)),
//!     _ => None,
//! };
//! assert!(filter.matches(&order));
//! # Ok(())
//! # }
//! ```

mod cursor;
pub mod etag;
mod filter;
mod matches;
mod order_by;
pub mod page;
mod parse_error;
mod schema;
mod sql;
mod value;

#[cfg(test)]
mod tests;

pub use filter::{Condition, Filter, Operator};
pub use matches::Record;
pub use order_by::Sort;
pub use page::{Page, PageTokens};
pub use schema::{Field, Kind, Listing, Scale, Schema};
pub use sql::{Select, Statement, key_column};
pub use value::Value;

/// Longest filter, in bytes.
pub const MAX_FILTER: usize = 1_024;
/// Longest order, in bytes.
pub const MAX_ORDER_BY: usize = 256;
/// Most restrictions in a filter.
const MAX_TERMS: usize = 32;
/// Deepest nesting of a filter.
const MAX_DEPTH: usize = 8;
/// Most fields in an order.
const MAX_SORTS: usize = 4;

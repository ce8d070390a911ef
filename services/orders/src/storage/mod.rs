//! The tables of orders: `orders`, `sagas`, `catalogue`. Lines are columns of an order, the journal is one of a saga; the views
//! `order_lines` and `saga_journal` show both as rows.
//!
//! Every write is one statement for a whole batch, with `unnest`; independent statements of a transaction share a round
//! trip. Rows are locked in the order of their ids.

pub mod catalogue;
pub mod journal;
pub mod orders;
pub mod placing;
pub mod sagas;

use flotilla_postgres::{Error, ErrorKind};

/// The statements, one per file.
mod sql {
    macro_rules! statements {
        ($($name:ident = $file:literal;)+) => {
            $(pub const $name: &str = include_str!(concat!("../../queries/", $file, ".sql"));)+
        };
    }
    statements! {
        PLAN_BY_INDEX = "plan_by_index";
        INSERT_ORDERS = "insert_orders";
        INSERT_SAGAS = "insert_sagas";
        ORDERS_BY_KEY = "orders_by_key";
        GET_ORDER = "get_order";
        VERSIONS = "versions";
        LOCK_SAGAS = "lock_sagas";
        LOCK_DUE_SAGAS = "lock_due_sagas";
        LOCK_PUBLISHED_SAGAS = "lock_published_sagas";
        START_CLOCKS = "start_clocks";
        UPDATE_SAGAS = "update_sagas";
        END_ORDERS = "end_orders";
        LINES_OF_ORDERS = "lines_of_orders";
        STUCK_SAGAS = "stuck_sagas";
        UPSERT_PRODUCTS = "upsert_products";
        CHANGED_PRODUCTS = "changed_products";
    }
}

/// The migrations of these tables, applied by the service's owner role, with the history table `schema_history`.
#[must_use]
pub fn migrations() -> flotilla_postgres::refinery::Runner {
    embedded::migrations::runner()
}

mod embedded {
    #![allow(missing_docs, reason = "generated")]
    refinery::embed_migrations!("migrations");
}

/// A row that this version of the service can't read.
fn unreadable(what: &str) -> Error {
    Error::new(ErrorKind::Other, format!("unreadable row: {what}"))
}

//! The tables `accounts`, `charges`, `transfer_rows` and `postings`. A charge's row records its transfers; the view `transfers`
//! shows them and top-ups.
//!
//! A batch locks its rows in sorted order, is decided in `domain/`, and is written with one statement per table, all
//! sent together. Customers read with the user role under row-level security.

mod accounts;
mod ledger;
mod statement;

pub use accounts::{AccountView, Accounts};
pub use ledger::{find_top_ups, lock_accounts, lock_charges, write};
pub use statement::{PostingView, Statement};

use flotilla_money::Currency;
use flotilla_postgres::{Error, ErrorKind};

use crate::domain::TransferKind;

/// The stored name of a transfer's kind.
fn kind_text(kind: TransferKind) -> &'static str {
    match kind {
        TransferKind::TopUp => "top_up",
        TransferKind::Charge => "charge",
        TransferKind::Refund => "refund",
    }
}

fn parse_kind(text: &str) -> Result<TransferKind, Error> {
    [TransferKind::TopUp, TransferKind::Charge, TransferKind::Refund]
        .into_iter()
        .find(|kind| kind_text(*kind) == text)
        .ok_or_else(|| unknown("kind of transfer"))
}

fn parse_currency(code: &str) -> Result<Currency, Error> {
    Currency::parse(code).ok_or_else(|| unknown("currency"))
}

fn unknown(what: &str) -> Error {
    Error::new(ErrorKind::Other, format!("the table holds an unknown {what}"))
}

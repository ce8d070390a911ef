//! The rules of money: accounts, transfers, charges, refunds and top-ups.
//!
//! Pure: the input is locked rows, the output is rows to write. No I/O, no clock, no ids of its own. Guarantees, as
//! properties in `properties.rs`: the postings of a transfer sum to zero, no customer's balance goes below zero, an
//! order is charged at most once and never after its refund.

pub mod account;
pub mod book;
pub mod charge;
pub mod transfer;

#[cfg(test)]
mod properties;

pub use account::{Account, MAX_BALANCE_MINOR, may_still_open};
pub use book::{BadRefund, Book, Entries, TopUp, TopUpRefusal};
pub use charge::{Charge, ChargeState, Charged, Refunded};
pub use transfer::{LedgerAccount, Posting, Transfer, TransferKind};

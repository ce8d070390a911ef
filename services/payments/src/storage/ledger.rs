//! The ledger's rows: locked for a batch, written after it.

use flotilla_money::Amount;
use flotilla_postgres::{Error, Row, Tx};
use flotilla_proto::payments::v1::PaymentDecline;
use futures::try_join;
use uuid::Uuid;

use super::{kind_text, parse_currency, unknown};
use crate::domain::{Account, Charge, ChargeState, Entries, Posting, TopUp, Transfer, TransferKind};

const LOCK_ACCOUNTS: &str = include_str!("../../queries/lock_accounts.sql");
const LOCK_CHARGES: &str = include_str!("../../queries/lock_charges.sql");
const FIND_TOP_UPS: &str = include_str!("../../queries/find_top_ups.sql");
const WRITE_BALANCES: &str = include_str!("../../queries/write_balances.sql");
const INSERT_TOP_UPS: &str = include_str!("../../queries/insert_top_ups.sql");
const INSERT_POSTINGS: &str = include_str!("../../queries/insert_postings.sql");
const INSERT_CHARGES: &str = include_str!("../../queries/insert_charges.sql");
const REFUND_CHARGES: &str = include_str!("../../queries/refund_charges.sql");

/// Locks accounts in the order of their ids; those that don't exist are left out.
pub async fn lock_accounts(tx: &Tx, customers: &[Uuid]) -> Result<Vec<Account>, Error> {
    tx.query(LOCK_ACCOUNTS, &[&customers]).await?.iter().map(account).collect()
}

/// Locks the charges of orders in the order of their ids.
pub async fn lock_charges(tx: &Tx, orders: &[Uuid]) -> Result<Vec<Charge>, Error> {
    tx.query(LOCK_CHARGES, &[&orders]).await?.iter().map(charge).collect()
}

/// Earlier top-ups under these keys. Must be read after their accounts are locked: every top-up locks its account.
pub async fn find_top_ups(tx: &Tx, customers: &[Uuid], request_ids: &[&str]) -> Result<Vec<TopUp>, Error> {
    let rows = tx.query(FIND_TOP_UPS, &[&customers, &request_ids]).await?;
    let top_up = |row: &Row| {
        let amount = Amount { minor: row.get(2)?, currency: parse_currency(row.get(3)?)? };
        Ok(TopUp { customer: row.get(0)?, request_id: row.get(1)?, amount })
    };
    rows.iter().map(top_up).collect()
}

/// Writes the rows of a batch: one statement per table that has any, all in one round trip.
pub async fn write(tx: &Tx, entries: &Entries) -> Result<(), Error> {
    try_join!(
        write_balances(tx, &entries.balances),
        insert_top_ups(tx, &entries.transfers),
        insert_postings(tx, &entries.transfers),
        insert_charges(tx, &entries.opened),
        refund_charges(tx, &entries.changed),
    )?;
    Ok(())
}

async fn write_balances(tx: &Tx, balances: &[(Uuid, i64)]) -> Result<(), Error> {
    if balances.is_empty() {
        return Ok(());
    }
    let (customers, minors): (Vec<_>, Vec<_>) = balances.iter().copied().unzip();
    tx.execute(WRITE_BALANCES, &[&customers, &minors]).await?;
    Ok(())
}

/// The other kinds of transfers are recorded by the rows of their charges.
async fn insert_top_ups(tx: &Tx, transfers: &[Transfer]) -> Result<(), Error> {
    let top_ups: Vec<&Transfer> = transfers.iter().filter(|transfer| transfer.kind == TransferKind::TopUp).collect();
    if top_ups.is_empty() {
        return Ok(());
    }
    let ids = column(&top_ups, |transfer| transfer.id);
    let requests = column(&top_ups, |transfer| transfer.request_id.as_deref());
    let customers = column(&top_ups, |transfer| transfer.customer);
    let minors = column(&top_ups, |transfer| transfer.amount.minor);
    let currencies = column(&top_ups, |transfer| transfer.amount.currency.code());
    tx.execute(INSERT_TOP_UPS, &[&ids, &requests, &customers, &minors, &currencies]).await?;
    Ok(())
}

async fn insert_postings(tx: &Tx, transfers: &[Transfer]) -> Result<(), Error> {
    if transfers.is_empty() {
        return Ok(());
    }
    let postings: Vec<(&Transfer, Posting)> =
        transfers.iter().flat_map(|transfer| transfer.postings().map(|posting| (transfer, posting))).collect();
    let accounts = column(&postings, |(_, posting)| posting.account.to_string());
    let ids = column(&postings, |(transfer, _)| transfer.id);
    let customers = column(&postings, |(_, posting)| posting.account.customer());
    let minors = column(&postings, |(_, posting)| posting.amount_minor);
    let currencies = column(&postings, |(_, posting)| posting.currency.code());
    let kinds = column(&postings, |(transfer, _)| kind_text(transfer.kind));
    let orders = column(&postings, |(transfer, _)| transfer.order);
    tx.execute(INSERT_POSTINGS, &[&accounts, &ids, &customers, &minors, &currencies, &kinds, &orders]).await?;
    Ok(())
}

async fn insert_charges(tx: &Tx, charges: &[Charge]) -> Result<(), Error> {
    if charges.is_empty() {
        return Ok(());
    }
    let orders = column(charges, |charge| charge.order);
    let customers = column(charges, |charge| charge.customer);
    let states = column(charges, |charge| state_text(charge.state).0);
    let minors = column(charges, |charge| charge.amount.map(|amount| amount.minor));
    let currencies = column(charges, |charge| charge.amount.map(|amount| amount.currency.code()));
    let declines = column(charges, |charge| state_text(charge.state).1);
    let charged = column(charges, |charge| charge.charge_transfer);
    let refunded = column(charges, |charge| charge.refund_transfer);
    tx.execute(INSERT_CHARGES, &[&orders, &customers, &states, &minors, &currencies, &declines, &charged, &refunded])
        .await?;
    Ok(())
}

/// A refund is the only change to an existing charge.
async fn refund_charges(tx: &Tx, charges: &[Charge]) -> Result<(), Error> {
    if charges.is_empty() {
        return Ok(());
    }
    let orders = column(charges, |charge| charge.order);
    let transfers = column(charges, |charge| charge.refund_transfer);
    tx.execute(REFUND_CHARGES, &[&orders, &transfers]).await?;
    Ok(())
}

fn column<'a, R, T>(rows: &'a [R], cell: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(cell).collect()
}

fn account(row: &Row) -> Result<Account, Error> {
    Ok(Account {
        customer: row.get("customer_id")?,
        currency: parse_currency(row.get("currency")?)?,
        balance_minor: row.get("balance_minor")?,
        closed: row.get("closed")?,
    })
}

fn charge(row: &Row) -> Result<Charge, Error> {
    let minor: Option<i64> = row.get("amount_minor")?;
    let currency: Option<&str> = row.get("currency")?;
    let amount = match (minor, currency) {
        (Some(minor), Some(code)) => Some(Amount { minor, currency: parse_currency(code)? }),
        _ => None,
    };
    Ok(Charge {
        order: row.get("order_id")?,
        customer: row.get("customer_id")?,
        state: parse_state(row.get("state")?, row.get("decline")?)?,
        amount,
        charge_transfer: row.get("charge_transfer_id")?,
        refund_transfer: row.get("refund_transfer_id")?,
    })
}

/// The stored name of a state, with the reason of a decline: the name in the contract without its prefix.
fn state_text(state: ChargeState) -> (&'static str, Option<&'static str>) {
    match state {
        ChargeState::Charged => ("charged", None),
        ChargeState::Refunded => ("refunded", None),
        ChargeState::Tombstone => ("tombstone", None),
        ChargeState::Declined(decline) => ("declined", Some(decline.as_str_name())),
    }
}

fn parse_state(state: &str, decline: Option<&str>) -> Result<ChargeState, Error> {
    match (state, decline) {
        ("charged", None) => Ok(ChargeState::Charged),
        ("refunded", None) => Ok(ChargeState::Refunded),
        ("tombstone", None) => Ok(ChargeState::Tombstone),
        ("declined", Some(decline)) => PaymentDecline::from_str_name(decline)
            .map(ChargeState::Declined)
            .ok_or_else(|| unknown("reason of a decline")),
        _ => Err(unknown("state of a charge")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_survives_its_table() {
        let declines = (1..=5).map(|number| PaymentDecline::try_from(number).expect("a known reason"));
        let states = declines.map(ChargeState::Declined).chain([
            ChargeState::Charged,
            ChargeState::Refunded,
            ChargeState::Tombstone,
        ]);
        for state in states {
            let (text, decline) = state_text(state);
            assert_eq!(parse_state(text, decline).expect("what was written is read"), state);
        }
        assert!(parse_state("declined", None).is_err());
        assert!(parse_state("lost", None).is_err());
    }
}

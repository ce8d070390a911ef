//! Writes accepted orders: a batch in one transaction, each order with its lines in one row, its saga with the journal in another.

use std::collections::HashMap;
use std::time::SystemTime;

use flotilla_postgres::{Error, Tx, array_literal};
use uuid::Uuid;

use super::{journal::Journal, orders::by_keys_within, sql, unreadable};
use crate::domain::{
    idempotency::{Fingerprint, Key},
    order::Order,
    pricing::{Priced, PricedLine},
};

/// An order that may win its key.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// The order's id if it wins.
    pub id: Uuid,
    /// The id of its command to reserve the stock.
    pub command_id: Uuid,
    /// The key.
    pub key: &'a Key,
    /// Digest of the request.
    pub fingerprint: &'a Fingerprint,
    /// Lines and total.
    pub priced: &'a Priced,
}

/// Inserts the candidates whose keys are free, with their lines, and returns when each was accepted. Waits for a key that a concurrent
/// transaction is inserting. Candidates must be sorted by key.
///
/// # Errors
/// The statement's error.
pub async fn insert_orders(tx: &Tx, candidates: &[Candidate<'_>]) -> Result<HashMap<Uuid, SystemTime>, Error> {
    let ids: Vec<Uuid> = candidates.iter().map(|candidate| candidate.id).collect();
    let customers: Vec<Uuid> = candidates.iter().map(|candidate| candidate.key.0).collect();
    let requests: Vec<&str> = candidates.iter().map(|candidate| candidate.key.1.as_str()).collect();
    let hashes: Vec<&[u8]> = candidates.iter().map(|candidate| candidate.fingerprint.as_slice()).collect();
    let currencies: Vec<&str> = candidates.iter().map(|candidate| candidate.priced.total.currency.code()).collect();
    let totals: Vec<i64> = candidates.iter().map(|candidate| candidate.priced.total.minor).collect();
    let lines = |literal: fn(&[PricedLine]) -> String| -> Vec<String> {
        candidates.iter().map(|candidate| literal(&candidate.priced.lines)).collect()
    };
    let products = lines(|lines| array_literal(lines.iter().map(|line| &line.product_id)));
    let quantities = lines(|lines| array_literal(lines.iter().map(|line| line.quantity)));
    let prices = lines(|lines| array_literal(lines.iter().map(|line| line.unit_price_minor)));
    let rows = tx
        .query(
            sql::INSERT_ORDERS,
            &[&ids, &customers, &requests, &hashes, &currencies, &totals, &products, &quantities, &prices],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Inserts the sagas of the orders that won, with the first entries of their journals.
///
/// # Errors
/// The statement's error.
pub async fn insert_sagas(tx: &Tx, winners: &[&Candidate<'_>], journal: &Journal) -> Result<(), Error> {
    if winners.is_empty() {
        return Ok(());
    }
    let orders: Vec<Uuid> = winners.iter().map(|winner| winner.id).collect();
    let commands: Vec<Uuid> = winners.iter().map(|winner| winner.command_id).collect();
    let journals: Vec<&[u8]> = winners.iter().map(|winner| journal.of(winner.id).unwrap_or_default()).collect();
    tx.execute(sql::INSERT_SAGAS, &[&orders, &commands, &journals]).await?;
    Ok(())
}

/// The orders that hold the keys of the candidates that lost, with the fingerprints of their requests.
///
/// # Errors
/// The statement's error, or a key without an order.
pub async fn read_holders(tx: &Tx, losers: &[&Candidate<'_>]) -> Result<HashMap<Key, (Order, Vec<u8>)>, Error> {
    let keys: Vec<&Key> = losers.iter().map(|loser| loser.key).collect();
    let holders: HashMap<Key, (Order, Vec<u8>)> = by_keys_within(tx, &keys)
        .await?
        .into_iter()
        .map(|(key, order, fingerprint)| (key, (order, fingerprint)))
        .collect();
    if holders.len() == keys.len() { Ok(holders) } else { Err(unreadable("a taken key without an order")) }
}

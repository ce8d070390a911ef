//! The table `accounts` outside of the ledger's batches: opening, closing and reading accounts.

use std::{collections::HashSet, time::SystemTime};

use flotilla_money::{Amount, Currency};
use flotilla_postgres::{Error, Pool, Row, Tx};
use uuid::Uuid;

use super::parse_currency;

const OPEN: &str = include_str!("../../queries/open_accounts.sql");
const CLOSE: &str = include_str!("../../queries/close_accounts.sql");
const GET: &str = include_str!("../../queries/get_account.sql");
const FIND: &str = include_str!("../../queries/find_accounts.sql");

/// An account as returned to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// The owner.
    pub customer: Uuid,
    /// The balance.
    pub balance: Amount,
    /// When it was opened.
    pub created_at: SystemTime,
}

/// The accounts.
#[derive(Clone)]
pub struct Accounts {
    system: Pool,
    own: Pool,
}

impl Accounts {
    /// `system` and `own` are the pools of the system and the user role.
    pub fn new(system: Pool, own: Pool) -> Self {
        Self { system, own }
    }

    /// Opens missing accounts; `customers` must be sorted.
    pub async fn open(tx: &Tx, customers: &[Uuid], currency: Currency) -> Result<(), Error> {
        if !customers.is_empty() {
            tx.execute(OPEN, &[&customers, &currency.code()]).await?;
        }
        Ok(())
    }

    /// Closes accounts, whether they exist or not; `customers` must be sorted.
    pub async fn close(tx: &Tx, customers: &[Uuid], currency: Currency) -> Result<(), Error> {
        if !customers.is_empty() {
            tx.execute(CLOSE, &[&customers, &currency.code()]).await?;
        }
        Ok(())
    }

    /// Any account, for operators.
    pub async fn get(&self, customer: Uuid) -> Result<Option<AccountView>, Error> {
        self.system.query(GET, &[&customer]).await?.first().map(view).transpose()
    }

    /// The caller's own account, under row-level security.
    pub async fn get_own(&self, customer: Uuid) -> Result<Option<AccountView>, Error> {
        self.own.query_as(customer, GET, &[&customer]).await?.first().map(view).transpose()
    }

    /// Which of these accounts exist.
    pub async fn existing(&self, customers: &[Uuid]) -> Result<HashSet<Uuid>, Error> {
        self.system.query(FIND, &[&customers]).await?.iter().map(|row| row.get(0)).collect()
    }
}

fn view(row: &Row) -> Result<AccountView, Error> {
    let balance = Amount { minor: row.get("balance_minor")?, currency: parse_currency(row.get("currency")?)? };
    Ok(AccountView { customer: row.get("customer_id")?, balance, created_at: row.get("created_at")? })
}

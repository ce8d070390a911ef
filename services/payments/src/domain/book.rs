//! The book of one batch: the locked accounts and charges, the decisions about them in message order, and the resulting
//! rows.

use std::collections::BTreeMap;

use flotilla_money::Amount;
use flotilla_proto::payments::v1::PaymentDecline;
use uuid::Uuid;

use super::{
    account::{Account, MAX_BALANCE_MINOR},
    charge::{Charge, ChargeState, Charged, Refunded},
    transfer::{Transfer, TransferKind},
};

/// Why a refund can't be decided: the command or the ledger is inconsistent, which needs an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRefund {
    /// The command names a customer other than the one who was charged.
    #[error("the order was charged to another customer")]
    OtherCustomer,
    /// The account of a charged order does not exist.
    #[error("the charged account does not exist")]
    NoAccount,
    /// The balance would exceed 64 bits.
    #[error("the balance would leave 64 bits")]
    Overflow,
}

/// Money that an operator adds to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopUp {
    /// The owner of the account.
    pub customer: Uuid,
    /// The idempotency key.
    pub request_id: String,
    /// The amount; positive.
    pub amount: Amount,
}

/// Why a top-up is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopUpRefusal {
    /// The account doesn't exist, or not yet.
    UnknownAccount,
    /// The user was deleted.
    Closed,
    /// The account has another currency.
    CurrencyMismatch,
    /// The request id was used with another amount.
    KeyReused,
    /// The balance would exceed [`MAX_BALANCE_MINOR`].
    TooLarge,
}

/// A locked row, and whether it must be written.
struct LockedRow<T> {
    row: T,
    changed: bool,
}

impl<T> LockedRow<T> {
    fn read(row: T) -> Self {
        Self { row, changed: false }
    }
}

/// The rows that a batch writes; sorted if they are locked in that order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Customers with their new balances, sorted.
    pub balances: Vec<(Uuid, i64)>,
    /// New charges, sorted by order.
    pub opened: Vec<Charge>,
    /// Changed charges, sorted by order.
    pub changed: Vec<Charge>,
    /// New transfers, in the order of the decisions.
    pub transfers: Vec<Transfer>,
}

/// The accounts and charges of a batch, in memory.
pub struct Book<'ids> {
    ids: &'ids dyn Fn() -> Uuid,
    accounts: BTreeMap<Uuid, LockedRow<Account>>,
    known: BTreeMap<Uuid, LockedRow<Charge>>,
    opened: BTreeMap<Uuid, Charge>,
    top_ups: BTreeMap<(Uuid, String), Amount>,
    transfers: Vec<Transfer>,
}

impl<'ids> Book<'ids> {
    /// Creates the book with all locked rows that the batch may change. `ids` generates the transfers' ids.
    pub fn open(
        ids: &'ids dyn Fn() -> Uuid,
        accounts: impl IntoIterator<Item = Account>,
        charges: impl IntoIterator<Item = Charge>,
        top_ups: impl IntoIterator<Item = TopUp>,
    ) -> Self {
        Self {
            ids,
            accounts: accounts.into_iter().map(|account| (account.customer, LockedRow::read(account))).collect(),
            known: charges.into_iter().map(|charge| (charge.order, LockedRow::read(charge))).collect(),
            opened: BTreeMap::new(),
            top_ups: top_ups.into_iter().map(|known| ((known.customer, known.request_id), known.amount)).collect(),
            transfers: Vec::new(),
        }
    }

    /// Whether an order's charge was decided before and gets the recorded result. A charge after the refund is refused
    /// each time.
    #[must_use]
    pub fn is_charge_decided(&self, order: Uuid) -> bool {
        self.find(order).is_some_and(|known| matches!(known.state, ChargeState::Charged | ChargeState::Declined(_)))
    }

    /// Whether an order's refund was carried out before and gets the recorded result.
    #[must_use]
    pub fn is_refunded(&self, order: Uuid) -> bool {
        self.find(order).is_some_and(|known| !matches!(known.state, ChargeState::Charged))
    }

    /// Takes an order's total from its customer's account, once per order.
    pub fn charge(&mut self, order: Uuid, customer: Uuid, amount: Amount) -> Charged {
        if let Some(known) = self.find(order) {
            return known.answer_to_charge();
        }
        let mut charge = Charge {
            order,
            customer,
            state: ChargeState::Charged,
            amount: Some(amount),
            charge_transfer: None,
            refund_transfer: None,
        };
        match self.take(customer, amount) {
            Ok(()) => {
                charge.charge_transfer = Some(self.transfer(TransferKind::Charge, Some(order), None, customer, amount));
            }
            Err(decline) => charge.state = ChargeState::Declined(decline),
        }
        let answer = charge.answer_to_charge();
        self.opened.insert(order, charge);
        answer
    }

    /// Declines an order's charge for a reason outside the book; a charge that was already decided is left unchanged.
    pub fn decline(&mut self, order: Uuid, customer: Uuid, amount: Amount, reason: PaymentDecline) -> Charged {
        if let Some(known) = self.find(order) {
            return known.answer_to_charge();
        }
        let charge = Charge {
            order,
            customer,
            state: ChargeState::Declined(reason),
            amount: Some(amount),
            charge_transfer: None,
            refund_transfer: None,
        };
        let answer = charge.answer_to_charge();
        self.opened.insert(order, charge);
        answer
    }

    /// Refunds an order; leaves a tombstone if the order is unknown.
    ///
    /// # Errors
    /// [`BadRefund`] if the command or the ledger is inconsistent.
    pub fn refund(&mut self, order: Uuid, customer: Uuid) -> Result<Refunded, BadRefund> {
        let Some(mut charge) = self.find(order).cloned() else {
            let state = ChargeState::Tombstone;
            let tombstone =
                Charge { order, customer, state, amount: None, charge_transfer: None, refund_transfer: None };
            self.opened.insert(order, tombstone);
            return Ok(Refunded { returned: None });
        };
        let Some(amount) = charge.outstanding() else { return Ok(charge.answer_to_refund()) };
        if charge.customer != customer {
            return Err(BadRefund::OtherCustomer);
        }
        let account = self.accounts.get_mut(&customer).ok_or(BadRefund::NoAccount)?;
        account.row.balance_minor = account.row.balance_minor.checked_add(amount.minor).ok_or(BadRefund::Overflow)?;
        account.changed = true;
        charge.state = ChargeState::Refunded;
        charge.refund_transfer = Some(self.transfer(TransferKind::Refund, Some(order), None, customer, amount));
        let answer = charge.answer_to_refund();
        self.replace(charge);
        Ok(answer)
    }

    /// Adds money to an account, once per (customer, request id); returns the updated account.
    ///
    /// # Errors
    /// [`TopUpRefusal`].
    pub fn top_up(&mut self, top_up: TopUp) -> Result<Account, TopUpRefusal> {
        let TopUp { customer, request_id, amount } = top_up;
        let account = self.accounts.get_mut(&customer).ok_or(TopUpRefusal::UnknownAccount)?;
        let key = (customer, request_id);
        if let Some(earlier) = self.top_ups.get(&key) {
            return if *earlier == amount { Ok(account.row.clone()) } else { Err(TopUpRefusal::KeyReused) };
        }
        if account.row.closed {
            return Err(TopUpRefusal::Closed);
        }
        if account.row.currency != amount.currency {
            return Err(TopUpRefusal::CurrencyMismatch);
        }
        let balance = account.row.balance_minor.checked_add(amount.minor).ok_or(TopUpRefusal::TooLarge)?;
        if balance > MAX_BALANCE_MINOR {
            return Err(TopUpRefusal::TooLarge);
        }
        account.row.balance_minor = balance;
        account.changed = true;
        let account = account.row.clone();
        self.transfer(TransferKind::TopUp, None, Some(key.1.clone()), customer, amount);
        self.top_ups.insert(key, amount);
        Ok(account)
    }

    /// Closes the book and returns the rows to write.
    #[must_use]
    pub fn close(self) -> Entries {
        Entries {
            balances: written(self.accounts).map(|account| (account.customer, account.balance_minor)).collect(),
            opened: self.opened.into_values().collect(),
            changed: written(self.known).collect(),
            transfers: self.transfers,
        }
    }

    fn find(&self, order: Uuid) -> Option<&Charge> {
        self.opened.get(&order).or_else(|| self.known.get(&order).map(|locked| &locked.row))
    }

    fn replace(&mut self, charge: Charge) {
        if let Some(known) = self.known.get_mut(&charge.order) {
            *known = LockedRow { row: charge, changed: true };
        } else {
            self.opened.insert(charge.order, charge);
        }
    }

    /// Lowers a balance, or returns the reason why it can't.
    fn take(&mut self, customer: Uuid, amount: Amount) -> Result<(), PaymentDecline> {
        // An account that isn't open yet has no money.
        let account = self.accounts.get_mut(&customer).ok_or(PaymentDecline::InsufficientFunds)?;
        if account.row.closed {
            return Err(PaymentDecline::AccountClosed);
        }
        if account.row.currency != amount.currency {
            return Err(PaymentDecline::CurrencyMismatch);
        }
        if account.row.balance_minor < amount.minor {
            return Err(PaymentDecline::InsufficientFunds);
        }
        account.row.balance_minor -= amount.minor;
        account.changed = true;
        Ok(())
    }

    fn transfer(
        &mut self,
        kind: TransferKind,
        order: Option<Uuid>,
        request_id: Option<String>,
        customer: Uuid,
        amount: Amount,
    ) -> Uuid {
        let id = (self.ids)();
        self.transfers.push(Transfer { id, kind, order, request_id, customer, amount });
        id
    }
}

fn written<T>(rows: BTreeMap<Uuid, LockedRow<T>>) -> impl Iterator<Item = T> {
    rows.into_values().filter(|locked| locked.changed).map(|locked| locked.row)
}

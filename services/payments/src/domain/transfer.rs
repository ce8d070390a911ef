//! Transfers and their postings: double entry in integer minor units.

use std::fmt;

use flotilla_money::{Amount, Currency};
use uuid::Uuid;

/// The kind of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransferKind {
    /// An operator adds money to an account.
    TopUp,
    /// An order is paid.
    Charge,
    /// An order is refunded.
    Refund,
}

/// An account of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerAccount {
    /// A customer's account; the only kind with a stored balance.
    Customer(Uuid),
    /// The house's cash, the source of top-ups; summed from its postings.
    Cash,
    /// The house's sales; summed from its postings.
    Sales,
}

impl LedgerAccount {
    /// The owner, if it is a customer's account.
    #[must_use]
    pub fn customer(self) -> Option<Uuid> {
        match self {
            Self::Customer(customer) => Some(customer),
            Self::Cash | Self::Sales => None,
        }
    }
}

impl fmt::Display for LedgerAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer(customer) => write!(f, "customer:{customer}"),
            Self::Cash => f.write_str("house:cash"),
            Self::Sales => f.write_str("house:sales"),
        }
    }
}

/// A movement of money between a customer's account and the house.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its id; UUIDv7, so that statements are ordered by it.
    pub id: Uuid,
    /// The kind.
    pub kind: TransferKind,
    /// The order that is paid or refunded.
    pub order: Option<Uuid>,
    /// The idempotency key of a top-up.
    pub request_id: Option<String>,
    /// The customer whose balance changes.
    pub customer: Uuid,
    /// The amount; never negative.
    pub amount: Amount,
}

/// One side of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The transfer.
    pub transfer: Uuid,
    /// The account.
    pub account: LedgerAccount,
    /// Minor units; negative if money leaves the account.
    pub amount_minor: i64,
    /// The currency of the transfer.
    pub currency: Currency,
}

impl Transfer {
    /// Its two sides, which sum to zero.
    #[must_use]
    pub fn postings(&self) -> [Posting; 2] {
        let house = match self.kind {
            TransferKind::TopUp => LedgerAccount::Cash,
            TransferKind::Charge | TransferKind::Refund => LedgerAccount::Sales,
        };
        let to_customer = match self.kind {
            TransferKind::TopUp | TransferKind::Refund => self.amount.minor,
            TransferKind::Charge => -self.amount.minor,
        };
        let side = |account, amount_minor| Posting {
            transfer: self.id,
            account,
            amount_minor,
            currency: self.amount.currency,
        };
        [side(LedgerAccount::Customer(self.customer), to_customer), side(house, -to_customer)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_transfer_moves_the_right_accounts_and_sums_to_zero() {
        let customer = Uuid::from_u128(1);
        let currency = Currency::parse("USD").expect("known");
        for (kind, house, moved) in [
            (TransferKind::TopUp, "house:cash", 5),
            (TransferKind::Charge, "house:sales", -5),
            (TransferKind::Refund, "house:sales", 5),
        ] {
            let amount = Amount { minor: 5, currency };
            let transfer = Transfer { id: Uuid::nil(), kind, order: None, request_id: None, customer, amount };
            let [ours, theirs] = transfer.postings();
            assert_eq!((ours.account, ours.amount_minor), (LedgerAccount::Customer(customer), moved));
            assert_eq!((theirs.account.to_string().as_str(), theirs.amount_minor), (house, -moved));
        }
    }
}

//! The record of an order's payment: one per order, keyed by the order, so that an order is charged once.

use flotilla_money::Amount;
use flotilla_proto::payments::v1::PaymentDecline;
use uuid::Uuid;

/// The state of an order's payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeState {
    /// The money was taken.
    Charged,
    /// Nothing was taken, for a reason; nothing ever will be.
    Declined(PaymentDecline),
    /// The money was taken and refunded.
    Refunded,
    /// The refund came first: a late charge is refused.
    Tombstone,
}

/// The record of an order's payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The order; the key.
    pub order: Uuid,
    /// The owner of the account.
    pub customer: Uuid,
    /// The state.
    pub state: ChargeState,
    /// The amount in the command; `None` for a tombstone.
    pub amount: Option<Amount>,
    /// The transfer that took the money.
    pub charge_transfer: Option<Uuid>,
    /// The transfer that refunded the money.
    pub refund_transfer: Option<Uuid>,
}

/// The reply to a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charged {
    /// The order was paid with this amount.
    Paid(Amount),
    /// Nothing was charged, and nothing will be for this order.
    Declined(PaymentDecline),
}

/// The reply to a refund: no money is taken for the order any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refunded {
    /// The refunded amount, if something had been charged.
    pub returned: Option<Amount>,
}

impl Charge {
    /// The reply to a charge of this order once the record exists: the same for every repeat.
    #[must_use]
    pub fn answer_to_charge(&self) -> Charged {
        match (self.state, self.amount) {
            (ChargeState::Charged, Some(amount)) => Charged::Paid(amount),
            (ChargeState::Declined(decline), _) => Charged::Declined(decline),
            _ => Charged::Declined(PaymentDecline::Refunded),
        }
    }

    /// The amount that a refund must return now, if any.
    #[must_use]
    pub fn outstanding(&self) -> Option<Amount> {
        self.amount.filter(|_| self.state == ChargeState::Charged)
    }

    /// The reply to a refund of this order once nothing is outstanding.
    #[must_use]
    pub fn answer_to_refund(&self) -> Refunded {
        Refunded { returned: self.amount.filter(|_| self.state == ChargeState::Refunded) }
    }
}

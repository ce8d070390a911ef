//! What is known of an order's payment: one record for one order, the key that makes it charged once.

use flotilla_money::Amount;
use flotilla_proto::payments::v1::PaymentDecline;
use uuid::Uuid;

/// Where an order's payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeState {
    /// The money was taken.
    Charged,
    /// Nothing was taken, for a reason; nothing ever will be.
    Declined(PaymentDecline),
    /// The money was taken and given back.
    Refunded,
    /// The refund came first: a late charge is refused.
    Tombstone,
}

/// The record of an order's payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The order; the key.
    pub order: Uuid,
    /// Whose account.
    pub customer: Uuid,
    /// Where it stands.
    pub state: ChargeState,
    /// The amount of the command; none on a tombstone.
    pub amount: Option<Amount>,
    /// The transfer that took the money.
    pub charge_transfer: Option<Uuid>,
    /// The transfer that gave it back.
    pub refund_transfer: Option<Uuid>,
}

/// The answer to a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charged {
    /// The order is paid, with this amount.
    Paid(Amount),
    /// Nothing was charged, and nothing will be for this order.
    Declined(PaymentDecline),
}

/// The answer to a refund: the order has no money of the customer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refunded {
    /// What was given back, where something had been charged.
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

    /// The amount that a refund has to give back now, where there is any.
    #[must_use]
    pub fn outstanding(&self) -> Option<Amount> {
        self.amount.filter(|_| self.state == ChargeState::Charged)
    }

    /// What a refund of this order is answered once nothing is outstanding.
    #[must_use]
    pub fn answer_to_refund(&self) -> Refunded {
        Refunded { returned: self.amount.filter(|_| self.state == ChargeState::Refunded) }
    }
}

//! The names of states, reasons and commands in tables and in the API.

use flotilla_proto::orders::v1::{OrderReason, OrderState};

use super::saga::{Command, Compensation, Message, Outcome, Progress, Reason, State};

/// Defines both directions between a type's values and their names.
macro_rules! words {
    ($type:ty, $($value:pat => $word:literal = $made:expr),+ $(,)?) => {
        impl $type {
            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($value => $word),+ }
            }

            /// The value with this name.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some($made),)+ _ => None }
            }
        }
    };
}

words!(Reason,
    Reason::OutOfStock => "out_of_stock" = Reason::OutOfStock,
    Reason::UnknownProduct => "unknown_product" = Reason::UnknownProduct,
    Reason::InsufficientFunds => "insufficient_funds" = Reason::InsufficientFunds,
    Reason::PaymentDeclined => "payment_declined" = Reason::PaymentDeclined,
    Reason::ReservationExpired => "reservation_expired" = Reason::ReservationExpired,
    Reason::TimedOut => "timed_out" = Reason::TimedOut,
);

words!(Command,
    Command::ReserveStock => "ReserveStock" = Command::ReserveStock,
    Command::ReleaseStock => "ReleaseStock" = Command::ReleaseStock,
    Command::CommitStock => "CommitStock" = Command::CommitStock,
    Command::ChargePayment => "ChargePayment" = Command::ChargePayment,
    Command::RefundPayment => "RefundPayment" = Command::RefundPayment,
);

/// Name of the reason of a cancelled order.
const CANCELLED: &str = "cancelled";

/// A state as a row stores it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredState<'a> {
    /// The state.
    pub state: &'a str,
    /// The final state of a compensation.
    pub outcome: Option<&'a str>,
    /// Why the order is or will be rejected.
    pub reason: Option<&'a str>,
    /// Whether a compensation's stock is back.
    pub stock_done: bool,
    /// Whether a compensation's money is back.
    pub payment_done: bool,
}

impl State {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reserving => "reserving",
            Self::Charging => "charging",
            Self::Compensating(_) => "compensating",
            Self::Confirmed => "confirmed",
            Self::Rejected(_) => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// Why the order was not fulfilled, once it has ended.
    #[must_use]
    pub fn end_reason(self) -> Option<&'static str> {
        match self {
            Self::Rejected(reason) => Some(reason.name()),
            Self::Cancelled => Some(CANCELLED),
            _ => None,
        }
    }

    /// The state as stored in a row.
    #[must_use]
    pub fn stored(self) -> StoredState<'static> {
        let plain =
            StoredState { state: self.name(), outcome: None, reason: None, stock_done: false, payment_done: false };
        match self {
            Self::Rejected(reason) => StoredState { reason: Some(reason.name()), ..plain },
            Self::Compensating(compensation) => {
                let (outcome, reason) = match compensation.outcome {
                    Outcome::Rejected(reason) => ("rejected", Some(reason.name())),
                    Outcome::Cancelled => (CANCELLED, None),
                };
                StoredState {
                    outcome: Some(outcome),
                    reason,
                    stock_done: compensation.stock == Progress::Done,
                    payment_done: compensation.payment == Progress::Done,
                    ..plain
                }
            }
            _ => plain,
        }
    }

    /// The state stored in a row.
    #[must_use]
    pub fn from_stored(words: StoredState<'_>) -> Option<Self> {
        let reason = || words.reason.and_then(Reason::parse);
        let progress = |done| if done { Progress::Done } else { Progress::Pending };
        Some(match words.state {
            "reserving" => Self::Reserving,
            "charging" => Self::Charging,
            "confirmed" => Self::Confirmed,
            "cancelled" => Self::Cancelled,
            "rejected" => Self::Rejected(reason()?),
            "compensating" => Self::Compensating(Compensation {
                outcome: if words.outcome? == CANCELLED { Outcome::Cancelled } else { Outcome::Rejected(reason()?) },
                stock: progress(words.stock_done),
                payment: progress(words.payment_done),
            }),
            _ => return None,
        })
    }
}

impl Message {
    /// Its name in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StockReserved => "StockReserved",
            Self::StockRejected(_) => "StockRejected",
            Self::StockReleased => "StockReleased",
            Self::ReservationExpired => "ReservationExpired",
            Self::PaymentCharged => "PaymentCharged",
            Self::PaymentDeclined(_) => "PaymentDeclined",
            Self::PaymentRefunded => "PaymentRefunded",
            Self::Cancel => "Cancel",
            Self::GiveUp => "GiveUp",
        }
    }
}

/// The state of an order as clients know it.
#[must_use]
pub fn order_state(word: &str) -> OrderState {
    match word {
        "reserving" => OrderState::Reserving,
        "charging" => OrderState::Charging,
        "compensating" => OrderState::Compensating,
        "confirmed" => OrderState::Confirmed,
        "rejected" => OrderState::Rejected,
        "cancelled" => OrderState::Cancelled,
        _ => OrderState::Unspecified,
    }
}

/// The reason of an order's end as clients know it.
#[must_use]
pub fn order_reason(word: Option<&str>) -> OrderReason {
    match word {
        Some(CANCELLED) => OrderReason::Cancelled,
        Some(word) => Reason::parse(word).map_or(OrderReason::Unspecified, Reason::to_proto),
        None => OrderReason::Unspecified,
    }
}

impl Reason {
    /// The reason as clients know it.
    #[must_use]
    pub fn to_proto(self) -> OrderReason {
        match self {
            Self::OutOfStock => OrderReason::OutOfStock,
            Self::UnknownProduct => OrderReason::UnknownProduct,
            Self::InsufficientFunds => OrderReason::InsufficientFunds,
            Self::PaymentDeclined => OrderReason::PaymentDeclined,
            Self::ReservationExpired => OrderReason::ReservationExpired,
            Self::TimedOut => OrderReason::TimedOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASONS: [Reason; 6] = [
        Reason::OutOfStock,
        Reason::UnknownProduct,
        Reason::InsufficientFunds,
        Reason::PaymentDeclined,
        Reason::ReservationExpired,
        Reason::TimedOut,
    ];

    #[test]
    fn every_state_survives_its_row() {
        let mut states = vec![State::Reserving, State::Charging, State::Confirmed, State::Cancelled];
        for reason in REASONS {
            states.push(State::Rejected(reason));
            for outcome in [Outcome::Cancelled, Outcome::Rejected(reason)] {
                for (stock, payment) in [(Progress::Done, Progress::Pending), (Progress::Pending, Progress::Done)] {
                    states.push(State::Compensating(Compensation { outcome, stock, payment }));
                }
            }
        }
        for state in states {
            assert_eq!(State::from_stored(state.stored()), Some(state));
            assert_ne!(order_state(state.name()), OrderState::Unspecified);
        }
    }

    #[test]
    fn every_reason_has_a_name_for_clients() {
        for reason in REASONS {
            assert_eq!(order_reason(Some(reason.name())), reason.to_proto());
        }
        assert_eq!(order_reason(State::Cancelled.end_reason()), OrderReason::Cancelled);
        assert_eq!(order_reason(None), OrderReason::Unspecified);
    }

    #[test]
    fn unknown_names_have_no_state() {
        let words = StoredState { state: "lost", outcome: None, reason: None, stock_done: false, payment_done: false };
        assert_eq!(State::from_stored(words), None);
        assert_eq!(State::from_stored(StoredState { state: "rejected", ..words }), None);
        assert_eq!(Command::parse("BuyStock"), None);
    }
}

//! A notice: the message to one customer about one event.

use flotilla_money::{Amount, Currency};
use uuid::Uuid;

/// Maximum length of a name in a text, in characters.
const MAX_NAME: usize = 200;

/// The kind of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Welcome to a new user.
    Welcome,
    /// An order was confirmed.
    OrderConfirmed,
    /// An order was rejected.
    OrderRejected,
    /// An order was cancelled.
    OrderCancelled,
    /// An order was paid.
    PaymentCharged,
    /// A payment was declined.
    PaymentDeclined,
    /// Money was refunded.
    PaymentRefunded,
    /// Money was added.
    AccountToppedUp,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Welcome,
        Self::OrderConfirmed,
        Self::OrderRejected,
        Self::OrderCancelled,
        Self::PaymentCharged,
        Self::PaymentDeclined,
        Self::PaymentRefunded,
        Self::AccountToppedUp,
    ];

    /// The stored name of the kind.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::OrderConfirmed => "order_confirmed",
            Self::OrderRejected => "order_rejected",
            Self::OrderCancelled => "order_cancelled",
            Self::PaymentCharged => "payment_charged",
            Self::PaymentDeclined => "payment_declined",
            Self::PaymentRefunded => "payment_refunded",
            Self::AccountToppedUp => "account_topped_up",
        }
    }

    /// Whether it is about a step of an order and not its end.
    #[must_use]
    pub fn is_step(self) -> bool {
        matches!(self, Self::PaymentCharged | Self::PaymentDeclined | Self::PaymentRefunded)
    }

    /// Whether it is a refund.
    #[must_use]
    pub fn is_refund(self) -> bool {
        self == Self::PaymentRefunded
    }

    /// Parses a stored kind.
    #[must_use]
    pub fn parse(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == kind)
    }
}

/// A message to one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The customer.
    pub customer: Uuid,
    /// Its kind.
    pub kind: Kind,
    /// The order, if there is one.
    pub order: Option<Uuid>,
    /// The text.
    pub text: String,
}

/// Why an order or a payment failed, as told to customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Too few units.
    OutOfStock,
    /// A product does not exist.
    UnknownProduct,
    /// The balance was too low.
    InsufficientFunds,
    /// The account has another currency.
    CurrencyMismatch,
    /// The account is closed.
    AccountClosed,
    /// It took too long.
    TimedOut,
    /// Something else.
    Other,
}

impl Cause {
    fn words(self) -> &'static str {
        match self {
            Self::OutOfStock => "a product is out of stock",
            Self::UnknownProduct => "a product is no longer available",
            Self::InsufficientFunds => "your balance is too low",
            Self::CurrencyMismatch => "your account has another currency",
            Self::AccountClosed => "your account is closed",
            Self::TimedOut => "it took too long",
            Self::Other => "something went wrong",
        }
    }
}

impl Notice {
    /// The welcome for a new user.
    #[must_use]
    pub fn welcome(customer: Uuid, display_name: &str) -> Self {
        let name: String = display_name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
        let text = match name.trim() {
            "" => "Welcome to Flotilla.".to_owned(),
            name => format!("Welcome to Flotilla, {name}."),
        };
        Self { customer, kind: Kind::Welcome, order: None, text }
    }

    /// An order is on its way.
    #[must_use]
    pub fn order_confirmed(customer: Uuid, order: Uuid, total: Amount) -> Self {
        Self::of_order(customer, Kind::OrderConfirmed, order, format!("Your order over {total} is confirmed."))
    }

    /// An order could not be fulfilled.
    #[must_use]
    pub fn order_rejected(customer: Uuid, order: Uuid, cause: Cause) -> Self {
        let text = format!("Your order could not be fulfilled: {}.", cause.words());
        Self::of_order(customer, Kind::OrderRejected, order, text)
    }

    /// An order was cancelled.
    #[must_use]
    pub fn order_cancelled(customer: Uuid, order: Uuid) -> Self {
        Self::of_order(customer, Kind::OrderCancelled, order, "Your order is cancelled.".to_owned())
    }

    /// An order was paid.
    #[must_use]
    pub fn payment_charged(customer: Uuid, order: Uuid, amount: Amount) -> Self {
        Self::of_order(customer, Kind::PaymentCharged, order, format!("You paid {amount} for your order."))
    }

    /// A payment was declined.
    #[must_use]
    pub fn payment_declined(customer: Uuid, order: Uuid, cause: Cause) -> Self {
        let text = format!("Your payment was declined: {}.", cause.words());
        Self::of_order(customer, Kind::PaymentDeclined, order, text)
    }

    /// Money was refunded.
    #[must_use]
    pub fn payment_refunded(customer: Uuid, order: Uuid, amount: Amount) -> Self {
        Self::of_order(customer, Kind::PaymentRefunded, order, format!("You got {amount} back for your order."))
    }

    /// Money was added.
    #[must_use]
    pub fn account_topped_up(customer: Uuid, amount: Amount) -> Self {
        let text = format!("{amount} was added to your account.");
        Self { customer, kind: Kind::AccountToppedUp, order: None, text }
    }

    fn of_order(customer: Uuid, kind: Kind, order: Uuid, text: String) -> Self {
        Self { customer, kind, order: Some(order), text }
    }
}

/// Parses an amount of an event.
///
/// # Errors
/// The currency is unknown.
pub fn amount(minor: i64, currency_code: &str) -> Result<Amount, String> {
    let currency = Currency::parse(currency_code).ok_or_else(|| "currency_code is not known".to_owned())?;
    Ok(Amount { minor, currency })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_storage() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("gossip"), None);
    }

    #[test]
    fn texts_say_what_happened() {
        let (customer, order) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let total = amount(1234, "USD").expect("known");
        assert_eq!(Notice::order_confirmed(customer, order, total).text, "Your order over 12.34 USD is confirmed.");
        let declined = Notice::payment_declined(customer, order, Cause::InsufficientFunds);
        assert_eq!(declined.text, "Your payment was declined: your balance is too low.");
        assert_eq!(declined.order, Some(order));
    }

    #[test]
    fn a_name_cannot_smuggle_control_characters_into_a_text() {
        let customer = Uuid::from_u128(1);
        assert_eq!(Notice::welcome(customer, "A\0d\u{1b}a").text, "Welcome to Flotilla, Ada.");
        assert_eq!(Notice::welcome(customer, " \n").text, "Welcome to Flotilla.");
        assert!(Notice::welcome(customer, &"x".repeat(5_000)).text.len() < 300);
    }
}

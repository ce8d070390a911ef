//! Reservations: commands of orders, their results, and the state of a reservation.

use std::collections::BTreeMap;
use std::time::SystemTime;

use uuid::Uuid;

use super::product::ProductId;

/// Requested units by product; never empty, each positive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines(BTreeMap<ProductId, i64>);

/// Why lines are invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinesFault {
    /// There are none.
    #[error("there are no lines")]
    Empty,
    /// An invalid product id.
    #[error("{0:?} is not a product id")]
    ProductId(String),
    /// Zero or less.
    #[error("the quantity of {0} is not positive")]
    NotPositive(ProductId),
    /// The sum exceeds 64 bits.
    #[error("the quantity of {0} is too large")]
    TooLarge(ProductId),
}

impl Lines {
    /// Parses lines, adding up those of the same product.
    ///
    /// # Errors
    /// The first invalid line.
    pub fn read<'a>(lines: impl IntoIterator<Item = (&'a str, i64)>) -> Result<Self, LinesFault> {
        let mut sums = BTreeMap::new();
        for (product, quantity) in lines {
            let product =
                ProductId::parse(product).ok_or_else(|| LinesFault::ProductId(product.chars().take(80).collect()))?;
            if quantity <= 0 {
                return Err(LinesFault::NotPositive(product));
            }
            let sum = sums.get(&product).copied().unwrap_or(0_i64).checked_add(quantity);
            match sum {
                Some(sum) => sums.insert(product, sum),
                None => return Err(LinesFault::TooLarge(product)),
            };
        }
        if sums.is_empty() { Err(LinesFault::Empty) } else { Ok(Self(sums)) }
    }

    /// No lines, for a reservation that holds nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Product and quantity of each line, by product.
    pub fn iter(&self) -> impl Iterator<Item = (&ProductId, i64)> {
        self.0.iter().map(|(product, quantity)| (product, *quantity))
    }

    /// The products.
    pub fn products(&self) -> impl Iterator<Item = &ProductId> {
        self.0.keys()
    }
}

/// A command from orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Hold all lines or none.
    Reserve {
        /// The order.
        order: Uuid,
        /// The units to hold.
        lines: Lines,
    },
    /// Release the hold.
    Release {
        /// The order.
        order: Uuid,
    },
    /// Ship the held units.
    Commit {
        /// The order.
        order: Uuid,
    },
}

impl Command {
    /// The order that the command is about.
    #[must_use]
    pub fn order(&self) -> Uuid {
        match self {
            Self::Reserve { order, .. } | Self::Release { order } | Self::Commit { order } => *order,
        }
    }
}

/// Why nothing is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Too few units are available.
    OutOfStock,
    /// A product doesn't exist, or was deleted.
    UnknownProduct,
    /// The release arrived first.
    Released,
}

/// The state of an order's reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its lines are held.
    Held,
    /// Nothing was held.
    Rejected {
        /// The reason; never [`Rejection::Released`].
        rejection: Rejection,
        /// The products at fault.
        products: Vec<ProductId>,
    },
    /// Its lines were held and then released.
    Released,
    /// Its lines were held and then shipped.
    Committed,
    /// The release arrived before the reserve.
    Tombstone,
}

/// An order's reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The order.
    pub order: Uuid,
    /// Its state.
    pub state: State,
    /// The lines that are or were held; empty if nothing ever was.
    pub lines: Lines,
    /// When the reservation expires; `None` if nothing was ever reserved.
    pub expires_at: Option<SystemTime>,
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All lines are held.
    Reserved {
        /// Until at least this time.
        expires_at: SystemTime,
    },
    /// Nothing is held.
    Rejected {
        /// The reason.
        rejection: Rejection,
        /// The products at fault.
        products: Vec<ProductId>,
    },
    /// Nothing is held any more.
    Released {
        /// Whether anything had been held.
        held: bool,
    },
    /// Shipped; no reply is needed.
    Committed,
    /// The command can't be applied yet: it may have arrived early.
    TooEarly(&'static str),
    /// The command contradicts the reservation's history; it needs an operator.
    Absurd(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_product_are_added_up() {
        let lines = Lines::read([("b", 1), ("a", 2), ("b", 3)]).expect("good lines");
        let read: Vec<_> = lines.iter().map(|(product, quantity)| (product.as_str(), quantity)).collect();
        assert_eq!(read, [("a", 2), ("b", 4)]);
    }

    #[test]
    fn bad_lines_are_refused_with_their_reason() {
        let id = |id| ProductId::parse(id).expect("an id");
        assert_eq!(Lines::read([]), Err(LinesFault::Empty));
        assert_eq!(Lines::read([("A b", 1)]), Err(LinesFault::ProductId("A b".into())));
        assert_eq!(Lines::read([("a", 0)]), Err(LinesFault::NotPositive(id("a"))));
        assert_eq!(Lines::read([("a", -1)]), Err(LinesFault::NotPositive(id("a"))));
        assert_eq!(Lines::read([("a", i64::MAX), ("a", 1)]), Err(LinesFault::TooLarge(id("a"))));
    }
}

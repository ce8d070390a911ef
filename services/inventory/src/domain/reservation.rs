//! Reservations: an order's command, its verdict, and the reservation's state.

use std::collections::BTreeMap;
use std::time::SystemTime;

use uuid::Uuid;

use super::product::ProductId;

/// Units wanted of each product, by product; never empty, each positive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines(BTreeMap<ProductId, i64>);

/// Why lines are invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinesFault {
    /// There are none.
    #[error("there are no lines")]
    Empty,
    /// Something that can't be a product's id.
    #[error("{0:?} is not a product id")]
    ProductId(String),
    /// Zero or less.
    #[error("the quantity of {0} is not positive")]
    NotPositive(ProductId),
    /// More than 64 bits in sum.
    #[error("the quantity of {0} is too large")]
    TooLarge(ProductId),
}

impl Lines {
    /// Reads lines, adding up those of one product.
    ///
    /// # Errors
    /// The first fault.
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

    /// No lines: of a reservation that holds nothing.
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

/// A command of orders to inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Hold all lines or none.
    Reserve {
        /// For this order.
        order: Uuid,
        /// What to hold.
        lines: Lines,
    },
    /// Give back what is held.
    Release {
        /// For this order.
        order: Uuid,
    },
    /// Ship what is held.
    Commit {
        /// For this order.
        order: Uuid,
    },
}

impl Command {
    /// The order that it is about.
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
    /// Fewer units than asked.
    OutOfStock,
    /// A product that doesn't exist, or not any more.
    UnknownProduct,
    /// The release came first.
    Released,
}

/// The state of an order's reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its lines are held.
    Held,
    /// Nothing was held.
    Rejected {
        /// Why; never [`Rejection::Released`].
        rejection: Rejection,
        /// The products at fault.
        products: Vec<ProductId>,
    },
    /// Held once, given back.
    Released,
    /// Held once, shipped.
    Committed,
    /// The release came before the reserve.
    Tombstone,
}

/// An order's reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The order.
    pub order: Uuid,
    /// What became of it.
    pub state: State,
    /// What is or was held; none where nothing ever was.
    pub lines: Lines,
    /// When the reservation expires; `None` if nothing was ever reserved.
    pub expires_at: Option<SystemTime>,
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All lines are held.
    Reserved {
        /// Until then for sure.
        expires_at: SystemTime,
    },
    /// Nothing is held.
    Rejected {
        /// Why.
        rejection: Rejection,
        /// The products at fault.
        products: Vec<ProductId>,
    },
    /// Nothing is held any more.
    Released {
        /// Whether anything had been.
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

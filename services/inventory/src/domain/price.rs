//! The latest price of a product, from updates that may arrive late, more than once or in any order.

use flotilla_money::Amount;

use super::product::ProductId;

/// A product's price at one version of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceUpdate {
    /// The product.
    pub product: ProductId,
    /// Its price.
    pub price: Amount,
    /// Whether it was deleted from the catalogue.
    pub deleted: bool,
    /// Its version.
    pub version: i64,
}

/// The latest known price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latest {
    /// The price.
    pub price: Amount,
    /// Whether the product was deleted from the catalogue.
    pub deleted: bool,
    /// The version that introduced the price.
    pub since: i64,
    /// The latest known version; older updates are stale.
    pub seen: i64,
}

impl Latest {
    /// Creates the latest price from the first update.
    #[must_use]
    pub fn first(update: &PriceUpdate) -> Self {
        Self { price: update.price, deleted: update.deleted, since: update.version, seen: update.version }
    }

    /// The latest price with the update applied; `None` if the update is stale.
    #[must_use]
    pub fn updated(&self, update: &PriceUpdate) -> Option<Self> {
        if update.version <= self.seen {
            return None;
        }
        let fresh = Self::first(update);
        Some(if self.same(&fresh) { Self { since: self.since, ..fresh } } else { fresh })
    }

    /// Whether a later read of the catalogue shows that this version no longer exists, because a restore has undone it.
    #[must_use]
    pub fn is_undone_by(&self, now: Option<&PriceUpdate>) -> bool {
        now.is_none_or(|now| now.version < self.seen || (now.version == self.seen && !self.same(&Self::first(now))))
    }

    /// Whether readers would see the same price.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.price == other.price && self.deleted == other.deleted
    }
}

#[cfg(test)]
mod tests {
    use flotilla_money::Currency;
    use proptest::prelude::*;

    use super::*;

    fn update(version: i64, minor: i64, deleted: bool) -> PriceUpdate {
        let currency = Currency::parse("USD").expect("known");
        PriceUpdate {
            product: ProductId::parse("tea").expect("an id"),
            price: Amount { minor, currency },
            deleted,
            version,
        }
    }

    #[test]
    fn a_version_that_leaves_the_price_makes_no_new_price_and_still_outdates_older_ones() {
        let latest = Latest::first(&update(2, 200, false)).updated(&update(4, 200, false)).expect("newer");
        assert_eq!((latest.since, latest.seen), (2, 4));
        assert_eq!(latest.updated(&update(3, 100, false)), None);
        assert_eq!(latest.updated(&update(4, 300, false)), None);
    }

    #[test]
    fn what_the_catalogue_no_longer_says_was_undone() {
        let latest = Latest::first(&update(4, 200, false));
        for undone in [None, Some(update(3, 200, false)), Some(update(4, 300, false)), Some(update(4, 200, true))] {
            assert!(latest.is_undone_by(undone.as_ref()), "{undone:?}");
        }
        assert!(
            !latest.is_undone_by(Some(&update(4, 200, false))) && !latest.is_undone_by(Some(&update(5, 300, false)))
        );
    }

    proptest! {
        #[test]
        fn the_highest_version_wins_in_any_order(
            prices in prop::collection::vec((1_i64..4, any::<bool>()), 1..12),
            order in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
        ) {
            let all: Vec<PriceUpdate> = prices.iter().zip(1..).map(|((minor, deleted), version)| update(version, *minor, *deleted)).collect();
            let applied: Vec<&PriceUpdate> = order.iter().map(|index| index.get(&all)).collect();
            let mut latest = Latest::first(applied[0]);
            for update in &applied {
                latest = latest.updated(update).unwrap_or(latest);
            }
            let newest = applied.iter().max_by_key(|update| update.version).expect("some");
            prop_assert_eq!((latest.price, latest.deleted, latest.seen), (newest.price, newest.deleted, newest.version));
            prop_assert!(latest.since <= latest.seen);
        }
    }
}

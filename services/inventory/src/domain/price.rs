//! The latest price of a product, out of news that may come late, twice or in any order.

use flotilla_money::Amount;

use super::product::ProductId;

/// What the catalogue says of a product's price at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The product.
    pub product: ProductId,
    /// Its price.
    pub price: Amount,
    /// Whether it was taken out of the catalogue.
    pub deleted: bool,
    /// Its version.
    pub version: i64,
}

/// The latest price known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latest {
    /// The price.
    pub price: Amount,
    /// Whether the product was taken out of the catalogue.
    pub deleted: bool,
    /// The version that brought the price.
    pub since: i64,
    /// The latest version heard of; what is older is stale, whatever it says.
    pub seen: i64,
}

impl Latest {
    /// What the first news says.
    #[must_use]
    pub fn first(news: &News) -> Self {
        Self { price: news.price, deleted: news.deleted, since: news.version, seen: news.version }
    }

    /// The latest price with the news; `None` if they are stale.
    #[must_use]
    pub fn hearing(&self, news: &News) -> Option<Self> {
        if news.version <= self.seen {
            return None;
        }
        let fresh = Self::first(news);
        Some(if self.same(&fresh) { Self { since: self.since, ..fresh } } else { fresh })
    }

    /// Whether a later read of the catalogue shows that this version doesn't exist: a restore has undone it.
    #[must_use]
    pub fn is_undone_by(&self, now: Option<&News>) -> bool {
        now.is_none_or(|now| now.version < self.seen || (now.version == self.seen && !self.same(&Self::first(now))))
    }

    /// Whether a reader would be told the same.
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

    fn news(version: i64, minor: i64, deleted: bool) -> News {
        let currency = Currency::parse("USD").expect("known");
        News { product: ProductId::parse("tea").expect("an id"), price: Amount { minor, currency }, deleted, version }
    }

    #[test]
    fn a_version_that_leaves_the_price_makes_no_new_price_and_still_outdates_older_ones() {
        let latest = Latest::first(&news(2, 200, false)).hearing(&news(4, 200, false)).expect("newer");
        assert_eq!((latest.since, latest.seen), (2, 4));
        assert_eq!(latest.hearing(&news(3, 100, false)), None);
        assert_eq!(latest.hearing(&news(4, 300, false)), None);
    }

    #[test]
    fn what_the_catalogue_no_longer_says_was_undone() {
        let latest = Latest::first(&news(4, 200, false));
        for undone in [None, Some(news(3, 200, false)), Some(news(4, 300, false)), Some(news(4, 200, true))] {
            assert!(latest.is_undone_by(undone.as_ref()), "{undone:?}");
        }
        assert!(!latest.is_undone_by(Some(&news(4, 200, false))) && !latest.is_undone_by(Some(&news(5, 300, false))));
    }

    proptest! {
        #[test]
        fn the_highest_version_wins_in_any_order(
            prices in prop::collection::vec((1_i64..4, any::<bool>()), 1..12),
            order in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
        ) {
            let all: Vec<News> = prices.iter().zip(1..).map(|((minor, deleted), version)| news(version, *minor, *deleted)).collect();
            let heard: Vec<&News> = order.iter().map(|index| index.get(&all)).collect();
            let mut latest = Latest::first(heard[0]);
            for news in &heard {
                latest = latest.hearing(news).unwrap_or(latest);
            }
            let newest = heard.iter().max_by_key(|news| news.version).expect("some");
            prop_assert_eq!((latest.price, latest.deleted, latest.seen), (newest.price, newest.deleted, newest.version));
            prop_assert!(latest.since <= latest.seen);
        }
    }
}

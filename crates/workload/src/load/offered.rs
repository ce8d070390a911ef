//! Which orders the load offers: how many lines, of how many products, and whether one product is in demand.

use anyhow::Result;
use clap::Args;

use crate::{
    client::{Api, Session},
    demo::{self, Shop},
};

const CUSTOMERS: usize = 64;

/// The orders to place.
#[derive(Clone, Debug, Args)]
pub struct Offered {
    /// Number of lines of each order.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub lines: u16,
    /// Number of products in the catalogue.
    #[arg(long, default_value_t = 200)]
    pub products: usize,
    /// Order existing products instead of new ones: this prefix followed by 0, 1, and so on.
    #[arg(long, value_name = "PREFIX")]
    pub existing_products: Option<String>,
    /// Fraction of orders, from 0 to 1, that contain the first product; none of the others do.
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    pub hot: Option<f64>,
}

fn fraction(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| format!("invalid fraction {text:?}; use a number from 0 to 1"))
}

impl Offered {
    /// Creates customers, and products unless they exist.
    ///
    /// # Errors
    /// When a call is refused.
    pub async fn shop(&self, api: &Api, operator: &Session) -> Result<Shop> {
        let products = self.products.max(usize::from(self.lines) + 1);
        let crowd = demo::Options { products, customers: CUSTOMERS, orders: 0, concurrency: 1, seed: Some(1) };
        match &self.existing_products {
            Some(prefix) => Shop::open_existing(api, operator, &crowd, prefix).await,
            None => Shop::open_unlimited(api, operator, &crowd, 1).await,
        }
    }

    /// Ranks of the products of an order, each one once: the same for the same number.
    #[must_use]
    pub fn basket(&self, number: usize, products: usize) -> Vec<usize> {
        let lines = usize::from(self.lines);
        let Some(share) = self.hot else { return spread(number, lines, products) };
        let others = |lines| spread(number, lines, products - 1).into_iter().map(|rank| rank + 1);
        if is_hot(number, share) {
            std::iter::once(0).chain(others(lines - 1)).collect()
        } else {
            others(lines).collect()
        }
    }
}

/// Whether this share of all numbers up to this one grows by it.
fn is_hot(number: usize, share: f64) -> bool {
    let up_to = |number: usize| (f64::from(u32::try_from(number).unwrap_or(u32::MAX)) * share).floor();
    up_to(number + 1) > up_to(number)
}

/// So many different ranks, which from one number to the next cover all of them.
fn spread(number: usize, lines: usize, products: usize) -> Vec<usize> {
    let first = number.wrapping_mul(31) % products;
    let distance = (products / lines.max(1)).max(1);
    let step = 1 + number % distance;
    (0..lines).map(|line| (first + line * step) % products).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn offered(lines: u16, hot: Option<f64>) -> Offered {
        Offered { lines, products: 200, existing_products: None, hot }
    }

    #[test]
    fn an_order_has_each_product_once_and_all_products_are_ordered() {
        for (lines, hot) in [(1, None), (2, None), (10, None), (10, Some(0.5)), (2, Some(1.0))] {
            let mut seen = BTreeSet::new();
            for number in 0..10_000 {
                let basket = offered(lines, hot).basket(number, 200);
                let distinct: BTreeSet<_> = basket.iter().copied().collect();
                assert_eq!(distinct.len(), usize::from(lines), "order {number}: {basket:?}");
                seen.extend(distinct);
            }
            assert_eq!(seen, (0..200).collect(), "{lines} lines");
        }
    }

    #[test]
    fn the_hot_product_is_in_its_share_of_the_orders() {
        for share in [0.0, 0.1, 0.5, 1.0] {
            let hot = (0..1000).filter(|number| offered(2, Some(share)).basket(*number, 200).contains(&0)).count();
            assert!((hot as f64 / 1000.0 - share).abs() < 0.002, "{hot} of 1000 instead of {share}");
        }
    }
}

//! Realistic baskets: a few products are in most of them, and most of them are small.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Steepness of the popularity of products (Zipf's law: the share of rank r is proportional to 1/r^s).
const STEEPNESS: f64 = 1.1;
/// Maximum number of lines in a basket.
const MOST_LINES: usize = 12;

/// One order to place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket {
    /// Index of the customer.
    pub customer: usize,
    /// Indexes of distinct products, and their quantities.
    pub lines: Vec<(usize, i64)>,
}

/// Generates baskets, the same ones for the same seed.
pub struct Baskets {
    random: StdRng,
    customers: usize,
    /// Cumulative shares of the products, by rank.
    shares: Vec<f64>,
}

impl Baskets {
    /// Baskets with this many products and customers; there is at least one of each.
    #[must_use]
    pub fn new(products: usize, customers: usize, seed: u64) -> Self {
        let mut sum = 0.0;
        let shares = (1..=products.max(1))
            .map(|rank| {
                sum += f64::from(u32::try_from(rank).unwrap_or(u32::MAX)).powf(-STEEPNESS);
                sum
            })
            .collect();
        Self { random: StdRng::seed_from_u64(seed), customers: customers.max(1), shares }
    }

    /// The next basket.
    pub fn next_basket(&mut self) -> Basket {
        let customer = self.random.random_range(0..self.customers);
        // Each further line is less likely: the mean is about three.
        let mut wanted = 1;
        while wanted < MOST_LINES && self.random.random_bool(0.65) {
            wanted += 1;
        }
        let mut lines: Vec<(usize, i64)> = Vec::with_capacity(wanted);
        for _ in 0..wanted {
            let product = self.product();
            if lines.iter().all(|(other, _)| *other != product) {
                let quantity = if self.random.random_bool(0.8) { 1 } else { self.random.random_range(2..=5) };
                lines.push((product, quantity));
            }
        }
        Basket { customer, lines }
    }

    fn product(&mut self) -> usize {
        let sum = self.shares.last().copied().unwrap_or_default();
        let at = self.random.random_range(0.0..sum);
        self.shares.partition_point(|share| *share <= at).min(self.shares.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_baskets() {
        let (mut one, mut two) = (Baskets::new(200, 50, 7), Baskets::new(200, 50, 7));
        for _ in 0..100 {
            assert_eq!(one.next_basket(), two.next_basket());
        }
    }

    #[test]
    fn popular_products_are_far_more_popular_and_baskets_have_one_to_twelve_lines() {
        let mut baskets = Baskets::new(200, 50, 1);
        let mut counts = vec![0; 200];
        for _ in 0..5000 {
            let basket = baskets.next_basket();
            assert!((1..=MOST_LINES).contains(&basket.lines.len()), "{basket:?}");
            for (product, _) in basket.lines {
                counts[product] += 1;
            }
        }
        assert!(counts[0] > 20 * counts[150].max(1), "{} against {}", counts[0], counts[150]);
    }
}

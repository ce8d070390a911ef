//! How sequences are assigned to the notices of a batch: each customer's count, and each notice's position among the
//! customer's notices.

use std::collections::BTreeMap;

use uuid::Uuid;

/// The sequences to assign to the customers of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// The number of sequences by customer.
    pub counts: BTreeMap<Uuid, i64>,
    /// For each notice, how many notices of the same customer follow it.
    pub later: Vec<i64>,
}

impl Shares {
    /// Assigns sequences to notices for these customers, in the order of the notices.
    #[must_use]
    pub fn of(customers: &[Uuid]) -> Self {
        let mut counts: BTreeMap<Uuid, i64> = BTreeMap::new();
        let mut later = vec![0; customers.len()];
        for (place, customer) in later.iter_mut().zip(customers).rev() {
            let count = counts.entry(*customer).or_default();
            *place = *count;
            *count += 1;
        }
        Self { counts, later }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_customers_sequences_have_no_gap_and_no_repeat(customers in prop::collection::vec(0_u128..5, 0..60)) {
            let customers: Vec<Uuid> = customers.into_iter().map(Uuid::from_u128).collect();
            let shares = Shares::of(&customers);
            let mut seen: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
            for (customer, later) in customers.iter().zip(&shares.later) {
                seen.entry(*customer).or_default().push(shares.counts[customer] - later);
            }
            prop_assert_eq!(seen.len(), shares.counts.len());
            for (customer, sequences) in seen {
                let wanted: Vec<i64> = (1..=shares.counts[&customer]).collect();
                prop_assert_eq!(sequences, wanted);
            }
        }
    }
}

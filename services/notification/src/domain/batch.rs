//! How sequences are assigned to the notices of a batch.

use std::collections::BTreeMap;

use uuid::Uuid;

/// The place of each notice among the batch's notices for the same customer, from 1; `customers` are those of the
/// notices, in their order.
#[must_use]
pub fn places(customers: &[Uuid]) -> Vec<i64> {
    let mut counts: BTreeMap<Uuid, i64> = BTreeMap::new();
    let place = |customer: &Uuid| {
        let count = counts.entry(*customer).or_default();
        *count += 1;
        *count
    };
    customers.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_customers_places_have_no_gap_and_no_repeat(customers in prop::collection::vec(0_u128..5, 0..60)) {
            let customers: Vec<Uuid> = customers.into_iter().map(Uuid::from_u128).collect();
            let mut seen: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
            for (customer, place) in customers.iter().zip(places(&customers)) {
                seen.entry(*customer).or_default().push(place);
            }
            for (customer, places) in seen {
                let count = customers.iter().filter(|other| **other == customer).count();
                let wanted: Vec<i64> = (1..=i64::try_from(count).unwrap()).collect();
                prop_assert_eq!(places, wanted);
            }
        }
    }
}

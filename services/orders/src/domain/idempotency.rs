//! Repeats of a request: one order a key, whoever comes first.

use std::collections::BTreeMap;

use uuid::Uuid;

/// What makes a request unique: its customer and the customer's key.
pub type Key = (Uuid, String);

/// Digest of a request's body.
pub type Fingerprint = [u8; 32];

/// Requests of one batch that share a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fold {
    /// The key.
    pub key: Key,
    /// The request that may become the order: the first.
    pub leader: usize,
    /// The others.
    pub followers: Vec<usize>,
}

/// Folds the repeats inside a batch, so that each key meets the database once. Sorted by key: batches that run side
/// by side take their locks in one order.
#[must_use]
pub fn fold(keys: impl IntoIterator<Item = Key>) -> Vec<Fold> {
    let mut folds: BTreeMap<Key, Fold> = BTreeMap::new();
    for (index, key) in keys.into_iter().enumerate() {
        folds.entry(key.clone()).and_modify(|fold| fold.followers.push(index)).or_insert(Fold {
            key,
            leader: index,
            followers: vec![],
        });
    }
    folds.into_values().collect()
}

/// A key came again with another body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the request id was used with another body")]
pub struct KeyReused;

/// Whether a request is a repeat of the one that became the order.
///
/// # Errors
/// [`KeyReused`] where its body is another.
pub fn same_request(ordered: &[u8], repeated: &Fingerprint) -> Result<(), KeyReused> {
    if ordered == repeated { Ok(()) } else { Err(KeyReused) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(customer: u128, request: &str) -> Key {
        (Uuid::from_u128(customer), request.to_owned())
    }

    #[test]
    fn repeats_follow_the_first_and_keys_are_sorted() {
        let folds = fold([key(2, "a"), key(1, "b"), key(2, "a"), key(1, "a"), key(2, "a")]);
        assert_eq!(
            folds,
            [
                Fold { key: key(1, "a"), leader: 3, followers: vec![] },
                Fold { key: key(1, "b"), leader: 1, followers: vec![] },
                Fold { key: key(2, "a"), leader: 0, followers: vec![2, 4] },
            ]
        );
    }

    #[test]
    fn a_repeat_has_the_same_body() {
        assert_eq!(same_request(&[7; 32], &[7; 32]), Ok(()));
        assert_eq!(same_request(&[7; 32], &[8; 32]), Err(KeyReused));
        assert_eq!(same_request(&[], &[8; 32]), Err(KeyReused));
    }
}

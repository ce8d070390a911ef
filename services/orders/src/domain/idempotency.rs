//! Repeated requests: one order per key; the first request wins.

use std::collections::BTreeMap;

use uuid::Uuid;

/// The key of a request: its customer and the customer's request id.
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

/// Groups the repeats inside a batch, so that each key reaches the database once. Sorted by key, so that concurrent
/// batches take their locks in the same order.
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

/// A key was reused with another body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the request id was used with another body")]
pub struct KeyReused;

/// Whether a request is a repeat of the one that became the order.
///
/// # Errors
/// [`KeyReused`] if its body differs.
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

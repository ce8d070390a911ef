//! A customer's account: one currency, a balance that is never negative.

use std::time::{Duration, SystemTime};

use flotilla_money::Currency;
use uuid::Uuid;

/// The largest balance that a top-up may lead to, in minor units. Far below 64 bits, so that no sequence of refunds can
/// cause an overflow.
pub const MAX_BALANCE_MINOR: i64 = 1_000_000_000_000_000;

/// How long after a user's creation the account may still be missing.
const OPENING: Duration = Duration::from_secs(60);

/// A customer's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The owner; also the account's id.
    pub customer: Uuid,
    /// The account's only currency.
    pub currency: Currency,
    /// Balance in minor units; never negative.
    pub balance_minor: i64,
    /// Whether the user was deleted: charges and top-ups are refused, refunds are still booked.
    pub closed: bool,
}

/// Whether the missing account of `customer` may still open: user ids are UUIDv7, so a recent one can belong to a
/// sign-up whose event is still in transit, and an old one can't.
#[must_use]
pub fn may_still_open(customer: Uuid, now: SystemTime) -> bool {
    let Some((seconds, nanos)) = customer.get_timestamp().map(|timestamp| timestamp.to_unix()) else { return false };
    if customer.get_version_num() != 7 {
        return false;
    }
    let created = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    match now.duration_since(created) {
        Ok(age) => age < OPENING,
        // Tolerates a clock that is slightly behind identity's.
        Err(ahead) => ahead.duration() < OPENING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user_created_at(seconds: u64) -> Uuid {
        let milliseconds = (seconds * 1000).to_be_bytes();
        let mut bytes = [7; 16];
        bytes[..6].copy_from_slice(&milliseconds[2..]);
        uuid::Builder::from_bytes(bytes).with_version(uuid::Version::SortRand).into_uuid()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn only_the_account_of_a_young_user_may_still_open() {
        let user = user_created_at(1_000_000);
        assert!(may_still_open(user, at(1_000_000)));
        assert!(may_still_open(user, at(1_000_059)));
        assert!(may_still_open(user, at(999_990)), "a clock that is behind");
        assert!(!may_still_open(user, at(1_000_060)));
        assert!(!may_still_open(user, at(900_000)));
    }

    #[test]
    fn an_id_without_a_time_is_never_waited_for() {
        assert!(!may_still_open(Uuid::nil(), at(0)));
        assert!(!may_still_open(Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef), at(1_000_000)));
    }
}

//! Resume tokens of the feed: `s`, the last sequence, a point, and the id of the last delivery.
//!
//! The sequence alone doesn't identify a feed's content: after a restore to an earlier point the lost sequences are
//! assigned to other deliveries. The id does: a feed that has this delivery at this sequence also has everything before
//! it. Tokens need no signature, because a feed is bound to its owner.

use uuid::Uuid;

/// A client's position in its feed: after a delivery, or before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The last sequence seen; 0 before the first.
    pub sequence: i64,
    /// The last delivery seen; `None` before the first, and in tokens of earlier releases.
    id: Option<Uuid>,
}

impl Position {
    /// The position after a delivery.
    #[must_use]
    pub fn after(sequence: i64, id: Uuid) -> Self {
        Self { sequence, id: Some(id) }
    }

    /// Whether no delivery was seen yet.
    #[must_use]
    pub fn is_start(self) -> bool {
        self.sequence == 0
    }

    /// Whether the given delivery is the last one seen. A position without an id matches by its sequence.
    #[must_use]
    pub fn is_at(self, sequence: i64, id: Uuid) -> bool {
        self.sequence == sequence && self.id.is_none_or(|seen| seen == id)
    }

    /// The token of the position.
    #[must_use]
    pub fn token(self) -> String {
        match self.id {
            Some(id) => format!("s{}.{}", self.sequence, id.simple()),
            None => format!("s{}", self.sequence),
        }
    }

    /// Parses a token; an empty one is the start. `None` if it is malformed.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        if token.is_empty() {
            return Some(Self::default());
        }
        let (digits, id) = match token.strip_prefix('s')?.split_once('.') {
            Some((digits, id)) => (digits, Some(Uuid::try_parse(id).ok()?)),
            None => (token.strip_prefix('s')?, None),
        };
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let sequence = if plain { digits.parse().ok()? } else { return None };
        Some(Self { sequence, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    #[test]
    fn a_token_gives_its_position_back() {
        let position = Position::after(7, ID);
        assert_eq!(position.token(), "s7.00000000000000000000000000000007");
        assert_eq!(Position::parse(&position.token()), Some(position));
        assert_eq!(Position::parse(""), Some(Position::default()));
        for rubbish in ["7", "s", "s-1", "s+1", "s1x", "s 1", "s99999999999999999999", "s1.", "s1.x", "s.7", "s1.2.3"] {
            assert_eq!(Position::parse(rubbish), None, "{rubbish}");
        }
    }

    #[test]
    fn a_position_is_at_its_own_delivery_alone_and_an_old_one_at_its_sequence() {
        let position = Position::after(7, ID);
        assert!(position.is_at(7, ID) && !position.is_at(7, Uuid::from_u128(8)) && !position.is_at(8, ID));
        let old = Position::parse("s7").expect("a token of an earlier release");
        assert!(old.is_at(7, ID) && !old.is_at(8, ID));
    }
}

//! The stock of one product: units on hand, and how many of them are reserved.

/// Maximum number of units of one product; sums over many products stay far below 64 bits.
pub const MAX_ON_HAND: i64 = 1_000_000_000_000;

/// Units of one product. Every value created by this module satisfies `0 <= reserved <= on_hand`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// Units on hand, including the reserved ones.
    pub on_hand: i64,
    /// Units reserved for orders.
    pub reserved: i64,
}

/// Why an adjustment is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdjustFault {
    /// It would remove units that are held or don't exist.
    #[error("only {available} units are neither sold nor held")]
    Insufficient {
        /// Units that can be taken.
        available: i64,
    },
    /// It would exceed [`MAX_ON_HAND`].
    #[error("a product can have at most {MAX_ON_HAND} units")]
    TooMuch,
}

impl Level {
    /// Units that can be ordered.
    #[must_use]
    pub fn available(self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Holds `quantity` units; `None` if there are too few.
    #[must_use]
    pub fn reserve(self, quantity: i64) -> Option<Self> {
        (quantity > 0 && quantity <= self.available()).then(|| Self { reserved: self.reserved + quantity, ..self })
    }

    /// Releases held units; `None` if fewer are held.
    #[must_use]
    pub fn release(self, quantity: i64) -> Option<Self> {
        (quantity > 0 && quantity <= self.reserved).then(|| Self { reserved: self.reserved - quantity, ..self })
    }

    /// Ships held units; `None` if fewer are held.
    #[must_use]
    pub fn commit(self, quantity: i64) -> Option<Self> {
        (quantity > 0 && quantity <= self.reserved)
            .then(|| Self { on_hand: self.on_hand - quantity, reserved: self.reserved - quantity })
    }

    /// Adds units, or removes unreserved ones.
    ///
    /// # Errors
    /// There are too few or too many units.
    pub fn adjust(self, delta: i64) -> Result<Self, AdjustFault> {
        let on_hand = self.on_hand.checked_add(delta).filter(|sum| *sum <= MAX_ON_HAND);
        match on_hand {
            None if delta > 0 => Err(AdjustFault::TooMuch),
            Some(on_hand) if on_hand >= self.reserved => Ok(Self { on_hand, ..self }),
            _ => Err(AdjustFault::Insufficient { available: self.available() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: Level = Level { on_hand: 10, reserved: 4 };

    #[test]
    fn what_is_held_cannot_be_held_again() {
        assert_eq!(LEVEL.reserve(6), Some(Level { on_hand: 10, reserved: 10 }));
        assert_eq!(LEVEL.reserve(7), None);
        assert_eq!(LEVEL.reserve(0), None);
        assert_eq!(LEVEL.reserve(i64::MAX), None);
    }

    #[test]
    fn a_hold_ends_as_released_or_as_shipped() {
        assert_eq!(LEVEL.release(4), Some(Level { on_hand: 10, reserved: 0 }));
        assert_eq!(LEVEL.commit(4), Some(Level { on_hand: 6, reserved: 0 }));
        assert_eq!(LEVEL.release(5), None);
        assert_eq!(LEVEL.commit(5), None);
    }

    #[test]
    fn an_adjustment_leaves_what_is_held() {
        assert_eq!(LEVEL.adjust(5), Ok(Level { on_hand: 15, reserved: 4 }));
        assert_eq!(LEVEL.adjust(-6), Ok(Level { on_hand: 4, reserved: 4 }));
        assert_eq!(LEVEL.adjust(-7), Err(AdjustFault::Insufficient { available: 6 }));
        assert_eq!(LEVEL.adjust(i64::MIN), Err(AdjustFault::Insufficient { available: 6 }));
        assert_eq!(LEVEL.adjust(i64::MAX), Err(AdjustFault::TooMuch));
        assert_eq!(LEVEL.adjust(MAX_ON_HAND), Err(AdjustFault::TooMuch));
    }
}

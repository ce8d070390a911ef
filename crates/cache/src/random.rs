//! Random numbers.

use flotilla_clock::Random;

/// A number that no other process draws.
pub fn number(random: &dyn Random) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

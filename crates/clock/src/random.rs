//! Randomness as a dependency: production asks the operating system, a simulation its seed.

use rand::TryRngCore;

/// Where random bytes come from.
pub trait Random: Send + Sync + 'static {
    /// Fills the whole buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's source.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    // The one place that may ask the system for randomness; everything else is handed a `Random`.
    #[allow(clippy::disallowed_methods)]
    fn fill(&self, bytes: &mut [u8]) {
        rand::rngs::OsRng
            .try_fill_bytes(bytes)
            .expect("the operating system hands out random bytes once it has booted");
    }
}

/// A number in `0.0..1.0`.
pub fn unit(random: &dyn Random) -> f64 {
    let mut bytes = [0_u8; 4];
    random.fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

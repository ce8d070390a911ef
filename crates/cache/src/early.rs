//! Early probabilistic refresh: a reader may load an entry before it expires, the likelier the nearer the expiry and the
//! longer the load, so that rarely any reader finds it expired.
//!
//! The rule is XFetch of Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", PVLDB
//! 8(8), 2015: load if `load_time * beta * -ln(random)` is at least the remaining time.

use std::time::Duration;

use flotilla_clock::{Random, unit};

/// Above 1, entries are loaded earlier.
const BETA: f64 = 1.0;
/// A bound of `-ln(random)`, because the random number is at least 2^-32: hits far from the expiry draw none.
const MAX_FACTOR: f64 = 23.0;

/// Whether to load an entry that is fresh for `left` and took `load_time` to load.
pub fn is_due(left: Duration, load_time: Duration, random: &dyn Random) -> bool {
    let (left, load_time) = (left.as_secs_f64(), load_time.as_secs_f64());
    // `unit` can be 0, whose logarithm is infinite, but not 1.
    left < load_time * BETA * MAX_FACTOR && left <= load_time * BETA * -(1.0 - unit(random)).ln()
}

#[cfg(test)]
mod tests {
    use flotilla_clock::OsRandom;

    use super::*;

    fn share(left: u64, load_time: u64) -> f64 {
        let due = |_: &u32| is_due(Duration::from_millis(left), Duration::from_millis(load_time), &OsRandom);
        (0..20_000).filter(due).count() as f64 / 20_000.0
    }

    #[test]
    fn the_probability_is_that_of_the_paper() {
        // exp(-left / load_time)
        for (left, load_time) in [(0, 100), (50, 100), (100, 100), (300, 100), (2_400, 100), (1, 0)] {
            let expected = if load_time == 0 { 0.0 } else { (-(left as f64) / load_time as f64).exp() };
            let found = share(left, load_time);
            assert!((found - expected).abs() < 0.02, "{left} ms left, {load_time} ms to load: {found}, not {expected}");
        }
    }
}

//! Message ids: UUID version 7, strictly rising within a process.
//!
//! The id carries the time of its making in milliseconds, by which the inbox is partitioned. The twelve bits after it
//! count up within a millisecond; when they run out the generator runs ahead of the clock rather than repeat itself,
//! and when the clock steps back it stays where it was.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::clock::{Clock, SystemClock};
use crate::random::{OsRandom, Random};

/// Random bytes are fetched for this many ids at a time: a system call for each id would cost more than the id.
const IDS_PER_REFILL: usize = 64;
const BYTES_PER_ID: usize = 10;

/// Makes ids and knows the time. Clones share one sequence.
#[derive(Clone)]
pub struct Ids {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    state: Mutex<State>,
}

struct State {
    millis: u64,
    counter: u16,
    pool: [u8; IDS_PER_REFILL * BYTES_PER_ID],
    used: usize,
}

impl Ids {
    /// A sequence of its own on this clock and this randomness.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let state = State {
            millis: 0,
            counter: 0,
            pool: [0; IDS_PER_REFILL * BYTES_PER_ID],
            used: IDS_PER_REFILL * BYTES_PER_ID,
        };
        Self { shared: Arc::new(Shared { clock, random, state: Mutex::new(state) }) }
    }

    /// A sequence on the system's clock and randomness.
    pub fn system() -> Self {
        Self::new(Arc::new(SystemClock), Arc::new(OsRandom))
    }

    /// The next id: greater than every one before it from this sequence.
    pub fn next(&self) -> Uuid {
        let now = unix_millis(self.now());
        let mut state = self.shared.state.lock();
        let random = state.take(self.shared.random.as_ref());
        if now > state.millis {
            state.millis = now;
            // Starts in the lower half, so that there is room to count.
            state.counter = u16::from_be_bytes([random[0], random[1]]) & 0x07ff;
        } else if state.counter == 0x0fff {
            state.millis += 1;
            state.counter = u16::from_be_bytes([random[0], random[1]]) & 0x07ff;
        } else {
            state.counter += 1;
        }
        let mut bytes = [0_u8; 16];
        bytes[..6].copy_from_slice(&state.millis.to_be_bytes()[2..]);
        bytes[6..8].copy_from_slice(&(0x7000 | state.counter).to_be_bytes());
        bytes[8..].copy_from_slice(&random[2..]);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        Uuid::from_bytes(bytes)
    }

    /// The present moment by this sequence's clock.
    pub fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// The clock behind the sequence.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.clock)
    }

    /// The randomness behind the sequence.
    pub fn random(&self) -> Arc<dyn Random> {
        Arc::clone(&self.shared.random)
    }
}

impl State {
    fn take(&mut self, random: &dyn Random) -> [u8; BYTES_PER_ID] {
        if self.used == self.pool.len() {
            random.fill(&mut self.pool);
            self.used = 0;
        }
        let mut bytes = [0_u8; BYTES_PER_ID];
        bytes.copy_from_slice(&self.pool[self.used..self.used + BYTES_PER_ID]);
        self.used += BYTES_PER_ID;
        bytes
    }
}

/// When a version 7 id was made; nothing for other versions.
pub fn time_of(id: Uuid) -> Option<SystemTime> {
    if id.get_version_num() != 7 {
        return None;
    }
    let millis = id.as_u128() >> 80;
    Some(UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).ok()?))
}

/// Whole milliseconds since 1970, as far as they fit into the 48 bits of an id; 0 for earlier times.
pub fn unix_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX) & 0xffff_ffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Frozen;
    impl Clock for Frozen {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)
        }
    }

    #[test]
    fn ids_rise_even_when_the_clock_stands_still() {
        let ids = Ids::new(Arc::new(Frozen), Arc::new(OsRandom));
        let mut last = ids.next();
        for _ in 0..20_000 {
            let next = ids.next();
            assert!(next > last, "{next} came after {last}");
            assert_eq!(next.get_version_num(), 7);
            assert_eq!(next.get_variant(), uuid::Variant::RFC4122);
            last = next;
        }
    }

    #[test]
    fn an_id_carries_the_time_of_its_making() {
        let ids = Ids::new(Arc::new(Frozen), Arc::new(OsRandom));
        assert_eq!(time_of(ids.next()), Some(Frozen.now()));
        assert_eq!(time_of(Uuid::from_u128(7)), None);
    }
}

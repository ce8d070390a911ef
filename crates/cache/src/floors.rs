//! What a process knows about the versions of keys.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// Maximum number of floors. One more replaces the oldest, whose key is then known as little as before.
pub const MAX_FLOORS: usize = 65_536;

/// What was known about a key at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The highest version seen; 0 if none.
    pub version: u64,
    generation: u64,
    flushes: u64,
}

impl Stamp {
    /// Whether the key wasn't invalidated between the two.
    pub fn is_same(self, other: Self) -> bool {
        (self.generation, self.flushes) == (other.generation, other.flushes)
    }
}

struct Floor {
    version: u64,
    /// Changes with each invalidation; 0 without any.
    generation: u64,
    /// The invalidations that haven't reached Redis.
    unsent: Option<Unsent>,
    until: Instant,
}

/// An invalidation that hasn't reached Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsent {
    /// Entries below this version are old; `None` if all of them are.
    pub version: Option<u64>,
    /// Tells it from a later one of the same key.
    pub number: u64,
}

/// Floors by key.
pub struct Floors {
    floors: HashMap<Arc<str>, Floor>,
    /// By age. A floor that was renewed is in it more than once.
    ages: VecDeque<(Instant, Arc<str>)>,
    remember: Duration,
    generations: u64,
    flushes: u64,
}

impl Floors {
    /// Floors that are kept for `remember`.
    pub fn new(remember: Duration) -> Self {
        Self { floors: HashMap::new(), ages: VecDeque::new(), remember, generations: 0, flushes: 0 }
    }

    /// What is known about a key.
    pub fn stamp(&self, key: &str) -> Stamp {
        let (version, generation) = self.floors.get(key).map_or((0, 0), |floor| (floor.version, floor.generation));
        Stamp { version, generation, flushes: self.flushes }
    }

    /// A value was seen; false if it is older than another one. Unknown versions (0) leave the floor as it is.
    pub fn raise(&mut self, key: &Arc<str>, version: u64) -> bool {
        if version == 0 {
            return true;
        }
        let floor = self.renew(key);
        let is_newest = version >= floor.version;
        floor.version = floor.version.max(version);
        is_newest
    }

    /// Entries below a version are old, or all if it is unknown. True if that is news.
    pub fn invalidate(&mut self, key: &Arc<str>, version: Option<u64>, is_unsent: bool) -> bool {
        self.generations += 1;
        let number = self.generations;
        let floor = self.renew(key);
        if is_unsent {
            // Of several, the one that says most.
            let version = match floor.unsent {
                Some(before) => before.version.zip(version).map(|(before, version)| before.max(version)),
                None => version,
            };
            floor.unsent = Some(Unsent { version, number });
        }
        let is_new = version.is_none_or(|version| version > floor.version);
        if is_new {
            floor.version = floor.version.max(version.unwrap_or_default());
            floor.generation = number;
        }
        is_new
    }

    /// The invalidation of a key that hasn't reached Redis.
    pub fn unsent(&self, key: &str) -> Option<Unsent> {
        self.floors.get(key)?.unsent
    }

    /// All keys whose invalidation hasn't reached Redis.
    pub fn all_unsent(&self) -> Vec<Arc<str>> {
        let unsent = self.floors.iter().filter(|(_, floor)| floor.unsent.is_some());
        let mut keys: Vec<_> = unsent.map(|(key, _)| Arc::clone(key)).collect();
        // In a fixed order, so that a simulation can be repeated.
        keys.sort_unstable();
        keys
    }

    /// The invalidation has reached Redis, unless there was another one since then.
    pub fn sent(&mut self, key: &str, sent: Unsent) {
        if let Some(floor) = self.floors.get_mut(key).filter(|floor| floor.unsent == Some(sent)) {
            floor.unsent = None;
        }
    }

    /// Makes all stamps old.
    pub fn flush(&mut self) {
        self.flushes += 1;
    }

    fn renew(&mut self, key: &Arc<str>) -> &mut Floor {
        let now = Instant::now();
        self.forget(now);
        let until = now + self.remember;
        self.ages.push_back((until, Arc::clone(key)));
        let floor =
            self.floors.entry(Arc::clone(key)).or_insert(Floor { version: 0, generation: 0, unsent: None, until });
        floor.until = until;
        floor
    }

    /// Removes expired floors, and the oldest if there are too many.
    fn forget(&mut self, now: Instant) {
        while let Some((until, key)) = self.ages.front() {
            let too_many = self.floors.len() >= MAX_FLOORS || self.ages.len() >= 2 * MAX_FLOORS;
            if *until > now && !too_many {
                return;
            }
            let is_current = self.floors.get(key).is_some_and(|floor| floor.until == *until);
            if is_current {
                self.floors.remove(key);
                if *until > now {
                    // Loads that began before can't be judged any more.
                    self.flushes += 1;
                }
            }
            self.ages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Arc<str> {
        number.to_string().into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_floor_rises_and_is_forgotten_after_its_time() {
        let mut floors = Floors::new(Duration::from_secs(10));
        assert!(floors.raise(&key(1), 5));
        assert!(!floors.raise(&key(1), 4), "an old version");
        assert!(floors.raise(&key(1), 0), "an unknown version");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(floors.raise(&key(1), 5), "renewed");
        tokio::time::advance(Duration::from_secs(9)).await;
        floors.raise(&key(2), 1);
        assert_eq!(floors.stamp("1").version, 5);
        tokio::time::advance(Duration::from_secs(2)).await;
        floors.raise(&key(2), 1);
        assert_eq!(floors.stamp("1").version, 0, "forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn an_invalidation_changes_the_stamp_unless_the_version_is_known() {
        let mut floors = Floors::new(Duration::from_secs(10));
        floors.raise(&key(1), 5);
        let stamp = floors.stamp("1");
        floors.invalidate(&key(1), Some(5), false);
        assert!(floors.stamp("1").is_same(stamp), "version 5 was seen already");
        floors.invalidate(&key(1), Some(6), false);
        assert!(!floors.stamp("1").is_same(stamp));
        let stamp = floors.stamp("1");
        floors.invalidate(&key(1), Some(7), true);
        assert!(!floors.stamp("1").is_same(stamp));
        let sent = floors.unsent("1").unwrap();
        assert_eq!(sent.version, Some(7));
        floors.invalidate(&key(1), None, true);
        assert_eq!(floors.unsent("1").unwrap().version, None, "all versions are more than some");
        floors.sent("1", sent);
        assert!(floors.unsent("1").is_some(), "there was another one since");
        floors.flush();
        assert_eq!(floors.all_unsent().len(), 1, "a flush forgets no invalidation");
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_floors_replace_the_oldest_and_refuse_loads_in_progress() {
        let mut floors = Floors::new(Duration::from_secs(10));
        floors.invalidate(&key(0), None, false);
        let loading = floors.stamp("another");
        for number in 1..=MAX_FLOORS {
            floors.invalidate(&key(number), None, false);
        }
        assert!(floors.floors.len() <= MAX_FLOORS);
        assert_eq!(floors.stamp("0").generation, 0, "forgotten");
        assert!(!floors.stamp("another").is_same(loading));
        for _ in 0..3 * MAX_FLOORS {
            floors.raise(&key(7), 1);
        }
        assert!(floors.ages.len() <= 2 * MAX_FLOORS, "renewals take bounded memory");
    }
}

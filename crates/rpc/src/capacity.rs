//! A bounded number of units (slots, bytes) that many callers share without anyone being able to starve the others.
//!
//! The rule is the dynamic threshold of shared packet buffers (Choudhury and Hahne, 1998): a caller may hold as many
//! units as stay free. A single caller gets half; `n` callers that want as much as possible get one part in `n + 1`
//! each, and as much stays free for new callers. This needs no list of waiting callers, and reserves nothing for absent
//! ones.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

/// Why units are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// All units are in use.
    All,
    /// The caller holds its share.
    Caller,
}

/// A pool of units. It keeps one entry for each caller that holds some.
#[derive(Debug)]
pub struct Capacity<K> {
    total: u64,
    /// The most that one caller may hold, whatever is free.
    per_caller: u64,
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    used: u64,
    held: HashMap<K, u64>,
}

impl<K: Hash + Eq + Copy> Capacity<K> {
    /// `total` units, of which one caller may hold at most `per_caller`.
    pub fn new(total: u64, per_caller: u64) -> Arc<Self> {
        Arc::new(Self { total, per_caller, state: Mutex::new(State { used: 0, held: HashMap::new() }) })
    }

    /// Takes units for a caller; for `None` only the total counts.
    ///
    /// # Errors
    /// If too few are free, or the caller's share is used up.
    pub fn take(self: &Arc<Self>, caller: Option<K>, units: u64) -> Result<Permit<K>, Shortage> {
        self.reserve(caller, units)?;
        Ok(Permit { capacity: Arc::clone(self), caller, units })
    }

    /// Charges units that are in use already, even beyond the total: later callers are refused instead.
    pub fn charge(self: &Arc<Self>, caller: Option<K>, units: u64) -> Permit<K> {
        self.add(caller, units);
        Permit { capacity: Arc::clone(self), caller, units }
    }

    /// How many units there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many units are in use; after charges perhaps more than the total.
    pub fn used(&self) -> u64 {
        self.state.lock().used
    }

    fn reserve(&self, caller: Option<K>, units: u64) -> Result<(), Shortage> {
        let mut state = self.state.lock();
        let free = self.total.saturating_sub(state.used);
        if units > free {
            return Err(Shortage::All);
        }
        if let Some(caller) = caller {
            let held = state.held.get(&caller).copied().unwrap_or_default() + units;
            // A caller's first grant isn't limited by what stays free.
            if held > self.per_caller || (held > units && held > free - units) {
                return Err(Shortage::Caller);
            }
            state.held.insert(caller, held);
        }
        state.used += units;
        Ok(())
    }

    fn add(&self, caller: Option<K>, units: u64) {
        let mut state = self.state.lock();
        state.used += units;
        if let Some(caller) = caller {
            *state.held.entry(caller).or_default() += units;
        }
    }

    fn give_back(&self, caller: Option<K>, units: u64) {
        let mut state = self.state.lock();
        state.used -= units;
        let Some(caller) = caller else { return };
        if let Some(held) = state.held.get_mut(&caller) {
            *held -= units;
            if *held == 0 {
                state.held.remove(&caller);
            }
        }
    }
}

/// Units that a caller holds. They are returned on drop.
#[derive(Debug)]
pub struct Permit<K: Hash + Eq + Copy> {
    capacity: Arc<Capacity<K>>,
    caller: Option<K>,
    units: u64,
}

impl<K: Hash + Eq + Copy> Permit<K> {
    /// Takes further units.
    ///
    /// # Errors
    /// If too few are free, or the caller's share is used up; the permit is unchanged.
    pub fn grow(&mut self, units: u64) -> Result<(), Shortage> {
        self.capacity.reserve(self.caller, units)?;
        self.units += units;
        Ok(())
    }

    /// Charges further units that are in use already.
    pub fn charge(&mut self, units: u64) {
        self.capacity.add(self.caller, units);
        self.units += units;
    }

    /// Charges separate units to the same caller, like [`Capacity::charge`].
    pub fn charge_apart(&self, units: u64) -> Self {
        self.capacity.charge(self.caller, units)
    }
}

impl<K: Hash + Eq + Copy> Drop for Permit<K> {
    fn drop(&mut self) {
        self.capacity.give_back(self.caller, self.units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_many_as_possible(capacity: &Arc<Capacity<u32>>, caller: u32) -> Vec<Permit<u32>> {
        std::iter::from_fn(|| capacity.take(Some(caller), 1).ok()).collect()
    }

    #[test]
    fn one_caller_gets_half_and_others_get_the_rest() {
        let capacity = Capacity::new(100, u64::MAX);
        let first = as_many_as_possible(&capacity, 1);
        assert_eq!((first.len(), capacity.take(Some(1), 1).unwrap_err()), (50, Shortage::Caller));
        let second = as_many_as_possible(&capacity, 2);
        assert_eq!(second.len(), 25);
        assert!(capacity.take(Some(1), 1).is_err());
        for newcomer in 3..20 {
            drop(capacity.take(Some(newcomer), 1).expect("a caller that holds none gets one"));
        }
        drop(first);
        assert_eq!(as_many_as_possible(&capacity, 2).len(), 25, "returned units are shared again");
        drop(second);
    }

    #[test]
    fn any_caller_may_take_the_last_unit() {
        let capacity = Capacity::new(1, u64::MAX);
        let held = capacity.take(Some(1), 1).unwrap();
        assert_eq!(capacity.take(Some(2), 1).unwrap_err(), Shortage::All);
        drop(held);
        capacity.take(Some(2), 1).unwrap();
    }

    #[test]
    fn a_known_caller_has_a_limit_and_an_unknown_one_has_none() {
        let capacity = Capacity::new(100, 3);
        let held = as_many_as_possible(&capacity, 1);
        assert_eq!(held.len(), 3);
        let nobodys: Vec<_> = std::iter::from_fn(|| capacity.take(None, 1).ok()).collect();
        assert_eq!((nobodys.len(), capacity.used()), (97, 100));
    }

    #[test]
    fn charges_count_even_beyond_the_total() {
        let capacity = Capacity::new(10, u64::MAX);
        let mut permit = capacity.take(Some(1), 4).unwrap();
        assert_eq!(permit.grow(3), Err(Shortage::Caller));
        permit.charge(20);
        assert_eq!((capacity.used(), capacity.take(Some(2), 1).unwrap_err()), (24, Shortage::All));
        let apart = permit.charge_apart(1);
        drop(permit);
        assert_eq!(capacity.used(), 1);
        drop(apart);
        assert!(capacity.state.lock().held.is_empty(), "callers that hold nothing have no entry");
    }
}

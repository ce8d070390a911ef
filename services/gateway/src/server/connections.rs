//! The open connections, and which of them is evicted for a new one.
//!
//! A new connection needs a slot and memory, of which an address gets no more than stays free for others. If they are
//! short, a connection is evicted that has no call, or whose client doesn't read its responses: of the address with the
//! most connections, the one in that state for longest. An address that has used up its share evicts one of its own. If
//! no connection can be evicted, or only those of addresses with fewer, the new one is refused.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use flotilla_rpc::{Capacity, Permit, Shortage};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use crate::admission::Admission;

/// Connections that may be closing gracefully at once; further ones are closed without notice.
const CLOSING: usize = 64;
/// The most connections that are evicted for a new one.
const CLOSED_FOR_ONE: usize = 8;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// All slots are taken by connections that are in use.
    Full,
    /// The address's share is used up.
    Address,
    /// The memory budget is used up.
    Memory,
}

impl Refused {
    /// The label in the metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::Memory => "memory",
        }
    }
}

/// The open connections of the public port.
#[derive(Debug)]
pub struct Connections {
    places: Arc<Capacity<IpAddr>>,
    admission: Arc<Admission>,
    tls: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Entry>,
    /// Connections by address.
    counts: HashMap<Option<IpAddr>, usize>,
    /// Connections that were asked to close and haven't closed yet.
    closing: usize,
}

#[derive(Debug)]
struct Entry {
    network: Option<IpAddr>,
    activity: Arc<Activity>,
    close: CancellationToken,
    _held: (Permit<IpAddr>, Permit<IpAddr>),
}

/// An accepted connection; it has ended when this is dropped.
#[derive(Debug)]
pub struct OpenConnection {
    connections: Arc<Connections>,
    id: u64,
    /// Cancelled to close the connection because another needs its slot.
    pub close: CancellationToken,
}

impl Connections {
    /// At most `most` connections, `per_address` of them from one address, as far as memory allows.
    pub fn new(most: usize, per_address: usize, admission: Arc<Admission>, tls: bool) -> Arc<Self> {
        let places = Capacity::new(most.max(1) as u64, per_address as u64);
        Arc::new(Self { places, admission, tls, state: Mutex::default() })
    }

    /// Admits a connection, evicting unused ones if necessary. Without a network the connection serves many clients,
    /// and has no share.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn admit(
        self: &Arc<Self>,
        network: Option<IpAddr>,
        activity: &Arc<Activity>,
    ) -> Result<OpenConnection, Refused> {
        let key = self.admission.memory.key(network);
        let mut closed = 0;
        loop {
            let (refused, shortage) = match self.room(key) {
                Ok(held) => return Ok(self.insert(key, activity, held)),
                Err(short) => short,
            };
            closed += 1;
            if closed > CLOSED_FOR_ONE || !self.close_one(key, shortage) {
                return Err(refused);
            }
        }
    }

    /// Whether more than three quarters of the slots are taken.
    pub fn is_crowded(&self) -> bool {
        self.places.used() * 4 > self.places.total() * 3
    }

    fn room(&self, key: Option<IpAddr>) -> Result<(Permit<IpAddr>, Permit<IpAddr>), (Refused, Shortage)> {
        let refused = |all, shortage| (if shortage == Shortage::All { all } else { Refused::Address }, shortage);
        let place = self.places.take(key, 1).map_err(|shortage| refused(Refused::Full, shortage))?;
        let memory = self.admission.memory.connection(key, self.tls);
        Ok((place, memory.map_err(|shortage| refused(Refused::Memory, shortage))?))
    }

    fn insert(
        self: &Arc<Self>,
        network: Option<IpAddr>,
        activity: &Arc<Activity>,
        held: (Permit<IpAddr>, Permit<IpAddr>),
    ) -> OpenConnection {
        let close = CancellationToken::new();
        let mut state = self.state.lock();
        let id = state.next;
        state.next += 1;
        *state.counts.entry(network).or_default() += 1;
        let entry = Entry { network, activity: Arc::clone(activity), close: close.clone(), _held: held };
        state.open.insert(id, entry);
        drop(state);
        OpenConnection { connections: Arc::clone(self), id, close }
    }

    /// Evicts a connection for a new one from `network`; returns whether there was one.
    fn close_one(&self, network: Option<IpAddr>, shortage: Shortage) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        let own = state.counts.get(&network).copied().unwrap_or_default();
        let candidate = |(id, entry): (&u64, &Entry)| {
            let count = state.counts.get(&entry.network).copied().unwrap_or_default();
            let allowed = if shortage == Shortage::Caller { entry.network == network } else { count >= own };
            let since = entry.activity.unused_since(now).filter(|_| allowed)?;
            Some((count, Reverse((since, *id))))
        };
        let Some((_, Reverse((_, id)))) = state.open.iter().filter_map(candidate).max() else { return false };
        let Some(entry) = state.remove(id) else { return false };
        state.closing += 1;
        if state.closing > CLOSING {
            entry.activity.abort();
        }
        drop(state);
        entry.close.cancel();
        true
    }
}

impl State {
    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.open.remove(&id)?;
        if let Some(count) = self.counts.get_mut(&entry.network) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&entry.network);
            }
        }
        Some(entry)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let mut state = self.connections.state.lock();
        let removed = state.remove(self.id);
        if removed.is_none() {
            state.closing -= 1;
        }
        drop(state);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flotilla_rpc::{Rate, RateLimiter, ServerSettings};
    use prometheus::Registry;

    use super::super::activity::{OpenCall, Timeouts};
    use super::*;
    use crate::config::EdgeSettings;

    fn connections(most: usize, per_address: usize) -> Arc<Connections> {
        let admission = Admission::new(&ServerSettings::default(), &EdgeSettings::default(), &Registry::new()).unwrap();
        Connections::new(most, per_address, Arc::new(admission), false)
    }

    fn activity() -> Arc<Activity> {
        let minute = Duration::from_secs(60);
        let addresses = Arc::new(RateLimiter::new(|| Rate { per_second: 0, burst: 1 }, 1));
        Activity::new(Timeouts { idle: minute, untaken: minute, broken: 1 }, addresses)
    }

    struct Client {
        activity: Arc<Activity>,
        open: OpenConnection,
    }

    impl Client {
        fn connect(connections: &Arc<Connections>, last: u8) -> Result<Self, Refused> {
            let activity = activity();
            let open = connections.admit(Some([10, 0, 0, last].into()), &activity)?;
            Ok(Self { activity, open })
        }

        fn is_closed(&self) -> bool {
            self.open.close.is_cancelled()
        }

        fn call(&self) -> OpenCall {
            self.activity.begin([10, 0, 0, 1].into())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_is_idle_longest_is_evicted() {
        let connections = connections(8, 8);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(Client::connect(&connections, 1).unwrap());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let busy = held[0].call();
        held.push(Client::connect(&connections, 1).unwrap());
        let closed: Vec<_> = held.iter().map(Client::is_closed).collect();
        assert_eq!(closed, [false, true, false, false, false], "an address closes its own");
        drop(busy);
        // Others get what is left, and then evict connections of the address with the most.
        for last in 2..=5 {
            held.push(Client::connect(&connections, last).unwrap());
        }
        assert!(held.iter().filter(|client| client.is_closed()).count() == 1);
        held.push(Client::connect(&connections, 6).unwrap());
        assert!(held[2].is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_in_use_are_not_evicted_and_an_address_with_more_evicts_no_others() {
        let connections = connections(4, 4);
        let first = [Client::connect(&connections, 1).unwrap(), Client::connect(&connections, 1).unwrap()];
        let _calls = [first[0].call(), first[1].call()];
        assert_eq!(Client::connect(&connections, 1).err(), Some(Refused::Address));
        let second = Client::connect(&connections, 2).unwrap();
        let third = Client::connect(&connections, 3).unwrap();
        assert_eq!(Client::connect(&connections, 1).err(), Some(Refused::Full), "others have fewer");
        let _fourth = Client::connect(&connections, 4).unwrap();
        assert!(second.is_closed() && !third.is_closed());
        let _calls = third.call();
        drop(second);
        let state = connections.state.lock();
        assert_eq!((state.open.len(), state.closing), (4, 0));
    }
}

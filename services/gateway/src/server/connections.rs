//! The open connections, and which of them makes room when there is none.
//!
//! A new connection needs a place and memory, of which an address gets no more than is left for others. Where they are
//! short, a connection without a call is closed for it, or one that doesn't take its answers: of the address
//! that has the most, the one that has been so longest. An address that has its share closes one of its own. Where
//! none can be closed, or only those of addresses that have fewer, the new one is refused.

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

/// Connections that may be on their way out at once; further ones aren't told before they are closed.
const CLOSING: usize = 64;
/// Connections that are closed for a new one at the most.
const CLOSED_FOR_ONE: usize = 8;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// All places are taken by connections that are in use.
    Full,
    /// Its address has its share.
    Address,
    /// There is no memory.
    Memory,
}

impl Refused {
    /// As the metrics call it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::Memory => "memory",
        }
    }
}

/// All of them.
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
    /// Those that were told to close and haven't yet.
    closing: usize,
}

#[derive(Debug)]
struct Entry {
    network: Option<IpAddr>,
    activity: Arc<Activity>,
    close: CancellationToken,
    _held: (Permit<IpAddr>, Permit<IpAddr>),
}

/// A connection that has been taken on. Dropped, it has ended.
#[derive(Debug)]
pub struct OpenConnection {
    connections: Arc<Connections>,
    id: u64,
    /// Cancelled when the connection is to close, because another needs its place.
    pub close: CancellationToken,
}

impl Connections {
    /// At most `most` connections, `per_address` of them from one address, as far as there is memory.
    pub fn new(most: usize, per_address: usize, admission: Arc<Admission>, tls: bool) -> Arc<Self> {
        let places = Capacity::new(most.max(1) as u64, per_address as u64);
        Arc::new(Self { places, admission, tls, state: Mutex::default() })
    }

    /// Takes a connection on, at the expense of others that aren't in use. Without a network it is many clients' connection,
    /// and has no share.
    ///
    /// # Errors
    /// Why it can't be.
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

    /// Whether more than three quarters of the places are taken.
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

    /// Closes a connection for a new one from `network`, and says whether there was one.
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

    use flotilla_rpc::ServerSettings;
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
        Activity::new(Timeouts { idle: minute, untaken: minute, broken: 1 })
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
            self.activity.begin()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_is_idle_longest_makes_room() {
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
        // Others have what is left, and then close those of whom has the most.
        for last in 2..=5 {
            held.push(Client::connect(&connections, last).unwrap());
        }
        assert!(held.iter().filter(|client| client.is_closed()).count() == 1);
        held.push(Client::connect(&connections, 6).unwrap());
        assert!(held[2].is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_in_use_are_not_closed_and_who_has_more_gets_no_others_place() {
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

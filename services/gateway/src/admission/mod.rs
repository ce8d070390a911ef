//! Decides which requests are accepted: only as many as there is room for, and none that would keep others out.
//!
//! A request passes these steps in order:
//! 1. the rate limit of its address (`edge`), and a reservation in [`memory`] for its headers;
//! 2. its body arrives; until then it is one of a bounded number of arriving requests ([`Arrivals`]) and takes no slot;
//! 3. a slot among the calls or the streams, which it keeps until its end.
//!
//! Shares of slots are counted by user once the token is verified, and by address until then; those of streams by both.
//! A caller may hold as many as stay free for others ([`Capacity`]). Refusals are counted by cause ([`refusals`]).

mod memory;
mod refusals;

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use flotilla_cgroup::Limits;
use flotilla_rpc::{Arrivals, Capacity, Permit, RpcError, ServerSettings, Shortage};
use futures::poll;
use prometheus::Registry;
use uuid::Uuid;

use crate::config::EdgeSettings;

pub use memory::{Memory, RequestMemory, Windows};
pub use refusals::{Limit, Refusals};

/// The least memory of an arriving request, and the part of limited memory that all of them may use: a twelfth.
const ARRIVING: u64 = 20 * 1024;
const ARRIVING_PART: u64 = 12;

/// The client of a request, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Client {
    /// The network that the request came from.
    pub address: Option<IpAddr>,
    /// The user of a verified token.
    pub user: Option<Uuid>,
}

/// The caller whose share a call counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A user, identified by a token.
    User(Uuid),
    /// An address, if no user is known.
    Address(IpAddr),
}

/// The limits that decide which requests are accepted.
#[derive(Debug)]
pub struct Admission {
    /// The memory budget for connections, requests and responses.
    pub memory: Memory,
    /// Counts refusals.
    pub refusals: Refusals,
    arrivals: Arc<Arrivals>,
    calls: Arc<Capacity<Caller>>,
    calls_by_user: Arc<Capacity<Uuid>>,
    streams_by_address: Arc<Capacity<IpAddr>>,
    streams_by_user: Arc<Capacity<Uuid>>,
    /// By user and the hash of what is watched.
    watches: Arc<Capacity<(Uuid, u64)>>,
    hasher: RandomState,
}

/// A slot for a call or a stream, released on drop.
#[derive(Debug)]
pub enum Place {
    /// A unary call's.
    Call {
        /// Its slot among all calls.
        _call: Permit<Caller>,
        /// One of its user's slots.
        _user: Option<Permit<Uuid>>,
    },
    /// A stream's.
    Stream {
        /// Its slot among all streams, charged to its address.
        _address: Permit<IpAddr>,
        /// The same, charged to its user.
        _user: Option<Permit<Uuid>>,
        /// One of the user's streams about one resource.
        _watch: Option<Permit<(Uuid, u64)>>,
    },
}

impl Admission {
    /// The limits from the settings and the machine.
    ///
    /// # Errors
    /// If the registry has the counters already.
    pub fn new(server: &ServerSettings, edge: &EdgeSettings, registry: &Registry) -> Result<Self, prometheus::Error> {
        let refusals = Refusals::register(registry)?;
        let memory = Memory::new(edge, refusals.clone());
        memory.register(registry)?;
        let arriving = Limits::of_process().pieces(edge.max_arriving, ARRIVING, ARRIVING_PART);
        let streams = server.max_streams as u64;
        Ok(Self {
            memory,
            refusals,
            arrivals: Arrivals::new(arriving),
            calls: Capacity::new(server.calls_at_once() as u64, u64::MAX),
            calls_by_user: Capacity::new(u64::MAX, edge.max_calls_per_user as u64),
            streams_by_address: Capacity::new(streams, edge.max_streams_per_address as u64),
            streams_by_user: Capacity::new(streams, edge.max_streams_per_user as u64),
            watches: Capacity::new(u64::MAX, edge.max_watches_per_user as u64),
            hasher: RandomState::new(),
        })
    }

    /// Waits for a body; meanwhile the request takes no slot.
    ///
    /// # Errors
    /// If it was evicted by later requests.
    pub async fn receive<T>(&self, client: Client, body: impl Future<Output = T>) -> Result<T, RpcError> {
        let mut body = pin!(body);
        // The body usually came with the headers.
        if let std::task::Poll::Ready(received) = poll!(body.as_mut()) {
            return Ok(received);
        }
        let mut arrival = self.arrivals.enter(self.memory.key(client.address));
        tokio::select! {
            biased;
            received = body => Ok(received),
            () = arrival.displaced() => Err(self.refusals.refuse(Limit::Arriving, Shortage::Caller)),
        }
    }

    /// Takes a slot for a unary call.
    ///
    /// # Errors
    /// If all are taken, or the caller's share is used up.
    pub fn call(&self, client: Client) -> Result<Place, RpcError> {
        let caller = client.user.map(Caller::User).or(self.memory.key(client.address).map(Caller::Address));
        let refuse = |shortage| self.refusals.refuse(Limit::Calls, shortage);
        let user = client.user.map(|user| self.calls_by_user.take(Some(user), 1)).transpose().map_err(refuse)?;
        Ok(Place::Call { _call: self.calls.take(caller, 1).map_err(refuse)?, _user: user })
    }

    /// Takes a slot for a stream. `watched` is the method and the name of the resource that it watches, if any.
    ///
    /// # Errors
    /// As for [`call`](Self::call), and if the user has too many streams about the same resource.
    pub fn stream(&self, client: Client, watched: Option<(&str, &str)>) -> Result<Place, RpcError> {
        let refuse = |shortage| self.refusals.refuse(Limit::Streams, shortage);
        let watch = match (client.user, watched) {
            (Some(user), Some(watched)) => {
                let watch = self.watches.take(Some((user, self.hasher.hash_one(watched))), 1);
                Some(watch.map_err(|_| self.refusals.refuse(Limit::Watches, Shortage::Caller))?)
            }
            _ => None,
        };
        let user = client.user.map(|user| self.streams_by_user.take(Some(user), 1)).transpose().map_err(refuse)?;
        let address = self.streams_by_address.take(self.memory.key(client.address), 1).map_err(refuse)?;
        Ok(Place::Stream { _address: address, _user: user, _watch: watch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(change: impl FnOnce(&mut ServerSettings, &mut EdgeSettings)) -> Admission {
        let (mut server, mut edge) = (ServerSettings::default(), EdgeSettings::default());
        change(&mut server, &mut edge);
        Admission::new(&server, &edge, &Registry::new()).unwrap()
    }

    fn client(address: u8, user: u128) -> Client {
        Client { address: Some([10, 0, 0, address].into()), user: (user > 0).then(|| Uuid::from_u128(user)) }
    }

    #[test]
    fn calls_count_for_the_user_where_one_is_known_and_for_the_address_where_not() {
        let admission = admission(|server, _| server.max_calls = 8);
        let held: Vec<_> = std::iter::from_fn(|| admission.call(client(1, 1)).ok()).collect();
        assert_eq!(held.len(), 4);
        let another = admission.call(client(1, 2)).expect("another user at the same address");
        let nobody = admission.call(client(1, 0)).expect("somebody without a token there");
        drop((held, another, nobody));
    }

    #[test]
    fn a_user_watches_one_thing_so_often_and_others_besides() {
        let admission = admission(|_, edge| edge.max_watches_per_user = 2);
        let watch = |user, name| admission.stream(client(1, user), Some(("WatchOrder", name)));
        let _held = (watch(1, "orders/1").unwrap(), watch(1, "orders/1").unwrap());
        assert_eq!(watch(1, "orders/1").unwrap_err().reason(), "CALLER_LIMIT");
        watch(1, "orders/2").unwrap();
        watch(2, "orders/1").unwrap();
    }

    #[test]
    fn streams_are_bounded_by_user_and_by_address() {
        let bounded = |server: &mut ServerSettings, edge: &mut EdgeSettings| {
            (server.max_streams, edge.max_streams_per_user, edge.max_streams_per_address) = (1000, 3, 5);
        };
        let admission = admission(bounded);
        let open = |client| std::iter::from_fn(|| admission.stream(client, None).ok()).collect::<Vec<_>>();
        let (first, second) = (open(client(1, 1)), open(client(1, 2)));
        assert_eq!((first.len(), second.len()), (3, 2));
        assert_eq!(open(client(2, 2)).len(), 1, "the user's third");
        drop(first);
        assert_eq!(open(client(1, 0)).len(), 3);
    }

    #[tokio::test]
    async fn a_body_that_is_there_is_never_displaced() {
        let admission = admission(|_, edge| edge.max_arriving = 1);
        let waiting = admission.receive(client(1, 0), std::future::pending::<()>());
        let mut waiting = pin!(waiting);
        assert!(poll!(waiting.as_mut()).is_pending());
        assert_eq!(admission.receive(client(1, 0), async { 7 }).await.unwrap(), 7);
        assert!(poll!(waiting.as_mut()).is_pending());
        let mut next = pin!(admission.receive(client(1, 0), std::future::pending::<()>()));
        assert!(poll!(next.as_mut()).is_pending());
        assert_eq!(waiting.await.unwrap_err().reason(), "CALLER_LIMIT");
    }
}

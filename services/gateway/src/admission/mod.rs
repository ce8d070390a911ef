//! Decides which requests are accepted: only as many as there is room for, and none that would keep others out.
//!
//! A request passes these steps in order:
//! 1. the rate limit of its address (`dispatch`), and a reservation in [`memory`] for its headers;
//! 2. a turn among the requests of its address that begin ([`Admission::begin`]);
//! 3. its body: until it has arrived, the request counts against a bound of its own ([`PendingBodies`]) and takes no
//!    slot;
//! 4. a slot among the calls or the streams, held until the end of the request;
//! 5. a turn among the calls of its caller ([`Turns`]), held until the service has answered.
//!
//! Shares of slots are counted by user once the token is verified, and by address until then; those of streams by both.
//! A caller may hold as many as stay free for others ([`Capacity`]). Refusals are counted by cause ([`refusals`]); one
//! that its caller has caused is delayed a little, so that immediate retries cost little.

mod gauges;
mod memory;
mod refusals;

use std::convert::Infallible;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use flotilla_cgroup::Limits;
use flotilla_rpc::{Capacity, Details, PendingBodies, Permit, RpcError, ServerSettings, Shortage, Turns};
use futures::poll;
use prometheus::Registry;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::config::EdgeSettings;

pub use memory::{Memory, RequestMemory, Windows};
pub use refusals::{Limit, Refusals};

/// The least memory of an arriving request, and the part of limited memory that all of them may use: a twelfth.
const ARRIVING: u64 = 20 * 1024;
const ARRIVING_PART: u64 = 12;
/// How many requests of one address may start at a time: a burst of thousands would starve all others of threads.
const BEGINNINGS: usize = 16;
/// How long a cancelled call keeps its turn: its service may still work on it.
const CANCELLED: Duration = Duration::from_millis(50);
/// How long a refusal is delayed if its caller has caused it. Until then the request is in the memory of its address.
const DELAY: Duration = Duration::from_millis(250);

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
    pending: Arc<PendingBodies>,
    calls: Arc<Capacity<Caller>>,
    calls_by_user: Arc<Capacity<Uuid>>,
    streams_by_address: Arc<Capacity<IpAddr>>,
    streams_by_user: Arc<Capacity<Uuid>>,
    /// Streams by user and the hash of the watched resource.
    watches: Arc<Capacity<(Uuid, u64)>>,
    /// Turns of requests that start, by address.
    beginnings: Turns<IpAddr>,
    /// Turns at a service, by caller and the hash of the service's name.
    turns: Turns<(Caller, u64)>,
    hasher: RandomState,
}

/// A slot for a call or a stream, released on drop.
#[derive(Debug)]
pub enum Slot {
    /// The slots of a unary call.
    Call {
        /// Its slot among all calls.
        _call: Permit<Caller>,
        /// One of its user's slots.
        _user: Option<Permit<Uuid>>,
    },
    /// The slots of a stream.
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
        let turns = Turns::new(edge.concurrency(), CANCELLED);
        let waiting = turns.clone();
        let help = "Calls that wait for earlier calls of the same caller";
        gauges::register(registry, "flotilla_gateway_waiting_calls", help, move || waiting.waiting() as u64)?;
        let arriving = Limits::of_process().pieces(edge.max_arriving, ARRIVING, ARRIVING_PART);
        let streams = server.max_streams as u64;
        Ok(Self {
            memory,
            refusals,
            pending: PendingBodies::new(arriving),
            calls: Capacity::new(server.calls_at_once() as u64, u64::MAX),
            calls_by_user: Capacity::new(u64::MAX, edge.max_calls_per_user as u64),
            streams_by_address: Capacity::new(streams, edge.max_streams_per_address as u64),
            streams_by_user: Capacity::new(streams, edge.max_streams_per_user as u64),
            watches: Capacity::new(u64::MAX, edge.max_watches_per_user as u64),
            beginnings: Turns::new(BEGINNINGS, Duration::ZERO),
            turns,
            hasher: RandomState::new(),
        })
    }

    /// Answers a request once its address has a turn to begin one. The turn is over when all tasks that are ready now
    /// have run, so those of other addresses run between.
    ///
    /// `answer` makes the future only then: a request that waits takes little memory.
    pub async fn begin<T, F: Future<Output = T>>(&self, address: Option<IpAddr>, answer: impl FnOnce() -> F) -> T {
        if let Some(address) = self.memory.key(address) {
            drop(self.beginnings.take(address).await);
        }
        Box::pin(answer()).await
    }

    /// Waits for a body; meanwhile the request takes no slot.
    ///
    /// # Errors
    /// If later requests evicted it.
    pub async fn receive<T>(&self, client: Client, body: impl Future<Output = T>) -> Result<T, RpcError> {
        let mut body = pin!(body);
        // The body usually came with the headers.
        if let Poll::Ready(received) = poll!(body.as_mut()) {
            return Ok(received);
        }
        let mut pending_body = self.pending.enter(self.memory.key(client.address));
        tokio::select! {
            biased;
            received = body => Ok(received),
            () = pending_body.displaced() => Err(self.refusals.refuse(Limit::Arriving, Shortage::Caller)),
        }
    }

    /// Takes a slot for a unary call.
    ///
    /// # Errors
    /// If all slots are taken, or the caller's share is used up.
    pub async fn call(&self, client: Client) -> Result<Slot, RpcError> {
        match self.call_slot(client) {
            Ok(slot) => Ok(slot),
            Err(shortage) => Err(self.refused(Limit::Calls, shortage).await),
        }
    }

    /// Takes a slot for a stream. `watched` is the method and the name of the resource that it watches, if any.
    ///
    /// # Errors
    /// As for [`call`](Self::call), and if the user has too many streams about the same resource.
    pub async fn stream(&self, client: Client, watched: Option<(&str, &str)>) -> Result<Slot, RpcError> {
        match self.stream_slot(client, watched) {
            Ok(slot) => Ok(slot),
            Err((limit, shortage)) => Err(self.refused(limit, shortage).await),
        }
    }

    /// Calls a service once it is the turn of the client's caller there. Calls of unknown callers don't wait.
    ///
    /// # Errors
    /// Those of the call; `CALLER_LIMIT` if earlier calls of the caller took until `deadline`.
    pub async fn in_turn<T>(
        &self,
        client: Client,
        service: &str,
        deadline: Instant,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let Some(caller) = self.caller(client) else { return call.await };
        let turn = self.turns.take((caller, self.hasher.hash_one(service)));
        let late = |_| self.refusals.refuse(Limit::Turns, Shortage::Caller);
        let turn = timeout_at(deadline, turn).await.map_err(late)?;
        let answer = call.await;
        turn.over();
        if let Err(status) = &answer {
            delay_refusal(status).await;
        }
        answer
    }

    /// Gives back the turns of cancelled calls and of requests that have begun; runs until it is dropped.
    pub async fn give_back_turns(&self) -> Infallible {
        tokio::select! {
            never = self.turns.give_back() => never,
            never = self.beginnings.give_back() => never,
        }
    }

    fn caller(&self, client: Client) -> Option<Caller> {
        client.user.map(Caller::User).or(self.memory.key(client.address).map(Caller::Address))
    }

    fn call_slot(&self, client: Client) -> Result<Slot, Shortage> {
        let user = client.user.map(|user| self.calls_by_user.take(Some(user), 1)).transpose()?;
        Ok(Slot::Call { _call: self.calls.take(self.caller(client), 1)?, _user: user })
    }

    fn stream_slot(&self, client: Client, watched: Option<(&str, &str)>) -> Result<Slot, (Limit, Shortage)> {
        let streams = |shortage| (Limit::Streams, shortage);
        let watch = match (client.user, watched) {
            (Some(user), Some(watched)) => {
                let watch = self.watches.take(Some((user, self.hasher.hash_one(watched))), 1);
                Some(watch.map_err(|shortage| (Limit::Watches, shortage))?)
            }
            _ => None,
        };
        let user = client.user.map(|user| self.streams_by_user.take(Some(user), 1)).transpose().map_err(streams)?;
        let address = self.streams_by_address.take(self.memory.key(client.address), 1).map_err(streams)?;
        Ok(Slot::Stream { _address: address, _user: user, _watch: watch })
    }

    async fn refused(&self, limit: Limit, shortage: Shortage) -> RpcError {
        let error = self.refusals.refuse(limit, shortage);
        if shortage == Shortage::Caller {
            sleep(DELAY).await;
        }
        error
    }
}

/// Delays a refusal by a service if its caller has caused it, as the edge does with its own.
pub async fn delay_refusal(status: &Status) {
    if status.code() == Code::ResourceExhausted && Details::of(status).reason.as_deref() != Some("OVERLOADED") {
        sleep(DELAY).await;
    }
}

#[cfg(test)]
mod tests;

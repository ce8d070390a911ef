//! Requests whose body hasn't arrived yet.
//!
//! They don't take a slot yet, so opening requests without ever sending their bodies takes no slots from others. Their
//! number is bounded: one more evicts the oldest request of the address with the most. A client that sends its body
//! without delay is never among the oldest for long enough to be evicted.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future as _, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The arriving requests of a server.
#[derive(Debug)]
pub struct PendingBodies {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    count: usize,
    /// By address, oldest first.
    waiting: HashMap<Option<IpAddr>, BTreeMap<u64, oneshot::Sender<()>>>,
}

impl PendingBodies {
    /// At most `most` at once.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), state: Mutex::default() })
    }

    /// Adds a request from `address`; evicts an older one if there are too many.
    pub fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> PendingBody {
        let (displace, displaced) = oneshot::channel();
        let mut state = self.state.lock();
        let id = state.next;
        state.next += 1;
        if state.count >= self.most {
            state.displace_oldest();
        }
        state.waiting.entry(address).or_default().insert(id, displace);
        state.count += 1;
        drop(state);
        PendingBody { pending: Arc::clone(self), address, id, displaced }
    }
}

impl State {
    fn displace_oldest(&mut self) {
        let by_count = |(_, waiting): &(&Option<IpAddr>, &BTreeMap<_, _>)| waiting.len();
        let Some(address) = self.waiting.iter().max_by_key(by_count).map(|(address, _)| *address) else { return };
        let oldest = self.waiting.get(&address).and_then(|waiting| waiting.keys().next().copied());
        if let Some(displaced) = oldest.and_then(|id| self.remove(address, id)) {
            // There is no receiver if the request has just ended.
            let _ = displaced.send(());
        }
    }

    fn remove(&mut self, address: Option<IpAddr>, id: u64) -> Option<oneshot::Sender<()>> {
        let waiting = self.waiting.get_mut(&address)?;
        let removed = waiting.remove(&id)?;
        if waiting.is_empty() {
            self.waiting.remove(&address);
        }
        self.count -= 1;
        Some(removed)
    }
}

/// An arriving request. It is dropped when the request has arrived or was cancelled.
#[derive(Debug)]
pub struct PendingBody {
    pending: Arc<PendingBodies>,
    address: Option<IpAddr>,
    id: u64,
    displaced: oneshot::Receiver<()>,
}

impl PendingBody {
    /// Waits until the request is evicted.
    pub async fn displaced(&mut self) {
        poll_fn(|cx| self.poll_displaced(cx)).await;
    }

    /// Whether the request has been evicted.
    pub fn poll_displaced(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A closed channel: no request can be evicted any more.
        match Pin::new(&mut self.displaced).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for PendingBody {
    fn drop(&mut self) {
        self.pending.state.lock().remove(self.address, self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn is_displaced(pending_body: &mut PendingBody) -> bool {
        pending_body.displaced().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_of_the_address_that_has_the_most_makes_room() {
        let pending = PendingBodies::new(4);
        let mut other = pending.enter(ip("10.0.0.2"));
        let mut flood: Vec<_> = (0..3).map(|_| pending.enter(ip("10.0.0.1"))).collect();
        assert!(!flood.iter_mut().any(is_displaced));
        flood.push(pending.enter(ip("10.0.0.1")));
        flood.push(pending.enter(ip("10.0.0.1")));
        let displaced: Vec<_> = flood.iter_mut().map(is_displaced).collect();
        assert_eq!(displaced, [true, true, false, false, false]);
        let mut newcomer = pending.enter(ip("10.0.0.3"));
        assert!(is_displaced(&mut flood[2]) && !is_displaced(&mut newcomer) && !is_displaced(&mut other));
    }

    #[test]
    fn arrived_and_evicted_requests_are_removed() {
        let pending = PendingBodies::new(1);
        let first = pending.enter(None);
        let second = pending.enter(None);
        drop(first);
        assert_eq!(pending.state.lock().count, 1);
        drop(second);
        let state = pending.state.lock();
        assert!(state.count == 0 && state.waiting.is_empty());
    }
}

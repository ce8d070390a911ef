//! The live feeds of this process: the listeners, and the last sequence of each listener's feed.
//!
//! Only a sequence is announced, not a message: listeners read the deliveries themselves, in pages and at their own
//! pace, so a slow one costs no memory. Deliveries that this replica records are announced at once; those of other
//! replicas are found by one query for all listeners at the interval [`poll`](crate::config::FeedSettings::poll).
//!
//! The same query returns the server run of the database. After a restart, a failover or a restore there is a new run,
//! and feeds may be shorter: every listener is woken and checks its position.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_config::{HumanDuration, Live};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::storage::Feeds;

/// The feeds with listeners. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    topics: Arc<Mutex<HashMap<Uuid, Topic>>>,
    listeners_each: usize,
}

struct Topic {
    latest: watch::Sender<Latest>,
    listeners: usize,
}

/// The announced last sequence of a feed.
#[derive(Debug, Clone, Copy, Default)]
struct Latest {
    sequence: i64,
    /// Counts the server runs of the database.
    runs: u64,
}

/// The customer already has the maximum number of listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyListeners;

impl Hub {
    /// Creates a hub that allows each customer this many listeners.
    #[must_use]
    pub fn new(listeners_each: usize) -> Self {
        Self { topics: Arc::default(), listeners_each }
    }

    /// Listens to a customer's feed until dropped.
    ///
    /// # Errors
    /// The customer has too many listeners.
    pub fn listen(&self, customer: Uuid) -> Result<Listener, TooManyListeners> {
        let mut topics = self.topics.lock();
        let topic = topics.entry(customer).or_insert_with(|| Topic { latest: watch::Sender::default(), listeners: 0 });
        if topic.listeners >= self.listeners_each {
            return Err(TooManyListeners);
        }
        topic.listeners += 1;
        let latest = topic.latest.subscribe();
        let runs = latest.borrow().runs;
        Ok(Listener { hub: self.clone(), customer, latest, runs })
    }

    /// Announces that a customer's feed reaches `sequence`.
    pub fn announce(&self, customer: Uuid, sequence: i64) {
        if let Some(topic) = self.topics.lock().get(&customer) {
            topic.latest.send_if_modified(|latest| {
                let further = sequence > latest.sequence;
                latest.sequence = sequence.max(latest.sequence);
                further
            });
        }
    }

    /// Announces another server run: deliveries announced before may be lost.
    fn begin_again(&self) {
        for topic in self.topics.lock().values() {
            topic.latest.send_modify(|latest| *latest = Latest { sequence: 0, runs: latest.runs + 1 });
        }
    }

    /// Polls for deliveries that other replicas recorded, until the shutdown.
    pub async fn watch(self, feeds: Feeds, poll: Live<HumanDuration>, shutdown: CancellationToken) {
        let (mut last, mut run) = (None, None);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = due(&poll, last) => {}
            }
            last = Some(Instant::now());
            let customers: Vec<Uuid> = self.topics.lock().keys().copied().collect();
            if customers.is_empty() {
                // Listeners from here on haven't read anything yet.
                run = None;
                continue;
            }
            match feeds.last_sequences(&customers).await {
                Ok(found) => {
                    if run.replace(found.run).is_some_and(|before| before != found.run) {
                        self.begin_again();
                    }
                    found.sequences.into_iter().for_each(|(customer, last)| self.announce(customer, last));
                }
                Err(error) => tracing::warn!(error = %error, listeners = customers.len(), "feeds could not be read"),
            }
        }
    }
}

/// Waits for the next poll; the first is due at once.
async fn due(poll: &Live<HumanDuration>, last: Option<Instant>) {
    if let Some(last) = last {
        poll.passed_since(last, Duration::ZERO).await;
    }
}

/// A listener of a customer's feed.
pub struct Listener {
    hub: Hub,
    customer: Uuid,
    latest: watch::Receiver<Latest>,
    /// The run count at the last check.
    runs: u64,
}

impl Listener {
    /// The customer.
    #[must_use]
    pub fn customer(&self) -> Uuid {
        self.customer
    }

    /// Waits until a sequence above `sequence` is announced. Returns `true` if the server run changed meanwhile:
    /// deliveries read before may be lost.
    pub async fn beyond(&mut self, sequence: i64) -> bool {
        let seen = self.runs;
        // The sender lives in the hub as long as this listener does, so the wait can't fail.
        let Ok(latest) = self.latest.wait_for(|latest| latest.sequence > sequence || latest.runs != seen).await else {
            return false;
        };
        self.runs = latest.runs;
        self.runs != seen
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut topics = self.hub.topics.lock();
        if let Some(topic) = topics.get_mut(&self.customer) {
            topic.listeners -= 1;
            if topic.listeners == 0 {
                topics.remove(&self.customer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Uuid = Uuid::from_u128(1);

    #[tokio::test]
    async fn a_listener_is_notified_of_its_own_feed_only() {
        let hub = Hub::new(2);
        let mut listener = hub.listen(ADA).expect("room");
        hub.announce(Uuid::from_u128(2), 9);
        hub.announce(ADA, 3);
        hub.announce(ADA, 2);
        assert!(!listener.beyond(2).await);
        assert!(tokio::time::timeout(Duration::from_millis(5), listener.beyond(3)).await.is_err());
    }

    #[tokio::test]
    async fn a_listener_is_woken_once_when_another_run_of_the_server_answers() {
        let hub = Hub::new(2);
        let mut listener = hub.listen(ADA).expect("room");
        hub.announce(ADA, 100);
        hub.begin_again();
        assert!(listener.beyond(100).await);
        assert!(tokio::time::timeout(Duration::from_millis(5), listener.beyond(50)).await.is_err());
        hub.announce(ADA, 51);
        assert!(!listener.beyond(50).await, "lower than before, and announced");
    }

    #[test]
    fn a_customers_listeners_are_bounded_and_forgotten() {
        let hub = Hub::new(2);
        let listeners = [hub.listen(ADA).expect("room"), hub.listen(ADA).expect("room")];
        assert_eq!(hub.listen(ADA).err(), Some(TooManyListeners));
        drop(listeners);
        assert!(hub.topics.lock().is_empty());
        assert!(hub.listen(ADA).is_ok());
    }
}

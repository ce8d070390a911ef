//! Live feeds in this process: who listens, and how far each listener's feed goes.
//!
//! A number, not a message, is passed on: listeners read the deliveries themselves, by pages and at their own pace, so
//! that a slow one costs no memory. What this replica records is announced at once; what other replicas record is found
//! by one query for all listeners, every [`poll`](crate::config::FeedSettings::poll).

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

/// The feeds that someone listens to. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    topics: Arc<Mutex<HashMap<Uuid, Topic>>>,
    listeners_each: usize,
}

struct Topic {
    latest: watch::Sender<i64>,
    listeners: usize,
}

/// A customer listens to as many feeds as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyListeners;

impl Hub {
    /// A hub that allows each customer that many listeners.
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
        let topic = topics.entry(customer).or_insert_with(|| Topic { latest: watch::Sender::new(0), listeners: 0 });
        if topic.listeners >= self.listeners_each {
            return Err(TooManyListeners);
        }
        topic.listeners += 1;
        Ok(Listener { hub: self.clone(), customer, latest: topic.latest.subscribe() })
    }

    /// Says that a customer's feed goes as far as `sequence`, or will when a transaction commits.
    pub fn announce(&self, customer: Uuid, sequence: i64) {
        if let Some(topic) = self.topics.lock().get(&customer) {
            topic.latest.send_if_modified(|latest| {
                let further = sequence > *latest;
                *latest = sequence.max(*latest);
                further
            });
        }
    }

    /// Looks for what other replicas recorded, until the shutdown.
    pub async fn watch(self, feeds: Feeds, poll: Live<HumanDuration>, shutdown: CancellationToken) {
        let mut last = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = due(&poll, last) => {}
            }
            last = Some(Instant::now());
            let customers: Vec<Uuid> = self.topics.lock().keys().copied().collect();
            if customers.is_empty() {
                continue;
            }
            match feeds.last_sequences(&customers).await {
                Ok(sequences) => sequences.into_iter().for_each(|(customer, last)| self.announce(customer, last)),
                Err(error) => tracing::warn!(error = %error, listeners = customers.len(), "feeds not looked at"),
            }
        }
    }
}

/// Waits for the next look; the first is due at once.
async fn due(poll: &Live<HumanDuration>, last: Option<Instant>) {
    if let Some(last) = last {
        poll.passed_since(last, Duration::ZERO).await;
    }
}

/// One who listens to a customer's feed.
pub struct Listener {
    hub: Hub,
    customer: Uuid,
    latest: watch::Receiver<i64>,
}

impl Listener {
    /// The customer.
    #[must_use]
    pub fn customer(&self) -> Uuid {
        self.customer
    }

    /// Waits until the feed is said to go beyond `sequence`. It may not be visible yet: the announcement comes from
    /// inside the transaction.
    pub async fn beyond(&mut self, sequence: i64) {
        // The sender lives in the hub as long as this listener does, so the wait can't fail.
        let _ = self.latest.wait_for(|latest| *latest > sequence).await;
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
    async fn a_listener_hears_of_its_own_feed_only() {
        let hub = Hub::new(2);
        let mut listener = hub.listen(ADA).expect("room");
        hub.announce(Uuid::from_u128(2), 9);
        hub.announce(ADA, 3);
        hub.announce(ADA, 2);
        listener.beyond(2).await;
        assert!(tokio::time::timeout(Duration::from_millis(5), listener.beyond(3)).await.is_err());
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

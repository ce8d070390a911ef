//! Reads from the in-memory broker: deliveries of a durable consumer, and pings.

use std::time::Duration;

use bytes::Bytes;
use flotilla_messaging::BrokerError;
use flotilla_messaging::broker::{Delivery, Pings, Subscription};
use flotilla_messaging::frame::FramePart;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::MemoryBroker;

/// A durable consumer being read.
pub struct MemorySubscription {
    pub(super) broker: MemoryBroker,
    pub(super) stream: &'static str,
    pub(super) consumer: &'static str,
}

impl Subscription for MemorySubscription {
    type Delivery = MemoryDelivery;

    async fn next(&mut self, max_messages: usize, wait: Duration) -> Result<Vec<MemoryDelivery>, BrokerError> {
        let until = Instant::now() + wait;
        loop {
            let broker = self.broker.clone();
            let changed = broker.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before the read, so that a change right after it isn't missed.
            changed.as_mut().enable();
            let (taken, again) = self.take(max_messages)?;
            if !taken.is_empty() || Instant::now() >= until {
                return Ok(taken);
            }
            let wake = again.map_or(until, |again| again.min(until));
            tokio::select! {
                () = &mut changed => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }
}

impl MemorySubscription {
    /// The frames that are deliverable now, and the time of the next redelivery.
    fn take(&self, max_messages: usize) -> Result<(Vec<MemoryDelivery>, Option<Instant>), BrokerError> {
        let mut state = self.broker.reach()?;
        let gone = || BrokerError::ConsumerGone(self.consumer.to_owned());
        let stream = state.streams.get_mut(self.stream).ok_or_else(gone)?;
        let durable = stream.consumers.get_mut(self.consumer).ok_or_else(gone)?;
        let now = Instant::now();
        let mut chosen: Vec<u64> =
            durable.pending.iter().filter(|(_, (due, _))| *due <= now).map(|(at, _)| *at).take(max_messages).collect();
        while chosen.len() < max_messages {
            let Some((at, found)) = stream.messages.range(durable.next..).next() else { break };
            durable.next = at + 1;
            if durable.wants(&found.subject) {
                chosen.push(*at);
            }
        }
        let mut taken = Vec::with_capacity(chosen.len());
        for at in chosen {
            let Some(found) = stream.messages.get(&at) else {
                durable.pending.remove(&at);
                continue;
            };
            let entry = durable.pending.entry(at).or_insert((now, 0));
            *entry = (now + self.broker.shared.ack_wait, entry.1 + 1);
            taken.push(MemoryDelivery {
                broker: self.broker.clone(),
                stream: self.stream,
                created: stream.created,
                consumer: self.consumer,
                sequence: at,
                count: entry.1,
                subject: found.subject.clone(),
                payload: found.payload.clone(),
                frames: found.frames.clone(),
            });
        }
        let again = durable.pending.values().map(|(due, _)| *due).min();
        state.redeliveries += taken.iter().filter(|message| message.count > 1).count() as u64;
        Ok((taken, again))
    }
}

/// One delivered message.
pub struct MemoryDelivery {
    broker: MemoryBroker,
    stream: &'static str,
    created: i64,
    consumer: &'static str,
    sequence: u64,
    count: u32,
    subject: String,
    payload: Bytes,
    frames: Option<Vec<FramePart>>,
}

impl MemoryDelivery {
    fn settle(&self, again_after: Option<Duration>) -> Result<(), BrokerError> {
        let mut state = self.broker.reach()?;
        let stream = state.streams.get_mut(self.stream).filter(|stream| stream.created == self.created);
        if let Some(durable) = stream.and_then(|stream| stream.consumers.get_mut(self.consumer)) {
            match again_after {
                Some(wait) => {
                    durable.pending.entry(self.sequence).and_modify(|entry| entry.0 = Instant::now() + wait);
                }
                None => {
                    durable.pending.remove(&self.sequence);
                }
            }
        }
        drop(state);
        self.broker.shared.changed.notify_waiters();
        Ok(())
    }
}

impl Delivery for MemoryDelivery {
    fn payload(&self) -> &Bytes {
        &self.payload
    }

    fn frames(&self) -> Option<Vec<FramePart>> {
        self.frames.clone()
    }

    fn subject(&self) -> &str {
        &self.subject
    }

    fn redelivered(&self) -> bool {
        self.count > 1
    }

    async fn ack(&self) -> Result<(), BrokerError> {
        self.settle(None)
    }

    async fn nak(&self, delay: Duration) -> Result<(), BrokerError> {
        self.settle(Some(delay))
    }

    async fn progress(&self) -> Result<(), BrokerError> {
        self.settle(Some(self.broker.shared.ack_wait))
    }
}

/// A subscription to pings.
pub struct MemoryPings {
    pub(super) subject: String,
    pub(super) receiver: broadcast::Receiver<(String, Bytes)>,
}

impl Pings for MemoryPings {
    async fn next(&mut self) -> Bytes {
        loop {
            match self.receiver.recv().await {
                Ok((subject, payload)) if subject == self.subject => return payload,
                // Pings may be lost.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

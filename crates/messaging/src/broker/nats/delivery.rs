//! Deliveries from NATS: messages of a durable consumer, and pings.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::pull;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};

use super::unavailable;
use crate::broker::{Delivery, Pings, Subscription};
use crate::error::BrokerError;
use crate::frame::{FRAMES_HEADER, FramePart, parse_frames};

/// A durable consumer's open pull requests.
pub struct NatsSubscription {
    messages: pull::Stream,
}

impl NatsSubscription {
    pub(super) fn new(messages: pull::Stream) -> Self {
        Self { messages }
    }
}

impl Subscription for NatsSubscription {
    type Delivery = NatsDelivery;

    async fn next(&mut self, max_messages: usize, wait: Duration) -> Result<Vec<NatsDelivery>, BrokerError> {
        let Ok(first) = tokio::time::timeout(wait, self.messages.next()).await else { return Ok(Vec::new()) };
        let gone = || BrokerError::ConsumerGone("the pull requests ended".to_owned());
        let mut taken = vec![NatsDelivery(first.ok_or_else(gone)?.map_err(|error| ended(&error))?)];
        while taken.len() < max_messages {
            match self.messages.next().now_or_never() {
                Some(Some(Ok(message))) => taken.push(NatsDelivery(message)),
                // The messages received so far are handled first; if the error persists, the next call returns it.
                Some(_) | None => break,
            }
        }
        Ok(taken)
    }
}

fn ended(error: &async_nats::jetstream::consumer::pull::MessagesError) -> BrokerError {
    BrokerError::ConsumerGone(error.to_string())
}

/// One message from JetStream.
pub struct NatsDelivery(async_nats::jetstream::Message);

impl Delivery for NatsDelivery {
    fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    fn frames(&self) -> Option<Vec<FramePart>> {
        let value = self.0.headers.as_ref()?.get(FRAMES_HEADER)?;
        parse_frames(value.as_str(), self.0.payload.len())
    }

    fn subject(&self) -> &str {
        &self.0.subject
    }

    fn redelivered(&self) -> bool {
        self.0.info().is_ok_and(|info| info.delivered > 1)
    }

    async fn ack(&self) -> Result<(), BrokerError> {
        self.0.ack().await.map_err(unavailable)
    }

    async fn nak(&self, delay: Duration) -> Result<(), BrokerError> {
        self.0.ack_with(AckKind::Nak(Some(delay))).await.map_err(unavailable)
    }

    async fn progress(&self) -> Result<(), BrokerError> {
        self.0.ack_with(AckKind::Progress).await.map_err(unavailable)
    }
}

/// Pings over core NATS.
pub struct NatsPings(async_nats::Subscriber);

impl NatsPings {
    pub(super) fn new(subscriber: async_nats::Subscriber) -> Self {
        Self(subscriber)
    }
}

impl Pings for NatsPings {
    async fn next(&mut self) -> Bytes {
        match self.0.next().await {
            Some(message) => message.payload,
            // The client was closed: there will be no more pings.
            None => std::future::pending().await,
        }
    }
}

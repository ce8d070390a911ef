//! The test in the place of inventory and payments: consumes the commands of orders from the real broker and publishes the
//! replies itself.

use std::sync::{Arc, Mutex};

use async_nats::jetstream::{consumer::AckPolicy, consumer::pull};
use flotilla_clock::Ids;
use flotilla_messaging::{Event, frame};
use flotilla_proto::events::{Published, streams};
use flotilla_proto::inventory::v1::{
    ProductChanged, ReservationExpired, StockRejected, StockRejection, StockReleased, StockReserved,
};
use flotilla_proto::payments::v1::{PaymentCharged, PaymentDecline, PaymentDeclined, PaymentRefunded};
use flotilla_testkit::{Streams, eventually};
use futures::StreamExt as _;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::world::TIMEOUT;

/// Both participants.
pub struct Participants {
    streams: Streams,
    ids: Ids,
    received: Arc<Mutex<Vec<Event>>>,
    consumer: Mutex<Option<JoinHandle<()>>>,
}

impl Participants {
    /// Creates the participants' streams.
    pub async fn start(nats_url: &str) -> Self {
        let streams = Streams::connect(nats_url).await;
        streams.create(streams::INVENTORY.name, streams::INVENTORY.subjects).await;
        streams.create(streams::PAYMENTS.name, streams::PAYMENTS.subjects).await;
        Self { streams, ids: Ids::system(), received: Arc::default(), consumer: Mutex::default() }
    }

    /// Listens to the stream of orders, once its relay has created it.
    pub async fn listen(&self) {
        let stream = eventually("stream of orders", TIMEOUT, || self.streams.get("ORDERS")).await;
        let config = pull::Config { ack_policy: AckPolicy::None, ..Default::default() };
        let mut messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
        let received = Arc::clone(&self.received);
        let consumer = tokio::spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                let events = frame::decode(&message.subject, &message.payload).unwrap();
                received.lock().unwrap().extend(events.into_iter().map(Result::unwrap));
            }
        });
        *self.consumer.lock().unwrap() = Some(consumer);
    }

    /// The messages that orders has published about an order so far, by short type.
    pub fn received(&self, order: Uuid, kind: &str) -> Vec<Event> {
        let aggregate = format!("orders/{order}");
        let received = self.received.lock().unwrap();
        let of_kind = |event: &&Event| event.aggregate == aggregate && event.kind.rsplit('.').next() == Some(kind);
        received.iter().filter(of_kind).cloned().collect()
    }

    /// Waits until orders has published the message that often.
    pub async fn wait_for_times(&self, order: Uuid, kind: &str, times: usize) -> Vec<Event> {
        eventually(&format!("{times} {kind} of {order}"), TIMEOUT, || async {
            let received = self.received(order, kind);
            if received.len() >= times { Ok(received) } else { Err(format!("{} received", received.len())) }
        })
        .await
    }

    /// Waits for a message of an order.
    pub async fn wait_for(&self, order: Uuid, kind: &str) -> Event {
        self.wait_for_times(order, kind, 1).await.remove(0)
    }

    pub fn reserved(&self, order: Uuid) -> Event {
        self.event(&StockReserved { order_id: order.to_string(), expire_time: None })
    }

    pub fn rejected(&self, order: Uuid, rejection: StockRejection) -> Event {
        let message = StockRejected { order_id: order.to_string(), rejection: rejection.into(), product_ids: vec![] };
        self.event(&message)
    }

    pub fn released(&self, order: Uuid) -> Event {
        self.event(&StockReleased { order_id: order.to_string(), held: true })
    }

    pub fn expired(&self, order: Uuid) -> Event {
        self.event(&ReservationExpired { order_id: order.to_string() })
    }

    pub fn charged(&self, order: Uuid) -> Event {
        self.event(&PaymentCharged { order_id: order.to_string(), ..PaymentCharged::default() })
    }

    pub fn declined(&self, order: Uuid) -> Event {
        let decline = PaymentDecline::InsufficientFunds.into();
        let message = PaymentDeclined { order_id: order.to_string(), customer_id: String::new(), decline };
        self.event(&message)
    }

    pub fn refunded(&self, order: Uuid) -> Event {
        self.event(&PaymentRefunded { order_id: order.to_string(), ..PaymentRefunded::default() })
    }

    pub fn product(&self, product: &ProductChanged) -> Event {
        self.event(product)
    }

    /// Wraps a message under a new id.
    pub fn event<M: prost::Message + Published>(&self, message: &M) -> Event {
        Event::new(self.ids.next(), message, 1, 0, self.ids.now())
    }

    /// Publishes events as the participants' relays do.
    pub async fn publish(&self, events: &[Event]) {
        self.streams.publish(events).await;
    }
}

impl Drop for Participants {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.lock().unwrap().take() {
            consumer.abort();
        }
    }
}

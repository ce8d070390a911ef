//! The test in the place of inventory and payments: hears the commands of orders on the real broker and answers by hand.

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

use crate::world::PATIENCE;

/// Both participants.
pub struct Participants {
    streams: Streams,
    ids: Ids,
    heard: Arc<Mutex<Vec<Event>>>,
    ear: Mutex<Option<JoinHandle<()>>>,
}

impl Participants {
    /// Creates the participants' streams.
    pub async fn start(nats_url: &str) -> Self {
        let streams = Streams::connect(nats_url).await;
        streams.create(streams::INVENTORY.name, streams::INVENTORY.subjects).await;
        streams.create(streams::PAYMENTS.name, streams::PAYMENTS.subjects).await;
        Self { streams, ids: Ids::system(), heard: Arc::default(), ear: Mutex::default() }
    }

    /// Listens to the stream of orders, once its relay has created it.
    pub async fn listen(&self) {
        let stream = eventually("stream of orders", PATIENCE, || self.streams.get("ORDERS")).await;
        let config = pull::Config { ack_policy: AckPolicy::None, ..Default::default() };
        let mut messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
        let heard = Arc::clone(&self.heard);
        let ear = tokio::spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                let events = frame::decode(&message.subject, &message.payload).unwrap();
                heard.lock().unwrap().extend(events.into_iter().map(Result::unwrap));
            }
        });
        *self.ear.lock().unwrap() = Some(ear);
    }

    /// What orders has said of an order so far, by short type.
    pub fn heard(&self, order: Uuid, kind: &str) -> Vec<Event> {
        let aggregate = format!("orders/{order}");
        let heard = self.heard.lock().unwrap();
        let of_kind = |event: &&Event| event.aggregate == aggregate && event.kind.rsplit('.').next() == Some(kind);
        heard.iter().filter(of_kind).cloned().collect()
    }

    /// Waits until orders has said so that often.
    pub async fn hear_times(&self, order: Uuid, kind: &str, times: usize) -> Vec<Event> {
        eventually(&format!("{times} {kind} of {order}"), PATIENCE, || async {
            let heard = self.heard(order, kind);
            if heard.len() >= times { Ok(heard) } else { Err(format!("{} heard", heard.len())) }
        })
        .await
    }

    /// Waits for a message of an order.
    pub async fn hear(&self, order: Uuid, kind: &str) -> Event {
        self.hear_times(order, kind, 1).await.remove(0)
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
    pub async fn say(&self, events: &[Event]) {
        self.streams.publish(events).await;
    }
}

impl Drop for Participants {
    fn drop(&mut self) {
        if let Some(ear) = self.ear.lock().unwrap().take() {
            ear.abort();
        }
    }
}

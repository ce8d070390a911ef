//! The handler of every message that makes a notice: a batch locks its feeds and is recorded with one statement.

use std::collections::BTreeSet;

use async_trait::async_trait;
use flotilla_clock::Ids;
use flotilla_messaging::{Claim, Event, Handler, HandlerError, Outcome, Registry as Messages, Unreadable};
use flotilla_postgres::Tx;
use flotilla_proto::events::Consumer;
use flotilla_proto::notification::v1::DeliveryRecorded;
use prometheus::{IntCounterVec, Opts, Registry};
use uuid::Uuid;

use super::{SingleNotice, trace};
use crate::domain::notice::Notice;
use crate::feed::Hub;
use crate::grpc::wire_kind;
use crate::storage::{self, Delivery};

/// Records the notices for the messages of one consumer.
pub struct Recorder {
    messages: Messages<Option<Notice>>,
    ids: Ids,
    hub: Hub,
    recorded: IntCounterVec,
    single: SingleNotice,
    publishes: bool,
}

impl Recorder {
    /// Creates a recorder for each consumer; all announce to this hub. `publishes` says whether each delivery is also
    /// published as an event, which is of no use unless a consumer of it is declared.
    ///
    /// # Errors
    /// The registry already has these metrics.
    pub fn of_each_consumer(
        ids: &Ids,
        hub: &Hub,
        single: &SingleNotice,
        publishes: bool,
        registry: &Registry,
    ) -> Result<Vec<Self>, prometheus::Error> {
        let recorded =
            IntCounterVec::new(Opts::new("flotilla_deliveries_total", "Deliveries recorded, by kind"), &["kind"])?;
        registry.register(Box::new(recorded.clone()))?;
        let recorder = |messages| Self {
            messages,
            ids: ids.clone(),
            hub: hub.clone(),
            recorded: recorded.clone(),
            single: single.clone(),
            publishes,
        };
        Ok(super::registries().into_iter().map(recorder).collect())
    }

    /// The consumer whose messages it reads.
    #[must_use]
    pub fn consumer(&self) -> &'static Consumer {
        self.messages.consumer()
    }

    fn event(&self, cause: &Event, delivery: &Delivery, sequence: i64) -> Event {
        let customer = delivery.notice.customer;
        let message = DeliveryRecorded {
            delivery_id: delivery.id.to_string(),
            customer_id: customer.to_string(),
            sequence,
            kind: wire_kind(delivery.notice.kind).as_str_name().to_owned(),
        };
        Event::new(self.ids.next(), &message, customer, sequence, self.ids.now()).caused_by(cause)
    }

    /// Removes the deliveries that were recorded before, those that their customers have muted, and those for steps of
    /// orders with a single notice.
    async fn wanted(&self, tx: &Tx, deliveries: Vec<Delivery>) -> Result<Vec<Delivery>, HandlerError> {
        if deliveries.is_empty() {
            return Ok(deliveries);
        }
        let customers: BTreeSet<Uuid> = deliveries.iter().map(|delivery| delivery.notice.customer).collect();
        let customers: Vec<Uuid> = customers.into_iter().collect();
        let events: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.event).collect();
        // First, so that what is read next includes what others have committed, and so that everybody locks in one order.
        storage::lock_feeds(tx, &customers).await?;
        let muted = async { storage::muted(tx, &customers).await.map_err(HandlerError::from) };
        let known = async { storage::known(tx, &events).await.map_err(HandlerError::from) };
        let (muted, known, mut deliveries) =
            futures::try_join!(muted, known, self.single.without_steps(tx, deliveries))?;
        deliveries.retain(|delivery| {
            let notice = &delivery.notice;
            !known.contains(&delivery.event)
                && !muted.get(&notice.customer).is_some_and(|kinds| kinds.contains(&notice.kind))
        });
        Ok(deliveries)
    }
}

#[async_trait]
impl Handler<Tx> for Recorder {
    fn knows(&self, kind: &str) -> bool {
        self.messages.knows(kind)
    }

    /// An event has one delivery, in whatever frame it comes.
    fn claims(&self) -> Claim {
        Claim::Frame
    }

    async fn prepare(&self, tx: &mut Tx, events: &[Event]) -> Result<(), HandlerError> {
        let customers: BTreeSet<Uuid> = events
            .iter()
            .filter_map(|event| self.messages.read(event).ok().flatten())
            .map(|notice| notice.customer)
            .collect();
        Ok(storage::lock_feeds(tx, &customers.into_iter().collect::<Vec<_>>()).await?)
    }

    async fn handle(&self, tx: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let read: Vec<Result<Option<Notice>, Unreadable>> =
            events.iter().map(|event| self.messages.read(event)).collect();
        let deliveries: Vec<Delivery> = events
            .iter()
            .zip(&read)
            .filter_map(|(event, notice)| notice.as_ref().ok()?.as_ref().map(|notice| (event, notice)))
            .map(|(event, notice)| Delivery { id: self.ids.next(), event: event.id, notice: notice.clone() })
            .collect();
        let deliveries = self.wanted(tx, deliveries).await?;
        let sequences = storage::record(tx, &deliveries).await?;
        let mut recorded = deliveries.iter().zip(sequences).peekable();
        let mut reached: Vec<(&'static str, Uuid, i64)> = Vec::with_capacity(deliveries.len());
        let outcomes = events
            .iter()
            .zip(read)
            .map(|(event, notice)| match notice {
                Err(why) => Outcome::DeadLetter(why),
                Ok(None) => Outcome::Done(Vec::new()),
                Ok(Some(notice)) => {
                    // An unwanted notice has no delivery: the next delivery belongs to another event.
                    let delivered = recorded.next_if(|(delivery, _)| delivery.event == event.id);
                    trace::noticed(event, &notice, delivered.as_ref().map(|(delivery, _)| *delivery));
                    let published = delivered.map(|(delivery, sequence)| {
                        reached.push((notice.kind.as_str(), notice.customer, sequence));
                        self.publishes.then(|| self.event(event, delivery, sequence))
                    });
                    Outcome::Done(published.flatten().into_iter().collect())
                }
            })
            .collect();
        let (counters, hub) = (self.recorded.clone(), self.hub.clone());
        tx.after_commit(move || {
            for (kind, customer, sequence) in reached {
                counters.with_label_values(&[kind]).inc();
                hub.announce(customer, sequence);
            }
        });
        Ok(outcomes)
    }
}

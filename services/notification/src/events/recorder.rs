//! The consumer of everything that customers are told: a batch is recorded by one statement.

use std::collections::{BTreeSet, HashSet};

use async_trait::async_trait;
use flotilla_messaging::{Event, Handler, HandlerError, Ids, Outcome};
use flotilla_postgres::Tx;
use flotilla_proto::notification::v1::DeliveryRecorded;
use prometheus::{IntCounterVec, Opts, Registry};
use uuid::Uuid;

use super::DELIVERIES;
use crate::domain::notice::Notice;
use crate::feed::Hub;
use crate::grpc::wire_kind;
use crate::storage::{self, Delivery};

/// Records what customers are told.
pub struct Recorder {
    ids: Ids,
    hub: Hub,
    kinds: HashSet<String>,
    recorded: IntCounterVec,
}

impl Recorder {
    /// A recorder that announces to this hub.
    ///
    /// # Errors
    /// The registry knows these metrics already.
    pub fn new(ids: Ids, hub: Hub, registry: &Registry) -> Result<Self, prometheus::Error> {
        let recorded = IntCounterVec::new(
            Opts::new("flotilla_deliveries_total", "Deliveries written, by what they tell; some may be rolled back"),
            &["kind"],
        )?;
        registry.register(Box::new(recorded.clone()))?;
        Ok(Self { ids, hub, kinds: super::kinds().collect(), recorded })
    }

    fn event(&self, cause: &Event, delivery: &Delivery, sequence: i64) -> Event {
        let customer = delivery.notice.customer;
        let message = DeliveryRecorded {
            delivery_id: delivery.id.to_string(),
            customer_id: customer.to_string(),
            sequence,
            kind: wire_kind(delivery.notice.kind).as_str_name().to_owned(),
        };
        let aggregate = format!("users/{customer}");
        Event::new(self.ids.next(), DELIVERIES, &message, aggregate, sequence, self.ids.now()).caused_by(cause)
    }
}

#[async_trait]
impl Handler<Tx> for Recorder {
    fn knows(&self, kind: &str) -> bool {
        self.kinds.contains(kind)
    }

    async fn handle(&self, tx: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let read: Vec<Result<Option<Notice>, String>> = events.iter().map(super::read).collect();
        let deliveries: Vec<Delivery> = events
            .iter()
            .zip(&read)
            .filter_map(|(event, notice)| notice.as_ref().ok()?.as_ref().map(|notice| (event, notice)))
            .map(|(event, notice)| Delivery { id: self.ids.next(), event: event.id, notice: notice.clone() })
            .collect();
        let deliveries = wanted(tx, deliveries).await?;
        let sequences = storage::record(tx, &deliveries).await?;
        let mut recorded = deliveries.iter().zip(sequences).peekable();
        let outcomes = events
            .iter()
            .zip(read)
            .map(|(event, notice)| match notice {
                Err(why) => Outcome::DeadLetter(why),
                Ok(None) => Outcome::Done(Vec::new()),
                Ok(Some(notice)) => {
                    // A muted notice has no delivery: the next one is another event's.
                    let said =
                        recorded.next_if(|(delivery, _)| delivery.event == event.id).map(|(delivery, sequence)| {
                            self.recorded.with_label_values(&[notice.kind.as_str()]).inc();
                            // Inside the transaction: listeners look until they see it, which takes them a few
                            // milliseconds; after a rollback they find nothing.
                            self.hub.announce(notice.customer, sequence);
                            self.event(event, delivery, sequence)
                        });
                    Outcome::Done(said.into_iter().collect())
                }
            })
            .collect();
        Ok(outcomes)
    }
}

/// The deliveries without those that their customers have muted.
async fn wanted(tx: &Tx, deliveries: Vec<Delivery>) -> Result<Vec<Delivery>, HandlerError> {
    if deliveries.is_empty() {
        return Ok(deliveries);
    }
    let customers: BTreeSet<Uuid> = deliveries.iter().map(|delivery| delivery.notice.customer).collect();
    let customers: Vec<Uuid> = customers.into_iter().collect();
    let muted = storage::muted(tx, &customers).await?;
    let is_muted = |notice: &Notice| muted.get(&notice.customer).is_some_and(|kinds| kinds.contains(&notice.kind));
    Ok(deliveries.into_iter().filter(|delivery| !is_muted(&delivery.notice)).collect())
}

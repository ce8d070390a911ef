//! The handler of the participants' replies: a batch advances its sagas in one transaction.

use std::collections::BTreeSet;

use async_trait::async_trait;
use flotilla_clock::Ids;
use flotilla_messaging::{Claim, Event, Handler, HandlerError, Outcome, Registry, Unreadable};
use flotilla_postgres::Tx;

use super::Reply;
use crate::{
    metrics::Metrics,
    saga::{Batch, Cause},
    watches::Watches,
};

/// Advances sagas.
pub struct Replies {
    /// The messages that it consumes.
    pub registry: Registry<Option<Reply>>,
    /// Generates the ids of commands.
    pub ids: Ids,
    /// Notified of the new states.
    pub watches: Watches,
    /// The metrics.
    pub metrics: Metrics,
}

#[async_trait]
impl Handler<Tx> for Replies {
    fn knows(&self, kind: &str) -> bool {
        self.registry.knows(kind)
    }

    /// Idempotent by the order's saga: any reply is legal in any state.
    fn claims(&self) -> Claim {
        Claim::Frame
    }

    async fn handle(&self, tx: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let replies: Vec<Result<Option<Reply>, Unreadable>> =
            events.iter().map(|event| self.registry.read(event)).collect();
        let orders: BTreeSet<_> = replies.iter().flatten().flatten().map(|reply| reply.order).collect();
        let mut batch = Batch::lock(tx, &self.ids, orders).await?;
        let outcomes = events.iter().zip(replies).map(|(event, reply)| apply(&mut batch, event, reply)).collect();
        batch.write(tx).await?;
        let moved: Vec<_> = batch.moved().map(|row| row.order_id).collect();
        let (moves, metrics, watches) = (batch.take_moves(), self.metrics.clone(), self.watches.clone());
        tx.after_commit(move || {
            watches.changed(moved.into_iter());
            metrics.moved(&moves);
        });
        Ok(outcomes)
    }
}

fn apply(batch: &mut Batch<'_>, event: &Event, reply: Result<Option<Reply>, Unreadable>) -> Outcome {
    match reply {
        Err(reason) => Outcome::DeadLetter(reason),
        Ok(None) => Outcome::Done(vec![]),
        Ok(Some(Reply { order, message })) => match batch.apply(order, message, Cause::Event(event)) {
            Some(events) => Outcome::Done(events),
            None => Outcome::DeadLetter(format!("orders/{order} is not known")),
        },
    }
}

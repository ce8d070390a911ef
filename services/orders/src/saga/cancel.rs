//! Cancels orders under the saga's lock, for the order's customer or an operator.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_auth::{Caller, Role};
use flotilla_clock::Ids;
use flotilla_listing::etag;
use flotilla_messaging::{Event, Outbox};
use flotilla_postgres::{Pool, Tx, retry};
use uuid::Uuid;

use super::batch::{Batch, Cause};
use crate::{
    domain::{
        order::Order,
        saga::{self, Message},
    },
    error::Error,
    storage::orders::get_within,
    watches::Watches,
};

/// Cancels orders.
#[derive(Clone)]
pub struct Canceller {
    /// The system role's pool: customers may not write the rows that a cancellation changes.
    pub pool: Pool,
    /// The outbox for the compensations.
    pub outbox: Outbox,
    /// Generates the ids of commands.
    pub ids: Ids,
    /// Notified of the new state.
    pub watches: Watches,
}

impl Canceller {
    /// Cancels an order and returns its new state.
    ///
    /// # Errors
    /// The order doesn't exist or belongs to another customer, has ended, or has another version; or the database
    /// failed.
    pub async fn cancel(&self, caller: Caller, id: Uuid, expected: &str, patience: Duration) -> Result<Order, Error> {
        let traceparent = flotilla_rpc::current_traceparent();
        retry(patience, || self.attempt(caller, id, expected, traceparent.as_deref())).await
    }

    /// Runs one transaction.
    async fn attempt(
        &self,
        caller: Caller,
        id: Uuid,
        expected: &str,
        traceparent: Option<&str>,
    ) -> Result<Order, Error> {
        let tx = self.pool.begin().await?;
        let mut batch = Batch::lock(&tx, &self.ids, BTreeSet::from([id])).await?;
        let cause = Cause::Decision { id: self.ids.next(), traceparent };
        let events = match decide(&mut batch, caller, id, expected, cause) {
            Ok(events) => events,
            Err(refusal) => return tx.rollback_with(refusal).await,
        };
        let order = self.write(&tx, &batch, &events, id).await?;
        tx.commit().await?;
        self.watches.changed(batch.moved().map(|row| row.order_id));
        order.ok_or(Error::NotFound(id))
    }

    async fn write(
        &self,
        tx: &Tx,
        batch: &Batch<'_>,
        events: &[Event],
        id: Uuid,
    ) -> Result<Option<Order>, flotilla_postgres::Error> {
        let append = async { self.outbox.append(tx, events).await.map_err(flotilla_messaging::Error::into_postgres) };
        futures::try_join!(batch.write(tx), append)?;
        get_within(tx, id).await
    }
}

fn decide(
    batch: &mut Batch<'_>,
    caller: Caller,
    id: Uuid,
    expected: &str,
    cause: Cause<'_>,
) -> Result<Vec<Event>, Error> {
    let own = |customer| caller.role == Role::Operator || caller.user == customer;
    let row = batch.row(id).filter(|row| own(row.customer_id)).ok_or(Error::NotFound(id))?;
    etag::check(expected, row.version, row.state.name())?;
    let decision = saga::cancel(row.state).map_err(|_| Error::Ended { id, state: row.state.name() })?;
    if decision.next == row.state {
        return Ok(vec![]);
    }
    Ok(batch.apply(id, Message::Cancel, cause).unwrap_or_default())
}

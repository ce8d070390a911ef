//! Accepting orders: concurrent calls share a transaction, each with its own outcome.
//!
//! Guarantees: one order per key; a refused request leaves nothing behind and its key unused; an order is durable
//! before the caller gets it, with its saga begun and its first command in the outbox.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use flotilla_clock::Ids;
use flotilla_messaging::{Event, Outbox};
use flotilla_postgres::{Error as StoreError, ErrorKind, Pool, Tx, retry};
use flotilla_telemetry::{Kind, Span};
use uuid::Uuid;

use crate::{
    domain::{
        idempotency::{Fingerprint, Fold, Key, KeyReused, fold, same_request},
        order::Order,
        pricing::Priced,
        saga::State,
    },
    error::Error,
    saga::placed,
    storage::{
        journal::{At, Journal},
        placing::{Candidate, insert_orders, insert_sagas, read_holders},
        sagas::plan_by_index,
    },
};

/// How long a batch is retried.
const PATIENCE: Duration = Duration::from_secs(5);

/// A priced request, ready to be accepted.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Customer and request id.
    pub key: Key,
    /// Digest of the request.
    pub fingerprint: Fingerprint,
    /// Lines and total.
    pub priced: Priced,
    /// The trace of the call.
    pub traceparent: Option<String>,
}

/// The result of a committed batch for one request: the key's order, or the error that the key belongs to another
/// request.
type Outcome = Result<Order, KeyReused>;

/// Writes batches.
#[derive(Clone)]
pub struct Placing {
    /// The system role's pool.
    pub pool: Pool,
    /// The outbox for the first commands.
    pub outbox: Outbox,
    /// Generates the ids of orders and commands.
    pub ids: Ids,
}

impl Placing {
    /// Accepts a batch; one outcome for each request, in their order. A failure of the database fails all of them.
    pub async fn accept(&self, placements: Vec<Placement>) -> Vec<Result<Order, Error>> {
        // One transaction for all requests: it has its own trace, linked to every sampled request.
        let members = placements.iter().filter_map(|placement| placement.traceparent.as_deref());
        let span = Span::gather(Kind::Internal, || "accept orders", members);
        span.set("flotilla.batch.size", i64::try_from(placements.len()).unwrap_or(i64::MAX));
        match span.within(retry(PATIENCE, || self.attempt(&placements))).await {
            Ok(outcomes) => outcomes.into_iter().map(|outcome| outcome.map_err(Error::from)).collect(),
            Err(error) => {
                span.error(error.kind().as_str(), &error);
                let failed = |_| Err(StoreError::new(error.kind(), error.to_string()).into());
                placements.iter().map(failed).collect()
            }
        }
    }

    /// Runs one transaction. After a commit of unknown outcome a retry finds the orders by their keys.
    async fn attempt(&self, placements: &[Placement]) -> Result<Vec<Outcome>, StoreError> {
        let folds = fold(placements.iter().map(|placement| placement.key.clone()));
        let candidates: Vec<Candidate<'_>> = folds
            .iter()
            .map(|fold| Candidate {
                id: self.ids.next(),
                command_id: self.ids.next(),
                key: &fold.key,
                fingerprint: &placements[fold.leader].fingerprint,
                priced: &placements[fold.leader].priced,
            })
            .collect();
        let tx = self.pool.begin().await?;
        let accepted = insert_orders(&tx, &candidates).await?;
        let (winners, losers): (Vec<&Candidate<'_>>, Vec<&Candidate<'_>>) =
            candidates.iter().partition(|candidate| accepted.contains_key(&candidate.id));
        let leader = |index: usize| &placements[folds[index].leader];
        let traces: HashMap<Uuid, &str> = candidates
            .iter()
            .enumerate()
            .filter_map(|(index, candidate)| Some((candidate.id, leader(index).traceparent.as_deref()?)))
            .collect();
        let (events, journal) = self.messages(&winners, &traces);
        let ((), (), holders) = futures::try_join!(
            insert_sagas(&tx, &winners, &journal),
            self.append(&tx, &events),
            holders(&tx, &losers),
        )?;
        tx.commit().await?;
        outcomes(placements, &folds, &candidates, &accepted, holders)
    }

    /// The first messages of the orders that won, and their journal.
    fn messages(&self, winners: &[&Candidate<'_>], traces: &HashMap<Uuid, &str>) -> (Vec<Event>, Journal) {
        let now = self.ids.now();
        let mut journal = Journal::default();
        let mut events = Vec::with_capacity(winners.len() * 2);
        for winner in winners {
            let at = At { order_id: winner.id, step: State::Reserving.name(), attempt: 1 };
            let ids = (winner.command_id, self.ids.next());
            for event in placed(ids, winner.id, winner.key.0, winner.priced, now) {
                let event = event.traced(traces.get(&winner.id).map(|trace| (*trace).to_owned()));
                journal.goes_out(at, &event);
                events.push(event);
            }
        }
        (events, journal)
    }

    async fn append(&self, tx: &Tx, events: &[Event]) -> Result<(), StoreError> {
        self.outbox.append(tx, events).await.map_err(flotilla_messaging::Error::into_postgres)
    }
}

async fn holders(tx: &Tx, losers: &[&Candidate<'_>]) -> Result<HashMap<Key, (Order, Vec<u8>)>, StoreError> {
    if losers.is_empty() {
        return Ok(HashMap::new());
    }
    plan_by_index(tx).await?;
    read_holders(tx, losers).await
}

/// Gives each request of a key the order that holds it, or the error that its body differs.
fn outcomes(
    placements: &[Placement],
    folds: &[Fold],
    candidates: &[Candidate<'_>],
    accepted: &HashMap<Uuid, SystemTime>,
    mut holders: HashMap<Key, (Order, Vec<u8>)>,
) -> Result<Vec<Outcome>, StoreError> {
    let mut outcomes: Vec<Option<Outcome>> = placements.iter().map(|_| None).collect();
    for (fold, candidate) in folds.iter().zip(candidates) {
        let (order, fingerprint) = match accepted.get(&candidate.id) {
            Some(created_at) => (order(candidate, *created_at), candidate.fingerprint.to_vec()),
            None => holders.remove(&fold.key).ok_or_else(unanswered)?,
        };
        for index in std::iter::once(fold.leader).chain(fold.followers.iter().copied()) {
            let same = same_request(&fingerprint, &placements[index].fingerprint);
            outcomes[index] = Some(same.map(|()| order.clone()));
        }
    }
    outcomes.into_iter().collect::<Option<Vec<_>>>().ok_or_else(unanswered)
}

/// An order that was just accepted.
fn order(candidate: &Candidate<'_>, created_at: SystemTime) -> Order {
    Order {
        id: candidate.id,
        customer_id: candidate.key.0,
        state: State::Reserving.name().to_owned(),
        reason: None,
        lines: candidate.priced.lines.clone(),
        total: candidate.priced.total,
        version: 1,
        created_at,
        ended_at: None,
    }
}

fn unanswered() -> StoreError {
    StoreError::new(ErrorKind::Other, "a request of the batch has no outcome")
}

//! Re-sends steps without a reply, and gives them up after the last re-send.
//!
//! A step's clock starts when the relay has published its commands. A check detects that once the step has been waiting
//! for the first backoff, so the clock doesn't run while the broker is down. Several replicas may check concurrently:
//! rows that another one has locked are skipped. Checks take at most a tenth of the time, however many sagas are open.

use std::collections::HashMap;
use std::time::Duration;

use flotilla_clock::Ids;
use flotilla_messaging::{Event, Outbox};
use flotilla_postgres::{Error, Pool, Tx};
use flotilla_proto::inventory::v1::StockLine;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::batch::{Batch, Cause, is_compensating};
use crate::{
    config::SagaSettings,
    domain::{
        backoff::Due,
        saga::{Message, State},
    },
    metrics::Metrics,
    storage::sagas,
    watches::Watches,
};

/// The pause after a check lasts at least this many times as long as the check.
const REST: u32 = 9;
/// Maximum number of transactions of one kind per check; the rest waits for the next check.
const ROUNDS: u32 = 20;
/// Number of checks between two counts of the stuck sagas.
const LOOKS_PER_COUNT: u32 = 20;

/// Re-sends steps without a reply.
pub struct Worker {
    /// The system role's pool.
    pub pool: Pool,
    /// The outbox for commands.
    pub outbox: Outbox,
    /// Source of ids, time and randomness.
    pub ids: Ids,
    /// Notified of the new states.
    pub watches: Watches,
    /// The metrics.
    pub metrics: Metrics,
    /// The backoff of re-sends; may change at any time.
    pub settings: SagaSettings,
}

impl Worker {
    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut looks = 0_u32;
        let tick = &self.settings.tick;
        let (mut last, mut rest) = (Instant::now(), Duration::ZERO);
        while shutdown.run_until_cancelled(tick.passed_since(last, rest)).await.is_some() {
            let began = Instant::now();
            if let Err(error) = self.look(looks.is_multiple_of(LOOKS_PER_COUNT)).await {
                tracing::warn!(error = %error, "sagas without a reply could not be read");
            }
            looks = looks.wrapping_add(1);
            last = Instant::now();
            rest = began.elapsed() * REST;
        }
    }

    async fn look(&self, count: bool) -> Result<(), Error> {
        let full = self.settings.batch.get() as usize;
        for _ in 0..ROUNDS {
            if self.start_clocks().await? < full {
                break;
            }
        }
        for _ in 0..ROUNDS {
            if self.send_again().await? < full {
                break;
            }
        }
        if count {
            let tx = self.pool.begin().await?;
            let attempts = i32::try_from(self.settings.resends.get()).unwrap_or(i32::MAX);
            self.metrics.stuck.set(sagas::stuck(&tx, attempts).await?);
            tx.commit().await?;
        }
        Ok(())
    }

    /// Starts the clocks of steps that have been published; returns the number of sagas.
    async fn start_clocks(&self) -> Result<usize, Error> {
        let schedule = self.settings.schedule();
        let waiting = schedule.first;
        let tx = self.pool.begin().await?;
        sagas::plan_by_index(&tx).await?;
        let published = sagas::lock_published(&tx, self.youngest(waiting), waiting, self.limit()).await?;
        let wait =
            |(order, attempt): (Uuid, i32)| (order, schedule.wait(u32::try_from(attempt).unwrap_or(1), self.chance()));
        let mut waits: Vec<(Uuid, Duration)> = published.into_iter().map(wait).collect();
        waits.sort_unstable_by_key(|(order, _)| *order);
        sagas::start_clocks(&tx, &waits).await?;
        tx.commit().await?;
        Ok(waits.len())
    }

    /// Re-sends the steps that are due, in one transaction; returns the number of sagas.
    async fn send_again(&self) -> Result<usize, Error> {
        let tx = self.pool.begin().await?;
        let rows = sagas::lock_due(&tx, self.limit()).await?;
        if rows.is_empty() {
            tx.commit().await?;
            return Ok(0);
        }
        let schedule = self.settings.schedule();
        let due: Vec<(Uuid, State, Due)> = rows
            .iter()
            .map(|row| {
                let attempt = u32::try_from(row.attempt).unwrap_or(1);
                (row.order_id, row.state, schedule.due(attempt, is_compensating(row.state)))
            })
            .collect();
        let lines = reservations(&tx, &due).await?;
        let mut batch = Batch::of(&self.ids, rows);
        let mut events: Vec<Event> = vec![];
        for (order, state, due) in &due {
            events.extend(self.act(&mut batch, *order, *state, *due, lines.get(order)));
        }
        let append = async { self.outbox.append(&tx, &events).await.map_err(flotilla_messaging::Error::into_postgres) };
        futures::try_join!(batch.write(&tx), append)?;
        tx.commit().await?;
        self.watches.changed(batch.moved().map(|row| row.order_id));
        Ok(due.len())
    }

    fn act(
        &self,
        batch: &mut Batch<'_>,
        order: Uuid,
        state: State,
        due: Due,
        lines: Option<&Vec<StockLine>>,
    ) -> Vec<Event> {
        match due {
            Due::Resend(attempt) => {
                self.metrics.resent(is_compensating(state));
                batch.resend(order, attempt, lines.map_or(&[], Vec::as_slice))
            }
            Due::GiveUp => {
                tracing::warn!(order = %order, step = state.name(), "step given up after its re-sends");
                self.metrics.given_up.inc();
                let cause = Cause::Decision { id: self.ids.next(), traceparent: None };
                batch.apply(order, Message::GiveUp, cause).unwrap_or_default()
            }
        }
    }

    /// The lowest id of an order that is too young to have waited that long.
    fn youngest(&self, waiting: Duration) -> Uuid {
        let since =
            self.ids.now().checked_sub(waiting).and_then(|then| then.duration_since(std::time::UNIX_EPOCH).ok());
        let millis = since.map_or(0, |since| since.as_millis());
        Uuid::from_u128(millis << 80)
    }

    /// Maximum number of sagas per transaction.
    fn limit(&self) -> i64 {
        i64::from(self.settings.batch.get())
    }

    /// A random number in 0..1.
    fn chance(&self) -> f64 {
        let mut bytes = [0_u8; 2];
        self.ids.random().fill(&mut bytes);
        f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX)
    }
}

/// The lines of the orders whose reservation is re-sent.
async fn reservations(tx: &Tx, due: &[(Uuid, State, Due)]) -> Result<HashMap<Uuid, Vec<StockLine>>, Error> {
    let reserving = |(order, state, due): &(Uuid, State, Due)| {
        (*state == State::Reserving && matches!(due, Due::Resend(_))).then_some(*order)
    };
    let orders: Vec<Uuid> = due.iter().filter_map(reserving).collect();
    let mut lines: HashMap<Uuid, Vec<StockLine>> = HashMap::new();
    for (order, line) in sagas::stock_lines(tx, &orders).await? {
        lines.entry(order).or_default().push(line);
    }
    Ok(lines)
}

//! The relay while it holds the lease: read, pack, publish, move the cursor.

use std::time::Duration;

use flotilla_telemetry::{Kind, Span, exported};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::faults::RelayFaults;
use super::refusal::Refusals;
use super::{RelayParts, Stop};
use crate::broker::{Broker, Pings};
use crate::frame::{Packer, sampled_traceparents};
use crate::store::{Cursor, Grant, OutboxRow, OutboxStore, StreamMark, StreamRecord};

/// A read ends with the frame that reaches this size.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// A read with so many events is a sign of load: the next one waits until there is more to publish at once.
const LOAD: usize = 16;
/// Number of reads for rows that a running transaction still holds back, before the regular poll takes over.
const SEEKS: u32 = 24;
/// How long a relay that is shutting down keeps publishing the remaining rows.
const DRAIN: Duration = Duration::from_secs(2);
/// How often the record of the stream is stored although it hasn't changed.
pub(super) const KEEP_RECORD: Duration = Duration::from_secs(600);

/// A relay that holds the lease.
pub(super) struct Leader<'a, S: OutboxStore, B: Broker> {
    pub(super) parts: &'a RelayParts<S, B>,
    faults: &'a RelayFaults,
    pub(super) epoch: i64,
    pub(super) cursor: Cursor,
    pub(super) generations: Vec<i64>,
    /// The stream as far as it is known to be intact.
    pub(super) stream: StreamMark,
    /// What is known about the stream's messages, and when that was last stored.
    pub(super) record: StreamRecord,
    pub(super) kept_at: Instant,
    /// The stream's last sequence at the previous check.
    pub(super) looked_at: u64,
    pub(super) refusals: Refusals,
    /// Rows read ahead, while the batch before them was published.
    pub(super) ahead: Option<Vec<S::Row>>,
    pub(super) lease_until: Instant,
    pings: B::Pings,
    pinged: u64,
    seeks: u32,
    /// The earliest time of the next read.
    next_read: Instant,
    next_check: Instant,
    pub(super) next_checkpoint: Instant,
}

impl<'a, S: OutboxStore, B: Broker> Leader<'a, S, B> {
    /// Finds the cursor and compares the stream with its record. `granted` is a time before the lease was requested.
    pub(super) async fn open(
        parts: &'a RelayParts<S, B>,
        faults: &'a RelayFaults,
        grant: Grant,
        granted: Instant,
    ) -> Result<Self, Stop> {
        let now = Instant::now();
        let generations = parts.store.generations().await?;
        let oldest = generations.first().copied().unwrap_or_default();
        let mut leader = Self {
            parts,
            faults,
            epoch: grant.epoch,
            cursor: grant.cursor.unwrap_or_else(|| Cursor::start_of(oldest)),
            generations,
            stream: StreamMark { created: 0, sequence: 0 },
            record: StreamRecord::default(),
            kept_at: now,
            looked_at: 0,
            refusals: Refusals::none(),
            ahead: None,
            lease_until: granted + parts.settings.lease.0,
            pings: parts.broker.pings(&parts.pings).await?,
            pinged: 0,
            seeks: 0,
            next_read: now,
            next_check: now,
            next_checkpoint: now,
        };
        leader.open_stream(grant.stream).await?;
        Ok(leader)
    }

    /// Publishes until it must stop leading.
    pub(super) async fn work(&mut self, shutdown: &CancellationToken) -> Stop {
        let mut drain_until = None;
        loop {
            if shutdown.is_cancelled() {
                let until = *drain_until.get_or_insert_with(|| Instant::now() + DRAIN);
                if Instant::now() >= until {
                    return Stop::Shutdown;
                }
            }
            match self.step().await {
                Ok(true) => {}
                Ok(false) if shutdown.is_cancelled() && !self.awaits_rows() => return Stop::Shutdown,
                Ok(false) => self.wait(shutdown).await,
                Err(stop) => return stop,
            }
        }
    }

    /// One read and its publication; false if there was nothing to do.
    async fn step(&mut self) -> Result<bool, Stop> {
        let now = Instant::now();
        self.keep_lease(now).await?;
        if now >= self.next_check {
            self.check_stream().await?;
            self.next_check = now + self.parts.settings.check.0;
        }
        if self.faults.stall() {
            return Ok(false);
        }
        let rows = match self.ahead.take() {
            Some(rows) => rows,
            None => self.read(self.cursor).await?,
        };
        let events: usize = rows.iter().map(OutboxRow::events).sum();
        self.next_read = if events < LOAD { now } else { now + self.parts.settings.gather.0 };
        if rows.is_empty() {
            return self.next_generation().await;
        }
        self.seeks = 0;
        let full = self.is_full(&rows);
        self.publish(rows, full).await?;
        Ok(full)
    }

    async fn read(&self, after: Cursor) -> Result<Vec<S::Row>, Stop> {
        Ok(self.parts.store.read(after, self.in_present(), self.parts.settings.batch, BATCH_BYTES).await?)
    }

    /// Whether the outbox has more rows than the last read returned.
    fn is_full(&self, rows: &[S::Row]) -> bool {
        rows.len() >= self.parts.settings.batch
            || rows.iter().map(|row| row.payload().len()).sum::<usize>() >= BATCH_BYTES
    }

    /// Whether the cursor is in the generation of the current cluster, where transactions may still be running.
    fn in_present(&self) -> bool {
        self.generations.last().is_none_or(|present| *present == self.cursor.generation)
    }

    /// Moves the cursor from the end of an older generation to the start of the next.
    async fn next_generation(&mut self) -> Result<bool, Stop> {
        if self.in_present() {
            return Ok(false);
        }
        let place = self.generations.iter().position(|generation| *generation == self.cursor.generation);
        let next = self.generations[place.map_or(0, |place| place + 1)];
        debug!(generation = next, "relay continues with the next generation");
        self.advance(Cursor::start_of(next)).await?;
        Ok(true)
    }

    async fn publish(&mut self, rows: Vec<S::Row>, full: bool) -> Result<(), Stop> {
        let Some(last) = rows.last() else { return Ok(()) };
        let (xid, id) = last.position();
        let reached = Cursor { generation: self.cursor.generation, xid, id };
        let frames = rows.len() as u64;
        let events = rows.iter().map(|row| row.events() as u64).sum();
        let span = self.span(&rows);
        let mut packer = Packer::default();
        for row in &rows {
            packer.add(row.subject(), row.position().1, row.events(), row.payload());
        }
        if self.faults.poison() {
            self.faults.add_poison(&rows, &mut packer);
        }
        drop(rows);

        let messages = packer.finish();
        let started = Instant::now();
        let publish = self.parts.broker.publish(self.parts.stream.name, self.stream.sequence, messages);
        let publish = tokio::time::timeout(self.parts.publish_deadline, span.within(publish));
        let (published, ahead) = if full {
            let (published, ahead) = tokio::join!(publish, self.read(reached));
            (published, Some(ahead?))
        } else {
            (publish.await, None)
        };
        let published =
            published.unwrap_or_else(|_| Err(crate::BrokerError::Unavailable("no acks in time".to_owned())));
        match published {
            Ok(sequences) if sequences.iter().all(|sequence| *sequence > self.stream.sequence) => {
                self.accepted();
                self.stream.sequence = sequences.into_iter().max().unwrap_or(self.stream.sequence);
                self.advance(reached).await?;
                self.ahead = ahead;
                self.parts.metrics.published.inc_by(events);
                self.parts.metrics.frames.inc_by(frames);
                self.parts.metrics.publish.observe(started.elapsed().as_secs_f64());
                Ok(())
            }
            Ok(_) => {
                warn!(stream = self.parts.stream.name, "an ack's sequence is not above the recorded one");
                self.check_stream().await
            }
            Err(error) => {
                span.error("broker", &error);
                debug!(error = %error, stream = self.parts.stream.name, "publication failed");
                self.refused(self.stream.sequence, error).await
            }
        }
    }

    /// The span of a publication, linked to every sampled event in it.
    fn span(&self, rows: &[S::Row]) -> Span {
        if !exported() {
            return Span::none();
        }
        let members = rows.iter().flat_map(|row| sampled_traceparents(row.payload()));
        let span = Span::gather(Kind::Producer, || format!("publish {}", self.parts.stream.name), members);
        span.set("messaging.system", "nats");
        span.set("messaging.operation.name", "publish");
        span.set("messaging.operation.type", "send");
        span.set("messaging.destination.name", self.parts.stream.name);
        let events: usize = rows.iter().map(OutboxRow::events).sum();
        span.set("messaging.batch.message_count", i64::try_from(events).unwrap_or(i64::MAX));
        span
    }

    /// Whether committed rows are held back by a running transaction with a lower id.
    fn awaits_rows(&self) -> bool {
        let target = self.parts.waker.target().max(self.pinged);
        self.in_present() && self.cursor.xid < target && self.seeks < SEEKS
    }

    /// Waits for a reason to read and, under load, until the gathering time has ended.
    async fn wait(&mut self, shutdown: &CancellationToken) {
        let pause = if self.awaits_rows() {
            self.seeks += 1;
            // Transactions that hold back others usually end soon.
            Duration::from_millis(2 << (self.seeks / 4).min(4))
        } else {
            self.parts.settings.poll.0
        };
        let until = (Instant::now() + pause).min(self.next_check);
        let draining = shutdown.is_cancelled();
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = self.parts.waker.woken() => self.seeks = 0,
            ping = self.pings.next() => {
                let target = ping.as_ref().try_into().map(u64::from_be_bytes).unwrap_or_default();
                self.pinged = self.pinged.max(target);
                self.seeks = 0;
            }
            () = shutdown.cancelled(), if !draining => {}
        }
        if !shutdown.is_cancelled() {
            tokio::time::sleep_until(self.next_read).await;
        }
    }
}

//! A batch of locked sagas: messages are applied in memory, in order, and the results are written together.

use std::collections::{BTreeSet, HashMap};

use flotilla_clock::Ids;
use flotilla_messaging::Event;
use flotilla_postgres::{Error, Tx};
use flotilla_proto::inventory::v1::StockLine;
use uuid::Uuid;

use super::commands;
use super::moves::Move;
use super::trace;
use crate::{
    domain::saga::{Decision, Message, State, step},
    storage::{
        journal::{At, Journal},
        sagas::{self, Change, SagaRow, Sent},
    },
};

/// The cause of a message: a consumed event, or a decision of this service with its own id.
#[derive(Clone, Copy, Debug)]
pub enum Cause<'a> {
    /// A reply from the broker.
    Event(&'a Event),
    /// A cancellation, or a step given up.
    Decision {
        /// The id under which it is journalled.
        id: Uuid,
        /// The trace it belongs to.
        traceparent: Option<&'a str>,
    },
}

/// Locked sagas and the changes to be written.
pub struct Batch<'a> {
    ids: &'a Ids,
    entries: HashMap<Uuid, Entry>,
    journal: Journal,
    moves: Vec<Move>,
}

#[derive(Debug)]
struct Entry {
    row: SagaRow,
    sent_id: Option<Uuid>,
    moved: bool,
    dirty: bool,
}

impl<'a> Batch<'a> {
    /// Creates a batch from locked sagas.
    #[must_use]
    pub fn of(ids: &'a Ids, rows: Vec<SagaRow>) -> Self {
        let entry = |row: SagaRow| (row.order_id, Entry { row, sent_id: None, moved: false, dirty: false });
        Self { ids, entries: rows.into_iter().map(entry).collect(), journal: Journal::default(), moves: vec![] }
    }

    /// Locks the sagas of orders, in the order of their ids.
    ///
    /// # Errors
    /// The statement's error.
    pub async fn lock(tx: &Tx, ids: &'a Ids, orders: BTreeSet<Uuid>) -> Result<Self, Error> {
        let orders: Vec<Uuid> = orders.into_iter().collect();
        Ok(Self::of(ids, sagas::lock(tx, &orders).await?))
    }

    /// A locked saga.
    #[must_use]
    pub fn row(&self, order: Uuid) -> Option<&SagaRow> {
        self.entries.get(&order).map(|entry| &entry.row)
    }

    /// The orders whose state has changed.
    pub fn moved(&self) -> impl Iterator<Item = &SagaRow> {
        self.entries.values().filter(|entry| entry.moved).map(|entry| &entry.row)
    }

    /// Takes the transitions so far, to be counted after the commit.
    pub fn take_moves(&mut self) -> Vec<Move> {
        std::mem::take(&mut self.moves)
    }

    /// Applies a message and returns the messages for the outbox; none for an order that isn't locked here.
    pub fn apply(&mut self, order: Uuid, message: Message, cause: Cause<'_>) -> Option<Vec<Event>> {
        let entry = self.entries.get_mut(&order)?;
        let decision = step(entry.row.state, message);
        if let Cause::Event(event) = cause
            && decision.next != entry.row.state
        {
            self.moves.push(Move::of(&entry.row, decision.next, self.ids.now(), event.traceparent.as_deref()));
        }
        let (id, traceparent) = match cause {
            Cause::Event(event) => (event.id, event.traceparent.as_deref()),
            Cause::Decision { id, traceparent } => (id, traceparent),
        };
        trace::advanced(traceparent, order, entry.row.state, message, &decision);
        let began = entry.begin(&decision);
        let at = entry.at();
        self.journal.came_in(at, id, message.name(), traceparent);
        let events = entry.carry_out(&decision, began, self.ids);
        let caused = events.into_iter().map(|event| match cause {
            Cause::Event(cause) => event.caused_by(cause),
            Cause::Decision { traceparent, .. } => event.traced(traceparent.map(str::to_owned)),
        });
        let events: Vec<Event> = caused.collect();
        for event in &events {
            self.journal.goes_out(at, event);
        }
        Some(events)
    }

    /// Re-sends a step without a reply; its commands keep their ids.
    pub fn resend(&mut self, order: Uuid, attempt: u32, lines: &[StockLine]) -> Vec<Event> {
        let Some(entry) = self.entries.get_mut(&order) else { return vec![] };
        entry.row.attempt = i32::try_from(attempt).unwrap_or(i32::MAX);
        entry.dirty = true;
        let mut events = vec![];
        for command in entry.row.state.awaited() {
            let id = entry.command_id(command, self.ids);
            entry.sent_id = entry.sent_id.max(Some(id));
            events.push(commands::command(command, id, &entry.row, lines.to_vec(), self.ids.now()));
        }
        let at = entry.at();
        for event in &events {
            self.journal.goes_out(at, event);
        }
        events
    }

    /// Writes the sagas that have changed or have new journal entries, and the orders that have ended.
    ///
    /// # Errors
    /// The statements' errors.
    pub async fn write(&self, tx: &Tx) -> Result<(), Error> {
        let mut changes: Vec<Change<'_>> = self
            .entries
            .values()
            .map(|entry| (entry, self.journal.of(entry.row.order_id)))
            .filter(|(entry, journal)| entry.dirty || journal.is_some())
            .map(|(entry, journal)| Change { row: &entry.row, sent_id: entry.sent_id, moved: entry.moved, journal })
            .collect();
        changes.sort_by_key(|change| change.row.order_id);
        sagas::write(tx, &changes).await
    }
}

impl Entry {
    /// Applies the decided state; returns whether a new step begins, which resets its attempts and its clock.
    fn begin(&mut self, decision: &Decision) -> bool {
        if decision.next == self.row.state {
            return false;
        }
        self.row.version += 1;
        self.row.state = decision.next;
        self.moved = true;
        self.dirty = true;
        let began = decision.next.is_open() && !decision.commands.is_empty();
        if began {
            self.row.attempt = 1;
        }
        began
    }

    /// Creates the decided messages. Must follow [`Self::begin`].
    fn carry_out(&mut self, decision: &Decision, began: bool, ids: &Ids) -> Vec<Event> {
        let now = ids.now();
        let mut events = Vec::with_capacity(decision.commands.len() + 1);
        for command in &decision.commands {
            let id = self.command_id(*command, ids);
            if began {
                self.sent_id = self.sent_id.max(Some(id));
            }
            events.push(commands::command(*command, id, &self.row, vec![], now));
        }
        if let Some(notice) = decision.notice {
            events.push(commands::notice(notice, ids.next(), &self.row, now));
        }
        events
    }

    /// The id of a command: the one it was sent under before, or a new one.
    fn command_id(&mut self, command: crate::domain::saga::Command, ids: &Ids) -> Uuid {
        let slot = self.row.slot(command.participant());
        match slot {
            Some(sent) if sent.command == command => sent.id,
            _ => {
                let id = ids.next();
                *slot = Some(Sent { command, id });
                self.dirty = true;
                id
            }
        }
    }

    fn at(&self) -> At {
        At { order_id: self.row.order_id, step: self.row.state.name(), attempt: self.row.attempt }
    }
}

/// Whether an order is being compensated.
#[must_use]
pub fn is_compensating(state: State) -> bool {
    matches!(state, State::Compensating(_))
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;

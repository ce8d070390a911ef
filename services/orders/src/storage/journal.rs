//! The saga's journal: incoming and outgoing messages of an order, with the step, the time and the trace.

use flotilla_messaging::Event;
use flotilla_postgres::{Error, Tx};
use uuid::Uuid;

use super::sql;

/// Rows to append, as columns.
#[derive(Default, Debug)]
pub struct Journal {
    orders: Vec<Uuid>,
    steps: Vec<&'static str>,
    messages: Vec<Uuid>,
    directions: Vec<&'static str>,
    kinds: Vec<String>,
    attempts: Vec<i32>,
    traces: Vec<Option<String>>,
}

/// The state of an order at a journal entry.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The order.
    pub order_id: Uuid,
    /// The state's name.
    pub step: &'static str,
    /// How often the step was sent.
    pub attempt: i32,
}

impl Journal {
    /// Records an incoming message: a reply, or a decision of this service with its own id.
    pub fn came_in(&mut self, at: At, id: Uuid, kind: &str, traceparent: Option<&str>) {
        self.push(at, id, "in", kind, traceparent);
    }

    /// Records an outgoing message.
    pub fn goes_out(&mut self, at: At, event: &Event) {
        let kind = event.kind.rsplit('.').next().unwrap_or(&event.kind);
        self.push(at, event.id, "out", kind, event.traceparent.as_deref());
    }

    /// Appends the rows. Sends no statement if there are none.
    ///
    /// # Errors
    /// The statement's error.
    pub async fn append(&self, tx: &Tx) -> Result<(), Error> {
        if self.orders.is_empty() {
            return Ok(());
        }
        tx.execute(
            sql::INSERT_JOURNAL,
            &[&self.orders, &self.steps, &self.messages, &self.directions, &self.kinds, &self.attempts, &self.traces],
        )
        .await?;
        Ok(())
    }

    fn push(&mut self, at: At, id: Uuid, direction: &'static str, kind: &str, traceparent: Option<&str>) {
        self.orders.push(at.order_id);
        self.steps.push(at.step);
        self.messages.push(id);
        self.directions.push(direction);
        self.kinds.push(kind.to_owned());
        self.attempts.push(at.attempt);
        self.traces.push(traceparent.and_then(trace_id));
    }
}

/// The trace's id in a W3C `traceparent`.
fn trace_id(traceparent: &str) -> Option<String> {
    traceparent.split('-').nth(1).filter(|id| id.len() == 32).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_is_the_second_part_of_its_parent() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("00-{id}-00f067aa0ba902b7-01")).as_deref(), Some(id));
        assert_eq!(trace_id("rubbish"), None);
        assert_eq!(trace_id("00-short-1-01"), None);
    }
}
